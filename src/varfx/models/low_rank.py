"""Low-rank adapters (LoRA: Hu et al., 2021): a linear layer W x + b becomes W x + b + (scale / rank) U D x, of which U and D train."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from varfx.models.attention import RelativeAttention

ADAPTED = ("to_q", "to_k", "to_v", "to_out")  # layers of an attention block


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


def adapt_attention(network: nn.Module, rank: int, *, generator: torch.Generator) -> None:
    """Adds adapters, in place, to q, k, v and out of every attention block of a network."""
    for block in [module for module in network.modules() if isinstance(module, RelativeAttention)]:
        for name in ADAPTED:
            setattr(block, name, LowRankLinear(getattr(block, name), rank, generator=generator))
