"""A few numbers that show at a glance whether summary statistics are what one thinks they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

_MEDIAN_CHISQ_1 = 0.454936423119573  # median of the chi-square distribution with one degree of freedom


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Summary statistics in a few numbers.

    Attributes:
        n_min: smallest effective sample size.
        n_max: largest effective sample size.
        mean_chisq: mean of z^2, 1 without signal.
        lambda_gc: median of z^2 over its expectation without signal (Devlin and Roeder 1999).
        lead: the variant of the largest |z|.
        lead_z: its z.
    """

    n_min: float
    n_max: float
    mean_chisq: float
    lambda_gc: float
    lead: str
    lead_z: float


def summarise(table: pl.DataFrame) -> Summary:
    """The summary of a table with the columns of `varfx.gwas.sumstats.SCHEMA` and at least one row."""
    z, n = table["z"].to_numpy(), table["n"].to_numpy()
    lead = table.row(int(np.abs(z).argmax()), named=True)
    place = "" if lead["position"] is None else f"{lead['chrom']}:{lead['position']} "
    name = f"{lead['variant_id']} " if lead["variant_id"] else ""
    return Summary(
        n_min=float(n.min()),
        n_max=float(n.max()),
        mean_chisq=float((z**2).mean()),
        lambda_gc=float(np.median(z**2) / _MEDIAN_CHISQ_1),
        lead=f"{name}{place}{lead['effect_allele']}/{lead['other_allele']}",
        lead_z=float(lead["z"]),
    )
