"""Closed linear models: BLUP with heritability by REML, and the single best variant.

BLUP in dual form, Z standardised on the training people: `beta = Z' (Z Z' + lam I)^-1 y`, `lam = M (1 - h2) / h2`; the
n x n matrix is diagonal in the basis that REML found.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from varfx.expression.heritability import maximise, rotate
from varfx.expression.linear import LinearFit, check_training, standardise


def fit_blup(
    X: Float[ndarray, "person variant"], y: Float64[ndarray, " person"], *, h2: float | None = None
) -> LinearFit:
    """The best linear unbiased predictor: all variants have effects from one normal distribution.

    Args:
        X: dosages of the training people.
        y: their adjusted expression.
        h2: the share of variance that the variants explain; by REML if not given. 0 makes all weights 0.

    Raises:
        DataError: too few people, or values that are not finite.
    """
    check_training(X, y)
    genotypes = standardise(X)
    M = genotypes.Z.shape[1]
    contrasts = rotate(genotypes.Z, y)
    h2 = maximise(contrasts) if h2 is None else h2
    if h2 <= 0 or not M:
        return genotypes.fit(np.zeros(M), y, {"h2": 0.0})
    dual = contrasts.U @ (contrasts.u / (M * contrasts.d + M * (1 - h2) / h2))
    return genotypes.fit(genotypes.Z.T @ dual, y, {"h2": h2})


def fit_top1(X: Float[ndarray, "person variant"], y: Float64[ndarray, " person"]) -> LinearFit:
    """Simple regression on the variant with the strongest marginal association; of equals, the first in the genome.

    Raises:
        DataError: too few people, or values that are not finite.
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
