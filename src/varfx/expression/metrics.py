"""Agreement of predicted and observed expression over individuals, and its bootstrap samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from varfx.errors import DataError

LEAST_PEOPLE = 3  # for a correlation
CONSTANT = 1e-7  # a prediction that varies by less than this share of its size is constant (float32 rounding)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Scores of one model and gene on some individuals.

    Attributes:
        pcc: Pearson's correlation; None where it is undefined (a constant prediction, or fewer than 3 individuals).
        r2: coefficient of determination, `1 - sum (y - p)^2 / sum (y - mean y)^2`; None where a prediction is missing.
        pcc_samples: of each bootstrap sample, NaN where undefined; empty where `pcc` is None.
        r2_samples: likewise.
        num_people: with a prediction.
        mean_observed: over all individuals.
        mean_predicted: NaN where a prediction is missing.
    """

    pcc: float | None
    r2: float | None
    pcc_samples: Float64[ndarray, " sample"]
    r2_samples: Float64[ndarray, " sample"]
    num_people: int
    mean_observed: float
    mean_predicted: float


def score(
    observed: Float64[ndarray, " individual"],
    predicted: Float64[ndarray, " individual"],
    weights: Float64[ndarray, "sample individual"],
) -> Scores:
    """Correlation and R2 of a prediction, and the same in each bootstrap sample.

    Args:
        observed: adjusted expression.
        predicted: NaN where a model has no prediction.
        weights: of `varfx.bootstrap.counts_of_individuals`.

    Raises:
        DataError: shapes that do not fit, or an observed value that is not finite.
    """
    if observed.shape != predicted.shape or weights.shape[1:] != observed.shape:
        raise DataError(
            f"`observed` {observed.shape}, `predicted` {predicted.shape} and `weights` {weights.shape} differ."
        )
    if not np.isfinite(observed).all():
        raise DataError(f"`observed` must be finite: {np.count_nonzero(~np.isfinite(observed))} values are not.")
    none = np.empty(0)
    known = np.isfinite(predicted)
    means = {"mean_observed": float(np.mean(observed)), "mean_predicted": float(np.mean(predicted))}
    if not known.all() or observed.size < LEAST_PEOPLE or not np.ptp(observed) > 0:
        return Scores(pcc=None, r2=None, pcc_samples=none, r2_samples=none, num_people=int(known.sum()), **means)
    y = observed - observed.mean()
    error = observed - predicted
    r2 = 1 - float(error @ error) / float(y @ y)
    with np.errstate(divide="ignore", invalid="ignore"):
        total, first, second = weights.sum(axis=1), weights @ y, weights @ y**2
        spread = second - first**2 / total
        spread[spread <= 1e-12 * second] = np.nan  # a sample of one individual, again and again
        r2_samples = 1 - weights @ error**2 / spread
        p = predicted - predicted.mean()
        if float(np.abs(p).max()) <= CONSTANT * max(float(np.abs(predicted).max()), 1e-30):
            return Scores(pcc=None, r2=r2, pcc_samples=none, r2_samples=r2_samples, num_people=y.size, **means)
        pcc = float(p @ y) / float(np.sqrt((p @ p) * (y @ y)))
        p_first, p_second = weights @ p, weights @ p**2
        p_spread = p_second - p_first**2 / total
        p_spread[p_spread <= 1e-12 * p_second] = np.nan
        pcc_samples = (weights @ (p * y) - first * p_first / total) / np.sqrt(spread * p_spread)
    return Scores(
        pcc=min(1.0, max(-1.0, pcc)), r2=r2, pcc_samples=pcc_samples, r2_samples=r2_samples, num_people=y.size, **means
    )
