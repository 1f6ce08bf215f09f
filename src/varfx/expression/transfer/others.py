"""`Others`: genotypes of individuals that a run has not seen, from a prepared cohort or from files of genotypes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from jaxtyping import Int8
from numpy import ndarray

from varfx.errors import ConfigError
from varfx.expression.cohort.store import VARIANTS_SCHEMA, Cohort, open_cohort
from varfx.genotypes.donors import Donors, open_donors


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """Genotypes of a stretch of the genome.

    Attributes:
        variants: columns of `varfx.expression.cohort.store.VARIANTS_SCHEMA`, by position.
        dosages: counts of `effect_allele`; -1 is missing.
        haplotypes: the same per chromosome; None where there is no phase.
    """

    variants: pl.DataFrame
    dosages: Int8[ndarray, "variant individual"]
    haplotypes: Int8[ndarray, "variant individual 2"] | None


class Others(Protocol):
    """Individuals with genotypes.

    Attributes:
        people: names, in the order of all arrays.
        name: of the source, for messages.
    """

    @property
    def people(self) -> tuple[str, ...]:
        """See the class."""
        ...

    @property
    def name(self) -> str:
        """See the class."""
        ...

    def read(self, chrom: str, start: int, end: int) -> Region:
        """Single-nucleotide variants of [start, end), 0-based; none where the source does not reach."""
        ...


@dataclass(frozen=True, eq=False)
class CohortOthers:
    """The individuals of a prepared cohort; its expression is not looked at."""

    cohort: Cohort

    @property
    def people(self) -> tuple[str, ...]:
        """See `Others`."""
        return self.cohort.people

    @property
    def name(self) -> str:
        """See `Others`."""
        return str(self.cohort.path)

    def read(self, chrom: str, start: int, end: int) -> Region:
        """See `Others.read`; the variants in any window of the cohort."""
        variants, rows = self.cohort.region_variants(chrom, start, end)
        dosages, haplotypes = self.cohort.genotypes(rows)
        return Region(variants=variants, dosages=dosages, haplotypes=haplotypes)


@dataclass(frozen=True, eq=False)
class FileOthers:
    """The individuals of VCF, BCF or PLINK files."""

    donors: Donors

    @property
    def people(self) -> tuple[str, ...]:
        """See `Others`."""
        return self.donors.people

    @property
    def name(self) -> str:
        """See `Others`."""
        return self.donors.name

    def read(self, chrom: str, start: int, end: int) -> Region:
        """See `Others.read`; the files' word on REF is taken, and A2 of a .bed as REF."""
        if chrom not in self.donors.chroms:
            nobody = np.zeros((0, len(self.people)), dtype=np.int8)
            return Region(variants=pl.DataFrame(schema=VARIANTS_SCHEMA), dosages=nobody, haplotypes=None)
        block = self.donors.read(chrom, start, end)
        haplotypes = None if block.phase_is_lost else block.haplotypes
        variants = block.variants.select(*VARIANTS_SCHEMA)
        return Region(variants=variants, dosages=block.dosages, haplotypes=haplotypes)


def open_others(paths: Sequence[str | os.PathLike[str]]) -> CohortOthers | FileOthers:
    """The individuals of a cohort's folder, or of one or several files of genotypes.

    Raises:
        ConfigError: no path, or a folder beside others.
        VarfxError: a file or folder that is not what it should be.
    """
    folders = [path for path in paths if Path(path).is_dir()]
    if folders and len(paths) > 1:
        raise ConfigError(
            f"`{folders[0]}` is a folder beside {len(paths) - 1} others. Give one cohort, or files of genotypes."
        )
    return CohortOthers(open_cohort(folders[0])) if folders else FileOthers(open_donors(list(paths)))
