"""Genes of a GENCODE or Ensembl GTF file: where transcription starts, on which strand, and the kind of gene."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from varfx.errors import FormatError
from varfx.genome.variants import chrom_expr
from varfx.io.text_lines import as_text, numbered_lines

SCHEMA: dict[str, pl.DataType] = {
    "gene_id": pl.String(),  # without version
    "name": pl.String(),
    "gene_type": pl.String(),
    "chrom": pl.String(),  # without "chr"
    "strand": pl.String(),
    "tss": pl.Int64(),  # 1-based
}
_ATTRIBUTE = re.compile(r'(gene_id|gene_type|gene_biotype|gene_name) "?([^";]*)"?')
_VERSION = r"\.\d+$"


def without_version(column: str) -> pl.Expr:
    """Gene ids without the version of Ensembl ids: `ENSG00000215270.3` is `ENSG00000215270`."""
    bare = pl.col(column).str.replace(_VERSION, "")
    return pl.when(pl.col(column).str.starts_with("ENS")).then(bare).otherwise(pl.col(column))


def is_second_copy(column: str) -> pl.Expr:
    """True for the pseudoautosomal genes that GENCODE lists once more on Y (`..._PAR_Y`, `ENSGR...`)."""
    return pl.col(column).str.contains(r"_PAR_Y|^ENSGR")


def read_gtf(path: str | os.PathLike[str]) -> pl.DataFrame:
    """The `gene` rows of a GTF file, plain, gzip or zstd: columns of `SCHEMA`, in file order.

    The TSS is the gene's first base on its strand: its start on "+", its end on "-" (both 1-based and inclusive). The
    second copies of pseudoautosomal genes on Y are left out.

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
    twice = frame["gene_id"].is_duplicated()
    if twice.any():
        raise FormatError(
            f"`{path}`: {frame.filter(twice)['gene_id'].n_unique()} genes are listed twice, first "
            f"{frame.filter(twice)['gene_id'][0]}. Keep one row of each."
        )
    return frame


def _genes(path: Path) -> Iterator[tuple[str, str, str, str, str, int]]:
    for number, line in numbered_lines(path):
        if b"\tgene\t" not in line or line.startswith(b"#"):
            continue
        fields = [field.strip() for field in as_text(line).split("\t")]
        if len(fields) > 2 and fields[2] != "gene":
            continue
        ends = [_position(field) for field in fields[3:5]]
        if len(fields) < 9 or None in ends or fields[6] not in ("+", "-"):
            raise FormatError(f"`{path}`: line {number} is no GTF row with start, end and strand. Check the file.")
        found: dict[str, str] = {}
        for key, value in _ATTRIBUTE.findall(fields[8]):
            found.setdefault(key, value)
        if "gene_id" not in found:
            continue
        kind = found.get("gene_type", found.get("gene_biotype", ""))
        tss = ends[0 if fields[6] == "+" else 1] or 0
        yield found["gene_id"], found.get("gene_name", found["gene_id"]), kind, fields[0], fields[6], tss


def _position(text: str) -> int | None:
    """A 1-based position, also as R writes it (1e+05); None if the text is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if 1 <= number < 2**31 and number.is_integer() else None
