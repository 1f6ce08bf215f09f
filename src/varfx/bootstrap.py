"""Honest intervals for sums over windows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm, t


def sum_interval(
    values: Float[ndarray, " window"], *, level: float = 0.95, num_samples: int = 10_000, seed: int = 0
) -> tuple[float, float] | None:
    """An interval for the sum of a quantity over windows, by resampling whole windows (block bootstrap).

    The percentiles of the bootstrap are too narrow for few windows: its standard deviation lacks the factor
    sqrt(k / (k - 1)) and its tails are normal. The deviations from the sum are therefore stretched by that factor and by
    the ratio of Student's to the normal quantile with k - 1 degrees of freedom.

    Args:
        values: one number per window, e.g. the difference of two log-likelihoods on the same windows (paired).
        level: coverage.
        num_samples: bootstrap samples.
        seed: of the resampling.

    Returns:
        Lower and upper bound, or None for fewer than two windows.
    """
    count = values.size
    if count < 2:
        return None
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=num_samples)
    deviations = weights @ values - values.sum()
    tail = (1 - level) / 2
    stretch = np.sqrt(count / (count - 1)) * t.ppf(1 - tail, count - 1) / norm.ppf(1 - tail)
    low, high = np.quantile(deviations, [tail, 1 - tail])
    return float(values.sum() + stretch * low), float(values.sum() + stretch * high)
