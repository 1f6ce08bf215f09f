"""Configuration of a simulation: true prior, signal and noise; free of numpy, for help pages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from varfx.errors import ConfigError
from varfx.models.config import Link

TruthKind = Literal["mlp", "linear", "enformer", "filter"]


@dataclass(frozen=True, kw_only=True)
class TruthConfig:
    """A random network that says how large effects are."""

    kind: TruthKind | None = None
    """By default enformer with tracks, else mlp. mlp: a perceptron with tanh between its layers, so that no variant is far out; linear: a weighted sum of the features;
    enformer: an Enformer over tracks, base by base; filter: a weighted sum of the bases of the tracks, whose weights (random,
    one per 16 bases) have mean 0 in each track, so that window averages tell nothing."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the perceptron's hidden layers."""
    gain: float = 2.0
    """Factor of the perceptron's random weights (normal, variance 1 / inputs): the larger, the more the function bends."""
    link: Link = "exp"
    """From score to variance: exp (the paper's) or softplus."""
    spread: float = 1.0
    """Standard deviation of the score, with exp of log f, over the panel's variants."""
    alpha: float = 0.0
    """Exponent of p (1 - p)."""
    seed: int = 0
    """Of the weights."""
    window: int = 256
    """Bases around each variant that are read from tracks."""
    width: int = 384
    """Channels of an enformer."""
    depth: int = 2
    """Its transformer layers."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if self.kind is not None and self.kind not in get_args(TruthKind):
            raise ConfigError(f"`kind` of the truth must be {', '.join(get_args(TruthKind))}, got {self.kind!r}.")
        if self.link not in get_args(Link):
            raise ConfigError(f"`link` must be {' or '.join(get_args(Link))}, got {self.link!r}.")
        if self.kind in (None, "mlp") and not (self.hidden and all(size > 0 for size in self.hidden)):
            raise ConfigError(f"`hidden` must be one or more positive widths, got {self.hidden}.")
        for name in ("gain", "spread"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ConfigError(f"`{name}` must be positive, got {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True)
class SimulateConfig:
    """Signal and noise of a simulation. The defaults are those of the paper's B.7."""

    mean_signal: float | None = None
    """Mean of N f over the panel's variants; 0.017 where no h2 is given: half the heritability, over 11.9 million variants."""
    h2: float | None = None
    """Instead: the sum of f over the panel's variants."""
    n: float = 407_527
    """N, the sample size."""
    sigma2: float | None = None
    """Variance of the noise of z: by default 1 - h2 where h2 is given, else 0.5."""
    replicates: int = 1
    """Independent draws of effects and noise; they become one trait with so many replicates."""
    seed: int = 0
    """Of effects and noise. A replicate depends on the seed and its number only."""

    def __post_init__(self) -> None:
        if self.mean_signal is not None and self.h2 is not None:
            raise ConfigError("give `mean-signal` or `h2`, not both: each says how large the effects are.")
        for name in ("mean_signal", "n", "sigma2"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"`{name.replace('_', '-')}` must be positive, got {value}.")
        if self.h2 is not None and not 0 < self.h2 < 1:
            raise ConfigError(f"`h2` must be between 0 and 1, got {self.h2}.")
        if self.replicates < 1:
            raise ConfigError(f"`replicates` must be at least 1, got {self.replicates}.")

    @property
    def noise(self) -> float:
        """The variance of the noise of z."""
        return self.sigma2 if self.sigma2 is not None else 0.5 if self.h2 is None else 1 - self.h2

    def mean_f(self, num_variants: int) -> float:
        """The mean of f that is asked for."""
        if self.h2 is not None:
            return self.h2 / num_variants
        return (0.017 if self.mean_signal is None else self.mean_signal) / self.n
