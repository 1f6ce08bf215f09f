"""Controls of variants: of the same gene, at a like distance to its TSS, with a like frequency."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64
from numpy import ndarray
from scipy.stats import ks_2samp

DISTANCES = (500, 2_000, 8_000, 25_000)  # edges of the bins of |distance to the TSS|, in bases
CALIPER = 0.05  # of the minor allele frequency


def distance_bin(table: pl.DataFrame) -> Int64[ndarray, " variant"]:
    """Bin of |distance to the TSS|, from 0."""
    return np.searchsorted(DISTANCES, table["tss_distance"].abs().to_numpy(), side="right")


def minor_frequency(table: pl.DataFrame) -> ndarray:
    """Frequency of the rarer allele."""
    eaf = table["eaf"].to_numpy()
    return np.asarray(np.minimum(eaf, 1 - eaf))


def strata(table: pl.DataFrame) -> Int64[ndarray, " variant"]:
    """Number of each variant's stratum: gene, bin of distance, and frequency in steps of the caliper.

    Args:
        table: `gene_id, tss_distance, eaf`.
    """
    frequency = np.minimum((minor_frequency(table) / CALIPER).astype(np.int64), 9)
    keys = pl.DataFrame({"gene": table["gene_id"], "distance": distance_bin(table), "frequency": frequency})
    return keys.select(pl.struct(keys.columns).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()


def matched_controls(
    table: pl.DataFrame, cases: Bool[ndarray, " variant"], pool: Bool[ndarray, " variant"], seed: int
) -> Int64[ndarray, " case"]:
    """A row of the pool for each case (in the order of the rows), each at most once; -1 where none is left.

    Of the same gene and bin of distance, the nearest in frequency within the caliper; equal ones are drawn.

    Args:
        table: `gene_id, tss_distance, eaf`.
        cases: variants that need a control.
        pool: variants that may be one.
        seed: of ties and of the order in which cases choose.
    """
    rng = np.random.default_rng(seed)
    frequency, bins = minor_frequency(table), distance_bin(table)
    groups = (
        pl.DataFrame({"gene": table["gene_id"], "bin": bins}).select(pl.struct("gene", "bin").rank("dense")).to_series()
    )
    group = groups.to_numpy()
    rows = np.flatnonzero(cases)
    found = {int(row): -1 for row in rows}
    free: dict[int, list[int]] = {int(number): [] for number in np.unique(group[rows])}
    for row in rng.permutation(np.flatnonzero(pool & ~cases)):
        if int(group[row]) in free:
            free[int(group[row])].append(int(row))
    for row in rng.permutation(rows):
        left = free[int(group[row])]
        if left:
            gaps = np.abs(frequency[left] - frequency[row])
            best = int(gaps.argmin())
            if gaps[best] <= CALIPER:
                found[int(row)] = left.pop(best)
    return np.array([found[int(row)] for row in rows], dtype=np.int64)


def balance(
    table: pl.DataFrame, cases: Int64[ndarray, " case"], controls: Int64[ndarray, " case"]
) -> dict[str, float | None]:
    """p of the Kolmogorov-Smirnov tests between cases and controls, of distance and frequency; None without any."""
    if not cases.size:
        return {"distance_ks_p": None, "maf_ks_p": None}
    distance, frequency = table["tss_distance"].abs().to_numpy(), minor_frequency(table)
    return {
        "distance_ks_p": float(ks_2samp(distance[cases], distance[controls]).pvalue),
        "maf_ks_p": float(ks_2samp(frequency[cases], frequency[controls]).pvalue),
    }
