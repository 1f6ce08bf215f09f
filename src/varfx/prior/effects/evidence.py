"""Evidence of an effect distribution: exact for the normal one; with slabs a variational lower bound, and a path from there.

With the background integrated out, the log density of a window's associations is at least

    log N(w; 0, C) + E_q[ w' A s - 1/2 |A s|^2 ] - KL(q | p)       q(s) = prod_m q_m(s_m), each a spike and slabs

q_m is the exact zero for variants of negligible posterior chance, and coordinate ascent finds the others, from the averages
of the Gibbs sampler and from its last states; the larger bound counts (Carbonetto and Stephens 2012). The bound is near where
effects are few and strong, and far off where they are many and weak. So it is taken where all chances pi_mk are a
thousandth of the learned ones, and the rest of the way integrated over the samples (Gelman and Meng 1998):

    d log p(w) / d log pi = E[ sum_m (gamma_m - pi_m) / (1 - pi_m) ],   gamma_m, pi_m: posterior and prior chance of an effect
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from varfx.prior.effects.background import RotatedWindow, log_density
from varfx.prior.effects.gibbs import Averages, SparseRegression
from varfx.prior.effects.shape import EffectShape

LEAST_CHANCE = 0.01  # variants below this posterior probability have q = 0
MOST_ROUNDS = 100
TOLERANCE = 1e-3  # nats
PATH = tuple(float(step) for step in np.geomspace(1e-3, 1.0, 7))  # chances relative to the learned ones, rising


def scaled(shape: EffectShape, step: float) -> EffectShape:
    """The distribution with all chances of an effect multiplied by `step`."""
    return replace(shape, weights=shape.weights * step)


def slope(window: RotatedWindow, shape: EffectShape, means: Averages) -> float:
    """d log evidence / d log pi of a window."""
    null = shape.slabs(window.F)[1]
    return float(((means.chance.sum(0) - (1 - null)) / null).sum())


def integrated(slopes: ndarray) -> float:
    """The integral of the slopes at `PATH` over log pi, by the trapezoidal rule."""
    return float(np.trapezoid(slopes, np.log(PATH)))


def normal_evidence(window: RotatedWindow, sigma2: float) -> float:
    """Log density of a window's associations under the normal prior."""
    return log_density(window.w**2, window.eigenvalues, sigma2, 1.0)


def lower_bound(
    window: RotatedWindow, sigma2: float, shape: EffectShape, regression: SparseRegression, means: Averages, s: ndarray
) -> float:
    """Lower bound of the log density of a window's associations under a distribution with slabs.

    Args:
        window: in the eigenbasis.
        sigma2: residual variance.
        shape: the distribution.
        regression: its regression at this window.
        means: averages of the chains.
        s: last states of the chains, (chain, variant).
    """
    base = log_density(window.w**2, window.eigenvalues, sigma2, shape.background)
    chances, null, variances = shape.slabs(window.F)
    chosen = np.flatnonzero((means.chance.sum(0) > LEAST_CHANCE) | (s != 0).any(0))
    field = _Field.of(regression, chosen, chances, null, variances)
    starts = [means.mean[chosen], *(state[chosen] for state in s)]
    gains = [ascend(field, start) for start in starts] if chosen.size else [0.0]
    others = float(np.log(np.delete(null, chosen)).sum())
    return base + max(gains) + others


@dataclass(frozen=True, eq=False)
class _Field:
    """The variants of a mean-field approximation."""

    gram: Float[ndarray, "variant variant"]
    linear: Float[ndarray, " variant"]  # A w
    log_chances: Float[ndarray, "slab variant"]
    log_null: Float[ndarray, " variant"]
    variances: Float[ndarray, "slab variant"]
    t: Float[ndarray, "slab variant"]

    @classmethod
    def of(
        cls, regression: SparseRegression, chosen: ndarray, chances: ndarray, null: ndarray, variances: ndarray
    ) -> _Field:
        A = regression.A[chosen].astype(np.float64)
        gram = A @ A.T
        v = variances[:, chosen]
        with np.errstate(divide="ignore"):
            logs = np.log(chances[:, chosen])
        t = 1 / (np.diag(gram) + 1 / v)
        return cls(gram, A @ regression.w.astype(np.float64), logs, np.log(null[chosen]), v, t)


def ascend(field: _Field, mean: ndarray) -> float:
    """The bound's part of the chosen variants, coordinate ascent begun at the means `mean`."""
    mean = mean.copy()
    bound = -np.inf
    slabs, size = field.t.shape
    chance, centre = np.zeros((slabs, size)), np.zeros((slabs, size))
    diagonal = np.diag(field.gram)
    fitted = field.gram @ mean
    for _ in range(MOST_ROUNDS):
        for m in range(size):
            g = field.linear[m] - fitted[m] + diagonal[m] * mean[m]
            t = field.t[:, m]
            L = field.log_chances[:, m] + 0.5 * np.log(t / field.variances[:, m]) + 0.5 * t * g**2
            top = max(float(L.max()), float(field.log_null[m]))
            weights = np.exp(L - top)
            chance[:, m] = weights / (weights.sum() + np.exp(field.log_null[m] - top))
            centre[:, m] = t * g
            new = float(chance[:, m] @ centre[:, m])
            fitted += field.gram[m] * (new - mean[m])
            mean[m] = new
        before, bound = bound, _bound(field, chance, centre, mean)
        if bound - before < TOLERANCE:
            break
    return bound


def _bound(field: _Field, chance: ndarray, centre: ndarray, mean: ndarray) -> float:
    square = chance * (centre**2 + field.t)
    d = np.diag(field.gram)
    fit = field.linear @ mean - 0.5 * (mean @ field.gram @ mean + d @ (square.sum(0) - mean**2))
    null = np.maximum(1 - chance.sum(0), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        inclusion = np.where(chance > 0, chance * (np.log(chance) - field.log_chances), 0.0).sum()
    inclusion += (null * (np.log(null) - field.log_null)).sum()
    v, t = field.variances, field.t
    size = 0.5 * (chance * ((centre**2 + t) / v - 1 - np.log(t / v))).sum()
    return float(fit - inclusion - size)
