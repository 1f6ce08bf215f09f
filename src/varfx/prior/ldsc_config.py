"""Options of LD score regression; loads neither numpy nor polars, since the command line shows them as help."""

from __future__ import annotations

import math
from dataclasses import dataclass

from varfx.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LDSCConfig:
    """Configuration of LD score regression; the defaults are those of `ldsc --h2`.

    Raises:
        ConfigError: on construction, for an option out of its range.
    """

    two_step: float | None = None
    """Chi2 below which variants set the intercept (one annotation, free intercept); 0 does it in one step. By default 30 for heritability,
    and one step for --rg."""
    intercept: float | None = None
    """A known intercept, e.g. 1; estimated by default."""
    num_blocks: int = 200
    """Blocks of the jackknife."""
    chi2_max: float | None = None
    """Leave out variants with chi2 at or above; by default 0.001 max(N), at least 80, if there are several annotations."""

    def __post_init__(self) -> None:
        for name, value in (("intercept", self.intercept), ("chi2_max", self.chi2_max)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"`{name}` must be a positive number, but is {value}.")
        if self.two_step is not None and not (math.isfinite(self.two_step) and self.two_step >= 0):
            raise ConfigError(f"`two_step` must be a positive number, or 0 for one step, but is {self.two_step}.")
