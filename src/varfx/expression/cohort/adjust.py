"""Expression made fit for models without leaks: everything is learned from training individuals, then applied to all.

Three steps, per gene and fold: (1) the inverse-normal transform `Phi^-1(r / (n + 1))` of ranks among the n training
individuals, or standardisation; (2) the covariates' linear effect is taken out, fitted with an intercept; (3) division by the
training individuals' standard deviation. An individual outside the training set gets the rank that interpolates those of the
training individuals with neighbouring values, never beyond the first and the last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy.special import ndtri
from scipy.stats import rankdata

from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.config import Normalisation

CONSTANT = 1e-10  # a standard deviation below this share of the largest magnitude is rounding


@dataclass(frozen=True, kw_only=True, eq=False)
class Adjustment:
    """Adjustment fitted on the training individuals of one gene.

    Attributes:
        method: of the first step.
        values: the training individuals' distinct values, ascending (inverse-normal; else empty).
        ranks: their average ranks as shares, `r / (n + 1)`.
        center: subtracted in the first step (0 but for standardise).
        spread: divided by in the first step (1 but for standardise).
        covariate_means: of the training individuals.
        coefficients: per covariate.
        intercept: of the regression.
        scale: divided by at the end: the training sd of the residuals (1 where the method is none).
    """

    method: Normalisation
    values: Float64[ndarray, " value"]
    ranks: Float64[ndarray, " value"]
    center: float
    spread: float
    covariate_means: Float64[ndarray, " covariate"]
    coefficients: Float64[ndarray, " covariate"]
    intercept: float
    scale: float

    def apply(
        self,
        values: Float64[ndarray, " individual"],
        covariates: Float64[ndarray, "individual covariate"] | None = None,
    ) -> Float64[ndarray, " individual"]:
        """Adjusted expression of any individuals.

        Args:
            values: their expression.
            covariates: theirs, where the adjustment was fitted with covariates.
        """
        count = 0 if covariates is None else covariates.shape[1]
        if count != self.coefficients.size:
            raise DataError(
                f"`covariates`: {self.coefficients.size} are needed, as in the fit, but {count} were given."
            )
        residual = self._transformed(np.asarray(values, dtype=np.float64)) - self.intercept
        if covariates is not None:
            residual = residual - (covariates - self.covariate_means) @ self.coefficients
        return np.asarray(residual / self.scale)

    def _transformed(self, values: Float64[ndarray, " individual"]) -> Float64[ndarray, " individual"]:
        if self.method == "inverse-normal":
            return np.asarray(ndtri(_interpolated(values, self.values, self.ranks)))
        return (values - self.center) / self.spread


def _interpolated(
    x: Float64[ndarray, " individual"], places: Float64[ndarray, " known"], heights: Float64[ndarray, " known"]
) -> Float64[ndarray, " individual"]:
    """`np.interp`, which gives NaN where a slope is beyond floating point: between values closer than 1e-308."""
    upper = np.clip(np.searchsorted(places, x, side="right"), 1, len(places) - 1)
    low, high = places[upper - 1], places[upper]
    share = ((x - low) / (high - low)).clip(0, 1)
    found = heights[upper - 1] + share * (heights[upper] - heights[upper - 1])
    return np.where(share < 1, np.minimum(found, heights[upper]), heights[upper])


def fit_adjustment(
    values: Float64[ndarray, " individual"],
    covariates: Float64[ndarray, "individual covariate"] | None,
    train_rows: Int64[ndarray, " train"],
    method: Normalisation,
) -> Adjustment:
    """Learns an adjustment from the training individuals; the others' values are not looked at.

    Args:
        values: one gene's expression in all individuals.
        covariates: of all individuals, or None. Collinear ones share their effect; one that is constant in training has none.
        train_rows: the training individuals.
        method: inverse-normal, standardise, or none (covariates only, the unit of expression stays).

    Raises:
        ConfigError: an unknown method.
        DataError: expression is constant in the training individuals, or there are too many covariates for them.
    """
    y = np.asarray(values, dtype=np.float64)[train_rows]
    if not np.isfinite(y).all():
        raise DataError(f"`values`: {np.count_nonzero(~np.isfinite(y))} of {y.size} training values are not finite.")
    if is_constant(y):
        raise DataError(f"`values`: expression is the same in all {y.size} training individuals. Leave the gene out.")
    distinct, ranks, center, spread = np.empty(0), np.empty(0), 0.0, 1.0
    match method:
        case "inverse-normal":
            distinct, place = np.unique(y, return_inverse=True)
            ranks = np.empty(distinct.size)
            ranks[place] = rankdata(y) / (y.size + 1)
            y = ndtri(ranks[place])
        case "standardise":
            center, spread = float(y.mean()), float(y.std())
            y = (y - center) / spread
        case "none":
            pass
        case _:
            raise ConfigError(f"`method` must be inverse-normal, standardise or none, got {method!r}.")
    means, coefficients = np.empty(0), np.empty(0)
    intercept = float(y.mean())
    residual = y - intercept
    if covariates is not None:
        means, coefficients, residual = _regress(residual, np.asarray(covariates, dtype=np.float64)[train_rows])
    return Adjustment(
        method=method,
        values=distinct,
        ranks=ranks,
        center=center,
        spread=spread,
        covariate_means=means,
        coefficients=coefficients,
        intercept=intercept if method != "none" or covariates is not None else 0.0,
        scale=1.0 if method == "none" else float(residual.std()),
    )


def is_constant(values: ndarray) -> bool:
    """True if values are equal up to rounding."""
    return bool(values.std() <= CONSTANT * np.abs(values).max(initial=0.0))


def _regress(
    y: Float64[ndarray, " train"], C: Float64[ndarray, "train covariate"]
) -> tuple[Float64[ndarray, " covariate"], Float64[ndarray, " covariate"], Float64[ndarray, " train"]]:
    """Means and coefficients of covariates, and the residuals; `y` has mean 0. Least squares of smallest norm."""
    means = C.mean(axis=0)
    X = C - means
    spread = X.std(axis=0)
    varying = spread > CONSTANT * np.abs(C).max(axis=0, initial=0.0)
    X = X[:, varying] / spread[varying]
    solution, _, rank, _ = np.linalg.lstsq(X, y, rcond=None)
    if rank + 1 >= y.size:
        raise DataError(
            f"`covariates`: {C.shape[1]} covariates and an intercept explain anything in {y.size} training individuals. "
            "Give fewer covariates, or more individuals."
        )
    coefficients = np.zeros(C.shape[1])
    coefficients[varying] = solution / spread[varying]
    residual = y - X @ solution
    if residual.std() <= CONSTANT * y.std():
        raise DataError(
            "`covariates` explain expression exactly in the training individuals. Leave them or the gene out."
        )
    return means, coefficients, residual
