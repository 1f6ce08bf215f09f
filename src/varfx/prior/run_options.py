"""Options of the commands that apply a fitted prior; free of numpy and polars, for help pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from varfx.errors import ConfigError
from varfx.io.workers import SingleWorker

PredictionFormat = Literal["parquet", "tsv", "snpvar"]
WeightsFormat = Literal["plink", "pgs-catalog"]


@dataclass(frozen=True, kw_only=True)
class Float64Device:
    """The device of a computation in float64."""

    device: str = "auto"
    """Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda or cuda:N. Numbers are computed in float64, for
    mps therefore on the CPU."""


@dataclass(frozen=True, kw_only=True)
class ScoredWindows:
    """Windows on which a prior is scored, and the bootstrap over them."""

    chrom: tuple[str, ...] = ()
    """Score these chromosomes instead of the held-out windows."""
    exclude_chrom: tuple[str, ...] = ()
    """Leave out these chromosomes."""
    seed: int = 0
    """Of the bootstrap."""


@dataclass(frozen=True, kw_only=True)
class Yardsticks:
    """What a run is compared with."""

    compare_with: Path | None = None
    """A second run, compared on the same windows."""
    truth: Path | None = None
    """The truth.parquet of `varfx prior simulate`: adds the error of log f and its calibration."""


@dataclass(frozen=True, kw_only=True)
class ForeignPrior:
    """Per-variant variances from elsewhere, scored in place of a run."""

    snpvar: Path | None = None
    """PolyFun's CHR SNP BP A1 A2 SNPVAR, or a table with variant and f."""
    like: Path | None = None
    """A run whose panel, summary statistics, held-out windows, null and constant prior --snpvar is scored with."""
    sigma2: float | Literal["fit"] | None = None
    """Residual variance that goes with --snpvar, or fit (on windows that are not scored); by default that in the file (prior predict
    writes it), or 1."""


@dataclass(frozen=True, kw_only=True)
class PriorChoice:
    """The prior that is asked about, beside a run, and where."""

    snpvar: Path | None = None
    """Anybody's variances in place of a run, with --panel and --sumstats: PolyFun's CHR SNP BP A1 A2 SNPVAR, or a table with variant and
    f."""
    trait: str | None = None
    """Which trait of a run of several; by default the first."""
    exclude_chrom: tuple[str, ...] = ()
    """Chromosomes to leave out."""


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """How a run's f is computed and written."""

    format: PredictionFormat | None = None
    """The format, whatever the ending."""
    cap: float | None = None
    """Largest ratio of f between two variants: lower values are raised, and the sum kept (PolyFun's is 100)."""
    cross_fit: int | None = None
    """Fit the run's model anew on the other chromosomes of so many folds, so that no variant's f has seen its own associations. The
    fits are kept in OUT.folds."""


@dataclass(frozen=True, kw_only=True)
class WeightsConfig:
    """How the weights of a polygenic score are written."""

    format: WeightsFormat = "plink"
    """plink (columns ID A1 WEIGHT, then more) or pgs-catalog (scoring file, format 2.0)."""
    rho: float | Literal["estimate"] | None = None
    """Of a run of several ancestries: the correlation of a variant's effects across them, a number, or estimate (per pair, by the
    likelihood; the default). 0 takes each ancestry by itself."""

    def __post_init__(self) -> None:
        if isinstance(self.rho, float | int) and not -1 < self.rho < 1:
            raise ConfigError(f"`rho` is a correlation and must lie between -1 and 1, got {self.rho}.")


@dataclass(frozen=True, kw_only=True)
class WeightsWorkers(SingleWorker):
    """Workers for pairs of cores; each process needs the memory of two windows, so that one is the default."""

    workers: int | None = 1
    """Processes, each with the memory of two windows; those of one machine share its GPU."""
    scheduler: str | None = None
    """Address of a running dask.distributed scheduler, in place of --workers; its workers see the same files."""
