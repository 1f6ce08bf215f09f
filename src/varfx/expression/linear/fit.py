"""Standardised genotypes, and a fit as weights per allele: shared by all linear models."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy import ndarray

from varfx.errors import DataError

CONSTANT = 1e-6  # dosages with a smaller standard deviation are imputed constants


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearFit:
    """A linear model of one gene's expression.

    Attributes:
        weights: adjusted expression per copy of each variant's effect allele.
        intercept: prediction of an individual without any effect allele.
        notes: what the fit has found (`h2`, `alpha`, `converged`, ...), JSON-able.
    """

    weights: Float64[ndarray, " variant"]
    intercept: float
    notes: dict[str, float | bool] = field(default_factory=dict)

    def predict(self, X: Float[ndarray, "individual variant"]) -> Float64[ndarray, " individual"]:
        """The adjusted expression of individuals with these dosages."""
        return np.asarray(X.astype(np.float64) @ self.weights + self.intercept)


@dataclass(frozen=True, kw_only=True, eq=False)
class Genotypes:
    """Standardised genotypes of the individuals that a model is fitted on; variants that do not vary among them are left out.

    Attributes:
        Z: columns of mean 0 and mean square 1.
        mean: of the kept variants' dosages.
        sd: of the kept variants' dosages (divisor: the number of individuals).
        kept: which variants vary.
    """

    Z: Float64[ndarray, "individual kept"]
    mean: Float64[ndarray, " kept"]
    sd: Float64[ndarray, " kept"]
    kept: Bool[ndarray, " variant"]

    @property
    def heterozygosity(self) -> Float64[ndarray, " kept"]:
        """`p (1 - p)` of the kept variants."""
        p = self.mean / 2
        return np.asarray(p * (1 - p))

    def fit(
        self,
        beta: Float64[ndarray, " kept"],
        y: Float64[ndarray, " individual"],
        notes: dict[str, float | bool] | None = None,
    ) -> LinearFit:
        """The model with effects `beta` on standardised genotypes, whose predictions average to the mean of `y`."""
        weights = np.zeros(self.kept.size)
        weights[self.kept] = beta / self.sd
        intercept = float(y.mean() - weights[self.kept] @ self.mean)
        return LinearFit(weights=weights, intercept=intercept, notes=notes or {})


def standardise(X: Float[ndarray, "individual variant"]) -> Genotypes:
    """Standardised genotypes from dosages."""
    X = X.astype(np.float64)
    mean, sd = X.mean(axis=0), X.std(axis=0)
    kept = sd > CONSTANT
    return Genotypes(Z=(X[:, kept] - mean[kept]) / sd[kept], mean=mean[kept], sd=sd[kept], kept=kept)


def check_training(X: Float[ndarray, "individual variant"], y: Float[ndarray, " individual"]) -> None:
    """Checks what a model is to be fitted on.

    Raises:
        DataError: shapes that do not fit, fewer than 5 individuals, or values that are not finite.
    """
    if X.ndim != 2 or y.shape != X.shape[:1]:
        raise DataError(f"`X` {X.shape} and `y` {y.shape} must be (individual, variant) and (individual,).")
    if y.size < 5:
        raise DataError(f"{y.size} individuals are too few to fit a model on; at least 5 are needed.")
    for name, values in (("X", X), ("y", y)):
        bad = np.count_nonzero(~np.isfinite(values))
        if bad:
            raise DataError(f"`{name}` must be finite: {bad} of {values.size} values are not.")
