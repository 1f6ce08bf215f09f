"""Tiny studies for the demo of expression: a PLINK panel with close variants, and a folder as the real data lie."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pysam
from bed_reader import to_bed

from cases.prepare import Study, make_study
from varfx.demos.study import GeneKind

WINDOW = 1024
KINDS = (GeneKind("near", 0.6, 10, 60), GeneKind("far", 0.6, 200, 400), GeneKind("none", 0.0, 0, 0))


def dense_panel(folder: Path, *, people: int = 60, variants: int = 400, spacing: int = 100, seed: int = 0) -> Path:
    """Writes a .bed of independent SNVs on chromosome 22, one about every `spacing` bases; one row is no SNV."""
    rng = np.random.default_rng(seed)
    positions = 300_000 + np.cumsum(rng.integers(spacing // 2, 3 * spacing // 2, variants))
    alleles = np.array([rng.permutation(list("ACGT"))[:2] for _ in range(variants)]).astype("U2")
    alleles[variants // 2] = ["AT", "A"]
    copies = rng.binomial(2, rng.uniform(0.05, 0.5, variants), (people, variants)).astype(np.int8)
    copies[:2] = [[0], [2]]  # everything varies
    properties = {
        "iid": [f"person{number}" for number in range(people)],
        "chromosome": ["22"] * variants,
        "sid": [f"rs{number}" for number in range(variants)],
        "bp_position": positions,
        "allele_1": alleles[:, 0],
        "allele_2": alleles[:, 1],
    }
    to_bed(folder / "panel.bed", copies, properties=properties)
    return folder / "panel.bed"


def data_folder(root: Path, *, people: int = 30) -> Study:
    """Writes `root/data` with a file of each kind in its place; the study's own files lie in `root`."""
    study = make_study(root, people=people)
    data = root / "data"
    pysam.tabix_compress(str(root / "reference.fa"), str(root / "reference.fa.gz"))
    for place, names in {
        "genotypes": ("genotypes.vcf.gz", "genotypes.vcf.gz.tbi"),
        "expression": ("expression.bed.gz",),
        "reference": ("reference.fa.gz",),
        "genes": ("genes.gtf.gz",),
    }.items():
        (data / place).mkdir(parents=True)
        for name in names:
            shutil.copy(root / name, data / place / name)
    return study
