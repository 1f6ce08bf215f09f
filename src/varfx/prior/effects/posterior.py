"""Posterior of effects with a sparse part, over the pairs of cores of a panel, by several Markov chains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.io.workers import Job, Workers, map_pieces
from varfx.prior.effects.background import FactoredBackground
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.effects.convergence import CONVERGED, split_r_hat
from varfx.prior.effects.gibbs import Averages, SparseRegression, sample
from varfx.prior.effects.pair_background import pair_background
from varfx.prior.effects.shape import EffectShape
from varfx.prior.pairs import Arrangement, Cores
from varfx.prior.posterior import IN_THIS_PROCESS, pieces_of
from varfx.progress import Progress, silent

DOUBLINGS = 4  # of the number of sweeps, where chains disagree
HALVES = ("left half", "with the next", "right half")


@dataclass(frozen=True, eq=False)
class EffectsPosterior:
    """Posterior of every panel variant's effect on standardised genotypes; 0 where no window covers it.

    Attributes:
        mean: posterior means.
        sd: posterior standard deviations.
        pip: posterior probabilities of a sparse effect.
        windows: per pair of cores: `cores` (name of the first, and "pair" or its half), `variants`, `rank`, `effects` (expected number of sparse
            ones), `r_hat`, `sweeps`.
    """

    mean: Float[ndarray, " variant"]
    sd: Float[ndarray, " variant"]
    pip: Float[ndarray, " variant"]
    windows: list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class _Sampling:
    """Inputs of all stretches; arrays on the panel's rows."""

    cores: Cores
    f: ndarray
    sigma2: float
    shape: EffectShape
    config: EffectsConfig
    inclusion: ndarray | None = None


def effects_posterior(
    cores: Cores,
    f: Float[ndarray, " variant"],
    sigma2: float,
    shape: EffectShape,
    config: EffectsConfig,
    *,
    inclusion: Float[ndarray, " variant"] | None = None,
    where: Workers = IN_THIS_PROCESS,
    folder: Path | None = None,
    progress: Progress = silent,
) -> EffectsPosterior:
    """Posterior under a learned effect distribution; the same for any number of workers.

    Args:
        cores: the panel and one trait's associations.
        f: prior variances on the panel's rows.
        sigma2: residual variance of z.
        shape: the effect distribution.
        config: chains, sweeps, seed.
        inclusion: see `EffectShape.slabs`.
        where: processes of this machine, each with the memory of two windows, or a scheduler.
        folder: see `map_pieces`.
        progress: told about each window.

    Raises:
        WorkerError: workers or the scheduler were lost.
    """
    mean, sd, pip = (np.zeros(cores.panel.variants.height) for _ in range(3))
    total = len(cores.panel.cores)
    job = Job(
        function=_stretch,
        start=_Sampling,
        arguments=(cores, f, sigma2, shape, config, inclusion),
        what="stretches of windows",
        folder=folder,
    )
    windows: list[tuple[tuple[int, int], dict[str, Any]]] = []
    done = 0
    for number, rows, values, notes in map_pieces(job, pieces_of(total), where):
        mean[rows], sd[rows], pip[rows] = values
        windows += notes
        progress(done := done + number, total, "windows")
    windows.sort(key=lambda each: each[0])
    return EffectsPosterior(mean, sd, pip, [note for _, note in windows])


def _stretch(
    sampling: _Sampling, piece: tuple[int, int]
) -> tuple[int, ndarray, ndarray, list[tuple[tuple[int, int], dict[str, Any]]]]:
    """Number of cores, panel rows of their variants, their (mean, sd, pip), and notes on each system."""
    first, last = piece
    rows, values, notes = [np.zeros(0, dtype=np.int64)], [np.zeros((3, 0))], []
    for arrangement in sampling.cores.arrangements(first, last):
        found_rows, found, note = _of_arrangement(sampling, arrangement)
        (index, kind), _, _ = arrangement
        rows.append(found_rows)
        values.append(found)
        notes.append(((index, kind), {"cores": f"{sampling.cores.panel.cores[index].name} {HALVES[kind]}", **note}))
    return last - first, np.concatenate(rows), np.concatenate(values, axis=1), notes


def _of_arrangement(
    sampling: _Sampling, arrangement: Arrangement
) -> tuple[Int[ndarray, " chosen"], Float[ndarray, "3 chosen"], dict[str, Any]]:
    """Panel rows of its own variants, their mean, sd and pip, and how its chains went."""
    n_ref, config = sampling.cores.trait.n_ref, sampling.config
    number, bounds, _ = arrangement
    rows, background = _background(sampling, arrangement)
    inside = sampling.cores.inside(rows, bounds)
    generator = np.random.default_rng([config.seed, *number])
    means, r_hat, sweeps = run_chains(background.regression, config, generator)
    mean = background.effects(means.mean, inside)
    chosen = inside[background.sampled]
    variance = np.maximum(means.total_square - means.total_mean**2, 0.0)[chosen]
    pip = means.chance.sum(0)[chosen]
    note = {
        "variants": int(inside.sum()),
        "rank": len(background.w),
        "effects": float(pip.sum()),
        "r_hat": r_hat,
        "sweeps": sweeps,
    }
    return rows[inside], np.stack([mean / np.sqrt(n_ref), np.sqrt(variance / n_ref), pip]), note


def _background(sampling: _Sampling, arrangement: Arrangement) -> tuple[Int[ndarray, " row"], FactoredBackground]:
    """Panel rows of an arrangement's variants, and its background."""
    cores, shape, sigma2 = sampling.cores, sampling.shape, sampling.sigma2
    F = cores.trait.n_ref * sampling.f
    number, bounds, sides = arrangement
    if len(sides) == 2 and all(side.large for side in sides):
        own = (cores.panel.rows(number[0])[0], cores.panel.rows(number[0] + 1)[0])
        return pair_background((sides[0], sides[1]), own, F, sigma2, shape, sampling.inclusion)
    system = cores.system(number, bounds, sides)
    rows = system.rows
    inclusion = None if sampling.inclusion is None else sampling.inclusion[rows]
    signal, w = system.signal.cpu().numpy(), system.w.cpu().numpy()
    return rows, FactoredBackground.of(signal, w, F[rows], sigma2, shape, inclusion)


def run_chains(
    regression: SparseRegression, config: EffectsConfig, generator: np.random.Generator
) -> tuple[Averages, float, int]:
    """The averages of all chains after burn-in, the largest split R-hat, and the sweeps averaged.

    Chains that disagree go on: what was averaged becomes burn-in, and twice as many sweeps follow.
    """
    s = np.zeros((config.chains, len(regression.d)), dtype=np.float32)
    sample(regression, s, config.sweeps // 2, generator)
    for doubling in range(DOUBLINGS + 1):
        sweeps = config.sweeps * 2**doubling
        averages = Averages.zeros(regression)
        sample(regression, s, sweeps, generator, averages)
        r_hat = float(split_r_hat(np.stack(averages.trace)).max())
        if r_hat <= CONVERGED:
            break
    return averages.means(), r_hat, sweeps
