"""A transformer layer: attention, then a perceptron per position, each added to its input; shared by Enformer and Borzoi."""

from __future__ import annotations

from typing import cast

from jaxtyping import Float
from torch import Tensor, nn


class TransformerLayer(nn.Sequential):
    """Attention, then a perceptron per position, each added to its input. Only its places have names, as published.

    Args:
        attention: module called with (x, basis, rows), as `RelativeAttention`.
        width: channels in and out.
        dropout: in both branches.
        eps: of the normalisation of each position.
    """

    def __init__(self, attention: nn.Module, width: int, dropout: float, *, eps: float = 1e-5) -> None:
        perceptron = [nn.Linear(width, 2 * width), nn.Dropout(dropout), nn.ReLU(), nn.Linear(2 * width, width)]
        super().__init__(
            Residual(nn.Sequential(nn.LayerNorm(width, eps=eps), attention, nn.Dropout(dropout))),
            Residual(nn.Sequential(nn.LayerNorm(width, eps=eps), *perceptron, nn.Dropout(dropout))),
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
