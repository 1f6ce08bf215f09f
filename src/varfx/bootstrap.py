"""The one bootstrap: intervals by resampling whole windows, genes or individuals.

Percentiles of the bootstrap are too narrow for few units: its standard deviation lacks the factor sqrt(k / (k - 1)) and its tails
are normal. For sums over units the deviations from the centre are therefore stretched by that factor and by the ratio of Student's to the
normal quantile with k - 1 degrees of freedom. Gains of priors, whose skewness is known, have `varfx.prior.gain_interval`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray
from scipy.stats import norm, t

Statistic = Callable[[Float[ndarray, "... term"]], Float[ndarray, "..."]]
SAMPLES = 10_000


class Resampling:
    """Bootstrap samples of some units: the same for the same seed, so that quantities of the same units are paired."""

    def __init__(self, count: int, *, num_samples: int = SAMPLES, seed: int = 0) -> None:
        self.count = count
        self._num_samples, self._seed = num_samples, seed

    @cached_property
    def weights(self) -> ndarray:
        """Counts of each unit in each bootstrap sample, (sample, unit)."""
        rng = np.random.default_rng(self._seed)
        return rng.multinomial(self.count, np.full(self.count, 1 / self.count), size=self._num_samples)

    def interval(
        self, rows: Float[ndarray, "unit term"], statistic: Statistic, *, level: float = 0.95
    ) -> tuple[float, float] | None:
        """The stretched interval of `statistic(sum of rows)`; None for one unit, or if a sample has no value.

        Args:
            rows: additive terms of each unit.
            statistic: from sums of the terms to a number, along the last axis.
            level: coverage.
        """
        if self.count < 2:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            centre, samples = statistic(rows.sum(0)), statistic(self.weights @ rows)
        if not np.isfinite(centre) or not np.isfinite(samples).all():
            return None
        tail = (1 - level) / 2
        low, high = np.quantile(samples - centre, [tail, 1 - tail])
        stretch = np.sqrt(self.count / (self.count - 1)) * t.ppf(1 - tail, self.count - 1) / norm.ppf(1 - tail)
        return float(centre + stretch * low), float(centre + stretch * high)


def sum_interval(
    values: Float[ndarray, " unit"], *, level: float = 0.95, num_samples: int = SAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Lower and upper bound of a sum over units, or None for fewer than two.

    Args:
        values: one number per unit, e.g. the paired difference of two log-likelihoods of a window.
        level: coverage.
        num_samples: bootstrap samples.
        seed: of the resampling.
    """
    samples = Resampling(values.size, num_samples=num_samples, seed=seed)
    return samples.interval(values[:, None], lambda sums: sums[..., 0], level=level)


def student_interval(values: Float[ndarray, " unit"], *, level: float = 0.95) -> tuple[float, float] | None:
    """Student's interval of a sum over units, or None for fewer than two.

    For differences of two priors on the same windows, whose skewness may have either sign: their percentiles are too narrow where
    few windows decide.
    """
    count = values.size
    if count < 2:
        return None
    half = float(t.ppf((1 + level) / 2, count - 1) * values.std(ddof=1) * np.sqrt(count))
    return float(values.sum()) - half, float(values.sum()) + half


def mean_interval(
    values: Float64[ndarray, " unit"], seed: int = 0, *, least: float = -np.inf, most: float = np.inf
) -> tuple[float | None, list[float] | None]:
    """The mean over units, or None of none; and its 95 % interval, or None of fewer than two.

    Student's stretch reaches far for few units (12.7 standard errors for two). What lies beyond the values that the mean can have is
    cut off, which takes nothing from the coverage.

    Args:
        values: one number per unit.
        seed: of the resampling.
        least: smallest value that the mean can have.
        most: largest.
    """
    if not values.size:
        return None, None
    bounds = sum_interval(values, seed=seed)
    if bounds is None:
        return float(values.mean()), None
    return float(values.mean()), [min(max(bound / values.size, least), most) for bound in bounds]


def counts_of_individuals(num_individuals: int, num_samples: int, seed: int) -> Float64[ndarray, "sample individual"]:
    """Counts of each individual in each bootstrap sample; equal for equal seeds, so that models are paired."""
    rng = np.random.default_rng([seed, num_individuals])
    draws = rng.integers(0, num_individuals, (num_samples, num_individuals))
    counts = np.zeros((num_samples, num_individuals))
    np.add.at(counts, (np.arange(num_samples)[:, None], draws), 1.0)
    return counts


def percentiles(samples: Float64[ndarray, " sample"], level: float = 0.95) -> list[float] | None:
    """The interval between percentiles of a statistic's samples, NaN left out; None of fewer than two."""
    known = samples[np.isfinite(samples)]
    if known.size < 2:
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return [float(low), float(high)]


def listed(bounds: tuple[float, float] | None) -> list[float] | None:
    """Bounds as JSON has them."""
    return None if bounds is None else list(bounds)
