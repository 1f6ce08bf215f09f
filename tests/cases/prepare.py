"""A small simulated study as files: FASTA, GTF, VCF, expression BED, covariates; each drop rule has a gene of its own."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pysam

WINDOW = 1024
LENGTH = 40_000
GENES = {  # name: (chrom, strand, tss, type)
    "PLUS": ("22", "+", 5_000, "protein_coding"),
    "MINUS": ("22", "-", 8_000, "protein_coding"),
    "SHARED": ("22", "+", 8_400, "protein_coding"),  # its window overlaps MINUS's
    "NONCODING": ("22", "+", 12_000, "lincRNA"),
    "CROWDED1": ("22", "+", 15_000, "protein_coding"),
    "CROWDED2": ("22", "-", 15_064, "protein_coding"),
    "NEAR": ("22", "+", 15_129, "protein_coding"),  # 65 bases from CROWDED2
    "BEFORE": ("22", "+", 512, "protein_coding"),  # one base over the beginning
    "BEYOND": ("22", "+", LENGTH - 510, "protein_coding"),
    "MASKED": ("22", "+", 20_100, "protein_coding"),
    "EMPTY": ("22", "+", 23_000, "protein_coding"),
    "CONSTANT": ("22", "+", 25_000, "protein_coding"),
    "GAPS": ("22", "-", 27_000, "protein_coding"),
    "OTHERCHROM": ("21", "-", 9_000, "protein_coding"),
    "LAST": ("22", "-", 30_000, "protein_coding"),
}


def gene_id(name: str) -> str:
    return f"ENSG{list(GENES).index(name) + 1:011d}"


@dataclass
class Study:
    """The files' paths, and what was simulated."""

    folder: Path
    people: list[str]  # with genotypes
    expressed: list[str]
    positions: np.ndarray  # of the variants, 1-based, on chromosome 22
    haplotypes: np.ndarray  # (variant, individual, 2)
    values: dict[str, np.ndarray] = field(default_factory=dict)  # by gene name, of `expressed`
    genome: dict[str, str] = field(default_factory=dict)

    def options(self, **changes: object) -> dict[str, object]:
        """Arguments of the command, by name."""
        return {
            "genotypes": self.folder / "genotypes.vcf.gz",
            "expression": self.folder / "expression.bed.gz",
            "covariates": self.folder / "covariates.txt",
            "reference": self.folder / "reference.fa",
            "gtf": self.folder / "genes.gtf.gz",
            "window": WINDOW,
        } | changes


def make_study(folder: Path, *, seed: int = 0, people: int = 30, covariates: int = 2) -> Study:
    """Writes the files; 3 individuals lack expression, and 3 with expression lack genotypes."""
    rng = np.random.default_rng(seed)
    names = [f"S{number:02d}" for number in range(people)]
    expressed = names[:3:-1] + [f"X{number}" for number in range(3)] + [names[3]]
    genome = {chrom: "".join(rng.choice(list("ACGT"), LENGTH)) for chrom in ("21", "22")}
    masked = genome["22"]
    genome["22"] = masked[:20_000] + "NNNNN" + masked[20_005:]
    places = []
    for name, (chrom, _, tss, _) in GENES.items():
        if chrom == "22" and name not in ("EMPTY", "BEYOND"):
            places += list(rng.choice(np.arange(max(30, tss - 400), tss + 400), 8, replace=False))
    positions = np.unique([place for place in places if not 19_990 < place < 20_010])
    haplotypes = (rng.random((positions.size, people, 2)) < 0.4).astype(np.int8)
    study = Study(folder, names, expressed, positions, haplotypes, genome=genome)
    _write_reference(study)
    _write_gtf(study)
    _write_vcf(study)
    _write_expression(study, rng)
    lines = [
        ["ID", *expressed],
        *([f"PC{k}", *rng.standard_normal(len(expressed)).astype(str)] for k in range(covariates)),
    ]
    (folder / "covariates.txt").write_text("\n".join(" ".join(line) for line in lines) + "\n")
    return study


def _write_reference(study: Study) -> None:
    lines = []
    for chrom, text in study.genome.items():
        lines += [f">chr{chrom}", *(text[start : start + 60] for start in range(0, LENGTH, 60))]
    (study.folder / "reference.fa").write_text("\n".join(lines) + "\n")


def _write_gtf(study: Study) -> None:
    with gzip.open(study.folder / "genes.gtf.gz", "wt") as file:
        file.write("##description: simulated\n")
        for name, (chrom, strand, tss, kind) in GENES.items():
            start, end = (tss, tss + 300) if strand == "+" else (tss - 300, tss)
            about = f'gene_id "{gene_id(name)}.3"; gene_type "{kind}"; gene_name "{name}"; tag "a"; tag "b";'
            for feature in ("gene", "transcript"):
                file.write(f"chr{chrom}\tTEST\t{feature}\t{start}\t{end}\t.\t{strand}\t.\t{about}\n")


def _write_vcf(study: Study) -> None:
    text = ["##fileformat=VCFv4.2", '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    text += [f"##contig=<ID=22,length={LENGTH}>"]
    text += ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *study.people])]
    for row, position in enumerate(study.positions):
        ref = study.genome["22"][position - 1]
        alt = "ACGT"[("ACGT".index(ref) + 1) % 4]
        calls = [f"{a}|{b}" for a, b in study.haplotypes[row]]
        text.append("\t".join(["22", str(position), f"rs{position}", ref, alt, ".", "PASS", ".", "GT", *calls]))
    plain = study.folder / "genotypes.vcf"
    plain.write_text("\n".join(text) + "\n")
    pysam.tabix_compress(str(plain), f"{plain}.gz", force=True)
    pysam.tabix_index(f"{plain}.gz", preset="vcf", force=True)
    plain.unlink()


def _write_expression(study: Study, rng: np.random.Generator) -> None:
    size = len(study.expressed)
    for name in GENES:
        study.values[name] = np.full(size, 2.5) if name == "CONSTANT" else rng.gamma(2, 3, size)
    with gzip.open(study.folder / "expression.bed.gz", "wt") as file:
        file.write("\t".join(["#chr", "start", "end", "gene", "length", "strand", *study.expressed]) + "\n")
        for name, (chrom, strand, tss, _) in GENES.items():
            cells = [repr(float(value)) for value in study.values[name]]
            if name == "GAPS":
                cells[0] = "NA"
            file.write(
                "\t".join([f"chr{chrom}", str(tss - 1), str(tss), f"{gene_id(name)}.1", "300", strand, *cells]) + "\n"
            )
        file.write("\t".join(["chr22", "35000", "35001", "ENSG99999999999.1", "9", "+", *map(str, range(size))]) + "\n")
