"""Data of the demonstration of expression: real files in a folder, or genes simulated on real genotypes.

The simulation takes individuals and genotypes as they are. Around them it makes a genome, random but for the variants, which carry one
of their two alleles; genes, some with a causal variant near the TSS, some with one far from it, some with none; and expression of
each individual. All of it is written as files (FASTA, GTF, expression BED), as anybody's data come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float64
from numpy import ndarray

from varfx.errors import DataError
from varfx.expression.cohort.prepare import PrepareFiles
from varfx.genome.fasta import CODE_OF, UNKNOWN, bases
from varfx.genotypes.donors import DonorVariants, open_donors
from varfx.genotypes.plink1 import BedFile
from varfx.io import sealed
from varfx.io.run_folder import check_parent

NEEDED = {  # what a folder of real data holds: one file of each
    "genotypes": "genotypes/*.vcf.gz",
    "expression": "expression/*.bed.gz",
    "reference": "reference/*.fa.gz",
    "gtf": "genes/*.gtf.gz",
}
COVARIATES = "expression/*covariates*.txt.gz"
LINE = 60  # bases a line of FASTA
COMMON = 0.2  # least frequency of either allele of a causal variant
TRUTH_SCHEMA: dict[str, pl.DataType] = {
    "gene_id": pl.String(),
    "name": pl.String(),
    "chrom": pl.String(),
    "strand": pl.String(),
    "tss": pl.Int64(),
    "kind": pl.String(),
    "heritability": pl.Float64(),
    "position": pl.Int64(),  # of the causal variant; null without one
    "tss_distance": pl.Int64(),  # of it, along the strand
    "effect": pl.Float64(),  # standard deviations of expression per standard deviation of ALT's copies
}


@dataclass(frozen=True)
class GeneKind:
    """Genes that are simulated alike: their share of heritability, and how far the causal variant is from the TSS."""

    name: str
    heritability: float
    nearest: int
    farthest: int


KINDS = (GeneKind("near", 0.5, 100, 2_900), GeneKind("far", 0.3, 6_000, 20_000), GeneKind("none", 0.0, 0, 0))


@dataclass(frozen=True, kw_only=True, eq=False)
class DemoStudy:
    """Files, and what is known about them.

    Attributes:
        inputs: of `varfx expr prepare`.
        truth: columns of `TRUTH_SCHEMA` where expression is simulated; None where it is real.
    """

    inputs: PrepareFiles
    truth: pl.DataFrame | None = None


def holds_study(folder: Path) -> bool:
    """True if a folder has a file of each kind that is needed."""
    return all(any(folder.glob(pattern)) for pattern in NEEDED.values())


def find_study(folder: Path) -> DemoStudy:
    """The files of a folder of real data; see `NEEDED`.

    Raises:
        DataError: one is not there, or there are several.
    """
    found: dict[str, Any] = {}
    for name, pattern in NEEDED.items():
        paths = sorted(folder.glob(pattern))
        if len(paths) != 1:
            raise DataError(
                f"`{folder}` holds {len(paths)} files {pattern}, where the demo needs one ({name}). It needs one each of "
                f"{', '.join(NEEDED.values())}. For other data use `varfx expr prepare`."
            )
        found[name] = paths[0]
    found["genotypes"] = (found["genotypes"],)
    covariates = sorted(folder.glob(COVARIATES))
    return DemoStudy(inputs=PrepareFiles(**found, covariates=covariates[0] if len(covariates) == 1 else None))


def simulate_study(
    genotypes: Path, folder: Path, *, num_genes: int = 15, window: int = 49_152, seed: int = 0
) -> DemoStudy:
    """Writes a genome, genes and expression for real genotypes.

    Genes of the three `KINDS` take turns, two windows apart, around the middle one of the variants. Expression is
    exp(2 + y / 2), where y = effect * standardised copies of the causal variant's ALT + noise has variance 1.

    Args:
        genotypes: a PLINK .bed.
        folder: where files are written; made if it is not there, and so is the demo's folder above it.
        num_genes: how many genes.
        window: bases around a TSS that will be looked at.
        seed: of everything random.

    Raises:
        DataError: no gene has a common variant near it.
        StoreError: the folder cannot be written.
    """
    rng = np.random.default_rng(seed)
    check_parent(folder if folder.parent.exists() else folder.parent)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise sealed.write_error(folder, error) from error
    donors = open_donors(genotypes)
    chrom = donors.chroms[0]
    start, end = _region(genotypes, chrom, 2 * window * num_genes)
    block = donors.read(chrom, start, end)
    _write_genome(folder / "reference.fa.gz", block, chrom, start, end, rng)
    places = [start + window + 2 * window * number for number in range(num_genes)]
    truth, values = _simulate_genes(block, chrom, places, rng)
    _write_gtf(folder / "genes.gtf", truth)
    _write_expression(folder / "expression.bed", truth, donors.people, values)
    with sealed.atomic_path(folder / "truth.tsv") as partial:
        truth.write_csv(partial, separator="\t")
    inputs = PrepareFiles(
        genotypes=(genotypes,),
        reference=folder / "reference.fa.gz",
        gtf=folder / "genes.gtf",
        expression=folder / "expression.bed",
    )
    return DemoStudy(inputs=inputs, truth=truth)


def _region(genotypes: Path, chrom: str, length: int) -> tuple[int, int]:
    """So many bases around the middle one of a chromosome's variants, 0-based, half-open."""
    sites = BedFile(str(genotypes).removesuffix(".bed")).sites
    positions = sites.filter(pl.col("chrom") == chrom)["position"].sort()
    start = max(0, int(positions[len(positions) // 2]) - length // 2)
    return start, start + length


def _write_genome(path: Path, block: DonorVariants, chrom: str, start: int, end: int, rng: np.random.Generator) -> None:
    """FASTA: N up to `start`, then random bases, of which those at variants are their REF."""
    import pysam

    codes = np.full(end, UNKNOWN, dtype=np.uint8)
    codes[start:] = rng.integers(0, 4, end - start)
    ref = "".join(block.variants["other_allele"].to_list()).encode()
    codes[block.variants["position"].to_numpy() - 1] = CODE_OF[np.frombuffer(ref, dtype=np.uint8)]
    text = bases(codes)
    plain = path.with_suffix("")
    sealed.write_text(plain, "\n".join([f">{chrom}", *(text[i : i + LINE] for i in range(0, end, LINE)), ""]))
    with sealed.atomic_path(path) as partial:
        pysam.tabix_compress(str(plain), str(partial), force=True)
    for stale in (plain, Path(f"{path}.fai"), Path(f"{path}.gzi")):
        stale.unlink(missing_ok=True)


def _simulate_genes(
    block: DonorVariants, chrom: str, places: Sequence[int], rng: np.random.Generator
) -> tuple[pl.DataFrame, Float64[ndarray, "gene individual"]]:
    """The genes near these places, and expression of each individual."""
    positions = block.variants["position"].to_numpy()
    copies = np.ma.masked_less(block.dosages, 0).astype(np.float64)
    frequency = copies.mean(axis=1).filled(0) / 2
    common = np.flatnonzero(np.minimum(frequency, 1 - frequency) >= COMMON)
    if not common.size:
        raise DataError(f"none of {len(positions)} variants is common: there is nothing to simulate expression from.")
    rows, values = [], []
    for number, place in enumerate(places):
        kind, strand = KINDS[number % len(KINDS)], int(rng.choice([-1, 1]))
        row: dict[str, Any] = {"gene_id": f"DEMO{number + 1:02d}", "name": f"{kind.name}{number // len(KINDS) + 1}"}
        row |= {"chrom": chrom, "strand": "+" if strand > 0 else "-", "tss": place}
        row |= {"kind": kind.name, "heritability": kind.heritability}
        y = rng.standard_normal(copies.shape[1])
        if kind.heritability:
            causal = int(common[np.abs(positions[common] - place).argmin()])
            distance = int(rng.choice([-1, 1])) * int(rng.integers(kind.nearest, kind.farthest))
            effect = float(rng.choice([-1, 1])) * kind.heritability**0.5
            signal = copies[causal].filled(copies[causal].mean())
            y = effect * (signal - signal.mean()) / signal.std() + (1 - kind.heritability) ** 0.5 * y
            row |= {"tss": int(positions[causal]) - strand * distance, "position": int(positions[causal])}
            row |= {"tss_distance": distance, "effect": effect}
        rows.append(row)
        values.append(np.exp(2 + y / 2))
    return pl.DataFrame(rows, schema=TRUTH_SCHEMA), np.stack(values)


def _write_gtf(path: Path, truth: pl.DataFrame) -> None:
    lines = []
    for gene_id, name, chrom, strand, tss in truth.select("gene_id", "name", "chrom", "strand", "tss").iter_rows():
        start, end = (tss, tss + 999) if strand == "+" else (tss - 999, tss)
        about = f'gene_id "{gene_id}"; gene_type "protein_coding"; gene_name "{name}";'
        lines.append(f"{chrom}\tsimulated\tgene\t{start}\t{end}\t.\t{strand}\t.\t{about}\n")
    sealed.write_text(path, "".join(lines))


def _write_expression(
    path: Path, truth: pl.DataFrame, people: Sequence[str], values: Float64[ndarray, "gene individual"]
) -> None:
    lines = ["\t".join(["#chr", "start", "end", "gene_id", *people])]
    for (chrom, tss, gene_id), row in zip(truth.select("chrom", "tss", "gene_id").iter_rows(), values, strict=True):
        lines.append("\t".join([chrom, str(tss - 1), str(tss), gene_id, *(f"{value:.6g}" for value in row)]))
    sealed.write_text(path, "\n".join([*lines, ""]))
