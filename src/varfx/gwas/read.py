"""`read_gwas`: any known file of summary statistics as one table of roles."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from varfx.errors import ConfigError, FormatError
from varfx.genome.builds import known_build
from varfx.genome.variants import chrom_expr
from varfx.gwas import formats, layouts
from varfx.gwas.format import GwasFormat
from varfx.gwas.header import GIVEN, Layout, recognise
from varfx.gwas.header_roles import ColumnUse
from varfx.gwas.keys import on_chromosomes, unpacked
from varfx.gwas.numbers import Offences, drop_bad_text, to_numbers
from varfx.gwas.roles import KEY, STATISTICS
from varfx.gwas.study import Study, read_sidecar, read_vcf_header
from varfx.io import text_table
from varfx.io.ledger import Ledger
from varfx.io.text_numbers import ABSENT, require_exact


class RawGwas(NamedTuple):
    """A file's table as it is written, in our names.

    Attributes:
        table: one row per variant: `row` (1-based, below the header), and the roles that the file has; `p` is given as
            `neg_log10_of_p`. Alleles are as written, missing values null, nothing is checked yet.
        format_name: the format recognised.
        notes: the ledger of rows read and left out.
        study: what the file says about its study.
        names: the file's own column name of each role.
        named: roles that the user named.
        uses: what became of each column of the header.
    """

    table: pl.DataFrame
    format_name: str
    notes: Ledger
    study: Study
    names: dict[str, str]
    named: frozenset[str]
    uses: tuple[ColumnUse, ...]

    @property
    def unused(self) -> tuple[str, ...]:
        """Columns without a role."""
        return tuple(use.column for use in self.uses if not use.role)


def read_gwas(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    na: Sequence[str] = (),
    drop_invalid: bool = False,
    trait: str | None = None,
) -> RawGwas:
    """A file of summary statistics of any known format, recognised by its header.

    Args:
        path: plain text, gzip, bgzip, zstd or Parquet.
        columns: role -> column name, for a header that no format fits, or against the format's own.
        na: words that mark missing values, beside `varfx.io.text_numbers.ABSENT`.
        drop_invalid: drop and count rows with text where numbers belong, in place of an error.
        trait: the trait, of a file with columns for several.

    Raises:
        FormatError: the file is empty, damaged, ragged, binary, or its header is unknown.
        DataError: text stands where a number belongs.
        ConfigError: `columns` or `na` does not fit.
    """
    table = text_table.open_table(path)
    layout = recognise(table.names, source=str(path), columns=columns, trait=trait)
    form = layout.format
    for marker in na:
        if _is_number(marker):
            raise ConfigError(f"`--na`: `{marker}` is a number, which cannot mark missing values.")
    missing = ABSENT | form.also_missing | frozenset(na)
    names = {role.removeprefix(GIVEN): table.names[number] for role, number in layout.columns.items()}
    ledger = Ledger()
    ledger.add("read", 0, f"rows of {form.name}")
    _note_columns(layout.uses, ledger)
    whole = _rows(table, layout, missing, ledger, names=None if drop_invalid else names)
    if "chrom" in whole.columns:
        whole = on_chromosomes(whole.with_columns(chrom_expr("chrom", codes=dict(form.chrom_codes))), ledger)
    for role, value in layout.constants.items():
        if role not in whole.columns:
            whole = whole.with_columns(pl.lit(value, pl.Float64).alias(role))
    study = _study(Path(path), form, table, layout)
    for remark in (*layout.remarks, *study.remarks):
        ledger.add("note", 0, remark)
    if study.zero_based and "position" in whole.columns:
        whole = whole.with_columns(pl.col("position") + 1)
        ledger.add("repaired", whole.height, "positions count from 0 in the file, from 1 here")
    return RawGwas(whole, form.name, ledger, study, names, layout.named, layout.uses)


def _rows(
    table: text_table.Table, layout: Layout, missing: frozenset[str], ledger: Ledger, *, names: dict[str, str] | None
) -> pl.DataFrame:
    """All blocks as one table of roles; with `names`, text where a number belongs is an error, else its rows go."""
    form, offences, parts = layout.format, Offences(), []
    # One column may play two roles (VCF's ID); polars names each column once.
    numbers = sorted(set(layout.columns.values()))
    roles = [pl.col(str(number)).alias(role) for role, number in layout.columns.items()]
    for frame in table.frames(numbers, missing):
        ledger.add("read", frame.height, f"rows of {form.name}")
        block = frame.select("row", *roles)
        if table.layout is None:
            block = _as_prepared(block, form, missing)
        block = layouts.with_other_allele(unpacked(_given_roles(form.prepare(block, ledger))))
        if "position" in block.columns:
            require_exact(block["position"], (names or {}).get("position", "position"), table.path)
        block = to_numbers(block, offences)
        parts.append(block if names is not None else drop_bad_text(block, ledger))
    if not parts:
        raise FormatError(f"`{table.path}` has a header but no rows.")
    if names is not None:
        offences.raise_any(str(table.path), names)
    return pl.concat(parts, how="diagonal").drop("bad_text")


def _note_columns(uses: Sequence[ColumnUse], ledger: Ledger) -> None:
    """The header in the ledger: which columns are used, and which are not."""
    used = [f"{use.column} = {use.role}" for use in uses if use.role]
    ledger.add("columns used", len(used), ", ".join(used))
    unused: dict[str, list[str]] = {}
    for use in uses:
        if not use.role:
            unused.setdefault(use.note, []).append(use.column)
    words = [f"{', '.join(names)} ({note})" if note else ", ".join(names) for note, names in unused.items()]
    if words:
        ledger.add("columns not used", sum(map(len, unused.values())), "; ".join(words))


def _given_roles(block: pl.DataFrame) -> pl.DataFrame:
    """The block with what the user names in place of what the format says; a named statistic is used alone."""
    given = {name.removeprefix(GIVEN): name for name in block.columns if name.startswith(GIVEN)}
    if not given:
        return block
    replaced = set(given)
    if replaced & set(STATISTICS):
        replaced |= {*STATISTICS, "chisq_inf"}
    return block.drop(sorted(replaced & set(block.columns))).rename({name: role for role, name in given.items()})


def _study(path: Path, form: GwasFormat, table: text_table.Table, layout: Layout) -> Study:
    if form.name == "GWAS-SSF":
        return read_sidecar(path)
    if form.name == "GWAS-VCF":
        return read_vcf_header(table.preamble, table.names[layout.columns["sample"]])
    places = [layout.columns.get(name) for role in ("position", "chrom", KEY) for name in (role, f"{GIVEN}{role}")]
    builds = {known_build(table.names[number]) for number in places if number is not None} - {None}
    return Study(trait=layout.trait, build=builds.pop() if len(builds) == 1 else None)


def _as_prepared(block: pl.DataFrame, form: GwasFormat, missing: frozenset[str]) -> pl.DataFrame:
    """A Parquet block with null for words of missing values; packed layouts get strings, as from text."""
    strings = [name for name, kind in block.schema.items() if kind == pl.String]
    if form.prepare not in (layouts.unchanged, formats.GENERIC.prepare):
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
