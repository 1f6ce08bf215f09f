"""Enrichment of high-scoring variants in states, against other scored variants of the same gene, distance and frequency.

In stratum s, h_s of n_s variants are high-scoring and c_s of the n_s - h_s others lie in the state: the expected number of
high-scoring variants in it is sum_s h_s c_s / (n_s - h_s). Log2 of observed over expected has half a variant added to either. p: if scores mean nothing, any h_s of
the n_s may be the high-scoring ones, so that counts are sums of hypergeometric numbers, which are drawn. Intervals resample genes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.stats import false_discovery_control

from varfx.bootstrap import counts_of_individuals
from varfx.expression.explain.matching import strata

SCHEMA: dict[str, pl.DataType] = {
    "state": pl.String(),
    "model": pl.String(),
    "n_hsv": pl.Int64(),  # high-scoring variants with others in their stratum
    "n_unmatched": pl.Int64(),  # without
    "n_genes": pl.Int64(),
    "observed": pl.Float64(),  # share of the high-scoring variants in the state
    "expected": pl.Float64(),  # of their controls
    "log2_enrichment": pl.Float64(),
    "ci_low": pl.Float64(),
    "ci_high": pl.Float64(),
    "p": pl.Float64(),  # one-sided
    "q": pl.Float64(),  # Benjamini-Hochberg, over the rows of a table
}


def enrichment(
    table: pl.DataFrame,
    inside: Bool[ndarray, "variant state"],
    names: Sequence[str],
    *,
    model: str,
    permutations: int,
    samples: int,
    seed: int,
) -> pl.DataFrame:
    """A row per state; columns of `SCHEMA`.

    Args:
        table: `gene_id, tss_distance, eaf, high_scoring` of scored variants.
        inside: which states each variant lies in.
        names: of the states.
        model: whose scores.
        permutations: random choices behind p.
        samples: bootstrap samples of genes.
        seed: of both.
    """
    high = table["high_scoring"].to_numpy()
    stratum = strata(table)
    count = int(stratum.max(initial=-1)) + 1
    chosen = np.bincount(stratum[high], minlength=count)
    size = np.bincount(stratum, minlength=count)
    usable = (chosen > 0) & (size > chosen)
    matched = high & usable[stratum]
    gene = pl.Series(table["gene_id"]).rank("dense").cast(pl.Int64).to_numpy() - 1
    first = np.zeros(count, dtype=np.int64)
    first[stratum] = gene
    genes = np.unique(gene[matched])
    records = []
    for number, name in enumerate(names):
        rng = np.random.default_rng([seed, number])
        within = inside[:, number]
        mine = np.bincount(stratum[high & within], minlength=count)
        every = np.bincount(stratum[within], minlength=count)
        expected = np.where(usable, chosen * (every - mine) / np.maximum(size - chosen, 1), 0.0)
        by_gene = [_per_gene(first[usable], value[usable], genes) for value in (mine, expected)]
        observed = int(mine[usable].sum())
        drawn = _drawn(rng, every[usable], size[usable], chosen[usable], permutations)
        low, high_end = _interval(by_gene[0], by_gene[1], samples, seed)
        total = int(matched.sum())
        records.append(
            {
                "state": name,
                "model": model,
                "n_hsv": total,
                "n_unmatched": int(high.sum()) - total,
                "n_genes": int(genes.size),
                "observed": observed / total if total else None,
                "expected": float(expected.sum()) / total if total else None,
                "log2_enrichment": float(np.log2((observed + 0.5) / (expected.sum() + 0.5))) if total else None,
                "ci_low": low,
                "ci_high": high_end,
                "p": float((1 + np.count_nonzero(drawn >= observed)) / (1 + permutations)) if total else None,
            }
        )
    result = pl.DataFrame(records, schema={name: kind for name, kind in SCHEMA.items() if name != "q"})
    p = result["p"].fill_null(1.0).to_numpy()
    return result.with_columns(q=false_discovery_control(p) if p.size else pl.Series([], dtype=pl.Float64)).select(
        *SCHEMA
    )


def _per_gene(gene: ndarray, values: ndarray, genes: ndarray) -> Float64[ndarray, " gene"]:
    """Sums of the strata's values by gene."""
    return np.asarray(np.bincount(gene, weights=values, minlength=int(genes.max(initial=0)) + 1)[genes])


def _drawn(rng: np.random.Generator, every: ndarray, size: ndarray, chosen: ndarray, permutations: int) -> ndarray:
    """Numbers of variants in the state if any `chosen` of each stratum were high-scoring."""
    total = np.zeros(permutations, dtype=np.int64)
    some = np.flatnonzero(every)
    for good, among, picks in zip(every[some], size[some], chosen[some], strict=True):
        total += rng.hypergeometric(good, among - good, picks, size=permutations)
    return total


def _interval(
    observed: Float64[ndarray, " gene"], expected: Float64[ndarray, " gene"], samples: int, seed: int
) -> tuple[float | None, float | None]:
    """Percentiles of log2 of observed over expected, over resampled genes."""
    if observed.size < 2:
        return None, None
    weights = counts_of_individuals(observed.size, samples, seed)
    ratio = np.log2((weights @ observed + 0.5) / (weights @ expected + 0.5))
    low, high = np.quantile(ratio, [0.025, 0.975])
    return float(low), float(high)
