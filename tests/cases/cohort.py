"""A small simulated cohort on disk, written by the real writer; every gene has one known causal variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from varfx.expression.cohort.config import Normalisation
from varfx.expression.cohort.splits import SplitConfig, split_genes, split_people
from varfx.expression.cohort.store import Cohort, window_start
from varfx.expression.cohort.write import CohortTables, writing_cohort

BASES = "ACGT"


@dataclass(frozen=True)
class Block:
    """Variants of one chromosome with genotypes, as `varfx.genotypes.donors` gives them."""

    variants: pl.DataFrame
    dosages: np.ndarray
    haplotypes: np.ndarray | None


def small_cohort(
    folder: Path,
    *,
    people: int = 40,
    genes: int = 4,
    window: int = 1024,
    variants_per_gene: int = 12,
    phased: bool = False,
    seed: int = 0,
    heritability: float = 0.5,
    covariates: int = 0,
    missing: float = 0.0,
    folds: int = 3,
    heldout_fraction: float = 0.25,
    normalise: Normalisation = "inverse-normal",
    name: str = "cohort",
    odd_names: Sequence[str] = (),
    gene_names: Sequence[str] = (),
    test: float = 0.1,
) -> Path:
    """Writes `folder/name` and returns its path.

    Genes lie on chromosomes 21 and 22, strands alternate, and neighbours in pairs (0 and 1, 2 and 3, ...) have windows
    that overlap by half. Expression is the standardised dosage of `causal_variant` times sqrt(heritability), plus noise,
    plus, if there are any, the covariates' effects.

    Args:
        missing: share of genotypes that are missing.
        odd_names: of the first individuals, in place of P000, P001, ...
        gene_names: of the first genes, in place of GENE0, GENE1, ...
        test: share of individuals to test on.
    """
    rng = np.random.default_rng(seed)
    names = [*odd_names, *(f"P{number:03d}" for number in range(len(odd_names), people))]
    rows = []
    for number in range(genes):
        chrom, strand = "21" if number < genes // 2 else "22", "+-"[number % 2]
        tss = 100_000 + (number // 2) * 4 * window + (number % 2) * (window // 2)
        start = window_start(tss, strand, window)
        symbol = gene_names[number] if number < len(gene_names) else f"GENE{number}"
        rows.append((f"ENSG{number:011d}", symbol, "protein_coding", chrom, strand, tss, start, start + window, 0))
    columns = ["gene_id", "name", "gene_type", "chrom", "strand", "tss", "start", "end", "masked_bases"]
    table = pl.DataFrame(rows, schema=columns, orient="row")
    genome = {chrom: rng.integers(0, 4, 100_000 + (2 * genes + 4) * window).astype(np.uint8) for chrom in ("21", "22")}
    blocks = [_block(rng, table.filter(pl.col("chrom") == chrom), genome[chrom], names, variants_per_gene, phased, missing)
              for chrom in table["chrom"].unique(maintain_order=True)]  # fmt: skip
    C = rng.standard_normal((covariates, people)) if covariates else None
    expression = np.empty((genes, people))
    for number, (chrom, start, end) in enumerate(table.select("chrom", "start", "end").iter_rows()):
        block = next(block for block in blocks if block.variants["chrom"][0] == chrom)
        inside = np.flatnonzero(block.variants["position"].is_between(start + 1, end).to_numpy())
        x = block.dosages[inside[inside.size // 2]].astype(float)
        x[x < 0] = x[x >= 0].mean()
        signal = (x - x.mean()) / x.std()
        sign = 1 if number % 2 else -1
        noise = rng.standard_normal(people)
        expression[number] = 5 + number + sign * heritability**0.5 * signal + (1 - heritability) ** 0.5 * noise
        if C is not None:
            expression[number] += rng.standard_normal(covariates) @ C
    config = SplitConfig(folds=folds, test=test, heldout_fraction=heldout_fraction, seed=seed)
    train, heldout = split_genes(list(table.select("gene_id", "chrom", "start", "end").iter_rows()), config)
    if heldout_fraction and not heldout and genes > 1:  # pairs overlap: hold out the last gene all the same
        train, heldout = tuple(table["gene_id"])[:-1], tuple(table["gene_id"])[-1:]
    tables = CohortTables(
        genes=table,
        expression=expression.astype(np.float32),
        covariates=C,
        covariate_names=tuple(f"C{number}" for number in range(covariates)),
        normalise=normalise,
        folds=split_people(names, config),
        genes_train=train,
        genes_heldout=heldout,
    )
    with writing_cohort(folder / name, names, phased=phased) as writer:
        for block in blocks:
            writer.add(block)
        writer.finish(
            tables,
            lambda chrom, start, end: genome[chrom][start:end],
            window=window,
            options={"simulated": True},
            ledger={},
            provenance={},
        )
    return folder / name


def causal_variant(cohort: Cohort, gene_id: str) -> int:
    """The row of a gene's causal variant among its `window_variants`: the middle one."""
    return cohort.window_variants(gene_id)[0].height // 2


def _block(
    rng: np.random.Generator,
    genes: pl.DataFrame,
    genome: np.ndarray,
    names: list[str],
    variants_per_gene: int,
    phased: bool,
    missing: float,
) -> Block:
    """Variants at random places of the genes' windows, common, REF as in the genome."""
    windows = genes.select("start", "end").iter_rows()
    places = np.unique(
        np.concatenate([rng.choice(np.arange(a, b), variants_per_gene, replace=False) for a, b in windows])
    )
    ref = genome[places]
    alt = (ref + rng.integers(1, 4, places.size)) % 4
    frequency = rng.uniform(0.2, 0.5, places.size)
    haplotypes = (rng.random((places.size, len(names), 2)) < frequency[:, None, None]).astype(np.int8)
    haplotypes[:, 0], haplotypes[:, 1] = 0, 1  # everything varies
    haplotypes[rng.random((places.size, len(names))) < missing] = -1
    dosages = np.where((haplotypes < 0).any(axis=2), -1, haplotypes.sum(axis=2)).astype(np.int8)
    variants = pl.DataFrame(
        {
            "chrom": genes["chrom"][0],
            "position": places + 1,
            "variant_id": [f"rs{genes['chrom'][0]}{place}" for place in places],
            "effect_allele": [BASES[code] for code in alt],
            "other_allele": [BASES[code] for code in ref],
        }
    )
    return Block(variants, dosages, haplotypes if phased else None)
