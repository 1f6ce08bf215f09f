"""Convergence of several Markov chains: the split R-hat (Gelman et al. 2013, section 11.4)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

CONVERGED = 1.1  # larger values say that the chains disagree


def split_r_hat(draws: Float[ndarray, "sweep chain quantity"]) -> Float[ndarray, " quantity"]:
    """R-hat of each quantity, every chain split in two halves; 1 where all draws are equal, infinite where only halves are.

    `sqrt((n - 1) / n + B / W)` with W the mean variance within halves and B the variance of their means.
    """
    half = len(draws) // 2
    if half < 2:
        return np.full(draws.shape[2], np.inf)
    halves = np.concatenate([draws[:half], draws[-half:]], axis=1)
    within = halves.var(axis=0, ddof=1).mean(0)
    between = halves.mean(0).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(between == 0, 0.0, between / within)
    return np.asarray(np.sqrt((half - 1) / half + ratio))
