"""Every reader, with the sample that it reads and the files of it that are damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from torture.stores import stores

SITES = Path(__file__).parent / "sites.tsv"
CHROM = "22"


@dataclass(frozen=True)
class Reader:
    """One reader, and which files of its sample are damaged."""

    name: str
    sample: str
    files: tuple[str, ...]
    read: Callable[[Path], object]
    """Reads the sample in a folder; of our own files its value must not change by damage."""


def _ld(path: str) -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        from varfx.genotypes.open_ld import open_source

        source = (
            open_source(folder / path, num_people=500 if path == "" else None)
            if path == ""
            else open_source(folder / path)
        )
        core, panel = source.select(CHROM, 0, 1500, 1000)
        if hasattr(source, "correlation"):
            source.correlation(core, panel)
        else:
            source.standardised(panel, np.float64)

    return read


def _ldgm_read(folder: Path) -> None:
    from varfx.genotypes.open_ld import open_source

    source = open_source(folder / "metadata.csv")
    source.correlation(*source.select(CHROM, 0, 9000, 1000))  # type: ignore[union-attr]


def _donors_read(path: str) -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        from varfx.genotypes.donors import open_donors

        donors = open_donors(folder / path)
        for file in donors._files:
            for chrom in file.chroms:
                list(file.records(chrom, 0, 5000))

    return read


def _signal(path: str, kind: str, column: int | None = None) -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        from varfx.tracks.signals import open_signal

        signal = open_signal(folder / path, kind, column)  # type: ignore[arg-type]
        signal.contradiction("hg19")
        signal.overhang("hg19")
        for chrom in signal.chroms:
            signal.values(chrom, 0, 6000)
            signal.values(chrom, 40_000_000, 40_001_000)

    return read


def _fasta(path: str) -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        from varfx.genome.fasta import open_fasta

        opened = open_fasta(folder / path)
        try:
            for chrom in ("22", "21"):
                opened.codes(chrom, 0, 400)
                opened.codes(chrom, 200, 1499 if chrom == "22" else 499)
        finally:
            opened.close()

    return read


def _clean(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        from varfx.gwas.clean import clean

        clean(folder / name, out=folder / "out.parquet")

    return read


def _variances(path: str) -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        from varfx.annotations.snpvar import read_variances
        from varfx.io.text_table import open_table

        table = open_table(SITES).read()
        read_variances(
            folder / path, table.with_columns(pl.col("position").cast(pl.Int64), eaf=pl.lit(None, pl.Float64))
        )

    return read


def read_dbnsfp_sample(folder: Path) -> None:
    from varfx.annotations.dbnsfp import DbnsfpSpec, read_dbnsfp

    places = list(range(1, 4001, 2))
    panel = pl.DataFrame({"chrom": ["22"] * len(places) + ["21"] * len(places), "position": places * 2})
    read_dbnsfp(DbnsfpSpec(folder / "d.dbnsfp.gz", ("SIFT_score", "CADD_phred"), reduce="canonical"), panel)


def _call(module: str, function: str, path: str, *arguments: object, **options: object) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        import importlib

        return getattr(importlib.import_module(module), function)(folder / path, *arguments, **options)

    return read


def readers(root: Path) -> list[Reader]:
    """All readers; the samples must have been made."""
    sumstats = [
        Reader(f"gwas {path.name}", "gwas", (path.name,), _clean(path.name))
        for path in sorted((root / "gwas").iterdir())
    ]
    tables = "varfx.expression.cohort.tables"
    return [
        Reader("plink1", "plink1", ("x.bed", "x.bim", "x.fam"), _ld("x.bed")),
        Reader("plink2", "plink2", ("x.pgen", "x.pvar", "x.psam"), _ld("x.pgen")),
        Reader("plink2 zst", "plink2_zst", ("x.pvar.zst", "x.psam"), _ld("x.pgen")),
        Reader("plink1 people", "plink1", ("x.bed", "x.bim", "x.fam"), _donors_read("x.bed")),
        Reader("plink2 people", "plink2", ("x.pgen", "x.pvar", "x.psam"), _donors_read("x.pgen")),
        Reader("ukb", "ukb", tuple(path.name for path in sorted((root / "ukb").iterdir())), _ld("")),
        Reader("ldgm", "ldgm", ("metadata.csv", "a.edgelist", "a.snplist"), _ldgm_read),
        Reader("vcf", "vcf", ("a.vcf.gz", "a.vcf.gz", "a.vcf.gz.tbi"), _donors_read("a.vcf.gz")),
        Reader("bcf", "vcf", ("b.bcf", "b.bcf", "b.bcf.csi"), _donors_read("b.bcf")),
        Reader("fasta", "fasta", ("r.fa", "r.fa.fai"), _fasta("r.fa")),
        Reader("fasta bgzip", "fasta", ("z.fa.gz", "z.fa.gz.fai", "z.fa.gz.gzi"), _fasta("z.fa.gz")),
        Reader("bigwig", "tracks", ("a.bw",), _signal("a.bw", "bigwig")),
        Reader("bed", "tracks", ("a.bed",), _signal("a.bed", "bed", 5)),
        Reader("bed gz", "tracks", ("a.bed.gz",), _signal("a.bed.gz", "bed", 5)),
        Reader("bedgraph", "tracks", ("a.bedgraph",), _signal("a.bedgraph", "bedgraph")),
        *sumstats,
        Reader("annotation text", "tables", ("a.annot.txt",), _call("varfx.annotations.foreign", "read_annotation_table", "a.annot.txt")),
        Reader("annotation parquet", "tables", ("a.parquet",), _call("varfx.annotations.foreign", "read_annotation_table", "a.parquet")),
        Reader("annotation gz", "tables", ("a.annot.gz",), _call("varfx.annotations.foreign", "read_annotation_table", "a.annot.gz")),
        Reader("snpvar", "tables", ("v.txt",), _variances("v.txt")),
        Reader("snpvar parquet", "tables", ("v.parquet",), _variances("v.parquet")),
        Reader("ld scores", "tables", ("s.l2.ldscore.gz", "s.l2.M_5_50"), _call("varfx.annotations.ld_scores", "read_ld_scores", "s.l2.ldscore.gz")),
        Reader("ld scores parquet", "tables", ("p.l2.ldscore.parquet",), _call("varfx.annotations.ld_scores", "read_ld_scores", "p.l2.ldscore.parquet")),
        Reader("chain", "tables", ("c.over.chain",), _call("varfx.genome.liftover", "read_chain", "c.over.chain")),
        Reader("chain gz", "tables", ("c.over.chain.gz",), _call("varfx.genome.liftover", "read_chain", "c.over.chain.gz")),
        Reader("dbnsfp", "tables", ("d.dbnsfp.gz",), read_dbnsfp_sample),
        Reader("history", "tables", ("history.csv",), _call("varfx.report.training", "read_history", "history.csv")),
        Reader("expression bed", "tables", ("e.bed.gz",), _call(tables, "read_expression_bed", "e.bed.gz")),
        Reader("gct", "tables", ("e.gct",), _call(tables, "read_gct", "e.gct")),
        Reader("covariates", "tables", ("cov.txt",), _call(tables, "read_covariates", "cov.txt")),
        Reader("gtf", "tables", ("g.gtf",), _call("varfx.genome.gtf", "read_gtf", "g.gtf")),
        Reader("gene ids", "tables", ("genes.txt",), _call("varfx.expression.gene_list", "read_genes", "genes.txt")),
        Reader("kin0", "tables", ("pairs.kin0",), _call("varfx.genotypes.pair_lists", "read_pairs", "pairs.kin0", "relatives", ("S1", "S2", "S3"))),
        Reader("remove list", "tables", ("remove.txt",), _call("varfx.genotypes.name_lists", "read_individuals", "remove.txt", "exclude", ("S1", "S2"))),
        Reader("positions", "tables", ("a.annot.txt",), _call("varfx.gwas.positions", "read_positions", "a.annot.txt")),
        Reader("safetensors", "tensors", ("w.safetensors",), _call("varfx.models.checkpoint_file", "read_tensors", "w.safetensors", "Enformer")),
        Reader("torch", "tensors", ("w.pt",), _call("varfx.models.checkpoint_file", "read_tensors", "w.pt", "Enformer")),
        Reader("tracks yaml", "yaml", ("tracks.yaml",), _call("varfx.tracks.manifest", "read_manifest_yaml", "tracks.yaml")),
        Reader("experiment yaml", "yaml", ("experiment.yaml",), _call("varfx.prior.experiment.config", "read_experiment", "experiment.yaml")),
        Reader("sidecar", "yaml", ("g.tsv-meta.yaml",), _call("varfx.gwas.study", "read_sidecar", "g.tsv")),
        *[Reader(f"store {name}", "stores", files, read) for name, (files, read) in stores(root / "stores").items()],
        Reader("json manifest", "yaml", ("sealed/manifest.json",), _call("varfx.io.sealed_folder", "read_manifest", "sealed")),
    ]  # fmt: skip


READ_BY = (
    "bed_reader",
    "cyvcf2",
    "pandas",
    "polars._utils.udfs",
    "pyarrow.compute",
    "pysam",
    "safetensors.torch",
    "sympy",
    "varfx.annotations.dbnsfp",
    "varfx.annotations.foreign",
    "varfx.annotations.ld_scores",
    "varfx.annotations.snpvar",
    "varfx.cli.command_line",
    "varfx.expression.cohort.store",
    "varfx.expression.cohort.tables",
    "varfx.expression.run",
    "varfx.genome.fasta",
    "varfx.genome.gtf",
    "varfx.genome.liftover",
    "varfx.genotypes.donors",
    "varfx.genotypes.name_lists",
    "varfx.genotypes.pair_lists",
    "varfx.genotypes.open_ld",
    "varfx.gwas.clean",
    "varfx.gwas.positions",
    "varfx.gwas.study",
    "varfx.gwas.sumstats",
    "varfx.ld.store",
    "varfx.models.checkpoint_file",
    "varfx.models.enformer_weights",
    "varfx.prior.experiment.config",
    "varfx.prior.run",
    "varfx.report.training",
    "varfx.tracks.manifest",
    "varfx.tracks.signals",
    "varfx.tracks.store",
    "zarr",
)
"""Modules that the readers need, imported before any child is forked."""
