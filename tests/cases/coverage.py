"""Simulated coverage of a cohort's individuals: exons of a gene whose depth follows the individual's expression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pybigtools

from varfx.expression.cohort.store import Cohort, GeneWindow, open_cohort

STEP = 32  # bases of equal depth


def exons_of(gene: GeneWindow) -> list[tuple[int, int]]:
    """Two exons behind the TSS, 1-based and inclusive: an eighth and a sixteenth of the window, an eighth apart."""
    unit = (gene.end - gene.start) // 16
    spans = [(0, 2 * unit), (4 * unit, 5 * unit)]
    if gene.strand == "+":
        return [(gene.tss + start, gene.tss + end - 1) for start, end in spans]
    return sorted((gene.tss - end + 1, gene.tss - start) for start, end in spans)


def write_gtf(path: Path, cohort: Cohort) -> Path:
    """Genes and exons of a cohort."""
    lines = []
    for gene_id in cohort.genes["gene_id"]:
        gene, marks = (
            cohort.gene(gene_id),
            f'gene_id "{gene_id}.3"; gene_type "protein_coding"; transcript_id "T_{gene_id}";',
        )
        spans = exons_of(gene)
        for feature, start, end in [("gene", spans[0][0], spans[-1][1]), *(("exon", *span) for span in spans)]:
            lines.append(f"chr{gene.chrom}\tsim\t{feature}\t{start}\t{end}\t.\t{gene.strand}\t.\t{marks}\n")
    path.write_text("".join(lines))
    return path


def write_coverage(
    folder: Path, cohort_path: Path, *, depth: float = 20.0, effect: float = 0.3, stranded: bool = False, seed: int = 0
) -> Path:
    """Writes a bigWig per individual (and strand) and the table that names them, whose path it returns.

    The depth of a gene's exons is `depth * exp(effect * z)`, z the individual's standardised expression, times a shape that all
    share, Poisson in stretches of 32 bases; a twentieth of it between exons. The other strand has a tenth.
    """
    cohort = open_cohort(cohort_path)
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    values = cohort.expression().astype(float)
    z = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
    shapes = {}
    for row, gene_id in enumerate(cohort.genes["gene_id"]):
        gene = cohort.gene(gene_id)
        starts = np.arange(gene.start, gene.end, STEP)
        inside = np.zeros(starts.size, dtype=bool)
        for start, end in exons_of(gene):
            inside |= (starts < end) & (starts + STEP > start - 1)
        shapes[row] = gene, starts, np.where(inside, rng.uniform(0.5, 1.5, starts.size), 0.05)
    lines = ["person\tbigwig_plus" + ("\tbigwig_minus" if stranded else "")]
    for number, name in enumerate(cohort.people):
        names = []
        for strand in "+-" if stranded else ".":
            runs: dict[tuple[str, int], tuple[int, float]] = {}
            for row, (gene, starts, shape) in shapes.items():
                level = depth * np.exp(effect * z[row, number]) * (0.1 if strand not in (".", gene.strand) else 1.0)
                counts = rng.poisson(level * shape * STEP / 10) / (STEP / 10)  # reads of ten bases
                for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
                    runs[gene.chrom, start] = min(start + STEP, gene.end), float(count)
            file = f"{number}{'m' if strand == '-' else ''}.bw"
            rows = ((f"chr{chrom}", start, end, value) for (chrom, start), (end, value) in sorted(runs.items()))
            chroms = {f"chr{gene.chrom}": 10_000_000 for gene, _, _ in shapes.values()}
            pybigtools.open(str(folder / file), "w").write(chroms, rows)
            names.append(file)
        lines.append("\t".join([name, *names]))
    (folder / "people.tsv").write_text("\n".join(lines) + "\n")
    return folder / "people.tsv"
