"""Interface of an LD reference of any format: variants, and genotypes or correlations of any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import DTypeLike

from varfx.errors import ConfigError
from varfx.genome.variants import SCHEMA, in_genome_order
from varfx.io.ledger import Ledger, LedgerRow, Sieve


@dataclass(frozen=True)
class MissingRegion:
    """A stretch that the reference should cover but does not."""

    chrom: str
    start: int  # 0-based, half-open
    end: int
    reason: str


@runtime_checkable
class LDSource(Protocol):
    """An LD reference. Objects can be pickled: files are opened when needed, in whichever process.

    Attributes:
        name: the path it was opened from, for messages and provenance.
        variants: columns of `varfx.genome.variants.SCHEMA`, in genome order; the row number is the variant's index.
            `eaf` is null where the reference does not know frequencies. Monomorphic variants are already left out.
        num_people: the sample size behind the correlations.
        missing: regions that are announced but cannot be read.
        ledger: the variants that were left out, a count per filter, filters in the order they were applied.
    """

    name: str
    variants: pl.DataFrame
    num_people: int
    missing: tuple[MissingRegion, ...]
    ledger: tuple[LedgerRow, ...]

    def select(
        self, chrom: str, start: int, end: int, flank: int
    ) -> tuple[Int[ndarray, " core"], Int[ndarray, " panel"]]:
        """Indexes of the variants in the core [start, end) (0-based) and in core plus flank, both ascending.

        The core is a subset of the panel. A source may offer less flank than asked for.
        """
        ...


@runtime_checkable
class GenotypeSource(LDSource, Protocol):
    """A reference that holds individuals' genotypes."""

    def standardised(
        self, index: Int[ndarray, " variant"], dtype: DTypeLike = np.float32
    ) -> Float[ndarray, "individual variant"]:
        """Genotypes (count of `effect_allele`), missing ones at the mean, columns of mean 0 and mean square 1."""
        ...


@runtime_checkable
class CorrelationSource(LDSource, Protocol):
    """A reference that holds correlations only."""

    def correlation(
        self, core: Int[ndarray, " core"], panel: Int[ndarray, " panel"]
    ) -> tuple[Float[ndarray, "core core"], Float[ndarray, "core panel"]]:
        """`R[core, core]` and `R[core, panel]`; signs refer to each variant's `effect_allele`."""
        ...


class PositionIndex:
    """Finds the variants of a stretch by bisection, for sources that can correlate any two of a chromosome."""

    def __init__(self, variants: pl.DataFrame) -> None:
        """Remembers where each chromosome begins in `variants`, which are in genome order."""
        self._position = variants["position"].to_numpy()
        starts = variants.select(row=pl.int_range(pl.len()), chrom="chrom").group_by("chrom").agg(pl.col("row").min())
        sizes = variants.group_by("chrom").len()
        self._bounds = {
            chrom: (start, start + size) for chrom, start, size in starts.join(sizes, on="chrom").iter_rows()
        }

    def select(
        self, chrom: str, start: int, end: int, flank: int
    ) -> tuple[Int[ndarray, " core"], Int[ndarray, " panel"]]:
        """Core and panel indexes by position alone; see `LDSource.select`."""
        first, last = self._bounds.get(chrom, (0, 0))
        # Positions are 1-based: the half-open [start, end) holds the positions start + 1 to end.
        edges = np.array([start - flank, start, end, end + flank])
        a, b, c, d = first + np.searchsorted(self._position[first:last], edges, side="right")
        return np.arange(b, c), np.arange(a, d)


def drop_rare(sieve: Sieve, maf: float) -> None:
    """Leaves out the variants whose `eaf` says that the rarer allele is below `maf`."""
    rare = sieve.frame.select(rare=pl.min_horizontal("eaf", 1 - pl.col("eaf")) < maf)["rare"]
    sieve.drop(rare, f"minor-allele frequency below {maf:g}")


def check_maf(maf: float) -> None:
    """Checks a least minor-allele frequency.

    Raises:
        ConfigError: `maf` is not in [0, 0.5).
    """
    if not 0 <= maf < 0.5:
        raise ConfigError(f"`maf` must be at least 0 and below 0.5, got {maf}. The usual value is 0.01.")


def add_up(sieves: Sequence[Sieve], copies: int) -> tuple[LedgerRow, ...]:
    """The ledger of several sieves with the same steps, and of the copies dropped after them."""
    total = Ledger()
    for sieve in sieves:
        total.include(sieve.ledger)
    total.add("further copies of a variant", copies)
    return tuple(total.rows())


def without_duplicates(sites: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Keeps the first row of each variant (same position and unordered alleles); also how many rows that drops.

    The first is kept because a second measurement of the same variant says nothing new about it, while dropping both
    would leave the effect it carries without a column.
    """
    low = pl.min_horizontal("effect_allele", "other_allele").alias("_low")
    high = pl.max_horizontal("effect_allele", "other_allele").alias("_high")
    unique = sites.with_columns(low, high).unique(
        ["chrom", "position", "_low", "_high"], keep="first", maintain_order=True
    )
    return unique.drop("_low", "_high"), sites.height - unique.height


def genome_ordered(sites: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The columns of `SCHEMA` in genome order, and the remaining columns in the same order of rows."""
    ordered = in_genome_order(sites)
    return ordered.select([pl.col(name).cast(kind) for name, kind in SCHEMA.items()]), ordered.drop(*SCHEMA)
