"""How loci are chosen and fine-mapped; without numpy, so that help pages can show it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from varfx.errors import ConfigError

Switch = Literal["auto", "on", "off"]
ZMethod = Literal["pve", "score"]
FLANK, DENSE_FLANK = 1_500_000, 500_000  # bases


@dataclass(frozen=True, kw_only=True)
class SusieConfig:
    """Configuration of the fit of one locus, and of its credible sets."""

    coverage: float = 0.95
    """Probability that a credible set holds its causal variant."""
    min_purity: float = 0.5
    """Smallest |r| between two variants of a credible set; sets below it are left out."""
    z_method: ZMethod = "pve"
    """pve takes z for t statistics of linear regression and adjusts for the variance that a variant explains; score takes z as it
    is, for score tests of mixed models (REGENIE, fastGWA, SAIGE)."""
    max_sweeps: int = 100
    """Most sweeps over the effects."""
    tol: float = 1e-3
    """Rise of the evidence lower bound per sweep below which the fit has converged."""

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise ConfigError(f"`coverage` must lie between 0 and 1, got {self.coverage}. The usual value is 0.95.")
        if not 0 <= self.min_purity <= 1:
            raise ConfigError(f"`min-purity` must lie in 0 to 1, got {self.min_purity}. The usual value is 0.5.")
        if self.z_method not in get_args(ZMethod):
            raise ConfigError(f"`z-method` must be pve or score, got {self.z_method!r}.")
        if self.max_sweeps < 1 or not self.tol > 0:
            raise ConfigError(
                f"`max-sweeps` must be at least 1 and `tol` positive, got {self.max_sweeps} and {self.tol}."
            )


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """What z varies by beside the effects of a locus."""

    residual_variance: float | Literal["free"] | None = None
    """Residual variance of z: a number, or free (estimated per locus; only for LD of the GWAS's own individuals). By default that of the
    prior's fit, or 1. free beside --background learn finds both by moments; with --uniform that is SuSiE-inf."""
    background: float | Literal["auto", "learn", "none"] = "auto"
    """Polygenic background: effects of variance kappa N f at every variant. auto learns kappa in 0 to 1 per locus where the error of the
    LD need not be accounted for (see finite-reference): kappa would take that error for effects. none leaves it out, learn learns it
    always (with --uniform with the same variance at every variant), a number fixes kappa."""
    finite_reference: Switch = "auto"
    """Account for the sampling error of LD from a panel of few individuals, and for its mismatch: auto does so where the panel is smaller
    than the GWAS, but not for associations simulated from the panel."""

    def __post_init__(self) -> None:
        if self.residual_variance not in (None, "free") and not _positive(self.residual_variance):
            raise ConfigError(f"`residual-variance` must be positive, or free, got {self.residual_variance}.")
        if self.background not in ("auto", "learn", "none") and not (
            isinstance(self.background, int | float) and math.isfinite(self.background) and self.background >= 0
        ):
            raise ConfigError(
                f"`background` must be auto, learn, none or a number of at least 0, got {self.background}."
            )
        if self.finite_reference not in get_args(Switch):
            raise ConfigError(f"`finite-reference` must be auto, on or off, got {self.finite_reference!r}.")
        if self.residual_variance == "free" and not isinstance(self.background, str):
            raise ConfigError(
                "`residual-variance` free goes with --background none or learn, which are then learned together, not with a number."
            )


@dataclass(frozen=True, kw_only=True)
class LocusConfig:
    """Which stretches of the genome are fine-mapped, where no BED file names them."""

    lead_p: float = 5e-8
    """Largest p-value of a locus's lead variant."""
    flank: int | None = None
    """Bases on each side of a lead; loci that overlap are merged. By default 1,500,000, and 500,000 on panels as dense as a biobank's
    (windows of mean rank 512 and more)."""
    longest: int | None = None
    """Bases above which a merged locus is cut into windows of two flanks, a third of that apart. Each reports the variants nearest to its
    centre. By default four flanks."""
    mhc: bool = False
    """Fine-map the MHC too (chr6:25-36 Mb), where LD is too long for most panels."""

    def __post_init__(self) -> None:
        if not 0 < self.lead_p <= 1:
            raise ConfigError(f"`lead-p` must be above 0 and at most 1, got {self.lead_p}. The usual value is 5e-8.")
        flank = DENSE_FLANK if self.flank is None else self.flank
        if flank < 1 or (self.longest is not None and self.longest < 2 * flank):
            raise ConfigError(
                f"`flank` must be positive and `longest` at least twice it, got {flank:,} and {self.longest or 4 * flank:,}."
            )

    def sized(self, *, dense: bool) -> LocusConfig:
        """The same with lengths where they were left open.

        Args:
            dense: whether the panel's windows have many directions.
        """
        flank = self.flank
        if flank is None:
            flank = min(DENSE_FLANK if dense else FLANK, (self.longest or 4 * FLANK) // 2)
        return replace(self, flank=flank, longest=4 * flank if self.longest is None else self.longest)


@dataclass(frozen=True, kw_only=True)
class FinemapConfig:
    """Configuration of a fine-mapping: loci, fit, noise."""

    L: int = 10
    """Largest number of effects per locus."""
    loci: LocusConfig = LocusConfig()
    """Which stretches."""
    susie: SusieConfig = SusieConfig()
    """Credible sets and convergence."""
    noise: NoiseConfig = NoiseConfig()
    """What z varies by beside the effects."""
    quality: bool = True
    """Fit loci that fail quality control with one effect and equal weights, which needs no LD."""

    def __post_init__(self) -> None:
        if self.L < 1:
            raise ConfigError(f"`effects` must be at least 1, got {self.L}. The usual value is 10.")


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0
