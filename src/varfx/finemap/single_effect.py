"""The single-effect regression of SuSiE: which one variant of a locus has an effect, given the others' effects.

With the score `s_j = b_j' C^-1 r` of each variant, its precision `d_j`, and an effect of variance V:

    lbf_j(V) = 1/2 [ s_j^2 V / (1 + V d_j) - log(1 + V d_j) ]          L(V) = logsumexp_j( log pi_j + lbf_j(V) )

(Wang et al. 2020; with `1 / d` for the squared standard error this is Wakefield's Bayes factor.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

GRID = 4.0 ** -np.arange(13.0)[:, None]  # candidates of V as shares of its largest possible value
XTOL = 1e-10  # of log V
MAX_STEPS = 60


@dataclass(frozen=True, eq=False)
class SingleEffect:
    """The posterior of one effect.

    Attributes:
        V: its prior variance; 0 where the data speak for none.
        alpha: probability of each variant to carry it.
        mean: posterior mean of the effect at each variant, if it is there.
        square: posterior mean of its square.
        lbf: log Bayes factor of each variant.
        evidence: log Bayes factor of the effect, L(V).
    """

    V: float
    alpha: Float[ndarray, " variant"]
    mean: Float[ndarray, " variant"]
    square: Float[ndarray, " variant"]
    lbf: Float[ndarray, " variant"]
    evidence: float


def single_effect(
    score: Float[ndarray, " variant"],
    d: Float[ndarray, " variant"],
    log_weights: Float[ndarray, " variant"],
    V: float | None = None,
) -> SingleEffect:
    """The posterior of one effect; its variance is that of largest evidence unless `V` is given.

    Args:
        score: `B' C^-1 r`.
        d: `b_j' C^-1 b_j` of each variant, or one number for all.
        log_weights: log of the prior probabilities; they sum to 1.
        V: prior variance of the effect.
    """
    s2 = score * score
    V = best_variance(s2, d, log_weights) if V is None else V
    if V <= 0:
        zero = np.zeros_like(score)
        return SingleEffect(V=0.0, alpha=np.exp(log_weights), mean=zero, square=zero, lbf=zero, evidence=0.0)
    shrunk = V / (1 + V * d)  # posterior variance
    lbf = 0.5 * (s2 * shrunk - np.log1p(V * d))
    joint = lbf + log_weights
    top = joint.max()
    alpha = np.exp(joint - top)
    total = alpha.sum()
    mean = shrunk * score
    return SingleEffect(
        V=float(V),
        alpha=alpha / total,
        mean=mean,
        square=shrunk + mean * mean,
        lbf=lbf,
        evidence=float(top + np.log(total)),
    )


def best_variance(
    s2: Float[ndarray, " variant"], d: Float[ndarray, " variant"], log_weights: Float[ndarray, " variant"]
) -> float:
    """The variance of an effect that maximises its evidence; 0 if none has more evidence than no effect.

    Above the largest `bh^2 - 1 / d` every Bayes factor falls. Below it, the best of a geometric grid is refined by Newton
    steps on log V, kept within the neighbouring grid points.
    """
    largest = float(((s2 / d - 1) / d).max())
    if not largest > 0:
        return 0.0
    grid = largest * GRID
    values = _evidence(grid, s2, d, log_weights)
    best = int(values.argmax())
    low, high = np.log(grid[min(best + 1, grid.size - 1), 0]), np.log(grid[max(best - 1, 0), 0])
    x = np.log(grid[best, 0])
    if best == grid.size - 1:
        if np.exp(log_weights) @ (s2 - d) <= 0:  # L falls from V = 0 on
            return 0.0
        low = x - 30.0
    for _ in range(MAX_STEPS):
        slope, curvature = _slope(np.exp(x), s2, d, log_weights)
        low, high = (x, high) if slope > 0 else (low, x)
        step = -slope / curvature if curvature < 0 else np.inf
        following = x + step
        if not low < following < high:
            following = (low + high) / 2 if abs(step) > XTOL else x
        moved, x = abs(following - x), following
        if moved < XTOL:
            break
    V = float(np.exp(x))
    return V if _evidence(np.array([[V]]), s2, d, log_weights)[0] > 0 else 0.0


def _evidence(V: ndarray, s2: ndarray, d: ndarray, log_weights: ndarray) -> ndarray:
    """L(V) of a column of variances."""
    grown = 1 + V * d
    joint = s2 * (0.5 * V / grown) - 0.5 * np.log(grown) + log_weights
    top = joint.max(axis=1)
    return np.asarray(top + np.log(np.exp(joint - top[:, None]).sum(axis=1)))


def _slope(V: float, s2: ndarray, d: ndarray, log_weights: ndarray) -> tuple[float, float]:
    """First and second derivative of L by log V."""
    u = V * d / (1 + V * d)
    gain = s2 / d
    joint = 0.5 * (gain * u + np.log1p(-u)) + log_weights
    alpha = np.exp(joint - joint.max())
    alpha /= alpha.sum()
    first = 0.5 * (gain * (u * (1 - u)) - u)
    second = 0.5 * (gain * (u * (1 - u) * (1 - 2 * u)) - u * (1 - u))
    mean = float(alpha @ first)
    return mean, float(alpha @ (first * first + second)) - mean * mean
