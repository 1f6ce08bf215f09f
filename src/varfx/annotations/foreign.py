"""Annotation tables: LDSC `.annot`, and Parquet or text tables keyed by alleles, position or rsID.

A table is read into its key columns and its numeric channels; `varfx.annotations.align` brings them to a panel's rows. A
thin `.annot` has no key columns: its rows are those of a `.bim`, which has to be given.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome import variants
from varfx.genome.variant_codes import encode, in_several_rows
from varfx.genotypes.plink2 import read_sites
from varfx.gwas.frequency_names import EFFECT, allele_of_frequency
from varfx.io.text_layout import ROW_NAMES
from varfx.io.text_numbers import MISSING, column_of, missing_as_null, require_exact, whole
from varfx.io.text_table import open_table, refuse_alike
from varfx.short_repr import short_repr

KeyKind = Literal["alleles", "position", "rsid"]
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "chrom": ("chrom", "chr", "chromosome", "hm_chrom"),
    "position": ("position", "pos", "bp", "base_pair_location", "hm_pos", "pos(1-based)"),
    "variant_id": (
        "variant_id",
        "rsid",
        "snp",
        "snpid",
        "markername",
        "rs_id",
        "rs",
        "id",
        "variant",
        "chr_bp",
        "chr_pos",
    ),
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
_log = logging.getLogger(__name__)
_LOOKED_UP = {name for pair in _ALLELES for name in pair} | {name for names in _SYNONYMS.values() for name in names}
_NO_CHANNEL = ("cm", "genpos", "row", ROW_NAMES, "start", "end")  # numeric columns that describe no function
_OF_A_BUILD = re.compile(
    r"(?:chrom_?)?(?:pos|position|bp|start|end)[._( ]*(?:in)?_?(?:hg|grch|b|build)_?(?:19|37|38|18|36)\)?"
)
_OF_A_GWAS = frozenset(
    {"beta", "or", "se", "z", "zscore", "z_score", "p", "pval", "p_value", "pvalue", "effect", "stderr"}
)


@dataclass(frozen=True, eq=False)
class AnnotationTable:
    """A table of annotations as read.

    Attributes:
        source: the path.
        kind: the key of a row: chromosome, position and "alleles"; chromosome and "position"; or "rsid".
        keys: columns of `varfx.genome.variants.SCHEMA`, null where the table does not have them.
        values: one Float32 column per channel; null where missing or not finite.
        num_not_finite: number of infinite or NaN values.
    """

    __repr__ = short_repr

    source: str
    kind: KeyKind
    keys: pl.DataFrame
    values: pl.DataFrame
    num_not_finite: int


def read_annotation_table(
    path: str | os.PathLike[str], *, columns: Sequence[str] | None = None, rows_of: str | os.PathLike[str] | None = None
) -> AnnotationTable:
    """One table as keys and channels; the format and the key are recognised by content and header.

    Columns of text are no channels, which is logged; TRUE and FALSE count as 1 and 0.

    Args:
        path: Parquet, or text split by tabs, commas or blanks; plain, gzip or zstd.
        columns: the channels to take; by default every numeric column that is no key.
        rows_of: the .bim or .pvar whose variants are the rows of a thin table, in its order.

    Raises:
        FormatError: no such file, damaged, no header, ragged rows, or text where numbers belong.
        ConfigError: a chosen column does not exist, is a key or is no number; a thin table without `rows_of`, or
            another one with it.
        DataError: the key cannot be made, or stands in several rows; `rows_of` has another number of variants.
    """
    path = Path(path)
    opened = open_table(path)
    frame = opened.read(opened.readable(columns or ()), MISSING)
    if not frame.height:
        raise FormatError(f"`{path}` has a header and no rows. Check that it was written whole.")
    refuse_alike(frame.columns, _LOOKED_UP, path)
    roles = _roles(frame.columns, path)
    channels = _channels(path, frame, roles, columns)
    values, num_not_finite = _numbers(path, frame, channels)
    keys = _keys(path, frame, roles) if roles else _keys_of(rows_of, path, frame.height)
    if roles and rows_of is not None:
        raise ConfigError(
            f"`{path}` has the key columns {', '.join(roles.values())}, so that `{rows_of}` is not needed. Leave it out."
        )
    if not roles:
        usable = ~variants.bad_alleles(keys)
        keys, values = keys.filter(usable), values.filter(usable)
        if not keys.height:
            raise DataError(f"`{rows_of}` has no variant with two alleles of ACGT. Check the file.")
    table = AnnotationTable(str(path), _kind(keys, roles), keys, values, num_not_finite)
    _require_unique(table)
    return table


def _roles(names: Sequence[str], path: Path) -> dict[str, str]:
    """Key role -> column name, by the synonyms of the field, whatever the case; positions may have their build in their name."""
    known = {name.strip().lstrip("#").lower(): name for name in reversed(names)}
    roles = {}
    for role, spellings in _SYNONYMS.items():
        spelled = next((known[spelling] for spelling in spellings if spelling in known), None)
        if spelled is not None:
            roles[role] = spelled
    placed = [name for name in names if _is_of_a_build(name) and not name.lower().startswith(("start", "end"))]
    if "chrom" in roles and "position" not in roles and placed:
        if len(placed) > 1:
            raise FormatError(
                f"`{path}` has positions of several builds ({', '.join(placed)}). Call that of the panel's build `position`."
            )
        roles["position"] = placed[0]
    for effect, other in _ALLELES:
        if effect in known and other in known:
            roles |= {"effect_allele": known[effect], "other_allele": known[other]}
            break
    return roles


def _is_of_a_build(name: str) -> bool:
    """Whether a column holds positions of a genome build by its name: `pos_hg38`, `BP_b37`."""
    return _OF_A_BUILD.fullmatch(name.strip().lstrip("#").lower()) is not None


def _is_no_function(name: str) -> bool:
    """Whether a column describes a place, or the frequency of an allele that another file may not call the effect allele."""
    return name.lower() in _NO_CHANNEL or _is_of_a_build(name) or EFFECT in (allele_of_frequency(name) or ())


def _kind(keys: pl.DataFrame, roles: dict[str, str]) -> KeyKind:
    if keys["position"].null_count() == keys.height:
        return "rsid"
    known = "effect_allele" in roles or keys["effect_allele"].null_count() == 0
    return "alleles" if known else "position"


def _channels(path: Path, frame: pl.DataFrame, roles: dict[str, str], chosen: Sequence[str] | None) -> list[str]:
    """Names of the channels, in the order of the table or as chosen."""
    spent = set(roles.values())
    if chosen is not None:
        for name in chosen:
            if name not in frame.columns or name in spent:
                candidates = [column for column in frame.columns if column not in spent]
                raise ConfigError(
                    f"`{path}` has no annotation column `{name}`. It has {', '.join(candidates[:10])}"
                    f"{', ...' if len(candidates) > 10 else ''}."
                )
        return list(chosen)
    free = [name for name in frame.columns if name not in spent and name.lower() not in _LOOKED_UP]
    channels = [name for name in free if not _is_no_function(name)]
    if left := [name for name in free if name not in channels and name.lower() not in ("cm", ROW_NAMES)]:
        _log.warning(
            "`%s`: columns of places or of an effect allele's frequency become no channels: %s.",
            path,
            ", ".join(left[:10]),
        )
    numeric = [name for name in channels if _looks_numeric(column_of(frame, name))]
    text = [name for name in channels if name not in numeric]
    if text:
        shown = ", ".join(text[:10]) + (", ..." if len(text) > 10 else "")
        _log.warning("`%s`: %d columns hold text and become no channels: %s.", path, len(text), shown)
    if not numeric:
        raise DataError(
            f"`{path}` has no numeric column besides its key ({', '.join(frame.columns[:10])}). Check the file."
        )
    of_gwas = [name for name in numeric if name.lower() in _OF_A_GWAS]
    if len(of_gwas) > 1:
        _log.warning(
            "`%s`: %s look like the results of a GWAS. As channels they would let f be learned from associations: leave them out with "
            "--columns, unless that is meant.", path, ", ".join(of_gwas),
        )  # fmt: skip
    return numeric


def _looks_numeric(column: pl.Series) -> bool:
    """True if most of the first 1,000 values are numbers: the others are then counted and named as a fault."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return True
    if column.dtype != pl.String:
        return False
    head = _flags_as_numbers(column.drop_nulls().head(1000))
    return head.is_empty() or head.cast(pl.Float64, strict=False).null_count() <= head.len() / 2


def _flags_as_numbers(text: pl.Series) -> pl.Series:
    """TRUE and FALSE of text (R, SAS; True and False of Python) as 1 and 0."""
    if text.dtype != pl.String:
        return text
    return text.replace(["TRUE", "FALSE", "True", "False", "true", "false"], ["1", "0"] * 3)


def _numbers(path: Path, frame: pl.DataFrame, channels: Sequence[str]) -> tuple[pl.DataFrame, int]:
    """The channels as Float32, null where missing or not finite, and the number of values that were not finite."""
    columns, num_not_finite = [], 0
    for name in channels:
        column = _flags_as_numbers(missing_as_null(column_of(frame, name)))
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
        require_exact(column_of(frame, roles["position"]), roles["position"], path)
        columns.append(pl.lit(whole(frame[roles["position"]])).alias("position"))
    columns += [
        pl.col(roles[role]).cast(pl.String).str.to_uppercase().alias(role)
        for role in ("effect_allele", "other_allele")
        if role in roles
    ]
    if "variant_id" in roles:
        columns.append(pl.col(roles["variant_id"]).cast(pl.String).alias("variant_id"))
    keys = frame.select(columns).select(variants.SCHEMA.keys())
    if not {"chrom", "position"} <= roles.keys():
        keys = _unpacked(path, keys, roles)
    if keys["position"].null_count() < keys.height or {"chrom", "position"} <= roles.keys():
        bad = keys["position"].is_null() | keys["chrom"].is_null()
        variants.require_no(
            bad, keys, "chromosome is missing or position is not a whole number", "Remove these rows.", source=str(path)
        )
    return keys


def _unpacked(path: Path, keys: pl.DataFrame, roles: dict[str, str]) -> pl.DataFrame:
    """Keys with positions, and alleles unless a column has them, from identifiers such as `1:1000:A:G`; else as given."""
    if "variant_id" not in roles:
        raise DataError(
            f"`{path}` has {' and '.join(roles.values())}, which do not make a key. It needs chromosome and position, or "
            "identifiers."
        )
    parts = variants.unpack_key(keys["variant_id"])
    if parts["position"].null_count() > keys.height / 2:
        return keys
    taken = ("chrom", "position") if "effect_allele" in roles else tuple(parts.columns)
    keys = keys.with_columns(parts.select(taken))
    if keys["effect_allele"].has_nulls() and "effect_allele" not in roles:
        return keys.with_columns(effect_allele=pl.lit(None, pl.String), other_allele=pl.lit(None, pl.String))
    return keys


def _keys_of(rows_of: str | os.PathLike[str] | None, path: Path, height: int) -> pl.DataFrame:
    """The variants that are the rows of a thin table."""
    if rows_of is None:
        raise ConfigError(
            f"`{path}` has no key columns: which variant a row belongs to is known only from the .bim that it was made "
            f"for. Give both, as {path}:FILE.bim, or add the columns CHR and BP."
        )
    sites = read_sites(Path(rows_of))
    if sites.height != height:
        raise DataError(
            f"`{path}` has {height} rows, but `{rows_of}` lists {sites.height} variants. Give the .bim that the thin table "
            "was made for, with as many rows."
        )
    return sites.with_columns(eaf=pl.lit(None, pl.Float64)).select(variants.SCHEMA.keys())


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
