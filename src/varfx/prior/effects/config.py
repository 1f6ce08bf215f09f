"""`EffectsConfig`: shape of the effect distribution behind polygenic weights, and the sampling of its posterior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from varfx.errors import ConfigError

Effects = Literal["auto", "normal", "spike-slab", "mixture"]


@dataclass(frozen=True, kw_only=True)
class EffectsConfig:
    """Shape of the effect distribution, and the sampling of its posterior."""

    effects: Effects = "auto"
    """Distribution of effects, with the run's f as their variance: normal, spike-slab (a normal background and one class of
    sparse larger effects), mixture (several classes), or auto (the mixture where the evidence for it is larger, else normal, per
    trait)."""
    chains: int = 4
    """Independent Markov chains per window; without effect on normal."""
    sweeps: int = 50
    """Sweeps per chain that are averaged, after half as many of burn-in; doubled up to four times where chains disagree. A sweep
    passes twice through every block of variants."""
    seed: int = 0
    """Seed of the Markov chains."""

    def __post_init__(self) -> None:
        if self.effects not in get_args(Effects):
            raise ConfigError(
                f"`--effects` must be one of {', '.join(get_args(Effects))}, but is {str(self.effects)[:40]!r}."
            )
        if self.chains < 2:
            raise ConfigError(f"`--chains` must be at least 2 to judge convergence, got {self.chains}.")
        if self.sweeps < 10:
            raise ConfigError(f"`--sweeps` must be at least 10, got {self.sweeps}.")
        if self.seed < 0:
            raise ConfigError(f"`--seed` must not be negative, got {self.seed}.")
