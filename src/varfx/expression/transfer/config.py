"""Configuration of predictions for another cohort; free of numpy, for help pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from varfx.device import check_device
from varfx.errors import ConfigError

Absent = Literal["mean", "reference"]


@dataclass(frozen=True, kw_only=True)
class TransferConfig:
    """Rules for the variants of another cohort."""

    min_overlap: float = 0.2
    """Smallest share of the variants in the genes' windows that the other genotypes must have."""
    absent: Absent = "mean"
    """Genotypes at variants that the other cohort lacks: mean (of the training individuals) or reference (no copies of ALT, as in
    genotypes called from whole genomes)."""
    people_per_batch: int = 16
    """Individuals of a network's batch."""
    indels: tuple[Path, ...] = ()
    """Of networks fitted with --indels: genotype files (VCF, BCF, PLINK) of the other cohort's individuals, whose store has no indels."""
    home_indels: tuple[Path, ...] = ()
    """Of these networks: where the genotype files lie that they were fitted with, if those moved."""
    reference: Path | None = None
    """Of these networks: where the FASTA lies that they were fitted with, if it moved."""
    device: str = "auto"
    """Where networks compute: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps."""

    def __post_init__(self) -> None:
        check_device(self.device)
        if not 0 <= self.min_overlap <= 1:
            raise ConfigError(f"`min_overlap` must be between 0 and 1, got {self.min_overlap}.")
        if self.absent not in get_args(Absent):
            raise ConfigError(f"`absent` must be mean or reference, got {self.absent!r}.")
        if self.people_per_batch < 1:
            raise ConfigError(f"`people_per_batch` must be at least 1, got {self.people_per_batch}.")

    @property
    def files_given(self) -> list[str]:
        """Names of the options that name files with indels."""
        return [name.replace("_", "-") for name in ("indels", "home_indels", "reference") if getattr(self, name)]
