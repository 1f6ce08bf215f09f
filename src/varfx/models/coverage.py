"""Coverage of RNA sequencing as a target: its transform, its loss, and the network that predicts it bin by bin.

    (individual, base, A C G T) -> trunk -> dense -> softplus -> (individual, bin, track)

Targets are squashed as Borzoi's are (Linder et al., 2025): x = scale * sum over the bin's bases, y = (1 + x)^(3/4) - 1, and above c
only the square root of what is left: y -> c - 1 + sqrt(y - c + 1). `unsquash` goes back.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from varfx.models.expression import ExpressionNetwork, zero_linear
from varfx.models.expression_config import ExpressionNetworkConfig
from varfx.models.trunk import Trunk

POWER = 0.75
TINY = 1e-7  # added to coverage within logarithms


def squash(x: Float[Tensor, "*bin"], clip: float) -> Float[Tensor, "*bin"]:
    """Coverage of bins on the scale of the loss."""
    y = (1 + x) ** POWER - 1
    return torch.where(y > clip, clip - 1 + (y - clip + 1).clamp_min(0).sqrt(), y)


def unsquash(y: Float[Tensor, "*bin"], clip: float) -> Float[Tensor, "*bin"]:
    """Coverage of bins from the scale of the loss: the inverse of `squash`."""
    y = torch.where(y > clip, (y - clip + 1).square() + clip - 1, y)
    return (1 + y) ** (1 / POWER) - 1


def poisson_multinomial(
    prediction: Float[Tensor, "individual bin track"],
    target: Float[Tensor, "individual bin track"],
    total_weight: float,
) -> Float[Tensor, " individual"]:
    """The loss per individual: multinomial of a track over its bins, plus `total_weight` times Poisson of its sum.

    Both are per bin and averaged over the tracks, without the terms that do not depend on the prediction:

        - sum_b y_b log(p_b / sum p) / bins    and    (sum p - sum y log sum p) / bins
    """
    prediction, target = prediction + TINY, target + TINY
    predicted, observed = prediction.sum(dim=1), target.sum(dim=1)
    shape = -(target * (prediction.log() - predicted.log()[:, None])).sum(dim=1)
    total = predicted - observed * predicted.log()
    return ((shape + total_weight * total) / prediction.shape[1]).mean(dim=1)


class CoverageNetwork(ExpressionNetwork):
    """The network: one dense layer with softplus on every bin, in place of the head at the TSS.

    Args:
        config: its sizes, with `coverage_tracks`.
        generator: where the first weights come from; seed 0 if not given.
        trunk: a network of `config.trunk()` with weights of its own; random if not given.
    """

    def __init__(
        self,
        config: ExpressionNetworkConfig,
        *,
        generator: torch.Generator | None = None,
        trunk: Trunk | None = None,
    ) -> None:
        super().__init__(config, generator=generator, trunk=trunk)
        self.head = zero_linear(self.trunk.config.embedding_width, config.coverage_tracks)

    def forward(
        self, x: Float[Tensor, "individual base 4"] | Float[Tensor, "individual haplotype base 4"]
    ) -> Float[Tensor, "individual bin track"]:
        """Squashed coverage, float32; of two haplotypes the mean.

        Raises:
            DataError: another length than `config.window`, or another shape.
        """
        if x.ndim == 4:
            return self(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)  # type: ignore[no-any-return]
        self.check_input(x)
        embedding = self.trunk.embed(x)
        with torch.autocast(embedding.device.type, enabled=False):
            return nn.functional.softplus(self.head(embedding))

    @torch.no_grad()
    def start_at(self, mean: Float[Tensor, " track"]) -> None:
        """Sets the head's bias so that the first prediction is this squashed coverage in every bin."""
        self.head.bias.copy_(mean.clamp_min(1e-3).expm1().log())


class GeneTotals(nn.Module):
    """A gene's expression from a coverage network: log2(1 + coverage of its exons' bins), standardised.

    Args:
        network: the network.
        bins: the gene's bins; the first track is its own strand's.
        mean: of the training individuals' observed values.
        spread: their standard deviation.
        clip: of the transform.
    """

    def __init__(
        self, network: CoverageNetwork, bins: Bool[Tensor, " bin"], mean: float, spread: float, clip: float
    ) -> None:
        super().__init__()
        self.network, self.mean, self.spread, self.clip = network, mean, spread, clip
        self.register_buffer("bins", bins, persistent=False)

    @property
    def config(self) -> ExpressionNetworkConfig:
        """Of the network."""
        return self.network.config

    @property
    def head(self) -> nn.Linear:
        """Of the network."""
        return self.network.head

    def forward(
        self, x: Float[Tensor, "individual base 4"] | Float[Tensor, "individual haplotype base 4"]
    ) -> Float[Tensor, " individual"]:
        """Expression in standard deviations of the training individuals."""
        return self.of_coverage(self.network(x))

    def of_coverage(self, y: Float[Tensor, "individual bin track"]) -> Float[Tensor, " individual"]:
        """The same from squashed coverage, predicted or observed."""
        assert isinstance(self.bins, Tensor)
        return (log_total(y, self.bins, self.clip) - self.mean) / self.spread


Predictor = ExpressionNetwork | GeneTotals  # from sequences to a value per individual


def log_total(
    y: Float[Tensor, "individual bin track"], bins: Bool[Tensor, " bin"], clip: float
) -> Float[Tensor, " individual"]:
    """log2(1 + sum over the bins of the first track's coverage)."""
    return (1 + unsquash(y[:, bins, 0], clip).sum(dim=1)).log2()
