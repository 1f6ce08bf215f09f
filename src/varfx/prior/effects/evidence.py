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

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import logsumexp

from varfx.prior.effects.background import RotatedWindow, log_density
from varfx.prior.effects.gibbs import BLOCK, Averages, SparseRegression, sample
from varfx.prior.effects.shape import MIXTURE_SIZES, EffectShape

LEAST_CHANCE = 0.01  # variants below this posterior probability have q = 0
MOST_ROUNDS = 100
TOLERANCE = 1e-3  # nats
PATH = tuple(float(step) for step in np.geomspace(1e-3, 1.0, 7))  # chances relative to the learned ones, rising
CHAINS = 2  # in each of two runs, whose difference tells the sampling error
SWEEPS = 6  # per step of the path,
BURN_IN = 4  # after some that are not counted
ONE_EFFECT_CHANCES = np.geomspace(1e-3, 1.0, 13)  # prior chance that a stretch has a larger effect


def scaled(shape: EffectShape, step: float) -> EffectShape:
    """The distribution with all chances of an effect multiplied by `step`."""
    return replace(shape, weights=shape.weights * step)


def slope(window: RotatedWindow, shape: EffectShape, means: Averages) -> float:
    """d log evidence / d log pi of a window."""
    null = window.slabs(shape)[1]
    return float(((means.chance.sum(0) - (1 - null)) / null).sum())


def integrated(slopes: ndarray) -> float:
    """The integral of the slopes at `PATH` over log pi, by the trapezoidal rule."""
    return float(np.trapezoid(slopes, np.log(PATH)))


def normal_evidence(window: RotatedWindow, sigma2: float) -> float:
    """Log density of a window's associations under the normal prior."""
    return log_density(window.w**2, window.eigenvalues, sigma2, 1.0)


def evidence(window: RotatedWindow, sigma2: float, shape: EffectShape, seed: Sequence[int]) -> tuple[float, float]:
    """Log density of a window's associations under a distribution with slabs, and its sampling error, from two runs."""
    regression = window.regression(sigma2, shape)
    runs = [_along_path(window, sigma2, shape, regression, np.random.default_rng([*seed, run])) for run in (0, 1)]
    return float(np.mean(runs)), abs(runs[0] - runs[1]) / 2


def _along_path(
    window: RotatedWindow,
    sigma2: float,
    shape: EffectShape,
    regression: SparseRegression,
    generator: np.random.Generator,
) -> float:
    """The lower bound at the path's beginning and the integral of the slopes from there."""
    s = np.zeros((CHAINS, len(window.F)), dtype=np.float32)
    slopes, bound = np.zeros(len(PATH)), 0.0
    for place, step in enumerate(PATH):
        there = scaled(shape, step)
        chances, _, variances = window.slabs(there)
        regression = regression.under(chances, variances)
        averages = Averages.zeros(regression)
        sample(regression, s, BURN_IN, generator)
        sample(regression, s, SWEEPS, generator, averages)
        slopes[place] = slope(window, there, averages.means())
        if place == 0:
            bound = lower_bound(window, sigma2, there, regression, averages.means(), s)
    return bound + integrated(slopes)


def one_effect_gain(windows: Sequence[RotatedWindow], sigma2: float, mean_F: float) -> float:
    """Log evidence, over that of the normal prior, of a larger effect at one variant at most of each stretch, in closed form.

    A stretch is `BLOCK` variants of a core, and counted as if the others had no larger effect; two stretches in LD so count one
    effect twice, which makes this a hint and no evidence. The largest value of any size of the mixture and any chance that a
    stretch has such an effect. With C that of the normal prior, the Bayes factor of an effect N(0, v) at variant m is
    `(t / v)^1/2 exp(t g^2 / 2)`, averaged over m in proportion to rel_m^1/2.
    """
    best = 0.0
    factors = np.concatenate([_one_effect(window, sigma2, mean_F) for window in windows])
    for chance in ONE_EFFECT_CHANCES:
        with np.errstate(divide="ignore"):
            gains = np.logaddexp(np.log1p(-chance), np.log(chance) + factors).sum(0)
        best = max(best, float(gains.max()))
    return best


def _one_effect(window: RotatedWindow, sigma2: float, mean_F: float) -> Float[ndarray, "stretch slab"]:
    """Log Bayes factors of one effect in each stretch, per size."""
    sizes = np.array(MIXTURE_SIZES)
    shape = EffectShape(background=1.0, sizes=sizes, weights=np.ones(1), exponent=0.5, mean_F=mean_F)
    scale = window.scale(sigma2, 1.0)
    A = window.signal[window.core] * (1 / scale).astype(np.float32)
    g, d = A @ (window.w / scale).astype(np.float32), np.square(A).sum(1)
    rel = shape.relative(window.F[window.core]) ** shape.exponent
    variances = sizes[:, None] * mean_F * rel
    t = 1 / (d + 1 / variances)
    factors = 0.5 * np.log(t / variances) + 0.5 * t * g**2
    stretches = [slice(start, start + BLOCK) for start in range(0, rel.size, BLOCK)]
    return np.array([logsumexp(factors[:, each], b=rel[each] / rel[each].sum(), axis=1) for each in stretches])


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
    chances, null, variances = window.slabs(shape)
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
