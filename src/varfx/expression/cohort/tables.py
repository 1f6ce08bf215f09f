"""Expression of genes in people: FastQTL's BED, GCT files of counts and TPM, covariates, and names of samples.

BED (FastQTL, tensorQTL, QTLtools, GTEx): `#chr start end gene_id`, further columns about the gene if there are any, then
one column a person. GCT: a version, the numbers of rows and columns, `Name Description`, then one column a sample.
Covariates: one row a covariate, its name first, one column a person; split by tabs or blanks.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64
from numpy import ndarray

from varfx.errors import FormatError
from varfx.genome.gtf import is_second_copy, without_version
from varfx.genome.variants import chrom_expr
from varfx.io.text_lines import numbered_lines, read_fields
from varfx.io.text_numbers import column_of, missing_as_null, whole
from varfx.io.text_table import open_table

PLACE_SCHEMA: dict[str, pl.DataType] = {
    "gene_id": pl.String(),
    "chrom": pl.String(),
    "start": pl.Int64(),
    "end": pl.Int64(),
}
# Columns between a gene's id and the people that say something about the gene; any column without a number does too.
_ABOUT_GENES = (
    "length", "strand", "score", "pid", "gid", "group", "group_id", "gene", "gene_id", "gene_name", "gene_type", "name",
    "symbol", "type", "biotype", "info", "description", "id", "tss", "exons",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Expression:
    """Expression as a file has it.

    Attributes:
        source: the file, for messages.
        genes: `gene_id` (without version) and, of a BED file, `chrom, start, end`; one row a gene.
        people: distinct names.
        values: finite, or NaN where the file has a gap.
        second_copies: rows of pseudoautosomal genes on Y that were left out.
    """

    source: str
    genes: pl.DataFrame
    people: tuple[str, ...]
    values: Float64[ndarray, "gene person"]
    second_copies: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Covariates:
    """Covariates of people, all finite."""

    source: str
    names: tuple[str, ...]
    people: tuple[str, ...]
    values: Float64[ndarray, "covariate person"]


def read_expression_bed(path: str | os.PathLike[str]) -> Expression:
    """Expression from a BED file of FastQTL's kind, plain, gzip or zstd.

    Raises:
        FormatError: no such file, damaged, another format, genes or people twice, or cells that are no numbers.
    """
    path = Path(path)
    table = _read_table(path, "genes")
    names = table.columns
    if len(names) < 5 or names[0].lower() not in ("chr", "chrom", "chromosome", "#chr") or names[1].lower() != "start":
        raise FormatError(
            f"`{path}` is no expression BED: its header must begin with #chr, start, end and gene_id, split by tabs, but "
            f"begins with {', '.join(names[:4])[:80]}."
        )
    first = next((place for place in range(4, len(names)) if not _about_genes(table, names[place])), len(names))
    if first == len(names):
        raise FormatError(f"`{path}` has no columns of people behind its {first} columns about genes. Check the file.")
    places = table.select(chrom_expr(names[0])).with_columns(start=whole(table[names[1]]), end=whole(table[names[2]]))
    _require(path, places["start"].is_null() | places["end"].is_null(), "genes have no whole numbers as start and end")
    return _expression(path, table, gene=names[3], people=names[first:], places=places)


def read_gct(path: str | os.PathLike[str]) -> Expression:
    """Counts or TPM from a GCT file (version 1.2), plain, gzip or zstd; the people are its samples.

    Raises:
        FormatError: no such file, damaged, another format, fewer rows or columns than it says, genes or samples twice,
            or cells that are no numbers, or negative.
    """
    path = Path(path)
    version, size, *_ = [*(line for _, line in itertools.islice(numbered_lines(path), 2)), b"", b""]
    shape = size.split()
    if not version.startswith(b"#1.") or len(shape) < 2 or not all(part.isdigit() for part in shape[:2]):
        raise FormatError(f"`{path}` is no GCT file: it must begin with #1.2 and a line of two numbers.")
    table = _read_table(path, "genes", skip=2)
    if table.columns[:2] != ["Name", "Description"]:
        raise FormatError(f"`{path}` is no GCT file: its third line must begin with Name and Description.")
    found = (table.height, len(table.columns) - 2)
    if found != (int(shape[0]), int(shape[1])):
        raise FormatError(
            f"`{path}` says that it has {int(shape[0])} genes and {int(shape[1])} samples, but has {found[0]} and "
            f"{found[1]}. It is truncated, or was edited."
        )
    parsed = _expression(path, table, gene="Name", people=table.columns[2:], places=None)
    negative = parsed.values < 0
    if negative.any():
        row, column = np.argwhere(negative)[0]
        raise FormatError(
            f"`{path}`: {negative.sum()} values are negative, first of {parsed.genes['gene_id'][int(row)]} in "
            f"{parsed.people[column]}. Give counts and TPM, not transformed values."
        )
    return parsed


def read_covariates(path: str | os.PathLike[str]) -> Covariates:
    """Covariates from a table with a row each, the name first, and a column a person; split by tabs or blanks.

    Raises:
        FormatError: no such file, damaged, covariates or people twice, or cells that are no finite numbers.
    """
    path = Path(path)
    table = _read_table(path, "covariates")
    names = table[table.columns[0]].fill_null("").to_list()
    _require_distinct(path, names, "covariates")
    people = tuple(table.columns[1:])
    if not people:
        raise FormatError(f"`{path}` has no columns of people. It needs a row a covariate and a column a person.")
    values = _numbers(path, table, people, names, "covariate")
    gaps = np.isnan(values)
    if gaps.any():
        row, column = np.argwhere(gaps)[0]
        raise FormatError(
            f"`{path}`: {gaps.sum()} values are missing, first of {names[row]} in {people[column]}. Fill them or leave "
            "the covariate or the people out."
        )
    return Covariates(source=str(path), names=tuple(names), people=people, values=values)


def read_pairs(path: str | os.PathLike[str], what: str) -> list[tuple[str, str]]:
    """The first two columns of a table without header: sample and person, person and population, or two relatives.

    Lines that begin with "#" are passed over.

    Raises:
        FormatError: no such file, no text, empty, or a line with fewer than two fields.
    """
    lines = read_fields(path, what)
    bad = [number for number, fields in lines if len(fields) < 2]
    if bad:
        raise FormatError(
            f"`{path}`: {len(bad)} of {len(lines)} lines have fewer than two columns, first line {bad[0]}. It should "
            f"list {what}, two names a line."
        )
    return [(fields[0], fields[1]) for _, fields in lines]


def read_names(path: str | os.PathLike[str], what: str) -> tuple[str, ...]:
    """The first column of a table without header, each name once; lines that begin with "#" are passed over.

    Raises:
        FormatError: no such file, no text, or empty.
    """
    return tuple(dict.fromkeys(fields[0] for _, fields in read_fields(path, what)))


def read_mapping(path: str | os.PathLike[str], what: str) -> dict[str, str]:
    """The second column by the first; errors as `read_pairs`.

    Raises:
        FormatError: a name has two different values.
    """
    mapping: dict[str, str] = {}
    for name, value in read_pairs(path, what):
        if mapping.setdefault(name, value) != value:
            raise FormatError(f"`{path}`: {name} stands there twice, with {mapping[name]} and {value}. Keep one line.")
    return mapping


def as_participants(expression: Expression, participant: dict[str, str]) -> Expression:
    """The same with samples called by their participants; samples outside the map are left out.

    Raises:
        FormatError: no sample is in the map, or a participant has several.
    """
    known = [place for place, sample in enumerate(expression.people) if sample in participant]
    if not known:
        raise FormatError(
            f"`{expression.source}`: none of its {len(expression.people)} samples (first {expression.people[0]}) is in "
            f"the map of samples (first {next(iter(participant))}). Its first column must hold the samples."
        )
    people = [participant[expression.people[place]] for place in known]
    _require_distinct(Path(expression.source), people, "participants (several samples of one person)")
    return replace(expression, people=tuple(people), values=expression.values[:, known])


def _about_genes(table: pl.DataFrame, name: str) -> bool:
    return name.lower() in _ABOUT_GENES or column_of(table, name).cast(pl.Float64, strict=False).is_null().all()


def _expression(
    path: Path, table: pl.DataFrame, *, gene: str, people: list[str], places: pl.DataFrame | None
) -> Expression:
    ids = table.select(pl.col(gene).fill_null("").str.strip_chars().alias("gene_id"))
    second = ids.select(is_second_copy("gene_id").alias("second"))["second"]
    values = _numbers(path, table, people, ids["gene_id"].to_list(), "gene")
    genes = ids.with_columns(without_version("gene_id"))
    if places is not None:
        genes = pl.concat([genes, places.cast({"chrom": pl.String})], how="horizontal")
    _require_distinct(path, genes.filter(~second)["gene_id"].to_list(), "genes (by id without version)")
    return Expression(
        source=str(path),
        genes=genes.filter(~second),
        people=tuple(people),
        values=values[~second.to_numpy()],
        second_copies=int(second.sum()),
    )


def _numbers(
    path: Path, table: pl.DataFrame, people: Sequence[str], rows: list[str], what: str
) -> Float64[ndarray, "row person"]:
    """The people's cells as finite floats, or NaN where there is a gap (empty, NA, NaN)."""
    values = np.empty((table.height, len(people)), dtype=np.float64)
    bad, first = 0, ""
    for column, name in enumerate(people):
        text = missing_as_null(column_of(table, name))
        number = text.cast(pl.Float64, strict=False)
        wrong = text.is_not_null() & ~number.is_finite().fill_null(False)
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            first = first or f"of {what} {rows[row]} in {name} ({text[row]!r})"
            bad += int(wrong.sum())
        values[:, column] = number.fill_null(np.nan).to_numpy()
    if bad:
        raise FormatError(
            f"`{path}`: {bad} cells are no finite numbers, first {first}. Write numbers, or NA for a gap."
        )
    return values


def _read_table(path: Path, what: str, *, skip: int = 0) -> pl.DataFrame:
    """A table of text with a header, whose columns may not repeat, below the lines to skip."""
    table = open_table(path, skip=skip)
    _require_distinct(path, list(table.names), "columns of the header")
    frame = table.read()
    if not frame.height:
        raise FormatError(f"`{path}` lists no {what}: there is nothing after its header.")
    return frame


def _require(path: Path, bad: pl.Series, what: str) -> None:
    if bad.any():
        raise FormatError(f"`{path}`: {bad.sum()} of {bad.len()} {what}, first row {int(bad.arg_max() or 0) + 1}.")


def _require_distinct(path: Path, names: list[str], what: str) -> None:
    series = pl.Series("name", names, dtype=pl.String)
    twice = series.filter(series.is_duplicated())
    if twice.len():
        raise FormatError(f"`{path}`: {twice.n_unique()} {what} are there twice, first {twice[0]!r}. Keep one of each.")
