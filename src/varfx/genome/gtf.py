"""Genes of a GENCODE or Ensembl GTF file: where transcription starts, on which strand, and the kind of gene."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from varfx.errors import FormatError
from varfx.genome.variants import chrom_expr
from varfx.io.text_lines import as_text, numbered_lines
from varfx.io.text_numbers import whole_of

SCHEMA: dict[str, pl.DataType] = {
    "gene_id": pl.String(),  # without version
    "name": pl.String(),
    "gene_type": pl.String(),
    "chrom": pl.String(),  # without "chr"
    "strand": pl.String(),
    "tss": pl.Int64(),  # 1-based
}
# An attribute: its key at the beginning or behind a semicolon, its value in quotes (which may hold semicolons) or bare.
_ATTRIBUTE = re.compile(r"""(?:^|;)\s*(\w+)\s+(?:"([^"]*)"|'([^']*)'|([^;"']*))""")
_VERSION = r"\.\d+(_\d+)?$"  # GENCODE's lift37 adds the version of the mapping: .12_4


def without_version(column: str) -> pl.Expr:
    """Gene ids without the version of Ensembl ids: `ENSG00000215270.3` and `ENSG00000215270.3_2` are `ENSG00000215270`."""
    bare = pl.col(column).str.replace(_VERSION, "")
    return pl.when(pl.col(column).str.starts_with("ENS")).then(bare).otherwise(pl.col(column))


def bare_gene_id(gene_id: str) -> str:
    """One id without version, as `without_version`."""
    return re.sub(_VERSION, "", gene_id) if gene_id.startswith("ENS") else gene_id


def is_second_copy(column: str) -> pl.Expr:
    """True for the pseudoautosomal genes that GENCODE lists once more on Y (`..._PAR_Y`, `ENSGR...`)."""
    return pl.col(column).str.contains(r"_PAR_Y|^ENSGR")


def is_second_by_place(gene_id: str, chrom: str) -> pl.Expr:
    """True for a gene on Y of which another row is on X: pseudoautosomal genes whose copies have the same id."""
    both = pl.col(chrom).is_in(["X", "Y"]).all().over(gene_id) & (pl.col(chrom) == "X").any().over(gene_id)
    return (both & (pl.col(chrom) == "Y")).fill_null(False)


def read_gtf(path: str | os.PathLike[str], *, chroms: Mapping[str, str] | None = None) -> pl.DataFrame:
    """The `gene` rows of a GTF file, plain, gzip or zstd: columns of `SCHEMA`, in file order.

    The TSS is the gene's first base on its strand: its start on "+", its end on "-" (both 1-based and inclusive). Second
    copies of pseudoautosomal genes on Y are left out.

    Args:
        path: the file.
        chroms: the chromosomes of genes, by id without version, which choose among several rows of a gene.

    Raises:
        FormatError: no such file, damaged, no gene rows, a row that is no GTF, or a gene listed twice.
    """
    path = Path(path)
    rows = list(_genes(path))
    if not rows:
        raise FormatError(
            f"`{path}` has no `gene` rows with a gene_id. Give a GENCODE or Ensembl GTF (not GFF3, and with genes)."
        )
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row").filter(~is_second_copy("gene_id"))
    frame = frame.with_columns(chrom_expr("chrom"), without_version("gene_id"))
    frame = frame.filter(~is_second_by_place("gene_id", "chrom"))
    if chroms and frame["gene_id"].is_duplicated().any():
        wanted = pl.col("gene_id").replace_strict(dict(chroms), default=None, return_dtype=pl.String)
        is_there = (pl.col("chrom") == wanted).fill_null(False)
        frame = frame.filter(is_there | ~is_there.any().over("gene_id"))
    twice = frame.filter(frame["gene_id"].is_duplicated())
    if twice.height:
        first = twice.filter(pl.col("gene_id") == twice["gene_id"][0])
        places = " and ".join(f"{chrom}:{tss}" for chrom, tss in first.select("chrom", "tss").iter_rows())
        raise FormatError(
            f"`{path}`: {twice['gene_id'].n_unique()} genes are listed twice, first {first['gene_id'][0]} ({places}). Keep "
            "one row of each."
        )
    return frame


def _genes(path: Path) -> Iterator[tuple[str, str, str, str, str, int]]:
    for number, line in numbered_lines(path):
        if b"\tgene\t" not in line or line.startswith(b"#"):
            continue
        fields = [field.strip() for field in as_text(line).split("\t")]
        if len(fields) > 2 and fields[2] != "gene":
            continue
        ends = [position_of(field) for field in fields[3:5]]
        if len(fields) < 9 or None in ends or fields[6] not in ("+", "-"):
            raise FormatError(f"`{path}`: line {number} is no GTF row with start, end and strand. Check the file.")
        found = attributes(fields[8])
        if "gene_id" not in found:
            continue
        kind = found.get("gene_type", found.get("gene_biotype", ""))
        tss = ends[0 if fields[6] == "+" else 1] or 0
        yield found["gene_id"], found.get("gene_name", found["gene_id"]), kind, fields[0], fields[6], tss


def attributes(text: str) -> dict[str, str]:
    """The attributes of a row by key, the first of a key that repeats; a field that was quoted as a whole is unquoted."""
    if text.startswith('"') and text.endswith('"') and '""' in text:
        text = text[1:-1].replace('""', '"')
    found: dict[str, str] = {}
    for key, *values in _ATTRIBUTE.findall(text):
        found.setdefault(key, next((value for value in values if value), "").strip())
    return found


def position_of(text: str) -> int | None:
    """A 1-based position, also as R writes it (1e+05); None if the text is none."""
    number = whole_of(text)
    return number if number is not None and 1 <= number < 2**31 else None
