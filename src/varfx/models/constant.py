"""The model without features: every variant the same, up to its frequency."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Constant(nn.Module):
    """Score 0 for every variant: the prior is its scale and its alpha alone."""

    def __init__(self, num_traits: int) -> None:
        super().__init__()
        self.num_traits = num_traits

    def forward(self, features: Float[Tensor, "variant feature"]) -> Float[Tensor, "variant trait"]:
        """Zeros, (variant, trait)."""
        return torch.zeros(features.shape[0], self.num_traits, dtype=features.dtype, device=features.device)
