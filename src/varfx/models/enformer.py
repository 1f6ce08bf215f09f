"""Enformer in plain torch (Avsec et al., Nature Methods 2021): convolutions with attention pooling, then a transformer.

    (batch, length, channel) -> stem -> tower -> (batch, bin, width) -> transformer -> pointwise -> (batch, bin, 2 width) -> heads

Each stage of stem and tower halves the length, so that a bin is `2^num_downsamples` input positions. The sizes are free: four
channels of DNA with the published sizes by default, or tracks (`models/track_enformer.py`). Names and shapes of the weights are
those of enformer-pytorch, so that its checkpoints load (`models/enformer_weights.py`).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from varfx.errors import DataError
from varfx.models.attention import RelativeAttention, position_basis
from varfx.models.channel_norm import ChannelNorm, observed, unobserved
from varfx.models.config import STEM_KERNEL, TOWER_KERNEL, EnformerConfig


class Enformer(nn.Module):
    """The network. Outputs are per bin, in the order of the input positions.

    Args:
        config: its sizes.
        generator: where the first weights come from; seed 0 if not given.
    """

    def __init__(self, config: EnformerConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        widths = config.tower_widths()
        with torch.device("meta"):  # `_initialise` below sets every value; the global random state is not used
            self.stem = nn.Sequential(
                nn.Conv1d(config.channels, widths[0], STEM_KERNEL, padding=STEM_KERNEL // 2),
                Residual(convolution_block(widths[0], widths[0], 1, config)),
                AttentionPool(widths[0]),
            )
            self.conv_tower = nn.Sequential(
                *(
                    nn.Sequential(
                        convolution_block(narrow, wide, TOWER_KERNEL, config),
                        Residual(convolution_block(wide, wide, 1, config)),
                        AttentionPool(wide),
                    )
                    for narrow, wide in itertools.pairwise(widths)
                )
            )
            self.transformer = nn.Sequential(*(TransformerLayer(config) for _ in range(config.depth)))
            # Place 0 of this and of the heads' names is as in enformer-pytorch, where layers without weights stand between.
            self.final_pointwise = nn.Sequential(
                nn.Identity(),
                convolution_block(config.width, 2 * config.width, 1, config),
                nn.Identity(),
                nn.Dropout(config.dropout / 8),
                SigmoidGELU(),
            )
            self._heads = nn.ModuleDict(
                {
                    name: nn.Sequential(nn.Linear(2 * config.width, size), nn.Softplus())
                    for name, size in config.output_heads.items()
                }
            )
        self.to_empty(device="cpu")
        initialise(self, torch.Generator().manual_seed(0) if generator is None else generator)

    def forward(
        self, x: Float[Tensor, "batch position channel"], readout: int | slice | None = None
    ) -> dict[str, Float[Tensor, "batch *bin track"]]:
        """The tracks of each head, in float32.

        Args:
            x: DNA as one-hot (A, C, G, T), or averaged over haplotypes; any channels, in the order the caller trained with.
            readout: which output bins, counted after the crop to `target_length`, as an index (drops the bin axis) or a
                slice with step 1. Equal to taking them from the whole output; only what they need is computed in the last
                layer and after it (not so in training mode with `norm` = batch).

        Raises:
            DataError: wrong shape, or fewer bins than asked for.
        """
        embedding = self.embed(x, readout)
        with torch.autocast(x.device.type, enabled=False):
            return {name: head(embedding) for name, head in self._heads.items()}

    def embed(
        self, x: Float[Tensor, "batch position channel"], readout: int | slice | None = None
    ) -> Float[Tensor, "batch *bin channel"]:
        """Embedding read by the heads, (batch, bin, 2 width), in float32; arguments and errors as in `forward`."""
        if x.ndim != 3 or x.shape[2] != self.config.channels or not x.shape[1]:
            raise DataError(
                f"`x` must be (batch, position, channel) with {self.config.channels} channels, got shape {tuple(x.shape)}."
            )
        bins = self.config.num_bins(x.shape[1])
        rows = self.output_rows(bins, readout)
        # Statistics of the pass are those of all output bins, whatever is read.
        computed = self.output_rows(bins) if self.training and self.config.norm == "batch" else rows
        embedding = self.pointwise(self.attend(self.convolve(x.mT), computed))
        embedding = embedding[:, rows.start - computed.start : rows.stop - computed.start]
        return embedding[:, 0] if isinstance(readout, int) else embedding

    def output_rows(self, num_bins: int, readout: int | slice | None = None) -> slice:
        """The bins of the transformer that a crop and a readout ask for, as a slice with start, stop and step 1.

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

    def convolve(self, x: Float[Tensor, "batch channel position"]) -> Float[Tensor, "batch bin channel"]:
        """Stem and tower. A bin depends on few positions beside its own, so a change of the input may be followed locally."""
        with self._autocast(x):
            x = self._stage(self.stem, x)
            for stage in self.conv_tower:
                x = self._stage(stage, x)
            return x.mT

    def attend(self, x: Float[Tensor, "batch bin channel"], rows: slice) -> Float[Tensor, "batch row channel"]:
        """The transformer's output at the bins `rows`; all bins are read."""
        bins = x.shape[1]
        if not self.config.depth:
            return x[:, rows]
        functions = self.config.width // self.config.heads
        basis = position_basis(bins, functions, self.config.gamma_scale, x.device)
        basis = basis.to(next(self.transformer.parameters()).dtype)
        with self._autocast(x):
            for number, layer in enumerate(self.transformer):
                last = number == self.config.depth - 1
                x = self._stage(layer, x, basis, rows if last else slice(0, bins, 1))
            return x

    def pointwise(self, x: Float[Tensor, "batch bin channel"]) -> Float[Tensor, "batch bin channel"]:
        """The last layer before the heads, in float32."""
        with self._autocast(x):
            x = self._stage(self.final_pointwise, x.mT).mT
        return x if x.dtype == torch.float64 else x.float()

    def _autocast(self, x: Tensor) -> torch.autocast:
        return torch.autocast(x.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def _stage(self, stage: nn.Module, x: Tensor, *arguments: object) -> Tensor:
        if self.config.checkpointing and torch.is_grad_enabled():
            return checkpointed(stage, self, x, *arguments)
        return cast(Tensor, stage(x, *arguments))


class TransformerLayer(nn.Sequential):
    """Attention, then a perceptron per position, each added to its input. Only its places have names, as published."""

    def __init__(self, config: EnformerConfig) -> None:
        width = config.width
        attention = RelativeAttention(
            width,
            heads=config.heads,
            key_width=config.key_width,
            dropout=config.attention_dropout,
            position_dropout=config.position_dropout,
        )
        perceptron = [nn.Linear(width, 2 * width), nn.Dropout(config.dropout), nn.ReLU(), nn.Linear(2 * width, width)]
        super().__init__(
            Residual(nn.Sequential(nn.LayerNorm(width), attention, nn.Dropout(config.dropout))),
            Residual(nn.Sequential(nn.LayerNorm(width), *perceptron, nn.Dropout(config.dropout))),
        )

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "batch bin channel"], basis: Float[Tensor, "distance function"], rows: slice
    ) -> Float[Tensor, "batch row channel"]:
        """The layer's output at the bins `rows`, which see all bins."""
        norm, attention, dropout = cast(Residual, self[0]).fn
        x = x[:, rows] + dropout(attention(norm(x), basis, rows))
        return cast(Tensor, self[1](x))


class Residual(nn.Module):
    """x + fn(x)."""

    def __init__(self, fn: nn.Sequential) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        return cast(Tensor, x + self.fn(x))


class SigmoidGELU(nn.Module):
    """x sigmoid(1.702 x): the approximation of GELU with which the published weights were trained."""

    def forward(self, x: Tensor) -> Tensor:
        """The activation."""
        return x * torch.sigmoid(1.702 * x)


class AttentionPool(nn.Module):
    """Halves the length: of each pair the average with weights softmax(W x), per channel; W starts at 2 I.

    Of two, the softmax is sigmoid(W (a - b)), so that one product with W serves both. An unpaired last position stays.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_attn_logits = nn.Conv2d(
            channels, channels, 1, bias=False
        )  # the published shape, (channel, channel, 1, 1)

    def forward(self, x: Float[Tensor, "batch channel position"]) -> Float[Tensor, "batch channel half"]:
        """The weighted averages."""
        pairs = x.shape[2] // 2
        if not pairs:
            return x
        first, second = x[..., : 2 * pairs].reshape(*x.shape[:2], pairs, 2).unbind(3)
        difference = first - second
        weight = torch.sigmoid(nn.functional.conv1d(difference, self.to_attn_logits.weight[..., 0]))
        pooled = second + weight * difference
        return torch.cat([pooled, x[..., 2 * pairs :]], dim=2) if x.shape[2] % 2 else pooled


def convolution_block(narrow: int, wide: int, kernel: int, config: EnformerConfig) -> nn.Sequential:
    """Normalisation, activation, convolution."""
    return nn.Sequential(
        ChannelNorm(narrow, config.norm, momentum=config.norm_momentum),
        SigmoidGELU(),
        nn.Conv1d(narrow, wide, kernel, padding=kernel // 2),
    )


def checkpointed(stage: Callable[..., Tensor], network: nn.Module, x: Tensor, *arguments: object) -> Tensor:
    """`stage(x, *arguments)`, computed again in the backward pass; all gradients, inputs' and weights', are kept.

    The repeat leaves no trace in the statistics of `network`, and sees the same dropout.
    """

    def contexts() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        return observed(network), unobserved(network)

    return cast(Tensor, checkpoint(stage, x, *arguments, use_reentrant=False, context_fn=contexts))


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Sets every weight and statistic: uniform in +-1/sqrt(fan in), attention's output at 0, pooling at 2 I."""
    for module in network.modules():
        if isinstance(module, ChannelNorm):
            module.reset()
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, AttentionPool):
            nn.init.dirac_(module.to_attn_logits.weight).mul_(2)
        elif isinstance(module, nn.Linear | nn.Conv1d):
            bound = module.weight[0].numel() ** -0.5
            module.weight.uniform_(-bound, bound, generator=generator)
            if module.bias is not None:
                module.bias.uniform_(-bound, bound, generator=generator)
    for module in network.modules():
        if isinstance(module, RelativeAttention):  # after its own linear layers
            module.to_out.weight.zero_()
            module.to_out.bias.zero_()
            module.rel_content_bias.normal_(generator=generator)
            module.rel_pos_bias.normal_(generator=generator)
