"""How heritability and enrichment are estimated; without numpy, so that help pages can show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from varfx.device import check_device
from varfx.errors import ConfigError

WindowChoice = Literal["auto", "held-out", "all"]
ErrorMethod = Literal["jackknife", "sandwich"]


def check_computing(device: str, blocks: int) -> None:
    """Checks the options that heritability and genetic correlation share.

    Raises:
        ConfigError: a device that is none or has no float64, or fewer than two blocks of the jackknife.
    """
    check_device(device)
    if device == "mps":
        raise ConfigError("`device` must be auto, cpu or cuda here: Apple's GPU has no float64.")
    if blocks < 2:
        raise ConfigError(f"`blocks` must be at least 2, got {blocks}.")


@dataclass(frozen=True, kw_only=True)
class HeritabilityConfig:
    """How heritability and enrichment are estimated."""

    windows: WindowChoice = "auto"
    """Windows whose associations calibrate the prior: held-out (those that no fit has seen), all, or auto: all for constant and linear
    models, whose own coefficients are estimated along, and held-out for networks where there are at least 20."""
    se: ErrorMethod = "jackknife"
    """Standard errors by one-step block jackknife, or by the sandwich over the same blocks."""
    blocks: int = 100
    """Largest number of blocks of neighbouring windows behind standard errors; dependent windows may need fewer."""
    min_maf: float = 0.0
    """Smallest minor-allele frequency of the variants whose heritability is summed (0.05 as in S-LDSC's M_5_50); all are in the model."""
    channels: tuple[str, ...] = ()
    """Annotations to report and to calibrate with, by name; by default all of --annot."""
    population_prev: float | None = None
    """Prevalence of the disease in the population, for heritability on the liability scale."""
    sample_prev: float | None = None
    """Prevalence in the sample; 0.5 where n is the effective sample size `4 / (1 / cases + 1 / controls)`."""
    top: tuple[float, ...] = (0.001, 0.01, 0.05, 0.1, 0.2)
    """Shares of variants of largest f whose enrichment is reported."""
    quantiles: int = 5
    """Number of quantiles of a continuous annotation whose heritability is reported."""
    plain_names: bool = False
    """Names of annotations in OUT.results without S-LDSC's suffix `L2_0`."""
    device: str = "auto"
    """Where windows are computed: auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        check_computing(self.device, self.blocks)
        if self.quantiles < 2:
            raise ConfigError(f"`quantiles` must be at least 2, got {self.quantiles}.")
        if not 0 <= self.min_maf < 0.5:
            raise ConfigError(f"`min-maf` must be at least 0 and below 0.5, got {self.min_maf}.")
        wrong = [share for share in self.top if not 0 < share <= 1]
        if wrong:
            raise ConfigError(f"`top` holds shares of variants, above 0 and at most 1; got {wrong[0]}.")
        if (self.population_prev is None) != (self.sample_prev is None):
            raise ConfigError("`population-prev` and `sample-prev` belong together: give both, or none.")
        for name in ("population_prev", "sample_prev"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise ConfigError(f"`{name.replace('_', '-')}` must be between 0 and 1, got {value}.")


@dataclass(frozen=True, kw_only=True)
class ScoreTestConfig:
    """How new annotations are tested."""

    channels: tuple[str, ...] = ()
    """Annotations to test, by name; by default all."""
    windows: WindowChoice = "auto"
    """Windows that are tested on: held-out, all, or auto (see `varfx prior h2`)."""
    random_annotations: int = 0
    """Test so many random annotations too: the root mean square of their z should be 1."""
    random_fraction: float = 0.01
    """Share of variants in a random annotation."""
    seed: int = 0
    """Of the random annotations."""
    device: str = "auto"
    """Where windows are computed: auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        if self.random_annotations < 0:
            raise ConfigError(f"`random-annotations` must be at least 0, got {self.random_annotations}.")
