"""What a sample of windows says of one trait's effects: hyperparameters of each distribution, and the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from varfx.io.workers import Job, Workers, map_pieces
from varfx.prior.effects.background import RotatedWindow
from varfx.prior.effects.config import Effects
from varfx.prior.effects.evidence import evidence, normal_evidence, one_effect_gain
from varfx.prior.effects.learn import Learning, learn_shape
from varfx.prior.effects.shape import MIXTURE_SIZES, SPIKE_SLAB_SIZE, EffectShape, first_shape
from varfx.progress import Progress, silent

SIZES: dict[Effects, tuple[float, ...]] = {"spike-slab": SPIKE_SLAB_SIZE, "mixture": MIXTURE_SIZES}
HINT = 0.05  # nats; a smaller gain by one larger effect per stretch is no sign of such effects


@dataclass(kw_only=True, eq=False)
class Comparison:
    """Distributions of effects, compared on a sample of windows.

    Attributes:
        windows: number of windows compared, evenly spaced.
        observed: number of all windows with associations.
        one_effect: gain by one larger effect per stretch of variants at most, over the normal prior; in closed form.
        evidence: log evidence per distribution, the normal one first.
        error: sampling error of the evidence of distributions with slabs.
        shapes: learned hyperparameters of these.
    """

    windows: int
    observed: int
    one_effect: float
    evidence: dict[Effects, float]
    error: dict[Effects, float] = field(default_factory=dict)
    shapes: dict[Effects, EffectShape] = field(default_factory=dict)


def compare(
    learning: Learning,
    asked: Sequence[Effects],
    *,
    only_if_hinted: bool,
    where: Workers,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Learns distributions with slabs and compares them with the normal one.

    Args:
        learning: the windows.
        asked: distributions with slabs.
        only_if_hinted: leaves them out where not even one larger effect per stretch is likelier than none.
        where: a scheduler does the work on one of its workers; else this process does it.
        folder: see `map_pieces`.
        progress: told about each step, unless a scheduler does the work.

    Raises:
        WorkerError: workers or the scheduler were lost.
    """
    here = where.scheduler is None
    job = Job(
        function=_compare,
        start=_Task,
        arguments=(learning, tuple(asked), only_if_hinted, progress if here else silent),
        what="comparisons of distributions",
        folder=folder,
    )
    (found,) = map_pieces(job, [learning.windows()], Workers(workers=1) if here else where)
    return found


@dataclass(frozen=True, eq=False)
class _Task:
    learning: Learning
    asked: tuple[Effects, ...]
    only_if_hinted: bool
    progress: Progress


def _compare(task: _Task, numbers: list[int]) -> Comparison:
    """The comparison on the windows of these numbers."""
    learning, sigma2 = task.learning, task.learning.sigma2
    windows: list[RotatedWindow] = []
    for number in numbers:
        windows.append(learning.rotated(number))
        task.progress(len(windows), len(numbers), "windows to learn from")
    found = Comparison(
        windows=len(windows),
        observed=len(learning.observed()),
        one_effect=one_effect_gain(windows, sigma2, learning.mean_F),
        evidence={"normal": sum(normal_evidence(window, sigma2) for window in windows)},
    )
    if task.only_if_hinted and found.one_effect < HINT:
        return found
    for name in task.asked:
        first = first_shape(SIZES[name], learning.mean_F)
        shape = learn_shape(
            windows,
            sigma2,
            first,
            learning.seed,
            learn_size=len(first.sizes) == 1,
            progress=task.progress,
        )
        values = []
        for place, window in enumerate(windows):
            values.append(evidence(window, sigma2, shape, [learning.seed, len(shape.sizes), place, 1]))
            task.progress(place + 1, len(windows), "windows to compare distributions")
        total, errors = np.array(values).reshape(-1, 2).T
        found.shapes[name], found.evidence[name] = shape, float(total.sum())
        found.error[name] = float(np.sqrt(np.square(errors).sum()))
    return found
