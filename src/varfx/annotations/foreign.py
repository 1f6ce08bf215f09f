"""Annotation tables: LDSC `.annot`, and Parquet or text tables keyed by alleles, position or rsID.

A table is read into its key columns and its numeric channels; `varfx.annotations.align` brings them to a panel's rows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome import variants
from varfx.genome.variant_codes import encode, in_several_rows
from varfx.io.text_numbers import MISSING, column_of, missing_as_null, whole
from varfx.io.text_table import open_table

KeyKind = Literal["alleles", "position", "rsid", "rows"]
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "chrom": ("chrom", "chr", "chromosome", "hm_chrom"),
    "position": ("position", "pos", "bp", "base_pair_location", "hm_pos", "pos(1-based)"),
    "variant_id": ("variant_id", "rsid", "snp", "snpid", "markername", "rs_id", "rs", "id"),
}
_ALLELES = (
    ("effect_allele", "other_allele"),
    ("a1", "a2"),
    ("allele1", "allele2"),
    ("allele1", "allele0"),
    ("alt", "ref"),
    ("ea", "nea"),
    ("ea", "oa"),
)
_NO_CHANNEL = ("cm", "genpos", "row")  # numeric columns that describe no function


@dataclass(frozen=True, eq=False)
class AnnotationTable:
    """A table of annotations as read.

    Attributes:
        source: the path.
        kind: what a row is known by: chromosome, position and "alleles"; chromosome and "position"; "rsid"; or its
            place among the "rows" of the panel (a thin `.annot`).
        keys: columns of `varfx.genome.variants.SCHEMA`, null where the table does not have them.
        values: one Float32 column per channel; null where missing or not finite.
        num_not_finite: how many values were infinite or NaN.
    """

    source: str
    kind: KeyKind
    keys: pl.DataFrame
    values: pl.DataFrame
    num_not_finite: int


def read_annotation_table(path: str | os.PathLike[str], *, columns: Sequence[str] | None = None) -> AnnotationTable:
    """Reads one table; the format and the key are recognised by content and header.

    Args:
        path: Parquet, or text split by tabs, commas or blanks; plain, gzip or zstd.
        columns: the channels to take; by default every numeric column that is no key.

    Raises:
        FormatError: no such file, damaged, no header, ragged rows, or text where numbers belong.
        ConfigError: a chosen column does not exist, is a key or is no number.
        DataError: the key cannot be made, or stands in several rows.
    """
    path = Path(path)
    opened = open_table(path)
    frame = opened.read(opened.readable(columns or ()), MISSING)
    if not frame.height:
        raise FormatError(f"`{path}` has a header and no rows. Check that it was written whole.")
    roles = _roles(frame.columns)
    kind = _kind(roles)
    channels = _channels(path, frame, roles, columns)
    values, num_not_finite = _numbers(path, frame, channels)
    table = AnnotationTable(str(path), kind, _keys(path, frame, roles), values, num_not_finite)
    _require_unique(table)
    return table


def _roles(names: Sequence[str]) -> dict[str, str]:
    """Key role -> column name, by the synonyms of the field, whatever the case."""
    known = {name.strip().lstrip("#").lower(): name for name in reversed(names)}
    roles = {}
    for role, spellings in _SYNONYMS.items():
        spelled = next((known[spelling] for spelling in spellings if spelling in known), None)
        if spelled is not None:
            roles[role] = spelled
    for effect, other in _ALLELES:
        if effect in known and other in known:
            roles |= {"effect_allele": known[effect], "other_allele": known[other]}
            break
    return roles


def _kind(roles: dict[str, str]) -> KeyKind:
    if {"chrom", "position"} <= roles.keys():
        return "alleles" if "effect_allele" in roles else "position"
    return "rsid" if "variant_id" in roles else "rows"


def _channels(path: Path, frame: pl.DataFrame, roles: dict[str, str], chosen: Sequence[str] | None) -> list[str]:
    """The columns to take as channels, in the order of the table or as chosen."""
    spent = set(roles.values())
    alleles = {name for pair in _ALLELES for name in pair} | {
        spelling for names in _SYNONYMS.values() for spelling in names
    }
    if chosen is not None:
        for name in chosen:
            if name not in frame.columns or name in spent:
                candidates = [column for column in frame.columns if column not in spent]
                raise ConfigError(
                    f"`{path}` has no annotation column `{name}`. It has {', '.join(candidates[:10])}"
                    f"{', ...' if len(candidates) > 10 else ''}."
                )
        return list(chosen)
    channels = [
        name
        for name in frame.columns
        if name not in spent and name.lower() not in alleles and name.lower() not in _NO_CHANNEL
    ]
    numeric = [name for name in channels if _looks_numeric(column_of(frame, name))]
    if not numeric:
        raise DataError(
            f"`{path}` has no numeric column besides its key ({', '.join(frame.columns[:10])}). Check the file."
        )
    return numeric


def _looks_numeric(column: pl.Series) -> bool:
    """Whether most of the first 1,000 values are numbers: the rest is then counted and named as a fault."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return True
    if column.dtype != pl.String:
        return False
    head = column.drop_nulls().head(1000)
    return head.is_empty() or head.cast(pl.Float64, strict=False).null_count() <= head.len() / 2


def _numbers(path: Path, frame: pl.DataFrame, channels: Sequence[str]) -> tuple[pl.DataFrame, int]:
    """The channels as Float32, null where missing or not finite, and how many were not finite."""
    columns, num_not_finite = [], 0
    for name in channels:
        column = missing_as_null(column_of(frame, name))
        number = column.cast(pl.Float64, strict=False)
        bad = number.is_null() & column.is_not_null()
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise FormatError(
                f"`{path}`: column `{name}` is not a number in {bad.sum()} of {frame.height} rows, first row {row + 1} "
                f"({str(column[row])[:40]!r}). Leave it out with --columns, or correct it."
            )
        single = number.cast(pl.Float32)
        finite = single.is_finite()
        num_not_finite += int((~finite).sum())
        columns.append(single.set(~finite.fill_null(True), None).alias(name))
    return pl.DataFrame(columns), num_not_finite


def _keys(path: Path, frame: pl.DataFrame, roles: dict[str, str]) -> pl.DataFrame:
    """The key columns in our schema."""
    columns = [pl.lit(None, kind).alias(name) for name, kind in variants.SCHEMA.items() if name not in roles]
    if "chrom" in roles:
        columns.append(variants.chrom_expr(roles["chrom"]).alias("chrom"))
    if "position" in roles:
        columns.append(pl.lit(whole(frame[roles["position"]])).alias("position"))
    columns += [
        pl.col(roles[role]).cast(pl.String).str.to_uppercase().alias(role)
        for role in ("effect_allele", "other_allele")
        if role in roles
    ]
    if "variant_id" in roles:
        columns.append(pl.col(roles["variant_id"]).cast(pl.String).alias("variant_id"))
    keys = frame.select(columns) if len(roles) else pl.DataFrame(schema=variants.SCHEMA).clear(frame.height)
    keys = keys.select(variants.SCHEMA.keys())
    if {"chrom", "position"} <= roles.keys():
        bad = keys["position"].is_null() | keys["chrom"].is_null()
        variants.require_no(
            bad, keys, "chromosome is missing or position is not a whole number", "Remove these rows.", source=str(path)
        )
    return keys


def _require_unique(table: AnnotationTable) -> None:
    """Refuses a key that stands in several rows; with equal positions, different rsIDs tell rows apart."""
    keys, copies = table.keys, pl.Series("copies", [], pl.Boolean)
    if table.kind == "alleles":
        coded = encode([keys], both_strands=True, sources=[table.source])
        copies = pl.Series("copies", in_several_rows(coded[0].key))
    elif table.kind == "position":
        copies = keys.select(pl.struct("chrom", "position", "variant_id").is_duplicated().alias("copies"))["copies"]
    elif table.kind == "rsid":
        alleles = variants.allele_pair_expr() if keys["effect_allele"].null_count() < keys.height else pl.lit("")
        key = pl.struct("variant_id", alleles.alias("pair"))
        copies = keys.select((key.is_duplicated() & pl.col("variant_id").is_not_null()).alias("copies"))["copies"]
    variants.require_no(
        copies,
        keys,
        "the same variant stands more than once",
        "Keep one row of each, or add allele columns where alleles have different values.",
        source=table.source,
    )
