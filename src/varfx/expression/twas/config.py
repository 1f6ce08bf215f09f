"""Configuration of exported weights and of transcriptome-wide association; free of numpy, for help pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from varfx.device import check_device
from varfx.errors import ConfigError
from varfx.genome.builds import build_name
from varfx.genome.matching import Matching

ExportFormat = Literal["predictdb", "fusion", "prs"]


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Models and genes to export."""

    format: ExportFormat = "predictdb"
    """predictdb (SQLite of PrediXcan and S-PrediXcan), fusion (a .wgt.RDat per gene and a POS file), or prs (columns for `varfx score`
    and plink2 --score)."""
    model: str | None = None
    """Of a run with several; by default elastic-net, or the first with weights. FUSION files hold all models unless one is named."""
    fold: int | None = None
    """Fold whose weights are exported; by default the first of the run."""
    genes: tuple[str, ...] = ()
    """Ensembl ids, or files with one per line; all genes of the run if empty."""
    max_p: float = 1.0
    """Leave out genes whose predictions correlate with expression in test individuals at a larger p (PredictDB keeps 0.05)."""
    build: str | None = None
    """Genome build of the cohort's positions, hg19 or hg38, for the files."""
    scores: Path | None = None
    """Of a network: its table of `varfx expr variants --long`, in place of mutagenesis now."""
    device: str = "auto"
    """Where a network's mutagenesis is computed: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps."""

    def __post_init__(self) -> None:
        if self.format not in get_args(ExportFormat):
            raise ConfigError(f"`format` must be one of {', '.join(get_args(ExportFormat))}, got {self.format!r}.")
        if not 0 < self.max_p <= 1:
            raise ConfigError(f"`max_p` must be in (0, 1], got {self.max_p}.")
        check_device(self.device)
        if self.build is not None:
            object.__setattr__(self, "build", build_name(self.build))


@dataclass(frozen=True, kw_only=True)
class TwasConfig:
    """Rules of the test and of its cautions."""

    model: str | None = None
    """Of FUSION weights with several; by default each gene's best in cross-validation."""
    flank: int = 250_000
    """Bases around a gene's variants in which the trait's best variant is looked for."""
    min_used: float = 0.5
    """Genes of which a smaller share of the variants, or of the weights, could be used are flagged."""
    matching: Matching = field(default_factory=Matching)
    """Rules for matching weights and summary statistics to the panel."""

    def __post_init__(self) -> None:
        if self.flank < 0:
            raise ConfigError(f"`flank` must not be negative, got {self.flank}.")
        if not 0 <= self.min_used <= 1:
            raise ConfigError(f"`min_used` must be between 0 and 1, got {self.min_used}.")
