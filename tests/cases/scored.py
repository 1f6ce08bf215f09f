"""Simulated tables of scored variants: distances, frequencies, scores."""

from __future__ import annotations

import numpy as np
import polars as pl


def scored_variants(
    rng: np.random.Generator, *, genes: int = 60, per_gene: int = 60, high: int = 5, near: bool = True
) -> pl.DataFrame:
    """Scores are random, but if `near` high ones lie near the TSS and are common: confounded, as real ones are."""
    rows = genes * per_gene
    distance = (rng.exponential(6_000, rows) * rng.choice([-1, 1], rows)).astype(np.int64)
    eaf = rng.beta(0.8, 2, rows).clip(0.01, 0.99)
    lift = np.exp(-np.abs(distance) / 3_000) + np.minimum(eaf, 1 - eaf) if near else 0.0
    weight = rng.standard_normal(rows) * (0.2 + lift)
    gene = np.repeat(np.arange(genes), per_gene)
    order = np.lexsort((-np.abs(weight), gene))
    rank = np.empty(rows, dtype=np.int64)
    rank[order] = np.tile(np.arange(per_gene), genes)
    ref = rng.integers(0, 4, rows)
    return pl.DataFrame(
        {
            "gene_id": [f"G{number:03d}" for number in gene],
            "model": "blup",
            "chrom": "22",
            "position": gene * 1_000_000 + 500_000 + np.arange(rows),
            "variant_id": [f"rs{number}" for number in range(rows)],
            "effect_allele": ["ACGT"[(code + 1) % 4] for code in ref],
            "other_allele": ["ACGT"[code] for code in ref],
            "tss_distance": distance,
            "eaf": eaf,
            "weight": weight,
            "high_scoring": rank < high,
        }
    )
