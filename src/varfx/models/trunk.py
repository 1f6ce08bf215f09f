"""Base of the sequence networks (Enformer, Borzoi): which bins are read, precision, checkpoints of stages, first weights."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from varfx.errors import DataError
from varfx.models.attention import RelativeAttention
from varfx.models.borzoi_config import BorzoiConfig
from varfx.models.channel_norm import ChannelNorm, observed, unobserved
from varfx.models.config import EnformerConfig
from varfx.models.rotary import RotaryAttention

TrunkConfig = EnformerConfig | BorzoiConfig


class Trunk(nn.Module, ABC):
    """A network from a sequence to an embedding per bin, and to tracks."""

    config: TrunkConfig

    @abstractmethod
    def embed(
        self, x: Float[Tensor, "batch position channel"], readout: int | slice | None = None
    ) -> Float[Tensor, "batch *bin channel"]:
        """Embedding of the output bins, in float32."""

    def output_rows(self, num_bins: int, readout: int | slice | None = None) -> slice:
        """The bins that a crop and a readout ask for, as a slice with start, stop and step 1.

        Raises:
            DataError: there are too few bins.
        """
        target = num_bins if self.config.target_length is None else self.config.target_length
        if target > num_bins:
            raise DataError(
                f"the window has {num_bins} bins of {self.config.bin_size}, fewer than `target_length` = {target}. "
                "Give longer windows, or leave `target_length` unset."
            )
        first = (num_bins - target + 1) // 2
        if readout is None:
            return slice(first, first + target, 1)
        chosen = range(target)[slice(readout, readout + 1 or None) if isinstance(readout, int) else readout]
        if not len(chosen) or chosen.step != 1:
            raise DataError(f"`readout` = {readout} is not a run of some of the {target} output bins.")
        return slice(first + chosen.start, first + chosen.stop, 1)

    def _check_input(self, x: Tensor) -> None:
        if x.ndim != 3 or x.shape[2] != self.config.channels or not x.shape[1]:
            raise DataError(
                f"`x` must be (batch, position, channel) with {self.config.channels} channels, got shape {tuple(x.shape)}."
            )

    def _autocast(self, x: Tensor) -> torch.autocast:
        return torch.autocast(x.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def _stage(self, stage: nn.Module, x: Tensor, *arguments: object) -> Tensor:
        if self.config.checkpointing and torch.is_grad_enabled():
            return checkpointed(stage, self, x, *arguments)
        return cast(Tensor, stage(x, *arguments))


def checkpointed(stage: Callable[..., Tensor], network: nn.Module, x: Tensor, *arguments: object) -> Tensor:
    """`stage(x, *arguments)`, computed again in the backward pass; all gradients, inputs' and weights', are kept.

    The repeat leaves no trace in the statistics of `network`, and sees the same dropout.
    """

    def contexts() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        return observed(network), unobserved(network)

    return cast(Tensor, checkpoint(stage, x, *arguments, use_reentrant=False, context_fn=contexts))


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Sets every weight and statistic: uniform in +-1/sqrt(fan in), attention's output at 0."""
    for module in network.modules():
        if isinstance(module, ChannelNorm):
            module.reset()
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, nn.Linear | nn.Conv1d):
            bound = module.weight[0].numel() ** -0.5
            module.weight.uniform_(-bound, bound, generator=generator)
            if module.bias is not None:
                module.bias.uniform_(-bound, bound, generator=generator)
    for module in network.modules():  # after their own linear layers
        if isinstance(module, RelativeAttention):
            module.to_out.weight.zero_()
            module.to_out.bias.zero_()
            module.rel_content_bias.normal_(generator=generator)
            module.rel_pos_bias.normal_(generator=generator)
        elif isinstance(module, RotaryAttention):
            module.mha.out_proj.weight.zero_()
            module.mha.out_proj.bias.zero_()
