"""Warnings about fitted numbers that a geneticist would question."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

HIGH_SIGMA2, LOW_SIGMA2 = 1.3, 0.7
MAX_RATIO = 1e4  # of f between two variants


def sigma2_warning(trait: str, sigma2: float) -> str | None:
    """A warning about a residual variance of z far from 1, the value of sampling error alone; None otherwise."""
    if sigma2 > HIGH_SIGMA2:
        return (
            f"`{trait}`: sigma2 is {sigma2:.2f}, but sampling error alone gives 1. Wrong effect alleles, LD of another ancestry, "
            "population stratification, sample overlap between cohorts, or a sample size that is too small do that."
        )
    if sigma2 < LOW_SIGMA2:
        return (
            f"`{trait}`: sigma2 is {sigma2:.2f}, but sampling error alone gives 1. Correction by genomic control, standard errors "
            "that are too large, or a sample size that is too large do that."
        )
    return None


def ratio_warning(trait: str, f: Float[ndarray, " variant"]) -> str | None:
    """A warning about variances that differ by more than `MAX_RATIO`; None otherwise."""
    high, low = float(f.max(initial=0.0)), float(f.min(initial=np.inf))
    if not f.size or high <= MAX_RATIO * low:
        return None
    spread = f"by a factor of {high / low:.1e}" if low > 0 else "without bound (some are 0)"
    return (
        f"`{trait}`: f differs between variants {spread}. Fine-mapping and scores would hardly consider the lowest: "
        "limit the ratio with --cap, for instance --cap 100 (PolyFun's)."
    )


def capped(f: Float[ndarray, " variant"], cap: float) -> Float[ndarray, " variant"]:
    """f with its lowest values raised to the highest divided by `cap`, and the old sum.

    PolyFun's truncation (Weissbrod et al. 2020, Nature Genetics), with a ratio of 100 by default there.
    """
    raised = np.maximum(f, f.max(initial=0.0) / cap)
    return np.asarray(raised * (f.sum() / raised.sum())) if raised.sum() > 0 else f
