"""Weights as columns of one table, a score per gene, as `varfx score` and plink2 --score read them."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence

import polars as pl

from varfx.errors import ConfigError
from varfx.expression.twas.from_run import ExportedGene
from varfx.genome.variants import KEY, identifier, in_genome_order
from varfx.io import sealed

MOST_GENES = 2_000  # columns of a table that text tools still read


def write_prs(genes: Sequence[ExportedGene], model: str, out: str | os.PathLike[str]) -> None:
    """Writes `ID A1 A2 CHROM POS A1_FREQ WEIGHT.GENE ...`; a weight that a gene does not have is 0. Gzip where the name ends in .gz.

    Raises:
        ConfigError: too many genes for columns.
        StoreError: the file cannot be written.
    """
    if len(genes) > MOST_GENES:
        raise ConfigError(
            f"{len(genes):,} genes are more than the {MOST_GENES:,} columns of a table of scores. Name some with --genes."
        )
    tables = [gene.table(model) for gene in genes]
    places = pl.concat(tables).select(*KEY, "variant_id", "eaf").unique(KEY, keep="first", maintain_order=True)
    joined = in_genome_order(places.with_columns(identifier()))
    for gene, table in zip(genes, tables, strict=True):
        column = table.select(*KEY, pl.col("weight").alias(f"WEIGHT.{gene.gene}"))
        joined = joined.join(column, on=KEY, how="left", maintain_order="left")
    names = {
        "variant_id": "ID",
        "effect_allele": "A1",
        "other_allele": "A2",
        "chrom": "CHROM",
        "position": "POS",
        "eaf": "A1_FREQ",
    }
    weights = [name for name in joined.columns if name.startswith("WEIGHT.")]
    table = joined.select(*(pl.col(name).alias(new) for name, new in names.items()), pl.col(weights).fill_null(0.0))
    text = table.write_csv(separator="\t").encode()
    with sealed.atomic_path(out) as partial:
        partial.write_bytes(gzip.compress(text, mtime=0) if str(out).endswith(".gz") else text)
