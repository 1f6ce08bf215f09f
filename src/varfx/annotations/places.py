"""Where the rows of a table of annotations stand that some variants ask for, and what is taken where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray

from varfx.annotations.channels import Rows
from varfx.genome import variants
from varfx.genome.variant_codes import SWAPPED, encode, find

KEY_SCHEMA = {name: kind for name, kind in variants.SCHEMA.items() if name != "eaf"}
EFFECT_FREQUENCY = "eaf"  # the one channel that refers to the effect allele; no feature of a prior, only the frequency behind its alpha
ABSENT = "absent"  # in the metadata of a table of some variants: channels that are no gap where a variant has no row

Absent = Literal["error", "missing"]


@dataclass(frozen=True, eq=False)
class Places:
    """Rows of a table for some variants.

    Attributes:
        row: the table's row of each variant, -1 where it has none.
        exchanged: the variant's effect allele is the other one of the table.
        known: values of channels where there is no row; the others are missing there.
    """

    row: Int64[ndarray, " variant"]
    exchanged: Bool[ndarray, " variant"]
    known: Mapping[str, float]

    def filled(
        self, values: Float32[ndarray, "row channel"], names: Sequence[str], rows: Rows
    ) -> Float32[ndarray, "row channel"]:
        """Values that were taken from the table's rows for these variants, made right in place: without a row, and alleles exchanged."""
        lacking = self.row[rows] < 0
        values[lacking] = np.nan
        for name, value in self.known.items():
            if name in names:
                values[lacking, names.index(name)] = value
        if EFFECT_FREQUENCY in names:
            column = names.index(EFFECT_FREQUENCY)
            values[:, column] = np.where(self.exchanged[rows], 1 - values[:, column], values[:, column])
        return values


def find_places(
    keys: pl.DataFrame, metadata: Mapping[str, Any], wanted: pl.DataFrame, absent: Absent | None = None
) -> Places:
    """The rows of a table of annotations for some variants, known by position and alleles in either order.

    Args:
        keys: columns of `KEY_SCHEMA`.
        metadata: of the table.
        wanted: columns `chrom, position, effect_allele, other_allele`.
        absent: see `Annotations.select`.

    Raises:
        DataError: a variant has no row; or none has, of a table in which some may be absent.
    """
    mine, theirs = encode([keys, wanted], both_strands=False, sources=["annotations", "variants"])
    row = find(theirs.key, mine.key).astype(np.int64, copy=False)
    known: dict[str, float] | None = metadata.get(ABSENT) if absent is None else None
    if absent != "missing":
        variants.require_no(
            pl.Series(row < 0) if known is None else pl.Series(np.full(row.size, not (row >= 0).any())),
            wanted,
            "no annotations",
            "Build the annotations on the same panel, or allow variants without."
            if known is None
            else "Check that both are of one genome build and strand.",
            source="variants",
        )
    exchanged = ((theirs.form ^ mine.form[row]) & SWAPPED).astype(bool)
    return Places(row, exchanged, known or {})
