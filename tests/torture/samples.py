"""A small undamaged sample for every reader."""

from __future__ import annotations

import gzip
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
from torture.mutate import bgzf
from torture.stores import make_stores
from varfx.io import sealed_folder

GOLDEN = Path(__file__).parents[1] / "golden" / "cases"
SITES = Path(__file__).parent / "sites.tsv"
CHROM, SIZE = "22", 51_304_566
_FOLDERS = (
    *("plink1", "plink2", "plink2_zst", "ukb", "ldgm", "tables", "tracks", "gwas", "vcf", "fasta", "tensors", "yaml"),
    "stores",
)
_GWAS = (".tsv", ".txt", ".vcf", ".tbl", ".csv", ".ma", ".linear")


def make_samples(root: Path) -> None:
    """Writes the folders of samples."""
    rng = np.random.default_rng(1)
    sites = positions_of(rng, 24, ["21", "22"])
    counts = haplotype_counts(rng, 20, 24)
    for name in _FOLDERS:
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
        if path.suffix in _GWAS and path.stat().st_size < 60_000 and _is_read(path):
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
    make_stores(root / "stores")


def _is_read(path: Path) -> bool:
    """Whether a GWAS file needs no options: others would be refused whatever happens to them."""
    from varfx.errors import VarfxError
    from varfx.gwas.clean import clean

    try:
        clean(path)
    except VarfxError:
        return False
    return True


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
    panel = pl.read_csv(SITES, separator="\t", schema_overrides={"chrom": pl.String})
    named = {"chrom": "CHR", "position": "BP", "variant_id": "SNP", "effect_allele": "A1", "other_allele": "A2"}
    variances = panel.rename(named).with_columns(SNPVAR=pl.int_range(pl.len()) * 1e-6, N=pl.lit(1000))
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
    rows = rows.replace("-", "")  # read counts are not negative
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
    # Blocks that are stored, not compressed: a changed byte moves no other, so that damage inside passes the index.
    for name in ("a.vcf.gz", "b.bcf"):
        (folder / name).write_bytes(bgzf(gzip.decompress((folder / name).read_bytes())))
    pysam.tabix_index(str(folder / "a.vcf.gz"), preset="vcf", force=True)
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
    (folder / "sealed").mkdir()
    (folder / "sealed" / "a").write_text("content")
    sealed_folder.seal_directory(folder / "sealed")
