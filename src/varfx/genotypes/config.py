"""Configuration of an LD reference: its variants and individuals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from varfx.errors import ConfigError
from varfx.genome.chromosomes import chrom_list

Mismatch = Literal["fail", "flip", "drop"]
Filters = Literal["all", "pass"]
RAllele = Literal["listed", "major"]
FILTERS: tuple[Filters, ...] = get_args(Filters)


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """Selection from an LD reference; see `varfx.genotypes.open_ld.open_source`."""

    maf: float = 0.01
    """Least minor-allele frequency of the variants to keep, where frequencies are known."""
    keep: Path | None = None
    """File of the individuals to use (FID IID, or IID, per line), for genotypes."""
    population: str | None = None
    """Population of LDGM's metadata or PRS-CSx's table."""
    num_people: int | None = None
    """Sample size behind correlations that do not state it, or in place of the published one."""
    variants: Path | None = None
    """List of variants of matrices without one beside them (.bim, .pvar, .z, or a table with a header)."""
    r_allele: RAllele | None = None
    """Alleles that r refers to in PLINK 2's matrices: listed (ref-based) or major."""
    chrom: tuple[str, ...] = ()
    """Chromosomes of UKBB_LD, or of an address with a file per chromosome, for example 22 or 1-3; by default all."""
    filters: Filters = "all"
    """Variants that count by the FILTER of a .pvar: all, or those that are PASS (or not given)."""

    def __post_init__(self) -> None:
        check_filters(self.filters)
        object.__setattr__(self, "chrom", chrom_list(self.chrom))


def check_filters(filters: str) -> None:
    """Checks a rule for FILTER.

    Raises:
        ConfigError: another word than all or pass.
    """
    if filters not in FILTERS:
        raise ConfigError(f"`filters` must be one of {', '.join(FILTERS)}, but is {filters!r}.")
