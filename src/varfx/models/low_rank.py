"""Low-rank adapters (LoRA: Hu et al., 2021): a linear layer W x + b becomes W x + b + (scale / rank) U D x, of which U and D train.

Of a convolution (locon: Yeh et al., 2024), D is a convolution of the same kernel to few channels, and U mixes these."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from varfx.models.attention import RelativeAttention
from varfx.models.rotary import RotaryAttention

ADAPTED = ("to_q", "to_k", "to_v", "to_out")  # layers of an attention block
ADAPTED_ROTARY = ("Wqkv", "out_proj")


class LowRankLinear(nn.Module):
    """A linear layer that is held fixed, plus a product of two thin matrices. U starts at 0: first, nothing is changed.

    Args:
        base: the layer; its weights stop training.
        rank: of the change.
        scale: the change is multiplied by scale / rank, so that a learning rate suits several ranks.
        generator: where D's first weights come from.
    """

    def __init__(self, base: nn.Linear, rank: int, *, scale: float = 1.0, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = scale / rank
        bound = base.in_features**-0.5
        self.down = nn.Parameter(
            torch.empty(rank, base.in_features, dtype=base.weight.dtype).uniform_(-bound, bound, generator=generator)
        )
        self.up = nn.Parameter(torch.zeros(base.out_features, rank, dtype=base.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """The changed layer's output."""
        change = nn.functional.linear(nn.functional.linear(x, self.down), self.up)
        return cast(Tensor, self.base(x) + self.scale * change)


class LowRankConvolution(nn.Module):
    """A convolution that is held fixed, plus one through few channels. U starts at 0: first, nothing is changed.

    Args:
        base: the convolution; its weights stop training.
        rank: channels between.
        scale: the change is multiplied by scale / rank.
        generator: where D's first weights come from.
    """

    def __init__(self, base: nn.Conv1d, rank: int, *, scale: float = 1.0, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = scale / rank
        bound = base.weight[0].numel() ** -0.5
        self.down = nn.Parameter(
            torch.empty(rank, *base.weight.shape[1:], dtype=base.weight.dtype).uniform_(
                -bound, bound, generator=generator
            )
        )
        self.up = nn.Parameter(torch.zeros(base.out_channels, rank, 1, dtype=base.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """The changed convolution's output."""
        through = nn.functional.conv1d(x, self.down, padding=self.down.shape[2] // 2)
        return cast(Tensor, self.base(x) + self.scale * nn.functional.conv1d(through, self.up))


def adapt_attention(network: nn.Module, rank: int, *, generator: torch.Generator) -> None:
    """Adds adapters, in place, to every linear layer of every attention block of a network."""
    for block in list(network.modules()):
        if isinstance(block, RelativeAttention):
            _adapt(block, ADAPTED, rank, generator)
        elif isinstance(block, RotaryAttention):
            _adapt(block.mha, ADAPTED_ROTARY, rank, generator)


def _adapt(block: nn.Module, names: tuple[str, ...], rank: int, generator: torch.Generator) -> None:
    for name in names:
        setattr(block, name, LowRankLinear(getattr(block, name), rank, generator=generator))


def adapt_convolutions(network: nn.Module, rank: int, *, generator: torch.Generator) -> None:
    """Adds adapters, in place, to every convolution of a network that reads neighbouring positions of all channels."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv1d) and layer.groups == 1 and layer.kernel_size[0] > 1:
                setattr(parent, name, LowRankConvolution(layer, rank, generator=generator))
