"""`Annotations`: named channels of variants with their gaps, and the file `*.annot.parquet`.

A missing value stays missing (null in the file, NaN with a mask in memory) until `Standardiser` turns it into the
mean and an indicator of its own; it never silently means 0.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32
from numpy import ndarray

from varfx.annotations.channels import HeldChannels
from varfx.annotations.places import KEY_SCHEMA, Absent, find_places
from varfx.errors import DataError
from varfx.genome import variants
from varfx.genome.variant_codes import encode, in_several_rows
from varfx.io import sealed, sealed_rows
from varfx.short_repr import short_repr

KIND = "annotations"
MADE_BY = "varfx annot build"
INDICATOR = ".missing"


@dataclass(frozen=True, kw_only=True, eq=False)
class Annotations:
    """Named numbers of variants, one row a variant.

    Attributes:
        table: `chrom, position, variant_id, effect_allele, other_allele`, then one Float32 column per channel, null
            where missing. The same whichever allele is the effect allele, but for the channel `eaf`.
        metadata: provenance, and what became of each input's rows, JSON-able.
    """

    __repr__ = short_repr

    table: pl.DataFrame
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_annotations(self.table, source="annotations")

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels' names, in the order of the columns."""
        return tuple(name for name in self.table.columns if name not in KEY_SCHEMA)

    @property
    def keys(self) -> pl.DataFrame:
        """The columns of `KEY_SCHEMA`."""
        return self.table.select(list(KEY_SCHEMA))

    @property
    def height(self) -> int:
        """Number of variants."""
        return self.table.height

    def column(self, name: str) -> pl.Series:
        """A channel of all variants, null where missing."""
        return self.table[name]

    @property
    def build(self) -> str | None:
        """Genome build of the positions, hg19 or hg38; None where it is not known, as of earlier files."""
        return self.metadata.get("build")

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes a sealed `*.annot.parquet`, in row groups of about a window, for who reads it a part at a time.

        Raises:
            StoreError: the file cannot be written.
        """
        groups = self.table.iter_slices(sealed_rows.ROWS_PER_GROUP)
        sealed_rows.write_rows(groups, path, kind=KIND, metadata=self.metadata)

    def select(
        self, wanted: pl.DataFrame, *, absent: Absent | None = None
    ) -> tuple[Float32[ndarray, "variant channel"], Bool[ndarray, "variant channel"]]:
        """The channels of some variants, in their order, and what of it is missing (NaN in the values).

        Variants are known by chromosome, position and their two alleles in either order; `eaf` becomes 1 - eaf where
        the effect allele is the other one. Strands are not turned: both must be brought to one reference before.

        Args:
            wanted: columns `chrom, position, effect_allele, other_allele`.
            absent: "error" refuses variants that have no row; "missing" takes all their channels as missing. By default
                what the table itself says of them (`ABSENT`), and "error" if it says nothing.

        Raises:
            DataError: a variant has no row; or none has, of a table in which some may be absent.
        """
        values = self.on(wanted, absent=absent).read(slice(None))
        return values, np.isnan(values)

    def on(self, wanted: pl.DataFrame, *, absent: Absent | None = None) -> HeldChannels:
        """The channels of some variants; arguments and errors as those of `select`."""
        places = find_places(self.keys, self.metadata, wanted, absent)
        values = self.table.select(pl.col(self.channels).fill_null(np.nan)).to_numpy()[places.row]
        return HeldChannels(self.channels, places.filled(values, self.channels, slice(None)))


def read_annotations(path: str | os.PathLike[str]) -> Annotations:
    """The annotations in a `*.annot.parquet`.

    Raises:
        StoreError: not such a file, or damaged.
        DataError: its values cannot be right.
    """
    table, metadata = sealed.read_table(path, kind=KIND, made_by=MADE_BY)
    return Annotations(table=table, metadata=metadata)


def check_annotations(table: pl.DataFrame, *, source: str) -> None:
    """Checks the columns and values of a table of annotations.

    Raises:
        DataError: with what, how many, the first offender and what to do.
    """
    if {name: table.schema.get(name) for name in KEY_SCHEMA} != KEY_SCHEMA:
        raise DataError(
            f"`{source}`: the first columns must be {', '.join(KEY_SCHEMA)}, but columns are "
            f"{', '.join(table.columns[:8])}. Make the file with `varfx annot build`."
        )
    channels = {name: kind for name, kind in table.schema.items() if name not in KEY_SCHEMA}
    wrong = [name for name, kind in channels.items() if kind != pl.Float32]
    if wrong:
        raise DataError(
            f"`{source}`: {len(wrong)} of {len(channels)} channels are not Float32, first `{wrong[0]}` "
            f"({channels[wrong[0]]}). Cast them."
        )
    check_names(list(channels), source=source)
    if table.height == 0 or not channels:
        raise DataError(f"`{source}` holds {table.height} variants and {len(channels)} channels. Give some of both.")
    for name in channels:
        variants.require_no(
            table.select((~pl.col(name).is_finite()).fill_null(False).alias("bad"))["bad"],
            table,
            f"channel `{name}` is not finite",
            "Use null for a missing value.",
            source=source,
        )
    check_keys(table, source=source)


def check_names(channels: Sequence[str], *, source: str) -> None:
    """Checks that no channel has the name of an indicator.

    Raises:
        DataError: with the first that has.
    """
    reserved = [name for name in channels if name.endswith(INDICATOR)]
    if reserved:
        raise DataError(
            f"`{source}`: {len(reserved)} channel names end in {INDICATOR}, first `{reserved[0]}`; this is kept for "
            "indicators of missing values. Rename them."
        )


def check_keys(table: pl.DataFrame, *, source: str) -> None:
    """Checks that no variant stands twice.

    Raises:
        DataError: with the first that does.
    """
    (coded,) = encode([table], both_strands=False, sources=[source])
    variants.require_no(
        pl.Series(in_several_rows(coded.key)),
        table,
        "the same variant stands more than once",
        "Keep one row of each.",
        source=source,
    )
