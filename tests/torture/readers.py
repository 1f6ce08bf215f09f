"""Every reader of files that others made, with a small sample of each."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pysam
import safetensors.numpy
import torch
import zstandard

from cases.donors import write_fasta, write_vcf
from cases.ld import haplotype_counts, positions_of, write_bed, write_pgen, write_ukb
from cases.tracks import write_bigwig

GOLDEN = Path(__file__).parents[1] / "golden" / "cases"
CHROM, SIZE = "22", 51_304_566


@dataclass(frozen=True)
class Reader:
    """One reader, and which files of its sample are damaged."""

    name: str
    sample: str
    files: tuple[str, ...]
    read: Callable[[Path], object]
    share: float = 1.0  # of the mutations and the time


# ---- samples -------------------------------------------------------------------------------------------------------


def make_samples(root: Path) -> None:
    """Writes the folders of samples."""
    rng = np.random.default_rng(1)
    sites = positions_of(rng, 24, ["21", "22"])
    counts = haplotype_counts(rng, 20, 24)
    for name in (
        "plink1",
        "plink2",
        "plink2_zst",
        "ukb",
        "ldgm",
        "tables",
        "tracks",
        "gwas",
        "vcf",
        "fasta",
        "tensors",
        "yaml",
    ):
        (root / name).mkdir(parents=True)
    write_bed(root / "plink1" / "x", counts, sites)
    write_pgen(root / "plink2" / "x", counts, sites)
    write_pgen(root / "plink2_zst" / "x", counts, sites)
    pvar = root / "plink2_zst" / "x.pvar"
    (root / "plink2_zst" / "x.pvar.zst").write_bytes(zstandard.compress(pvar.read_bytes()))
    pvar.unlink()
    write_ukb(root / "ukb", root / "plink1" / "x.bed", "22", [0, 1000])
    _ldgm(root / "ldgm")
    _tables(root / "tables", sites)
    _expression(root / "tables", rng)
    runs = [("22", start, start + 7, float(start % 5)) for start in range(100, 4000, 10)]
    write_bigwig(root / "tracks" / "a.bw", runs, lengths={CHROM: SIZE})
    bed = "track name=x\n" + "".join(f"chr22\t{s}\t{e}\tn{s}\t{v}\t+\n" for _, s, e, v in runs[:40])
    (root / "tracks" / "a.bed").write_text(bed)
    (root / "tracks" / "a.bed.gz").write_bytes(gzip.compress(bed.encode()))
    (root / "tracks" / "a.bedgraph").write_text("".join(f"chr22\t{s}\t{e}\t{v}\n" for _, s, e, v in runs[:40]))
    for path in sorted(GOLDEN.glob("[0-9P]*/*")):
        if (
            path.is_file()
            and path.stat().st_size < 60_000
            and path.suffix in (".tsv", ".txt", ".vcf", ".tbl", ".csv", ".ma", ".linear")
        ):
            (root / "gwas" / f"{path.parent.name[:2]}_{path.name}").write_bytes(path.read_bytes())
    _donors(root / "vcf", rng)
    write_fasta(root / "fasta" / "r.fa", {"chr22": "ACGTN" * 300, "chr21": "TTGCA" * 100})
    write_fasta(root / "fasta" / "z.fa.gz", {"chr22": "ACGTN" * 300, "chr21": "TTGCA" * 100})
    for name in ("r.fa", "z.fa.gz"):
        pysam.faidx(str(root / "fasta" / name))
    state = {"stem.0.weight": np.zeros((4, 4, 15), np.float32), "b": np.zeros(3, np.float32)}
    safetensors.numpy.save_file(state, root / "tensors" / "w.safetensors")
    torch.save({name: torch.from_numpy(each) for name, each in state.items()}, root / "tensors" / "w.pt")
    _yaml(root / "yaml")


def _ldgm(folder: Path) -> None:
    (folder / "metadata.csv").write_text(
        "chrom,chromStart,chromEnd,name,snplistName,population\n22,0,3000,a.edgelist,a.snplist,EUR\n"
        "22,3000,6000,b.edgelist,b.snplist,EUR\n"
    )
    for name, start in (("a", 100), ("b", 3100)):
        rows = "".join(f"{i},C,T,rs{name}{i},{start + 10 * i},0.{i + 1},+\n" for i in range(6))
        (folder / f"{name}.snplist").write_text(f"index,anc_alleles,deriv_alleles,site_ids,position,EUR,swap\n{rows}")
        edges = "".join(f"{i},{i},2\n" for i in range(6)) + "".join(f"{i},{i + 1},-0.4\n" for i in range(5))
        (folder / f"{name}.edgelist").write_text(edges)


def _tables(folder: Path, sites: pl.DataFrame) -> None:
    rows = [(c, p, f"rs{c}_{p}", "A", "G") for c, p in sites.iter_rows()]
    columns = ["CHR", "BP", "SNP", "A1", "A2"]
    keys = pl.DataFrame(rows, schema=columns, orient="row")
    annot = keys.with_columns(base=pl.lit(1), score=pl.int_range(pl.len()) / 7, flag=pl.int_range(pl.len()) % 2)
    annot.write_csv(folder / "a.annot.txt", separator="\t")
    annot.write_parquet(folder / "a.parquet", row_group_size=10)
    (folder / "a.annot.gz").write_bytes(
        gzip.compress(
            annot.select("CHR", "BP", "SNP", pl.lit(0).alias("CM"), "base", "score").write_csv(separator=" ").encode()
        )
    )
    variances = keys.with_columns(SNPVAR=pl.int_range(pl.len()) * 1e-6, N=pl.lit(1000))
    variances.write_csv(folder / "v.txt", separator="\t")
    variances.write_parquet(folder / "v.parquet")
    scores = keys.select("CHR", "SNP", "BP").with_columns(
        baseL2=pl.int_range(pl.len()) * 1.5, xL2=pl.int_range(pl.len()) * 0.5
    )
    (folder / "s.l2.ldscore.gz").write_bytes(gzip.compress(scores.write_csv(separator="\t").encode()))
    (folder / "s.l2.M_5_50").write_text("100\t20\n")
    scores.write_parquet(folder / "p.l2.ldscore.parquet")
    (folder / "p.l2.M_5_50").write_text("100\t20\n")
    (folder / "c.over.chain").write_text(
        f"chain 1000 chr22 {SIZE} + 0 120 chr22 50818468 - 10 131 1\n50 0 1\n70\n\nchain 9 chr21 48129895 + 5 25 chr21 46709983 + 5 25 2\n20\n"
    )
    (folder / "c.over.chain.gz").write_bytes(gzip.compress((folder / "c.over.chain").read_bytes()))
    names = (
        "#chr\tpos(1-based)\tref\talt\thg19_chr\thg19_pos(1-based)\tgenename\tSIFT_score\tCADD_phred\tVEP_canonical\n"
    )
    lines = "".join(f"{c}\t{p}\tG\tA\t{c}\t{p}\tG{p}\t0.1;.;0.3\t{p % 40}\tYES;.;.\n" for c, p in sites.iter_rows())
    (folder / "d.dbnsfp.gz").write_bytes(gzip.compress((names + lines).encode()))
    (folder / "history.csv").write_text(
        "step,train_log_p_per_association,validation_log_p_per_association\n"
        + "".join(f"{k},-0.{k},-0.{k + 1}\n" for k in range(9))
    )


def _expression(folder: Path, rng: np.random.Generator) -> None:
    people = [f"S{k}" for k in range(8)]
    values = rng.normal(size=(5, 8)).round(3)
    genes = [f"ENSG{k:011d}.2" for k in range(5)]
    head = "#chr\tstart\tend\tgene_id\t" + "\t".join(people) + "\n"
    body = "".join(
        f"chr22\t{9 * k}\t{9 * k + 1}\t{g}\t" + "\t".join(map(str, values[k])) + "\n" for k, g in enumerate(genes)
    )
    (folder / "e.bed.gz").write_bytes(gzip.compress((head + body).encode()))
    rows = "".join(f"{g}\tN{k}\t" + "\t".join(map(str, values[k])) + "\n" for k, g in enumerate(genes))
    (folder / "e.gct").write_text("#1.2\n5\t8\nName\tDescription\t" + "\t".join(people) + "\n" + rows)
    lines = "".join(f"c{k} " + " ".join(map(str, values[k])) + "\n" for k in range(3))
    (folder / "cov.txt").write_text("ID " + " ".join(people) + "\n" + lines)
    gtf = "".join(
        f'chr22\tx\tgene\t{100 * k + 1}\t{100 * k + 90}\t.\t+\t.\tgene_id "{g}"; gene_type "protein_coding"; gene_name "N{k}";\n'
        for k, g in enumerate(genes)
    )
    (folder / "g.gtf").write_text("##provider: x\n" + gtf)
    (folder / "genes.txt").write_text("gene_id\n" + "\n".join(genes) + "\n")
    (folder / "pairs.kin0").write_text(
        "#FID1\tIID1\tFID2\tIID2\tNSNP\tHETHET\tIBS0\tKINSHIP\n0\tS1\t0\tS2\t9\t0.1\t0\t0.25\n"
    )
    (folder / "remove.txt").write_text("#FID IID\nF S1\nF S3\n")
    (folder / "groups.txt").write_text("sample\tpop\n" + "".join(f"{name}\tEUR\n" for name in people))


def _donors(folder: Path, rng: np.random.Generator) -> None:
    people = [f"S{k}" for k in range(6)]
    rows = [
        f"22 {100 + 13 * k} rs{k} A {'C,T' if k % 5 == 0 else 'G'} GT "
        + " ".join(f"{rng.integers(2)}|{rng.integers(2)}" for _ in people)
        for k in range(30)
    ]
    write_vcf(folder / "a.vcf.gz", rows, people)
    with (
        pysam.VariantFile(str(folder / "a.vcf.gz")) as source,
        pysam.VariantFile(str(folder / "b.bcf"), "wb", header=source.header) as target,
    ):
        for record in source:
            target.write(record)
    pysam.tabix_index(str(folder / "b.bcf"), preset="bcf", force=True, csi=True)


def _yaml(folder: Path) -> None:
    (folder / "tracks.yaml").write_text(
        "tracks:\n- name: a\n  file: a.bed\n  transform: log1p\n  column: 5\n- &x {name: b, file: a.bed}\n"
    )
    (folder / "a.bed").write_text("chr22\t1\t5\tx\t3\n")
    (folder / "experiment.yaml").write_text(
        "kind: fig3\ntitle: x\npanel: {path: p}\ntruth: {}\nmodels:\n- {name: a, kind: mlp}\n- {name: b, kind: linear}\ntraining: {steps: 5}\n"
    )
    (folder / "g.tsv").write_text("x\n")
    (folder / "g.tsv-meta.yaml").write_text(
        "genome_assembly: GRCh37\ntrait_description: [height]\nsamples:\n- sample_size: 100\n  case_count: 5\ncoordinate_system: 1-based\n"
    )
    (folder / "manifest.json").write_text(
        json.dumps({"format_version": 1, "files": {"a": [1, "0" * 64]}, "sha256": ""})
    )


# ---- readers -------------------------------------------------------------------------------------------------------


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

        table = open_table(Path(__file__).parent / "sites.tsv").read()
        read_variances(
            folder / path, table.with_columns(pl.col("position").cast(pl.Int64), eaf=pl.lit(None, pl.Float64))
        )

    return read


def _dbnsfp(folder: Path) -> None:
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
        Reader(f"gwas {path.name}", "gwas", (path.name,), _clean(path.name), share=0.1)
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
        Reader("dbnsfp", "tables", ("d.dbnsfp.gz",), _dbnsfp),
        Reader("history", "tables", ("history.csv",), _call("varfx.report.training", "read_history", "history.csv")),
        Reader("expression bed", "tables", ("e.bed.gz",), _call(tables, "read_expression_bed", "e.bed.gz")),
        Reader("gct", "tables", ("e.gct",), _call(tables, "read_gct", "e.gct")),
        Reader("covariates", "tables", ("cov.txt",), _call(tables, "read_covariates", "cov.txt")),
        Reader("gtf", "tables", ("g.gtf",), _call("varfx.genome.gtf", "read_gtf", "g.gtf")),
        Reader("gene ids", "tables", ("genes.txt",), _call(tables, "read_gene_ids", "genes.txt")),
        Reader("kin0", "tables", ("pairs.kin0",), _call("varfx.genotypes.name_lists", "read_pairs", "pairs.kin0", "relatives", ("S1", "S2", "S3"))),
        Reader("remove list", "tables", ("remove.txt",), _call("varfx.genotypes.name_lists", "read_individuals", "remove.txt", "exclude", ("S1", "S2"))),
        Reader("positions", "tables", ("a.annot.txt",), _call("varfx.gwas.positions", "read_positions", "a.annot.txt")),
        Reader("safetensors", "tensors", ("w.safetensors",), _call("varfx.models.enformer_weights", "_read_tensors", "w.safetensors")),
        Reader("torch", "tensors", ("w.pt",), _call("varfx.models.enformer_weights", "_read_tensors", "w.pt")),
        Reader("tracks yaml", "yaml", ("tracks.yaml",), _call("varfx.tracks.manifest", "read_manifest_yaml", "tracks.yaml")),
        Reader("experiment yaml", "yaml", ("experiment.yaml",), _call("varfx.prior.experiment.config", "read_experiment", "experiment.yaml")),
        Reader("sidecar", "yaml", ("g.tsv-meta.yaml",), _call("varfx.gwas.study", "read_sidecar", "g.tsv")),
        Reader("json manifest", "yaml", ("manifest.json",), _call("varfx.io.sealed", "read_manifest", "")),
    ]  # fmt: skip


def preload() -> None:
    """Imports what the readers import, so that no child has to."""
    import varfx.annotations.dbnsfp
    import varfx.annotations.foreign
    import varfx.annotations.ld_scores
    import varfx.annotations.snpvar
    import varfx.expression.cohort.tables
    import varfx.genome.fasta
    import varfx.genome.gtf
    import varfx.genome.liftover
    import varfx.genotypes.donors
    import varfx.genotypes.name_lists
    import varfx.genotypes.open_ld
    import varfx.gwas.clean
    import varfx.gwas.positions
    import varfx.models.enformer_weights
    import varfx.prior.experiment.config
    import varfx.report.training
    import varfx.tracks.manifest
    import varfx.tracks.signals  # noqa: F401
