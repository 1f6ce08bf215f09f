"""Brings the rows of an annotation table to the rows of a panel.

An annotation of a variant is the same whichever allele is called the effect allele.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float32, Int64
from numpy import ndarray

from varfx.annotations.foreign import AnnotationTable
from varfx.errors import HarmonisationError
from varfx.genome import overlap
from varfx.genome.chromosomes import unknown_names
from varfx.genome.harmonise import harmonise
from varfx.genome.intervals import SHIFTED_AT_LEAST, SHIFTED_TIMES
from varfx.genome.matching import Matching
from varfx.genome.variant_codes import encode_sites, find, in_several_rows

_SAMPLE = 200_000  # rows of a table whose positions are compared


@dataclass(frozen=True, eq=False)
class AlignedTable:
    """A table's channels on the rows of some variants.

    Attributes:
        values: NaN where the table has no row for a variant, or no value.
        channels: a name per column.
        counts: number of rows per outcome.
        notes: warnings for the user.
    """

    values: Float32[ndarray, "variant channel"]
    channels: tuple[str, ...]
    counts: dict[str, int]
    notes: tuple[str, ...]


def align(table: AnnotationTable, panel: pl.DataFrame, *, panel_name: str) -> AlignedTable:
    """A table's channels on the panel's rows.

    Alleles are matched in either order and on either strand; positions alone give all variants there the same value.
    An annotation table may cover a small part of the genome: only no overlap at all, or shared rsIDs at other
    positions, is refused.

    Args:
        table: from `read_annotation_table`.
        panel: columns of `varfx.genome.variants.SCHEMA`.
        panel_name: for messages.

    Raises:
        HarmonisationError: no variant in common, or another genome build; the cause is named.
        DataError: alleles or positions that cannot be right.
    """
    notes: tuple[str, ...] = ()
    _require_one_based(table, panel, panel_name)
    unknown = unknown_names(table.keys["chrom"].unique())
    lost = int(table.keys["chrom"].is_in(unknown).sum())
    if table.keys["effect_allele"].null_count() < table.keys.height:
        row, notes = _by_alleles(table, panel, panel_name)
    elif table.kind == "position":
        row = _by_position(table, panel, panel_name)
    else:
        row = _by_id(table, panel, panel_name)
    source = table.values.select(pl.all().fill_null(np.nan)).to_numpy()
    values = np.where((row >= 0)[:, None], source[row], np.float32(np.nan)).astype(np.float32, copy=False)
    if lost:
        notes += (
            f"{lost} of {table.keys.height} rows of `{table.source}` are on chromosomes of unknown names, first "
            f"{unknown[0]!r}: they are lost. Use the names 1 to 22, X, Y, MT.",
        )
    counts = {
        "rows in table": table.keys.height,
        "variants": panel.height,
        "variants with a row": int((row >= 0).sum()),
        "values not finite, taken as missing": table.num_not_finite,
    }
    return AlignedTable(values, tuple(table.values.columns), counts, notes)


def _require_one_based(table: AnnotationTable, panel: pl.DataFrame, panel_name: str) -> None:
    """Refuses a table whose positions are one base off: many more are a variant's if 1 is added or subtracted.

    Raises:
        HarmonisationError: with the counts.
    """
    if table.kind == "rsid":
        return
    places = table.keys.select("chrom", "position").drop_nulls()
    places = places.gather_every(max(1, places.height // _SAMPLE)).unique()
    wanted = panel.lazy().select("chrom", "position")
    found = {
        shift: places.lazy()
        .with_columns(pl.col("position") + shift)
        .join(wanted, on=["chrom", "position"], how="semi")
        .collect()
        .height
        for shift in (-1, 0, 1)
    }
    shift = 1 if found[1] >= found[-1] else -1
    if found[shift] >= SHIFTED_AT_LEAST and found[shift] > SHIFTED_TIMES * found[0]:
        counted = "count from 0: add 1" if shift == 1 else "are one too large: subtract 1"
        raise HarmonisationError(
            f"`{table.source}`: {found[shift]} of its {places.height} positions are one base beside a variant of `{panel_name}`, and "
            f"{found[0]} are at one: the positions seem to {counted}."
        )


def _by_alleles(
    table: AnnotationTable, panel: pl.DataFrame, panel_name: str
) -> tuple[Int64[ndarray, " variant"], tuple[str, ...]]:
    match = harmonise(
        table.keys,
        panel,
        matching=Matching(palindromes="keep", min_overlap=0.0),
        source=table.source,
        reference_name=panel_name,
    )
    row = np.full(panel.height, -1, dtype=np.int64)
    row[match.reference_row] = match.table_row
    flipped = match.ledger.counts["strand-flipped"] + match.ledger.counts["strand-flipped and swapped"]
    notes = match.ledger.notes
    if flipped > match.table_row.size / 10:
        notes += (
            f"{flipped} of {match.table_row.size} variants of `{table.source}` match on the other strand: check that it "
            "has the panel's genome build.",
        )
    return row, notes


def _by_position(table: AnnotationTable, panel: pl.DataFrame, panel_name: str) -> Int64[ndarray, " variant"]:
    overlap.check_build(overlap.shared_ids(table.keys, panel), source=table.source, reference_name=panel_name)
    site, panel_site = encode_sites([table.keys, panel], sources=[table.source, panel_name])
    row = find(panel_site, site)
    shared = in_several_rows(site)
    if shared.any():
        # Several variants at one position, told apart by their rsIDs.
        several = table.keys.select("chrom", "position", "variant_id").with_row_index("row").filter(pl.Series(shared))
        named = panel.join(several, on=["chrom", "position", "variant_id"], how="left", maintain_order="left")
        row = np.where((row >= 0) & shared[row], named["row"].cast(pl.Int64).fill_null(-1).to_numpy(), row)
    if not (row >= 0).any():
        raise _nothing_shared(table, panel, panel_name, "position")
    return row


def _by_id(table: AnnotationTable, panel: pl.DataFrame, panel_name: str) -> Int64[ndarray, " variant"]:
    named = table.keys.select("variant_id").with_row_index("row").drop_nulls()
    row = panel.select("variant_id").join(named, on="variant_id", how="left", maintain_order="left")["row"]
    if row.null_count() == row.len():
        raise _nothing_shared(table, panel, panel_name, "rsID")
    return row.cast(pl.Int64).fill_null(-1).to_numpy()


def _nothing_shared(table: AnnotationTable, panel: pl.DataFrame, panel_name: str, what: str) -> HarmonisationError:
    first, other = (
        frame.row(0, named=True)["variant_id"]
        if what == "rsID"
        else "{chrom}:{position}".format(**frame.row(0, named=True))
        for frame in (table.keys, panel)
    )
    return HarmonisationError(
        f"`{table.source}`: none of its {table.keys.height} rows shares a {what} with `{panel_name}` (first here "
        f"{first}, there {other}). Check the genome build and the names of chromosomes and variants."
    )
