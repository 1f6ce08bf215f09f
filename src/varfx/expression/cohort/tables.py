"""Expression of genes in individuals: FastQTL's BED, GCT files of counts and TPM, and covariates.

BED (FastQTL, tensorQTL, QTLtools, GTEx): `#chr start end gene_id`, further columns about the gene if there are any (one of them
may be called `gene_id` in place of the fourth), then one column per individual. GCT 1.2: a version, the numbers of rows and columns, `Name Description` (GTEx's files per tissue
have `id` before), then one column per sample; GCT 1.3 has columns and rows of metadata, whose numbers its second line gives.
Covariates: one row per covariate, its name first, one column per individual, or transposed; split by tabs or blanks. R's header,
which lacks the column of names, is understood.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64
from numpy import ndarray

from varfx.errors import FormatError
from varfx.genome.gtf import is_second_by_place, is_second_copy, without_version
from varfx.genome.variants import chrom_expr
from varfx.genotypes.name_lists import FAMILY, INDIVIDUAL
from varfx.io.text_lines import numbered_lines
from varfx.io.text_numbers import column_of, missing_as_null, whole
from varfx.io.text_table import open_table

logger = logging.getLogger(__name__)
PLACE_SCHEMA: dict[str, pl.DataType] = {
    "gene_id": pl.String(),
    "chrom": pl.String(),
    "start": pl.Int64(),
    "end": pl.Int64(),
}
_GENE_IDS = ("gene_id", "geneid", "ensembl_gene_id", "ensembl_id")
# Columns between a gene's id and the individuals that say something about the gene; any column without a number does too.
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
    values: Float64[ndarray, "gene individual"]
    second_copies: int = 0

    @property
    def chroms(self) -> dict[str, str]:
        """The chromosome of each gene, where the file has it."""
        if "chrom" not in self.genes.columns:
            return {}
        return dict(self.genes.select("gene_id", "chrom").iter_rows())


@dataclass(frozen=True, kw_only=True, eq=False)
class Covariates:
    """Covariates of individuals, all finite."""

    source: str
    names: tuple[str, ...]
    people: tuple[str, ...]
    values: Float64[ndarray, "covariate individual"]


def read_expression_bed(path: str | os.PathLike[str]) -> Expression:
    """Expression from a BED file of FastQTL's kind, plain, gzip or zstd.

    Raises:
        FormatError: no such file, damaged, another format, genes or individuals twice, or cells that are no numbers.
    """
    path = Path(path)
    names = list(open_table(path).names)
    if len(names) < 5 or names[0].lower() not in ("chr", "chrom", "chromosome", "#chr") or names[1].lower() != "start":
        _refuse_row_names(path, len(names))
        raise FormatError(
            f"`{path}` is no expression BED: its header must begin with #chr, start, end and gene_id, split by tabs, but "
            f"begins with {', '.join(names[:4])[:80]}."
        )
    table = _read_table(path, "genes")
    first = next((place for place in range(4, len(names)) if not _about_genes(table, names[place])), len(names))
    if first == len(names):
        _refuse_decimal_commas(path, table, names[4:])
        raise FormatError(
            f"`{path}` has no columns of individuals behind its {first} columns about genes. Check the file."
        )
    places = table.select(chrom_expr(names[0])).with_columns(
        start=whole(column_of(table, names[1])), end=whole(column_of(table, names[2]))
    )
    _require(path, places["start"].is_null() | places["end"].is_null(), "genes have no whole numbers as start and end")
    gene = next((name for name in names[3:first] if name.lower() in _GENE_IDS), names[3])
    return _expression(path, table, gene=gene, people=names[first:], places=places)


def read_gct(path: str | os.PathLike[str]) -> Expression:
    """Counts or TPM from a GCT file (version 1.2 or 1.3), plain, gzip or zstd; the individuals are its samples.

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
    gene, samples, metadata_rows = _gct_columns(
        path, table.columns, version, [int(part) for part in shape if part.isdigit()]
    )
    table = table.slice(metadata_rows)
    found = (table.height, len(samples))
    if found != (int(shape[0]), int(shape[1])):
        raise FormatError(
            f"`{path}` says that it has {int(shape[0])} genes and {int(shape[1])} samples, but has {found[0]} and "
            f"{found[1]}. It is truncated, or was edited."
        )
    parsed = _expression(path, table, gene=gene, people=samples, places=None)
    negative = parsed.values < 0
    if negative.any():
        row, column = np.argwhere(negative)[0]
        raise FormatError(
            f"`{path}`: {negative.sum()} values are negative, first of {parsed.genes['gene_id'][int(row)]} in "
            f"{parsed.people[column]}. Give counts and TPM, not transformed values."
        )
    return parsed


def _gct_columns(path: Path, names: list[str], version: bytes, shape: list[int]) -> tuple[str, list[str], int]:
    """The column of gene ids, the samples, and the number of rows of metadata of samples, which come first."""
    if version.startswith(b"#1.3") and len(shape) >= 4:
        return names[0], names[1 + shape[2] :], shape[3]
    running = int(names[:1] == ["id"])  # running numbers, in GTEx's files per tissue
    if names[running : running + 2] != ["Name", "Description"]:
        raise FormatError(f"`{path}` is no GCT file: its third line must begin with Name and Description.")
    return "Name", names[running + 2 :], 0


def read_covariates(path: str | os.PathLike[str], known: Collection[str] = ()) -> Covariates:
    """Covariates from a table, split by tabs or blanks: a row each with the name first and a column an individual, or transposed.

    Transposed are tables with columns FID and IID (PLINK's .cov and .eigenvec), and those whose rows have more known names than
    their header.

    Args:
        path: the file, plain, gzip or zstd.
        known: names of individuals.

    Raises:
        FormatError: no such file, damaged, covariates or individuals twice, cells that are no finite numbers, or as many
            names of individuals in the header as in the rows.
    """
    path = Path(path)
    table = _read_table(path, "covariates", named_rows=True)
    place = _column_of_individuals(path, table, frozenset(known))
    transposed, place = place is not None, place or 0
    rows = column_of(table, table.columns[place]).fill_null("").to_list()
    what = "individual" if transposed else "covariate"
    _require_distinct(path, rows, f"{what}s")
    columns = table.columns[place + 1 :]
    if not columns:
        raise FormatError(
            f"`{path}` has no columns of {'covariates' if transposed else 'individuals'}. It needs a row a covariate and a column an "
            "individual."
        )
    values = _numbers(path, table, columns, rows, what, remedy="Write numbers: groups such as sex as 0 and 1")
    gaps = np.isnan(values)
    if gaps.any():
        row, column = np.argwhere(gaps)[0]
        raise FormatError(
            f"`{path}`: {gaps.sum()} values are missing, first of {rows[row]} in {columns[column]}. Fill them or leave "
            "the covariate or the individuals out."
        )
    names, people = (columns, rows) if transposed else (rows, columns)
    return Covariates(
        source=str(path), names=tuple(names), people=tuple(people), values=values.T if transposed else values
    )


def as_participants(expression: Expression, participant: dict[str, str]) -> Expression:
    """The table with samples renamed to participants; samples outside the map are dropped.

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
    _require_distinct(Path(expression.source), people, "participants (several samples of one individual)")
    return replace(expression, people=tuple(people), values=expression.values[:, known])


def _column_of_individuals(path: Path, table: pl.DataFrame, known: frozenset[str]) -> int | None:
    """The column with a name of an individual in each row; None where each row is a covariate."""
    header = [name.lower() for name in table.columns]
    if len(header) > 1 and header[0] in FAMILY and header[1] in INDIVIDUAL:
        return 1
    above = sum(name in known for name in table.columns[1:])
    beside = sum(name in known for name in column_of(table, table.columns[0]))
    if above == beside > 0:
        raise FormatError(
            f"`{path}` can be read in two ways: {above} names of individuals stand in its header and as many in its first column. "
            "Rename the covariates."
        )
    return 0 if beside > above else None


def _about_genes(table: pl.DataFrame, name: str) -> bool:
    return name.lower() in _ABOUT_GENES or column_of(table, name).cast(pl.Float64, strict=False).is_null().all()


def _expression(
    path: Path, table: pl.DataFrame, *, gene: str, people: list[str], places: pl.DataFrame | None
) -> Expression:
    ids = column_of(table, gene).fill_null("").str.strip_chars().alias("gene_id").to_frame()
    _require(path, ~ids["gene_id"].map_elements(str.isprintable, pl.Boolean), "gene ids hold control characters")
    second = ids.select(is_second_copy("gene_id").alias("second"))["second"]
    values = _numbers(path, table, people, ids["gene_id"].to_list(), "gene")
    genes = ids.with_columns(without_version("gene_id"))
    if places is not None:
        genes = pl.concat([genes, places.cast({"chrom": pl.String})], how="horizontal")
        second |= genes.select(is_second_by_place("gene_id", "chrom").alias("second"))["second"]
    _require_distinct(path, genes.filter(~second)["gene_id"].to_list(), "genes (by id without version)")
    measured = ~np.isnan(values).all(axis=0) if values.size else np.ones(len(people), dtype=bool)
    if not measured.all():
        empty = [name for name, has_any in zip(people, measured, strict=True) if not has_any]
        logger.warning(
            "`%s`: %d of %d individuals have no value of any gene, first %s: they count as without expression.",
            *(path, len(empty), len(people), empty[0]),
        )
    return Expression(
        source=str(path),
        genes=genes.filter(~second),
        people=tuple(name for name, has_any in zip(people, measured, strict=True) if has_any),
        values=values[~second.to_numpy()][:, measured],
        second_copies=int(second.sum()),
    )


def _numbers(
    path: Path,
    table: pl.DataFrame,
    columns: Sequence[str],
    rows: list[str],
    what: str,
    *,
    remedy: str = "Write numbers, or NA for a gap",
) -> Float64[ndarray, "row column"]:
    """The columns' cells as finite floats, or NaN where there is a gap (empty, NA, NaN)."""
    values = np.empty((table.height, len(columns)), dtype=np.float64)
    bad, first = 0, ""
    for column, name in enumerate(columns):
        text = missing_as_null(column_of(table, name))
        number = text.cast(pl.Float64, strict=False)
        wrong = text.is_not_null() & ~number.is_finite().fill_null(False)
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            first = first or f"of {what} {rows[row]} in {name} ({text[row]!r})"
            bad += int(wrong.sum())
        values[:, column] = number.fill_null(np.nan).to_numpy()
    if bad:
        raise FormatError(f"`{path}`: {bad} cells are no finite numbers, first {first}. {remedy}.")
    return values


def _read_table(path: Path, what: str, *, skip: int = 0, named_rows: bool = False) -> pl.DataFrame:
    """A table of text with a header, whose columns may not repeat, below the lines to skip; see `open_table`."""
    table = open_table(path, skip=skip, named_rows=named_rows)
    _require_distinct(path, list(table.names), "columns of the header")
    frame = table.read()
    if not frame.height:
        raise FormatError(f"`{path}` lists no {what}: there is nothing after its header.")
    return frame


def _require(path: Path, bad: pl.Series, what: str) -> None:
    if bad.any():
        raise FormatError(f"`{path}`: {bad.sum()} of {bad.len()} {what}, first row {int(bad.arg_max() or 0) + 1}.")


def _refuse_row_names(path: Path, width: int) -> None:
    """Refuses rows longer than a header `#chr ...`, which is then taken for a comment."""
    above = open_table(path).preamble
    header = above[-1].split("\t") if above else [""]
    if header[0].lower() in ("#chr", "#chrom") and len(header) != width:
        raise FormatError(
            f"`{path}`: {len(header)} columns are expected, as in its header, but the rows have {width}. If R wrote the row "
            "names as a column without name, write the file with `row.names = FALSE`."
        )


def _refuse_decimal_commas(path: Path, table: pl.DataFrame, columns: list[str]) -> None:
    for name in columns:
        cells = column_of(table, name)
        bad = cells.str.contains(r"^\s*-?\d+,\d+\s*$").fill_null(False)
        if bad.any():
            raise FormatError(
                f"`{path}`: numbers have decimal commas, first {cells[int(bad.arg_max() or 0)]!r} in {name}. Write numbers "
                "with a point."
            )


def _require_distinct(path: Path, names: list[str], what: str) -> None:
    series = pl.Series("name", names, dtype=pl.String)
    twice = series.filter(series.is_duplicated())
    if twice.len():
        raise FormatError(f"`{path}`: {twice.n_unique()} {what} are there twice, first {twice[0]!r}. Keep one of each.")
