"""A multi-layer perceptron over the per-variant features, one output per trait."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with GELU between them; hidden weights from the seed, the output layer at 0.

    With an output of 0 training starts exactly at the constant model.
    """

    def __init__(self, num_features: int, num_traits: int, hidden: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = num_features
        for size in hidden:
            layer = nn.Linear(width, size, device="meta").to_empty(device="cpu")
            bound = (1 / max(1, width)) ** 0.5
            with torch.no_grad():
                layer.weight.uniform_(-bound * 3**0.5, bound * 3**0.5, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)
            layers += [layer, nn.GELU()]
            width = size
        output = nn.Linear(width, num_traits, bias=False, device="meta").to_empty(device="cpu")
        nn.init.zeros_(output.weight)
        self.layers = nn.Sequential(*layers, output)

    def forward(self, features: Float[Tensor, "variant feature"]) -> Float[Tensor, "variant trait"]:
        """The score of each variant, (variant, trait)."""
        return self.layers(features)  # type: ignore[no-any-return]
