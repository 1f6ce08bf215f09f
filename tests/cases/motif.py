"""A simulated gene whose expression depends on one variant: a SNV that breaks one of several instances of a motif."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from varfx.expression.cohort.config import SplitConfig
from varfx.expression.cohort.splits import split_people
from varfx.expression.cohort.store import window_start
from varfx.expression.cohort.write import CohortTables, writing_cohort

BASES = "ACGT"
MOTIF = "TGACTCA"  # AP-1
BROKEN = 3  # the base of the motif that the causal variant exchanges
GENE = "ENSG00000000001"
CHROM = "7"
TSS = 500_000


@dataclass(frozen=True)
class MotifCase:
    """Where the simulation lies, and its truth.

    Attributes:
        path: the cohort.
        gene_id: its one gene.
        causal: row of the causal variant among the gene's window variants.
        distance: bases from the TSS to the causal variant, along the gene's strand.
    """

    path: Path
    gene_id: str
    causal: int
    distance: int


@dataclass(frozen=True)
class _Block:
    variants: pl.DataFrame
    dosages: np.ndarray
    haplotypes: np.ndarray | None


def motif_cohort(
    folder: Path,
    *,
    people: int = 400,
    window: int = 2048,
    num_variants: int = 20,
    heritability: float = 0.5,
    strand: str = "+",
    distance: int = -90,
    seed: int = 0,
    phased: bool = False,
    name: str = "motif",
) -> MotifCase:
    """Writes a cohort of one gene. Variants are independent and common; expression is

        y = - sqrt(heritability) * (standardised dosage of the motif-breaking allele) + noise

    The motif stands at three places of the window, on the gene's strand; one of them, at `distance` from the TSS, varies. The
    other variants lie anywhere else, one of them inside no motif at the mirrored distance.
    """
    rng = np.random.default_rng(seed)
    length = 2 * TSS
    genome = rng.integers(0, 4, length).astype(np.uint8)
    start = window_start(TSS, strand, window)
    sign = 1 if strand == "+" else -1
    motif = np.array([BASES.index(base) for base in MOTIF], dtype=np.uint8)
    for far in (distance, distance - window // 5, window // 4):
        places = TSS - 1 + sign * (far - BROKEN + np.arange(len(MOTIF)))
        genome[places] = motif if strand == "+" else 3 - motif
    causal_place = TSS - 1 + sign * distance
    others = np.setdiff1d(np.arange(start, start + window), causal_place + np.arange(-10, 11))
    places = np.append(rng.choice(others, num_variants - 2, replace=False), [causal_place, TSS - 1 - sign * distance])
    places = np.unique(places)
    causal = int(np.flatnonzero(places == causal_place)[0])
    ref = genome[places]
    alt = (ref + rng.integers(1, 4, places.size)) % 4
    frequency = rng.uniform(0.1, 0.5, places.size)
    frequency[causal] = 0.4
    haplotypes = (rng.random((places.size, people, 2)) < frequency[:, None, None]).astype(np.int8)
    dosages = haplotypes.sum(axis=2).astype(np.int8)
    signal = dosages[causal] - dosages[causal].mean()
    noise = rng.standard_normal(people)
    expression = 7 - heritability**0.5 * signal / signal.std() + (1 - heritability) ** 0.5 * noise
    variants = pl.DataFrame(
        {
            "chrom": CHROM,
            "position": places + 1,
            "variant_id": [f"rs{place}" for place in places],
            "effect_allele": [BASES[code] for code in alt],
            "other_allele": [BASES[code] for code in ref],
        }
    )
    genes = pl.DataFrame(
        {
            "gene_id": [GENE],
            "name": ["MOTIF1"],
            "gene_type": ["protein_coding"],
            "chrom": [CHROM],
            "strand": [strand],
            "tss": [TSS],
            "start": [start],
            "end": [start + window],
            "masked_bases": [0],
        }
    )
    names = [f"S{number:04d}" for number in range(people)]
    tables = CohortTables(
        genes=genes,
        expression=expression[None].astype(np.float32),
        covariates=None,
        covariate_names=(),
        normalise="inverse-normal",
        folds=split_people(names, SplitConfig(folds=2, tune=0.15, test=0.25, seed=seed)),
        genes_train=(GENE,),
        genes_heldout=(),
    )
    with writing_cohort(folder / name, names, phased=phased) as writer:
        writer.add(_Block(variants, dosages, haplotypes if phased else None))
        writer.finish(
            tables,
            lambda chrom, first, end: genome[first:end],
            window=window,
            options={"simulated": True},
            ledger={},
            provenance={},
        )
    return MotifCase(folder / name, GENE, causal, distance)
