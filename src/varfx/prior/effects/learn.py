"""Hyperparameters of the effect distribution by Monte-Carlo expectation maximisation over windows.

Cores are taken one by one, as in the fit of the prior. Given samples of the sparse effects, the maximising steps are

    kappa    maximises the density of the residuals w - B s under `kappa B F B' + sigma2 I`, in the eigenbasis of `B F B'`
    a, pi_k  maximise  sum gamma_mk (log pi_k + a log h_m) - sum pi_k h_m^a
                       - 1/2 sum gamma_mk (log rel_m - a log h_m + E[s^2] / v_mk)    a on a grid, pi_k in closed form
    c_k      of a single slab: sum gamma_mk E[s^2] / (mean F rel_m / h_m^a) over sum gamma_mk

with h_m = rel_m, or the prior's own chances of a sparse effect over their mean.

The first steps go further than these maxima (over-relaxation), as background and sparse effects change places slowly; the last
ones are averaged. The residual variance stays that of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize_scalar

from varfx.prior.effects.background import RotatedWindow, log_density
from varfx.prior.effects.gibbs import Averages, sample
from varfx.prior.effects.shape import EffectShape
from varfx.prior.pairs import Cores
from varfx.progress import Progress, silent

EXPONENTS = np.linspace(0.0, 1.0, 6)
ITERATIONS = 24
RELAXED = 12  # first iterations, whose steps on the log scale are longer by
RELAXATION = 1.8
AVERAGED = 8  # last iterations whose hyperparameters are averaged
CHAINS = 4
SWEEPS = 2  # per iteration and chain, after one that is not counted
LEAST_BACKGROUND = 1e-4
LEAST_WEIGHT = 1e-9
MOST_WINDOWS = 48  # windows of a genome by which the hyperparameters are learned,
FEWEST_WINDOWS = 4
MOST_NUMBERS = 2**28  # and numbers in their matrices


@dataclass(frozen=True, eq=False)
class Expectation:
    """Sufficient statistics of one window for the maximising steps.

    Attributes:
        counts: expected number of effects of each slab in the core.
        log_informed: expected sum of log h over the core's effects.
        exposure: sum of h^a over the core, per exponent.
        squares: expected sum of s^2 h^a / rel over the core's effects, (exponent, slab).
        residual_square: expected squared residuals in the eigenbasis.
        eigenvalues: of `B F B'`.
    """

    counts: ndarray
    log_informed: float
    exposure: ndarray
    squares: ndarray
    residual_square: ndarray
    eigenvalues: ndarray


@dataclass(frozen=True, eq=False)
class Learning:
    """Inputs of all windows; arrays on the panel's rows."""

    cores: Cores
    f: ndarray
    sigma2: float
    seed: int
    inclusion: ndarray | None = None  # see `EffectShape.slabs`

    @property
    def mean_F(self) -> float:
        """Mean of F over the panel."""
        return float(self.f.mean() * self.cores.trait.n_ref)

    def rotated(self, index: int) -> RotatedWindow:
        """One core's window in the eigenbasis."""
        side = self.cores.side(index)
        core = np.isin(side.rows, self.cores.panel.rows(index)[0])
        inclusion = None if self.inclusion is None else self.inclusion[side.rows]
        F = self.cores.trait.n_ref * self.f[side.rows]
        return RotatedWindow.of(side.signal.cpu().numpy(), side.w.cpu().numpy(), F, core, inclusion)

    def observed(self) -> list[int]:
        """Numbers of the windows with associations."""
        return [index for index in range(len(self.cores.panel.cores)) if self.cores.observed(index)]

    def windows(self) -> list[int]:
        """Numbers of the windows to learn by: evenly spaced, as many as memory and time allow."""
        observed, table = self.observed(), self.cores.panel.windows
        size = float((table["rank"] * table["num_panel"]).to_numpy()[observed].mean()) if observed else 1.0
        number = min(MOST_WINDOWS, max(FEWEST_WINDOWS, int(MOST_NUMBERS / max(size, 1.0))))
        if len(observed) <= number:
            return observed
        return [observed[place] for place in np.linspace(0, len(observed) - 1, number).round().astype(int)]


def learn_shape(
    windows: Sequence[RotatedWindow],
    sigma2: float,
    first: EffectShape,
    seed: int,
    *,
    learn_size: bool = False,
    progress: Progress = silent,
) -> EffectShape:
    """The hyperparameters of a distribution with slabs.

    Args:
        windows: to learn by, the same for any trait and seed.
        sigma2: residual variance.
        first: where the learning begins.
        seed: of the Markov chains.
        learn_size: whether the size of the single slab is learned too.
        progress: told about each step.
    """
    shape, history = first, []
    states = [np.zeros((CHAINS, len(window.F)), dtype=np.float32) for window in windows]
    generators = [np.random.default_rng([seed, len(first.sizes), number]) for number in range(len(windows))]
    for iteration in range(ITERATIONS):
        found = [
            _expect(window, sigma2, shape, s, generator)
            for window, s, generator in zip(windows, states, generators, strict=True)
        ]
        best = maximise(shape, found, sigma2, learn_size=learn_size)
        shape = _beyond(shape, best, RELAXATION if iteration < RELAXED else 1.0)
        history.append(shape)
        progress(iteration + 1, ITERATIONS, "steps of learning")
    return _average(history[-AVERAGED:])


def _expect(
    window: RotatedWindow, sigma2: float, shape: EffectShape, s: ndarray, generator: np.random.Generator
) -> Expectation:
    """Continues a window's chains, whose states `s` change."""
    regression = window.regression(sigma2, shape)
    averages = Averages.zeros(regression)
    sample(regression, s, 1, generator)
    sample(regression, s, SWEEPS, generator, averages)
    return expectation(window, shape, averages.means(), window.scale(sigma2, shape.background))


def _beyond(shape: EffectShape, best: EffectShape, step: float) -> EffectShape:
    """From a shape towards the best one and beyond it, on the log scale."""

    def further(before: Float[ndarray, " slab"], after: Float[ndarray, " slab"]) -> Float[ndarray, " slab"]:
        return np.asarray(before * (after / before) ** step)

    background = shape.background * (best.background / shape.background) ** step
    return replace(
        best,
        background=float(np.clip(background, LEAST_BACKGROUND, 1.0)),
        weights=np.maximum(further(shape.weights, best.weights), LEAST_WEIGHT),
        sizes=np.maximum(further(shape.sizes, best.sizes), 1.0),
    )


def expectation(window: RotatedWindow, shape: EffectShape, means: Averages, scale: ndarray) -> Expectation:
    """The statistics of one window from the averages of its chains."""
    log_rel = np.log(shape.relative(window.F)[window.core])
    log_informed = log_rel if window.inclusion is None else np.log(window.inclusion[window.core])
    chance, square = means.chance[:, window.core], means.square[:, window.core]
    return Expectation(
        counts=chance.sum(1),
        log_informed=float(chance.sum(0) @ log_informed),
        exposure=np.exp(EXPONENTS[:, None] * log_informed).sum(1),
        squares=np.exp(EXPONENTS[:, None] * log_informed - log_rel) @ square.T,
        residual_square=means.residual_square * scale**2,
        eigenvalues=window.eigenvalues,
    )


def maximise(shape: EffectShape, found: Sequence[Expectation], sigma2: float, *, learn_size: bool) -> EffectShape:
    """The hyperparameters that maximise the expected log density of effects and associations."""
    counts, exposure, squares = (
        np.sum([getattr(each, name) for each in found], axis=0) for name in ("counts", "exposure", "squares")
    )
    log_informed = sum(each.log_informed for each in found)
    fit = counts.sum() * -np.log(exposure) + log_informed * 1.5 * EXPONENTS
    fit -= 0.5 * (squares / (shape.sizes * shape.mean_F)).sum(1)
    best = int(fit.argmax())
    sizes = shape.sizes
    if learn_size and counts[0] > 0:
        sizes = np.maximum(squares[best] / (counts * shape.mean_F), 1.0)
    return replace(
        shape,
        background=_best_background(found, sigma2),
        sizes=sizes,
        weights=np.maximum(counts / exposure[best], LEAST_WEIGHT),
        exponent=float(EXPONENTS[best]),
    )


def _best_background(found: Sequence[Expectation], sigma2: float) -> float:
    """kappa in (0, 1]."""
    squares = np.concatenate([each.residual_square for each in found])
    eigenvalues = np.concatenate([each.eigenvalues for each in found])

    def loss(log_kappa: float) -> float:
        return -log_density(squares, eigenvalues, sigma2, float(np.exp(log_kappa)))

    found_log = float(minimize_scalar(loss, bounds=(np.log(LEAST_BACKGROUND), 0.0), method="bounded").x)
    return 1.0 if loss(0.0) <= loss(found_log) else float(np.exp(found_log))


def _average(history: Sequence[EffectShape]) -> EffectShape:
    """Geometric means of the last iterations, in which the samples' noise averages out."""

    def mean(values: list[Float[ndarray, " slab"]]) -> Float[ndarray, " slab"]:
        return np.asarray(np.exp(np.mean(np.log(values), axis=0)))

    return replace(
        history[-1],
        background=float(np.exp(np.mean([np.log(each.background) for each in history]))),
        weights=mean([each.weights for each in history]),
        sizes=mean([each.sizes for each in history]),
        exponent=float(np.mean([each.exponent for each in history])),
    )
