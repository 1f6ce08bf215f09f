"""`read_gwas`: any known file of summary statistics as one table of roles."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from varfx.errors import ConfigError, FormatError
from varfx.genome.variants import chrom_expr
from varfx.gwas import formats, layouts
from varfx.gwas.numbers import Offences, drop_bad_text, to_numbers
from varfx.gwas.study import Study, read_sidecar, read_vcf_header
from varfx.io import text_table
from varfx.io.ledger import Ledger


class RawGwas(NamedTuple):
    """A file's table as it is written, in our names.

    Attributes:
        table: one row per variant: `row` (1-based, below the header), and those of `formats.ROLES` that the file has;
            `p` is given as `neg_log10_of_p`. Alleles are as written, missing values null, nothing is checked yet.
        format_name: the format recognised.
        notes: the ledger of rows read and left out.
        study: what the file says about its study.
        names: the file's own column name of each role.
    """

    table: pl.DataFrame
    format_name: str
    notes: Ledger
    study: Study
    names: dict[str, str]


def read_gwas(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    na: Sequence[str] = (),
    drop_invalid: bool = False,
) -> RawGwas:
    """A file of summary statistics of any known format, recognised by its header.

    Args:
        path: plain text, gzip, bgzip, zstd or Parquet.
        columns: role -> column name, for a header that no format fits.
        na: words that mark missing values, beside the format's own.
        drop_invalid: drop and count rows with text where numbers belong, in place of an error.

    Raises:
        FormatError: the file is empty, damaged, ragged, binary, or its header is unknown.
        DataError: text stands where a number belongs.
        ConfigError: `columns` or `na` does not fit.
    """
    table = text_table.open_table(path)
    layout = formats.recognise(table.names, source=str(path), columns=columns)
    form = layout.format
    for marker in na:
        if _is_number(marker):
            raise ConfigError(f"`--na`: `{marker}` is a number, which cannot mark missing values.")
    missing = form.missing | frozenset(na)
    # One column may play two roles (VCF's ID); polars names each column once.
    numbers = sorted(set(layout.columns.values()))
    roles = [pl.col(str(number)).alias(role) for role, number in layout.columns.items()]
    names = {role: table.names[number] for role, number in layout.columns.items()}
    ledger, offences, parts = Ledger(), Offences(), []
    ledger.add("read", 0, f"rows of {form.name}")
    for frame in table.frames(numbers, missing):
        ledger.add("read", frame.height, f"rows of {form.name}")
        block = frame.select("row", *roles)
        if table.layout is None:
            block = _as_prepared(block, form, missing)
        block = to_numbers(form.prepare(block, ledger), offences)
        parts.append(drop_bad_text(block, ledger) if drop_invalid else block)
    if not parts:
        raise FormatError(f"`{path}` has a header but no rows.")
    if not drop_invalid:
        offences.raise_any(str(path), names)
    whole = pl.concat(parts, how="diagonal").drop("bad_text")
    if "chrom" in whole.columns:
        whole = whole.with_columns(chrom_expr("chrom", codes=dict(form.chrom_codes)))
    study = _study(Path(path), form, table, layout)
    for remark in study.remarks:
        ledger.add("warning", 0, remark)
    if study.zero_based and "position" in whole.columns:
        whole = whole.with_columns(pl.col("position") + 1)
        ledger.add("repaired", whole.height, "positions count from 0 in the file, from 1 here")
    return RawGwas(whole, form.name, ledger, study, names)


def _study(path: Path, form: formats.GwasFormat, table: text_table.Table, layout: formats.Layout) -> Study:
    if form.name == "GWAS-SSF":
        return read_sidecar(path)
    if form.name == "GWAS-VCF":
        return read_vcf_header(table.preamble, table.names[layout.columns["sample"]])
    return Study()


def _as_prepared(block: pl.DataFrame, form: formats.GwasFormat, missing: frozenset[str]) -> pl.DataFrame:
    """A Parquet block with the format's missing-value markers as null; packed layouts get strings, as from text."""
    strings = [name for name, kind in block.schema.items() if kind == pl.String]
    if form.prepare is not layouts.unchanged:
        strings = [name for name in block.columns if name != "row"]
    return block.with_columns(
        [
            pl.when(pl.col(name).cast(pl.String).is_in(sorted(missing)))
            .then(None)
            .otherwise(pl.col(name).cast(pl.String))
            .alias(name)
            for name in strings
        ]
    )


def _is_number(marker: str) -> bool:
    try:
        float(marker)
    except ValueError:
        return False
    return marker.lower().lstrip("+-") not in ("nan", "inf", "infinity")
