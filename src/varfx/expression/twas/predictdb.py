"""PredictDB: models of expression as PrediXcan and S-PrediXcan read them (SQLite), with the covariances of their variants.

Tables `extra` (genes), `weights` (variants), `construction` and `sample_info`; covariances are text, `GENE RSID1 RSID2 VALUE`, upper
triangle with the diagonal. The layout is that of the files of the PredictDB pipeline. Our files also have the frequency of the effect
allele in `weights`, and a table `varfx` of how they were made, which other tools pass over.
"""

from __future__ import annotations

import gzip
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import false_discovery_control

from varfx.errors import FormatError
from varfx.expression.twas.from_run import ExportedGene
from varfx.expression.twas.models import GENES_SCHEMA, WEIGHTS_SCHEMA, GeneModels
from varfx.genome import variants
from varfx.genome.builds import known_build
from varfx.io import sealed

_TABLES = """
CREATE TABLE extra (gene TEXT, genename TEXT, "n.snps.in.model" INTEGER, "pred.perf.R2" DOUBLE, "pred.perf.pval" DOUBLE,
                    "pred.perf.qval" DOUBLE);
CREATE TABLE weights (rsid TEXT, gene TEXT, weight DOUBLE, ref_allele CHARACTER, eff_allele CHARACTER, varID TEXT, eaf DOUBLE);
CREATE TABLE construction (chr INTEGER, "cv.seed" INTEGER);
CREATE TABLE sample_info ("n.samples" INTEGER);
CREATE TABLE varfx (key TEXT, value TEXT);
CREATE INDEX weights_rsid ON weights (rsid);
CREATE INDEX weights_gene ON weights (gene);
CREATE INDEX weights_rsid_gene ON weights (rsid, gene);
CREATE INDEX extra_gene ON extra (gene);
"""
MAGIC = b"SQLite format 3\0"
_SUFFIX = {"hg19": "_b37", "hg38": "_b38", None: ""}


def covariance_path(out: str | os.PathLike[str]) -> Path:
    """The file of covariances beside a database: `W.cov.txt.gz` of `W.db`."""
    path = Path(out)
    return path.with_name(f"{path.name.removesuffix('.db')}.cov.txt.gz")


def write_predictdb(
    genes: Sequence[ExportedGene],
    model: str,
    out: str | os.PathLike[str],
    *,
    build: str | None,
    about: Mapping[str, str],
    agreement: Mapping[str, float] | None = None,
) -> None:
    """Writes the database and, beside it, the covariances.

    Args:
        genes: with a weight in the model.
        model: its name in `genes`.
        out: the database.
        build: of the positions.
        about: rows of the table `varfx`.
        agreement: of a network's approximation, the correlation with the network per gene, for the column `linearised.r` of `extra`.

    Raises:
        StoreError: a file cannot be written.
    """
    rows = pl.concat([gene.genes.filter(pl.col("model") == model) for gene in genes])
    tables = [gene.table(model).with_columns(variants.identifier(), varID=_long_name(build)) for gene in genes]
    p = rows["p"].to_numpy()
    q = false_discovery_control(np.where(np.isfinite(p), p, 1.0))
    with sealed.atomic_path(out) as partial, closing(sqlite3.connect(partial)) as base, base:
        base.executescript(_TABLES)
        base.executemany(
            "INSERT INTO extra VALUES (?, ?, ?, ?, ?, ?)",
            (
                (row["gene"], row["name"], table.height, row["r2"], row["p"], float(value))
                for row, table, value in zip(rows.iter_rows(named=True), tables, q, strict=True)
            ),
        )
        if agreement is not None:
            base.execute('ALTER TABLE extra ADD COLUMN "linearised.r" DOUBLE')
            pairs = [(None if np.isnan(r) else r, gene) for gene, r in agreement.items()]
            base.executemany('UPDATE extra SET "linearised.r" = ? WHERE gene = ?', pairs)
        columns = ("variant_id", "gene", "weight", "other_allele", "effect_allele", "varID", "eaf")
        for table in tables:
            base.executemany("INSERT INTO weights VALUES (?, ?, ?, ?, ?, ?, ?)", table.select(columns).iter_rows())
        base.executemany(
            "INSERT INTO construction VALUES (?, 0)", [(chrom,) for chrom in dict.fromkeys(g.chrom for g in genes)]
        )
        base.execute("INSERT INTO sample_info VALUES (?)", (max(rows["n"].to_list()),))
        base.executemany("INSERT INTO varfx VALUES (?, ?)", {**about, "build": build or "", "model": model}.items())
    _write_covariances(genes, model, covariance_path(out))


def _write_covariances(genes: Sequence[ExportedGene], model: str, path: Path) -> None:
    with sealed.atomic_path(path) as partial, gzip.GzipFile(partial, "wb", mtime=0) as file:
        file.write(b"GENE RSID1 RSID2 VALUE\n")
        for gene in genes:
            used = np.flatnonzero(gene.weights[:, gene.genes["model"].to_list().index(model)])
            names = gene.variants[used].select(variants.identifier()).to_series().to_list()
            block = gene.covariance[np.ix_(used, used)]
            for i, first in enumerate(names):
                lines = (f"{gene.gene} {first} {names[j]} {block[i, j]:.8g}\n" for j in range(i, len(names)))
                file.write("".join(lines).encode())


def _long_name(build: str | None) -> pl.Expr:
    """`chrom_position_ref_alt_build`, as PredictDB's varID."""
    place = pl.concat_str("chrom", "position", "other_allele", "effect_allele", separator="_")
    return place + pl.lit(_SUFFIX[build])


def is_predictdb(path: str | os.PathLike[str]) -> bool:
    """Whether a file is an SQLite database."""
    with Path(path).open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_predictdb(path: str | os.PathLike[str]) -> GeneModels:
    """The models of a PredictDB file, ours or anybody's; positions come from `varID` where it has them.

    Raises:
        FormatError: no such database, or without the tables.
    """
    try:
        with closing(sqlite3.connect(f"file:{Path(path).absolute()}?mode=ro", uri=True)) as base:
            weights, extra = _select(base, "weights"), _select(base, "extra")
            tables = {row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            about = dict(base.execute("SELECT key, value FROM varfx")) if "varfx" in tables else {}
            counts = base.execute('SELECT "n.samples" FROM sample_info').fetchone() if "sample_info" in tables else None
    except sqlite3.Error as error:
        raise FormatError(f"`{path}` is no PredictDB file: {error}.") from error
    lacking = [name for name in ("rsid", "gene", "weight", "ref_allele", "eff_allele") if name not in weights.columns]
    if lacking or "gene" not in extra.columns:
        raise FormatError(
            f"`{path}`: the table `weights` lacks {', '.join(lacking) or 'nothing, but `extra` has no `gene`'}."
        )
    build = about.get("build") or None
    placed, named = _placed(weights)
    return GeneModels(
        genes=_genes(extra, about.get("model", ""), counts),
        weights=placed,
        scale="allele",
        build=build or named,
        source=str(path),
        notes=[f"{path}: {about['approximation']}"] if "approximation" in about else [],
    )


def _select(base: sqlite3.Connection, table: str) -> pl.DataFrame:
    found = base.execute(f"SELECT * FROM {table}")
    names = [column[0] for column in found.description]
    rows = found.fetchall()
    return pl.DataFrame({name: [row[k] for row in rows] for k, name in enumerate(names)}, strict=False)


def _placed(weights: pl.DataFrame) -> tuple[pl.DataFrame, str | None]:
    """Columns of `WEIGHTS_SCHEMA`, and the build that variants' long names end in."""
    long = weights["varID"].cast(pl.String) if "varID" in weights.columns else weights["rsid"].cast(pl.String)
    place = variants.unpack_key(long)
    first = long.drop_nulls().head(1).to_list()
    eaf = weights["eaf"].cast(pl.Float64) if "eaf" in weights.columns else pl.lit(None, pl.Float64)
    table = weights.with_columns(
        chrom=place["chrom"],
        position=place["position"],
        variant_id=pl.col("rsid").cast(pl.String),
        effect_allele=pl.col("eff_allele").cast(pl.String).str.to_uppercase(),
        other_allele=pl.col("ref_allele").cast(pl.String).str.to_uppercase(),
        eaf=eaf,
        weight=pl.col("weight").cast(pl.Float64),
    )
    return table.filter(pl.col("weight") != 0).select(
        pl.col(n).cast(k) for n, k in WEIGHTS_SCHEMA.items()
    ), known_build(first[0].replace("_", " ") if first else "")


def _genes(extra: pl.DataFrame, model: str, counts: tuple[int] | None) -> pl.DataFrame:
    def column(*names: str) -> pl.Expr:
        found = [name for name in names if name in extra.columns]
        return pl.col(found[0]) if found else pl.lit(None)

    return extra.select(
        gene=pl.col("gene").cast(pl.String),
        name=column("genename", "gene_name").cast(pl.String),
        model=pl.lit(model),
        r2=column("pred.perf.R2").cast(pl.Float64, strict=False),
        p=column("pred.perf.pval").cast(pl.Float64, strict=False),
        n=pl.lit(None if counts is None else counts[0], pl.Int64),
    ).select(*GENES_SCHEMA)
