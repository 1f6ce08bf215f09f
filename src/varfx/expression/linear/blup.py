"""Closed linear models: BLUP with heritability by REML, and the single best variant.

BLUP in dual form, Z standardised on the training individuals: `beta = Z' (Z Z' + lam I)^-1 y`, `lam = M (1 - h2) / h2`; the
n x n matrix is diagonal in the basis that REML found. With prior variances `f_j` (mean 1) instead of equal ones,
`beta = F Z' (Z F Z' + lam I)^-1 y`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from varfx.errors import DataError
from varfx.expression.linear.fit import Genotypes, LinearFit, check_training, standardise
from varfx.expression.linear.heritability import log_likelihood, maximise, rotate


def fit_blup(
    X: Float[ndarray, "individual variant"],
    y: Float64[ndarray, " individual"],
    *,
    h2: float | None = None,
    variances: Float64[ndarray, " variant"] | None = None,
) -> LinearFit:
    """The best linear unbiased predictor: effects on standardised genotypes are normal.

    Args:
        X: dosages of the training individuals.
        y: their adjusted expression.
        h2: the share of variance that the variants explain; by REML if not given. 0 makes all weights 0.
        variances: of each variant's effect, up to a factor that REML finds; by default equal ones.

    Raises:
        DataError: too few individuals, or values that are not finite.
    """
    check_training(X, y)
    genotypes = standardise(X)
    M = genotypes.Z.shape[1]
    root = prior_root(variances, genotypes)
    Z = genotypes.Z * root
    contrasts = rotate(Z, y)
    h2 = maximise(contrasts) if h2 is None else h2
    if h2 <= 0 or not M:
        return genotypes.fit(np.zeros(M), y, {"h2": 0.0})
    dual = contrasts.U @ (contrasts.u / (M * contrasts.d + M * (1 - h2) / h2))
    return genotypes.fit(root * (Z.T @ dual), y, {"h2": h2})


def prior_root(variances: Float64[ndarray, " variant"] | None, genotypes: Genotypes) -> Float64[ndarray, " kept"]:
    """Square roots of the kept variants' prior variances, scaled to a mean of 1.

    Raises:
        DataError: they are not one positive number per variant.
    """
    count = int(genotypes.kept.sum())
    if variances is None or not count:
        return np.ones(count)
    if variances.shape != genotypes.kept.shape or not (np.isfinite(variances).all() and (variances > 0).all()):
        raise DataError(f"`variances` must be {genotypes.kept.size} positive numbers, one per variant.")
    kept = variances[genotypes.kept]
    return np.asarray(np.sqrt(kept / kept.mean()))


def fit_top1(X: Float[ndarray, "individual variant"], y: Float64[ndarray, " individual"]) -> LinearFit:
    """Simple regression on the variant with the strongest marginal association; of equals, the first in the genome.

    Raises:
        DataError: too few individuals, or values that are not finite.
    """
    check_training(X, y)
    genotypes = standardise(X)
    beta = np.zeros(genotypes.Z.shape[1])
    if not beta.size:
        return genotypes.fit(beta, y, {"r": 0.0})
    effects = genotypes.Z.T @ (y - y.mean()) / y.size
    best = int(np.argmax(np.abs(effects) > np.abs(effects).max() * (1 - 1e-12)))
    beta[best] = effects[best]
    spread = float(y.std())
    return genotypes.fit(beta, y, {"r": float(effects[best]) / spread if spread > 0 else 0.0})


def likelihood_gain(genotypes: Genotypes, y: Float64[ndarray, " individual"], root: Float64[ndarray, " kept"]) -> float:
    """Restricted log-likelihood under prior variances `root^2` minus that under equal ones, in nats; own h2 for each."""
    values = []
    for scale in (root, np.ones_like(root)):
        contrasts = rotate(genotypes.Z * scale, y)
        values.append(log_likelihood(contrasts, maximise(contrasts))[0])
    return values[0] - values[1]
