"""Options of LD score regression; loads neither numpy nor polars, since the command line shows them as help."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from varfx.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LDSCInputs:
    """The files of LD score regression, and numbers in place of those in them."""

    sumstats: Path | None = None
    """Summary statistics of one trait (*.sumstats.parquet from `varfx sumstats clean`)."""
    rg: tuple[Path, ...] = ()
    """Summary statistics of several traits with commas (or the option repeated), in place of --sumstats: the genetic correlation of the
    first with each other."""
    ref_ld: str = field()  # required
    """LD scores to regress on: a folder, a file, a prefix, or a pattern with @ for the chromosome."""
    w_ld: str | None = None
    """LD scores to weight with, given likewise; those of --ref-ld by default, if these are of one annotation."""
    m: tuple[float, ...] | None = None
    """Number of variants of each annotation, in place of the .l2.M_5_50 files."""
    n: float | None = None
    """Sample size of every variant, in place of those in --sumstats (h2 goes with 1/n)."""
    effective_n: bool = False
    """For BOLT-LMM, use the effective sample size that `sumstats clean` stored, not the number of individuals that LDSC's users give
    it."""
    intercept_gencov: float | None = None
    """With --rg, a known intercept of the genetic covariance, 0 without shared individuals."""
    annot: str | None = None
    """.annot files of overlapping annotations, for their heritability and enrichment."""
    frq: str | None = None
    """PLINK .frq files of the same variants, to count only those above 5 % in --annot."""
    all_frequencies: bool = False
    """Count variants of all frequencies (.l2.M), not those above 5 % (.l2.M_5_50)."""

    def traits(self) -> list[Path]:
        """The files of --rg; one word with commas, as ldsc takes it, stands for several."""
        return [Path(part) for path in self.rg for part in ([str(path)] if path.is_file() else str(path).split(","))]


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
