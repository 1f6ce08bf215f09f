"""The generalised linear model of the paper's appendix B.4."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class Linear(nn.Module):
    """A weighted sum of the features per trait; the intercept is the prior's own scale. Starts at 0."""

    def __init__(self, num_features: int, num_traits: int) -> None:
        super().__init__()
        self.weights = nn.Linear(num_features, num_traits, bias=False, device="meta").to_empty(device="cpu")
        nn.init.zeros_(self.weights.weight)

    def forward(self, features: Float[Tensor, "variant feature"]) -> Float[Tensor, "variant trait"]:
        """The score of each variant, (variant, trait)."""
        return self.weights(features)  # type: ignore[no-any-return]
