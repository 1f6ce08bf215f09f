"""Configuration of held-out windows; free of numpy and polars, for help pages."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from varfx.errors import ConfigError
from varfx.genome.chromosomes import chrom_list


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Split of a panel's windows. Chromosomes win over fractions; with neither nothing is held out."""

    holdout_chrom: tuple[str, ...] = ()
    """Chromosomes whose windows are held out for evaluation."""
    holdout_fraction: float = 0.0
    """Share of the windows held out as one contiguous stretch, where no chromosomes are named."""
    validation_chrom: tuple[str, ...] = ()
    """Chromosomes whose windows decide when training stops."""
    validation_fraction: float = 0.15
    """Share of the remaining windows that decide when training stops, as one contiguous stretch."""
    exclude_chrom: tuple[str, ...] = ()
    """Chromosomes left out altogether."""
    seed: int | None = None
    """Seed of the first contiguous stretch; by default the seed of the training."""

    def __post_init__(self) -> None:
        for name in ("holdout_fraction", "validation_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"`{name.replace('_', '-')}` must be at least 0 and below 1, got {getattr(self, name)}."
                )
        parts = {"holdout_chrom": "holdout", "validation_chrom": "validation", "exclude_chrom": "exclusion"}
        for name in parts:
            object.__setattr__(self, name, chrom_list(getattr(self, name), option=name.replace("_", "-")))
        for first, second in itertools.combinations(parts, 2):
            both = sorted(set(getattr(self, first)) & set(getattr(self, second)))
            if both:
                raise ConfigError(
                    f"chromosome {both[0]} is named both for {parts[first]} and for {parts[second]}: choose one."
                )
