"""The prior: from a network's score to the variance of each variant's effect (paper, Eq. 6).

    F_m = N f_m = exp(scale) * (4 p_m (1 - p_m))^alpha * link(score_m)        link(0) = 1

The factor 4 only moves the scale, so that it is the variance at frequency 1/2. `scale`, `alpha` and `log_sigma2` are one
number per trait; N is the trait's reference sample size.
"""

from __future__ import annotations

import contextlib
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from varfx.errors import ConfigError
from varfx.models.config import Link, ModelConfig
from varfx.models.constant import Constant
from varfx.models.full_precision import full_precision
from varfx.models.linear import Linear
from varfx.models.mixture_head import MixtureHead
from varfx.models.mlp import MLP
from varfx.models.track_enformer import TrackEnformer, TrackFeatures

MIN_HETEROZYGOSITY = 1e-7  # of p (1 - p), so that alpha cannot send a wrong frequency of 0 to infinity
MAX_LOG_VARIANCE = 60.0  # of log F: far above any effect, and B F B' still fits into float32


class VariancePrior(nn.Module):
    """The variance of each variant's effect on each trait, and each trait's residual variance.

    With `config.effects = "mixture"` also the log-odds of a sparse effect (`both_heads`): the network then has two outputs per
    trait, those of the variance first.

    Args:
        config: which network.
        num_features: per-variant features (an enformer's predictors).
        num_traits: outputs of the network, and numbers of scales, alphas and sigma2.
        num_tracks: channels that are read base by base; enformer only.
        shared: one output serves all traits, which are one trait in several ancestries.
        seed: of the first weights.
    """

    def __init__(
        self,
        config: ModelConfig,
        num_features: int,
        num_traits: int,
        *,
        num_tracks: int = 0,
        shared: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self.num_features = num_features
        self.num_tracks = num_tracks
        self.mixture = MixtureHead(num_traits) if config.effects == "mixture" else None
        scores = 1 if shared else num_traits
        outputs = scores if self.mixture is None else 2 * num_traits
        self.network = _network(config, num_features, outputs, num_tracks, torch.Generator().manual_seed(seed))
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
        self, features: Float[Tensor, "variant feature"] | TrackFeatures, heterozygosity: Float[Tensor, " variant"]
    ) -> Float[Tensor, "variant trait"]:
        """F = N f of each variant and trait, in the precision of `scale` (or of the network, if that is wider).

        Args:
            features: standardised features; for an enformer tracks, with the features as their predictors.
            heterozygosity: `p (1 - p)` of each variant.

        In evaluation mode a network over tracks computes in float32 (`full_precision`), whatever it was trained in.
        """
        return self._variance(self._score(features), heterozygosity)

    def both_heads(
        self, features: Float[Tensor, "variant feature"] | TrackFeatures, heterozygosity: Float[Tensor, " variant"]
    ) -> tuple[Float[Tensor, "variant trait"], Float[Tensor, "variant trait"]]:
        """F, and the log-odds of a sparse effect, of each variant and trait.

        Raises:
            ConfigError: the prior has no such head.
        """
        if self.mixture is None:
            raise ConfigError("the prior has normal effects: it knows no log-odds of a sparse effect.")
        score = self._score(features)
        log_odds = self.mixture(score[:, len(self.scale) :], log_heterozygosity(heterozygosity))
        return self._variance(score, heterozygosity), log_odds

    def _score(self, features: Float[Tensor, "variant feature"] | TrackFeatures) -> Float[Tensor, "variant output"]:
        evaluates = not self.training and self.config.kind == "enformer"
        with full_precision(self.network) if evaluates else contextlib.nullcontext():
            score = self.network(features)
        return score.to(torch.promote_types(score.dtype, self.scale.dtype))  # type: ignore[no-any-return]

    def _variance(self, score: Tensor, heterozygosity: Tensor) -> Float[Tensor, "variant trait"]:
        log_F = self.log_base(heterozygosity) + log_link(score[:, : len(self.scale)], self.config.link)
        return log_F.clamp_max(MAX_LOG_VARIANCE).exp()

    def in_double(self) -> VariancePrior:
        """The same prior, changed in place to float64; an enformer's network stays as it was trained."""
        if self.config.kind != "enformer":
            return self.double()
        for parameter in (self.scale, self.alpha, self.log_sigma2):
            parameter.data = parameter.data.double()
        if self.mixture is not None:
            self.mixture.double()
        return self

    def log_base(self, heterozygosity: Float[Tensor, " variant"]) -> Float[Tensor, "variant trait"]:
        """Log of the part of F that needs no network: scale and frequency."""
        return self.scale + self.alpha * log_heterozygosity(heterozygosity)[:, None]


def log_heterozygosity(heterozygosity: Float[Tensor, " variant"]) -> Float[Tensor, " variant"]:
    """log 4 p (1 - p), finite also where the frequency is 0."""
    return (4 * heterozygosity.clamp_min(MIN_HETEROZYGOSITY)).log()


def log_link(score: Tensor, link: Link) -> Tensor:
    """Log of the link function; 0 at score 0 for both links."""
    if link == "exp":
        return score
    shifted = score + math.log(math.e - 1)
    # log softplus(x) tends to x for very negative x, where softplus itself would round to 0.
    return torch.where(shifted < -15, shifted, nn.functional.softplus(shifted.clamp_min(-15)).log())


def score_slope(link: Link) -> float:
    """d log_link / d score at score 0."""
    return 1.0 if link == "exp" else 1 - math.exp(-1)


def _network(
    config: ModelConfig, num_features: int, num_traits: int, num_tracks: int, generator: torch.Generator
) -> nn.Module:
    if num_tracks and config.kind != "enformer":
        raise ConfigError(f"`num_tracks` is {num_tracks}, but only an enformer reads tracks base by base.")
    match config.kind:
        case "constant":
            return Constant(num_traits)
        case "linear":
            return Linear(num_features, num_traits)
        case "mlp":
            return MLP(num_features, num_traits, config.hidden, generator)
        case "enformer":
            return TrackEnformer(config.enformer, num_tracks, num_features, num_traits, generator)
