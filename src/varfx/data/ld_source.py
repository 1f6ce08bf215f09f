"""What an LD reference must offer, whatever its format: its variants, and genotypes or correlations of any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from numpy import ndarray


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
        variants: columns of `varfx.data.variants.SCHEMA`, in genome order; the row number is the variant's index.
            `eaf` is null where the reference does not know frequencies. Monomorphic variants are already left out.
        num_people: the sample size behind the correlations.
        missing: regions that are announced but cannot be read.
    """

    name: str
    variants: pl.DataFrame
    num_people: int
    missing: tuple[MissingRegion, ...]

    def select(
        self, chrom: str, start: int, end: int, flank: int
    ) -> tuple[Int[ndarray, " core"], Int[ndarray, " panel"]]:
        """Indexes of the variants in the core [start, end) (0-based) and in core plus flank, both ascending.

        The core is a subset of the panel. A source may offer less flank than asked for.
        """
        ...


@runtime_checkable
class GenotypeSource(LDSource, Protocol):
    """A reference that holds people's genotypes."""

    def standardised(self, index: Int[ndarray, " variant"]) -> Float[ndarray, "person variant"]:
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


def select_by_position(variants: pl.DataFrame, chrom: str, start: int, end: int, flank: int) -> tuple[ndarray, ndarray]:
    """Core and panel indexes by position alone, for sources that can correlate any two variants of a chromosome."""
    place = variants.with_row_index("row").filter(pl.col("chrom") == chrom)
    rows, positions = place["row"].to_numpy().astype(np.int64), place["position"].to_numpy() - 1
    core = rows[(positions >= start) & (positions < end)]
    panel = rows[(positions >= start - flank) & (positions < end + flank)]
    return core, panel
