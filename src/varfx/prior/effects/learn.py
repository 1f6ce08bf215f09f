"""Hyperparameters of the effect distribution by Monte-Carlo expectation maximisation over windows.

Cores are taken one by one, as in the fit of the prior. Given samples of the sparse effects, the maximising steps are

    kappa    maximises the density of the residuals w - B s under `kappa B F B' + sigma2 I`, in the eigenbasis of `B F B'`
    a, pi_k  maximise  sum gamma_mk (log pi_k + a log rel_m) - sum pi_k rel_m^a
                       - 1/2 sum gamma_mk ((1 - a) log rel_m + E[s^2] / v_mk)        a on a grid, pi_k in closed form
    c_k      of a single slab: sum gamma_mk E[s^2] / (mean F rel_m^(1 - a)) over sum gamma_mk

The residual variance stays that of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize_scalar

from varfx.io.workers import Job, Workers, map_pieces
from varfx.prior.effects.background import RotatedWindow, log_density
from varfx.prior.effects.evidence import PATH, integrated, lower_bound, normal_evidence, scaled, slope
from varfx.prior.effects.gibbs import Averages, SparseRegression, sample
from varfx.prior.effects.shape import EffectShape, first_shape
from varfx.prior.pairs import Cores

EXPONENTS = np.linspace(0.0, 1.0, 6)
ITERATIONS = 16
AVERAGED = 5  # last iterations whose hyperparameters are averaged
CHAINS = 2
SWEEPS = 8  # per iteration and chain, the first quarter not counted
GROUP_SIZE = 2**28  # numbers in the matrices of windows that are sampled in step
LEAST_BACKGROUND = 1e-4
LEAST_WEIGHT = 1e-9
MOST_WINDOWS = 48  # windows of a genome by which the hyperparameters are learned


@dataclass(frozen=True, eq=False)
class Expectation:
    """Sufficient statistics of one window for the maximising steps.

    Attributes:
        window: its number.
        s: last states of the chains.
        counts: expected number of effects of each slab in the core.
        log_rel: expected sum of log rel over the core's effects.
        exposure: sum of rel^a over the core, per exponent.
        squares: expected sum of s^2 / rel^(1 - a) over the core's effects, (exponent, slab).
        residual_square: expected squared residuals in the eigenbasis.
        eigenvalues: of `B F B'`.
    """

    window: int
    s: ndarray
    counts: ndarray
    log_rel: float
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

    def rotated(self, index: int) -> RotatedWindow:
        """One core's window in the eigenbasis."""
        side = self.cores.side(index)
        core = np.isin(side.rows, self.cores.panel.rows(index)[0])
        return RotatedWindow.of(
            side.signal.cpu().numpy(), side.w.cpu().numpy(), self.cores.trait.n_ref * self.f[side.rows], core
        )

    def windows(self) -> list[int]:
        """Numbers of the windows to learn by: evenly spaced, at most `MOST_WINDOWS`."""
        observed = [index for index in range(len(self.cores.panel.cores)) if self.cores.observed(index)]
        if len(observed) <= MOST_WINDOWS:
            return observed
        return [observed[place] for place in np.linspace(0, len(observed) - 1, MOST_WINDOWS).round().astype(int)]


def learn_shape(
    learning: Learning, sizes: Sequence[float], *, where: Workers, folder: Path | None = None
) -> EffectShape:
    """The hyperparameters of the slabs `sizes`; a single slab's size is learned too.

    Args:
        learning: the windows.
        sizes: c_k.
        where: processes or a scheduler; the result does not depend on it.
        folder: see `map_pieces`.
    """
    shape = first_shape(tuple(sizes), float(learning.f.mean() * learning.cores.trait.n_ref))
    states: dict[int, ndarray | None] = dict.fromkeys(learning.windows())
    history = []
    for iteration in range(ITERATIONS):
        found = {each.window: each for each in _expectations(learning, shape, states, iteration, where, folder)}
        ordered = [found[index] for index in states]
        states = {each.window: each.s for each in ordered}
        shape = maximise(shape, ordered, learning.sigma2, learn_size=len(sizes) == 1)
        history.append(shape)
    return _average(history[-AVERAGED:])


def evidence_of(
    learning: Learning, shapes: Sequence[EffectShape], *, where: Workers, folder: Path | None = None
) -> list[float]:
    """Log evidence of the associations in the windows: of the normal prior, then of each shape (see `evidence`)."""
    groups = _groups(learning, learning.windows())
    job = Job(function=_evidence, start=_same, arguments=(learning,), what="windows", folder=folder)
    total = np.zeros(1 + len(shapes))
    found = dict(map_pieces(job, [(number, group, tuple(shapes)) for number, group in enumerate(groups)], where))
    for number in range(len(groups)):
        total += found[number]
    return [float(value) for value in total]


def _expectations(
    learning: Learning,
    shape: EffectShape,
    states: dict[int, ndarray | None],
    iteration: int,
    where: Workers,
    folder: Path | None,
) -> Iterator[Expectation]:
    """The statistics of every window, its chains continued under the present hyperparameters."""
    job = Job(function=_expect, start=_same, arguments=(learning,), what="windows", folder=folder)
    groups = _groups(learning, list(states))
    pieces = [(group, iteration, shape, [states[index] for index in group]) for group in groups]
    for part in map_pieces(job, pieces, where):
        yield from part


def _groups(learning: Learning, windows: Sequence[int]) -> list[tuple[int, ...]]:
    """Windows that are sampled in step: as many as fit `GROUP_SIZE`; the same on every machine."""
    table = learning.cores.panel.windows
    sizes = (table["rank"] * table["num_panel"]).to_list()
    groups: list[list[int]] = []
    left = 0
    for index in windows:
        if not groups or left < sizes[index]:
            groups.append([])
            left = GROUP_SIZE
        groups[-1].append(index)
        left -= sizes[index]
    return [tuple(group) for group in groups]


def _same(learning: Learning) -> Learning:
    return learning


def _expect(
    learning: Learning, piece: tuple[tuple[int, ...], int, EffectShape, list[ndarray | None]]
) -> list[Expectation]:
    """Continues the chains of some windows."""
    group, iteration, shape, before = piece
    windows = [learning.rotated(index) for index in group]
    states = [
        np.zeros((CHAINS, len(window.F)), dtype=np.float32) if state is None else state
        for window, state in zip(windows, before, strict=True)
    ]
    seeds = [[learning.seed, len(shape.sizes), index, iteration] for index in group]
    averages, _ = _sampled(learning, windows, shape, states, seeds, burn_in=SWEEPS // 4, sweeps=SWEEPS - SWEEPS // 4)
    return [
        expectation(index, window, shape, means, s, window.scale(learning.sigma2, shape.background))
        for index, window, means, s in zip(group, windows, averages, states, strict=True)
    ]


def _evidence(
    learning: Learning, piece: tuple[int, tuple[int, ...], tuple[EffectShape, ...]]
) -> tuple[int, Float[ndarray, " distribution"]]:
    """Number of the group, and the evidence of the normal prior and each shape in its windows."""
    number, group, shapes = piece
    windows = [learning.rotated(index) for index in group]
    total = [sum(normal_evidence(window, learning.sigma2) for window in windows)]
    for shape in shapes:
        states = [np.zeros((CHAINS, len(window.F)), dtype=np.float32) for window in windows]
        bound, slopes = 0.0, np.zeros(len(PATH))
        for place, step in enumerate(PATH):
            there = scaled(shape, step)
            seeds = [[learning.seed, len(shape.sizes), index, ITERATIONS + place] for index in group]
            averages, regressions = _sampled(learning, windows, there, states, seeds, burn_in=SWEEPS, sweeps=SWEEPS)
            slopes[place] = sum(slope(w, there, means) for w, means in zip(windows, averages, strict=True))
            if place == 0:
                parts = zip(windows, regressions, averages, states, strict=True)
                bound = sum(lower_bound(w, learning.sigma2, there, r, means, s) for w, r, means, s in parts)
        total.append(bound + integrated(slopes))
    return number, np.array(total)


def _sampled(
    learning: Learning,
    windows: Sequence[RotatedWindow],
    shape: EffectShape,
    states: Sequence[ndarray],
    seeds: Sequence[Sequence[int]],
    *,
    burn_in: int,
    sweeps: int,
) -> tuple[list[Averages], list[SparseRegression]]:
    """Averages of the windows' chains, and their regressions; `states` are changed."""
    regressions = [window.regression(learning.sigma2, shape) for window in windows]
    generators = [np.random.default_rng(seed) for seed in seeds]
    averages = [Averages.zeros(each) for each in regressions]
    sample(regressions, states, burn_in, generators)
    sample(regressions, states, sweeps, generators, averages)
    return [each.means() for each in averages], regressions


def expectation(
    index: int, window: RotatedWindow, shape: EffectShape, means: Averages, s: ndarray, scale: ndarray
) -> Expectation:
    """The statistics of one window from the averages of its chains."""
    log_rel = np.log(shape.relative(window.F)[window.core])
    chance, square = means.chance[:, window.core], means.square[:, window.core]
    return Expectation(
        window=index,
        s=s,
        counts=chance.sum(1),
        log_rel=float(chance.sum(0) @ log_rel),
        exposure=np.exp(EXPONENTS[:, None] * log_rel).sum(1),
        squares=np.exp(-(1 - EXPONENTS)[:, None] * log_rel) @ square.T,
        residual_square=means.residual_square * scale**2,
        eigenvalues=window.eigenvalues,
    )


def maximise(shape: EffectShape, found: Sequence[Expectation], sigma2: float, *, learn_size: bool) -> EffectShape:
    """The hyperparameters that maximise the expected log density of effects and associations."""
    counts, exposure, squares = (
        np.sum([getattr(each, name) for each in found], axis=0) for name in ("counts", "exposure", "squares")
    )
    log_rel = sum(each.log_rel for each in found)
    fit = counts.sum() * -np.log(exposure) + log_rel * (EXPONENTS - 0.5 * (1 - EXPONENTS))
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
    last = history[-1]

    def mean(values: list[Float[ndarray, " slab"]]) -> Float[ndarray, " slab"]:
        return np.asarray(np.exp(np.mean(np.log(values), axis=0)))

    return replace(
        last,
        background=float(np.exp(np.mean([np.log(each.background) for each in history]))),
        weights=mean([each.weights for each in history]),
        sizes=mean([each.sizes for each in history]),
    )
