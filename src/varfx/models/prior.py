"""The prior: from a network's score to the variance of each variant's effect (paper, Eq. 6).

    F_m = N f_m = exp(scale) * (4 p_m (1 - p_m))^alpha * link(score_m)        link(0) = 1

The factor 4 only moves the scale, so that it is the variance at frequency 1/2. `scale`, `alpha` and `log_sigma2` are one
number per trait; N is the trait's reference sample size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from varfx.errors import ConfigError
from varfx.models.constant import Constant
from varfx.models.linear import Linear
from varfx.models.mlp import MLP

Kind = Literal["constant", "linear", "mlp"]
Link = Literal["softplus", "exp"]
MIN_HETEROZYGOSITY = 1e-7  # of p (1 - p), so that alpha cannot send a wrong frequency of 0 to infinity
MAX_LOG_VARIANCE = 60.0  # of log F: far above any effect, and B F B' still fits into float32


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which network scores the variants."""

    kind: Kind = "mlp"
    """constant: no features; linear: the paper's generalised linear model; mlp: a multi-layer perceptron."""
    link: Link = "softplus"
    """How a score becomes a factor of the variance: softplus (grows linearly; robust) or exp (log-linear)."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the perceptron's hidden layers."""

    def __post_init__(self) -> None:
        if self.kind not in ("constant", "linear", "mlp"):
            raise ConfigError(f"`model` must be constant, linear or mlp, got {self.kind!r}.")
        if self.link not in ("softplus", "exp"):
            raise ConfigError(f"`link` must be softplus or exp, got {self.link!r}.")
        if self.kind == "mlp" and not (self.hidden and all(size > 0 for size in self.hidden)):
            raise ConfigError(f"`hidden` must be one or more positive widths, got {self.hidden}.")


class VariancePrior(nn.Module):
    """The variance of each variant's effect on each trait, and each trait's residual variance."""

    def __init__(self, config: ModelConfig, num_features: int, num_traits: int, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.num_features = num_features
        self.network = _network(config, num_features, num_traits, torch.Generator().manual_seed(seed))
        self.scale = nn.Parameter(torch.zeros(num_traits))
        self.alpha = nn.Parameter(torch.zeros(num_traits))
        self.log_sigma2 = nn.Parameter(torch.zeros(num_traits))

    @property
    def sigma2(self) -> Float[Tensor, " trait"]:
        """Residual variance of z, per trait."""
        return self.log_sigma2.exp()

    def sigma2_values(self) -> list[float]:
        """Residual variance of z per trait, as numbers."""
        return [float(value) for value in self.sigma2.detach()]

    def forward(
        self, features: Float[Tensor, "variant feature"], heterozygosity: Float[Tensor, " variant"]
    ) -> Float[Tensor, "variant trait"]:
        """F = N f of each variant and trait.

        Args:
            features: standardised features.
            heterozygosity: `p (1 - p)` of each variant.
        """
        log_F = self.log_base(heterozygosity) + log_link(self.network(features), self.config.link)
        return log_F.clamp_max(MAX_LOG_VARIANCE).exp()

    def log_base(self, heterozygosity: Float[Tensor, " variant"]) -> Float[Tensor, "variant trait"]:
        """Log of the part of F that needs no network: scale and frequency."""
        log_heterozygosity = (4 * heterozygosity.clamp_min(MIN_HETEROZYGOSITY)).log()
        return self.scale + self.alpha * log_heterozygosity[:, None]


def log_link(score: Tensor, link: Link) -> Tensor:
    """Log of the link function; 0 at score 0 for both links."""
    if link == "exp":
        return score
    shifted = score + math.log(math.e - 1)
    # log softplus(x) tends to x for very negative x, where softplus itself would round to 0.
    return torch.where(shifted < -15, shifted, nn.functional.softplus(shifted.clamp_min(-15)).log())


def _network(config: ModelConfig, num_features: int, num_traits: int, generator: torch.Generator) -> nn.Module:
    match config.kind:
        case "constant":
            return Constant(num_traits)
        case "linear":
            return Linear(num_features, num_traits)
        case "mlp":
            return MLP(num_features, num_traits, config.hidden, generator)
