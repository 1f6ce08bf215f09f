"""Which variants and individuals of an LD reference are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """What is taken of an LD reference; see `varfx.genotypes.open_ld.open_source`."""

    maf: float = 0.01
    """Least minor-allele frequency of the variants to keep, where frequencies are known."""
    keep: Path | None = None
    """File of the individuals to use (FID IID, or IID, per line), for genotypes."""
    population: str | None = None
    """Population of LDGM metadata."""
    num_people: int | None = None
    """Sample size behind correlations without one of their own (UKBB_LD, LDGM)."""
