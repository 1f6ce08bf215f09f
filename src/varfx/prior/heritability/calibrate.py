"""`F exp(D delta)`: a prior's level and enrichments brought to the likelihood of associations that it has not seen.

The network supplies the shape within annotations, the likelihood the totals. A normal prior of 5 around 0 keeps the log enrichment of an
annotation finite that the data do not bound; it changes nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from varfx.annotations.features import Features
from varfx.device import find_device
from varfx.ld import WhitenedWindow
from varfx.ld.gaps import LEAST_RANK
from varfx.likelihood.average_information import window_information
from varfx.likelihood.maximise import Maximum, Pieces, maximise
from varfx.likelihood.third_moment import window_third_moment
from varfx.prior.heritability.config import HeritabilityConfig
from varfx.prior.heritability.errors import Steps, error_steps
from varfx.prior.heritability.source import PriorSource
from varfx.prior.heritability.stacked import Columns, as_features, row_blocks
from varfx.progress import Progress, silent
from varfx.training.gwas.placement import Placement
from varfx.training.gwas.windows import in_background

LOG_ENRICHMENT_SD = 5.0
MANY_WINDOWS = 60
FIRST_EVERY = 6
FIRST_ROUNDS = 12
MAX_LOG_FACTOR = 30.0  # of exp(D delta)
EachVariant = Callable[[int, ndarray, ndarray], None]


@dataclass(frozen=True, eq=False)
class Calibration:
    """A calibrated prior.

    Attributes:
        directions: D of any panel variants; the first column is 1.
        maximum: of theta = (delta, log sigma2), with scores and information per window.
        steps: of the deleted blocks from theta; None with too few windows.
    """

    directions: Features
    maximum: Maximum
    steps: Steps | None

    @cached_property
    def factor(self) -> Float[ndarray, " variant"]:
        """exp(D delta) of each variant."""
        found = np.empty(self.directions.height)
        for rows in row_blocks(np.ones(found.size, dtype=bool)):
            found[rows] = log_factor_exp(self.directions.rows(rows), self.maximum.theta[:-1])
        return found

    @property
    def sigma2(self) -> float:
        """Residual variance."""
        return float(np.exp(self.maximum.theta[-1]))


def log_factor_exp(directions: ndarray, delta: ndarray) -> Float[ndarray, " variant"]:
    """exp(D delta), kept within exp(+-30)."""
    return np.asarray(np.exp(np.clip(directions @ delta, -MAX_LOG_FACTOR, MAX_LOG_FACTOR)))


def calibrate(
    source: PriorSource,
    directions: Columns,
    config: HeritabilityConfig = HeritabilityConfig(),
    *,
    free: int = 1,
    progress: Progress = silent,
) -> Calibration:
    """The calibration of largest likelihood, with the steps of its jackknife.

    Args:
        source: variances, and the windows to calibrate on.
        directions: D; the first column is 1.
        config: blocks, kind of standard error, device.
        free: number of leading directions without the weak prior.
        progress: told about each window.

    Raises:
        DataError: variances without a finite likelihood.
    """
    D = as_features(directions)

    def evaluate(theta: ndarray) -> Pieces | None:
        return pieces_at(source, D, theta, device=config.device, progress=progress)

    precision = np.full(D.width + 1, 1 / LOG_ENRICHMENT_SD**2)
    precision[:free] = precision[-1] = 0.0
    start = np.r_[np.zeros(D.width), np.log(source.sigma2)]
    some = first_windows(source)
    if some:  # the last rounds on all windows begin near their maximum
        part = replace(source, windows=some)

        def on_some(theta: ndarray) -> Pieces | None:
            return pieces_at(part, D, theta, device=config.device, progress=progress)

        share = len(some) / len(source.windows)
        start = maximise(on_some, start, prior_precision=precision * share, max_rounds=FIRST_ROUNDS).theta
    maximum = maximise(evaluate, start, prior_precision=precision)
    steps = error_steps(maximum.pieces, source.panel, source.windows, config, precision)
    return Calibration(D, maximum, steps)


def first_windows(source: PriorSource) -> tuple[int, ...]:
    """A sixth of many large windows, evenly spaced, by whose maximum the search on all of them begins; none where all cost little."""
    ranks = source.panel.windows["rank"].to_numpy()[list(source.windows)]
    if len(source.windows) < MANY_WINDOWS or ranks.mean() < LEAST_RANK:
        return ()
    return source.windows[::FIRST_EVERY]


def pieces_at(
    source: PriorSource,
    directions: Columns,
    theta: Float[ndarray, " parameter"],
    *,
    device: str = "auto",
    each: EachVariant | None = None,
    progress: Progress = silent,
) -> Pieces | None:
    """Likelihood, scores and information per window at `theta = (delta, log sigma2)`; None where a covariance is not positive definite.

    Args:
        source: variances and windows.
        directions: D.
        theta: the parameters.
        device: where to compute.
        each: told the number of the window, its panel rows, and d log p / d log F of these.
        progress: told about each window.
    """
    sigma2 = float(np.exp(theta[-1]))
    found = []
    for done, (index, trait, F, D) in enumerate(_windows_at(source, directions, theta[:-1], device)):
        information = window_information(trait, F, D, sigma2)
        if information is None:
            return None
        if each is not None:
            each(index, source.panel_rows[index], information.variant_score)
        found.append(information)
        progress(done + 1, len(source.windows), "windows")
    return Pieces.of(found)


def third_moments(
    source: PriorSource,
    directions: Columns,
    theta: Float[ndarray, " parameter"],
    weights: Float[ndarray, "parameter combination"],
    *,
    device: str = "auto",
    progress: Progress = silent,
) -> Float[ndarray, " combination"]:
    """Third central moment under the model of the summed score of combinations of parameters, from one more pass over the windows.

    Args:
        source: variances and windows.
        directions: D.
        theta: the parameters `(delta, log sigma2)`, at which the likelihood exists.
        weights: of each parameter in each combination.
        device: where to compute.
        progress: told about each window.
    """
    sigma2 = float(np.exp(theta[-1]))
    total = np.zeros(weights.shape[1])
    for done, (_, trait, F, D) in enumerate(_windows_at(source, directions, theta[:-1], device)):
        by_D, by_sigma2 = (torch.from_numpy(part).to(F) for part in (weights[:-1], weights[-1]))
        total += window_third_moment(trait, F, D @ by_D, by_sigma2, sigma2).cpu().numpy()
        progress(done + 1, len(source.windows), "windows")
    return total


def _windows_at(
    source: PriorSource, directions: Columns, delta: Float[ndarray, " direction"], device: str
) -> Iterator[tuple[int, WhitenedWindow, Tensor, Tensor]]:
    """Number, whitened associations, `F exp(D delta)` and rows of D of each calibrating window."""
    where = find_device(device)
    D = as_features(directions)
    windows = (
        (source.data.plain(index) for index in source.windows)
        if where.type == "cpu"
        else in_background(source.data, source.windows, tracks=False, place=Placement(where))
    )
    for window in windows:
        rows = source.panel_rows[window.index]
        trait = window.traits[0]
        assert trait is not None
        mine = np.ascontiguousarray(D.rows(rows), dtype=np.float64)
        F = source.n_ref * source.f[rows] * log_factor_exp(mine, delta)
        yield window.index, trait, torch.from_numpy(F).to(where), torch.from_numpy(mine).to(where)
