"""Configuration of what a network predicts: adjusted expression, or coverage along the window; free of torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from varfx.errors import ConfigError

Target = Literal["scalar", "coverage"]


@dataclass(frozen=True, kw_only=True)
class TargetConfig:
    """What is predicted."""

    target: Target = "scalar"
    """Adjusted expression of the cohort (scalar), or coverage of RNA sequencing in every bin of the window (coverage)."""
    coverage: Path | None = None
    """Table with a header: person and bigwig_plus, and if there are any bigwig_minus (stranded libraries) and library_size (mapped reads; coverage is then scaled to a million). File names are relative to it."""
    exons: Path | None = None
    """GTF whose exons of a gene's canonical transcript make its bins; by default all bins of the window."""
    coverage_scale: float | None = None
    """Coverage is multiplied by this before it is squashed; by default, so that the training individuals' mean bin is 1."""
    clip_soft: float = 384.0
    """Squashed coverage above this grows as the square root of what is left, as Borzoi's targets of RNA."""
    total_weight: float = 0.2
    """Weight of the Poisson loss of totals beside the multinomial loss of shapes."""
    difference_weight: float = 1.0
    """Weight of the squared error of exon totals, log2(1 + total) in standard deviations over individuals; 0 trains by counts alone, as on one genome."""
    frozen_epochs: int | None = None
    """Passes in which the head alone trains; by default 5 (the paper) with a checkpoint, 0 without."""

    def __post_init__(self) -> None:
        if self.target not in ("scalar", "coverage"):
            raise ConfigError(f"`target` must be scalar or coverage, got {self.target!r}.")
        given = [
            name for name in ("coverage", "exons", "coverage_scale", "frozen_epochs") if getattr(self, name) is not None
        ]
        if self.target == "scalar" and given:
            raise ConfigError(
                f"`{given[0].replace('_', '-')}` is for `--target coverage`. Give that too, or leave it out."
            )
        if self.target == "coverage" and self.coverage is None:
            raise ConfigError("`--target coverage` needs `--coverage`, a table of individuals and their bigWig files.")
        for name in ("coverage_scale", "clip_soft"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"`{name.replace('_', '-')}` must be positive, got {value}.")
        if self.clip_soft < 1:
            raise ConfigError(f"`clip-soft` must be at least 1, got {self.clip_soft}.")
        if not (math.isfinite(self.total_weight) and self.total_weight > 0):
            raise ConfigError(f"`total-weight` must be positive, got {self.total_weight}.")
        if not (math.isfinite(self.difference_weight) and self.difference_weight >= 0):
            raise ConfigError(f"`difference-weight` must not be negative, got {self.difference_weight}.")
        if self.frozen_epochs is not None and self.frozen_epochs < 0:
            raise ConfigError(f"`frozen-epochs` must not be negative, got {self.frozen_epochs}.")
