"""SuSiE from plain arrays: one locus, or many in step on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy import ndarray

from varfx.errors import DataError
from varfx.finemap.checks import check_numbers, checked_vector, normalised_weights, require_positive
from varfx.finemap.config import SusieConfig
from varfx.finemap.fit import Answer, Fit, Noise, Step, Steps, Susie
from varfx.finemap.ld_matrix import DenseLD, LDMatrix, as_ld
from varfx.finemap.single_effect import single_effect


def susie(
    z: ndarray | Sequence[float],
    R: ndarray | LDMatrix,
    n: float | None = None,
    L: int = 10,
    prior_weights: ndarray | Sequence[float] | None = None,
    *,
    noise: Noise = Noise(),
    config: SusieConfig = SusieConfig(),
) -> Susie:
    """Fine-maps one locus from plain arrays.

    Args:
        z: association of each variant.
        R: correlations between variants: an array, or one of the forms in `varfx.finemap.ld_matrix`.
        n: sample size; without it, z is taken as it is.
        L: largest number of effects.
        prior_weights: prior probability of each variant to carry an effect, up to a factor; by default equal.
        noise: residual variance, polygenic background, error of R.
        config: credible sets and convergence.

    Raises:
        DataError: shapes that do not fit, values that are not finite, negative weights, no effect, a singular background, or R that
            is far from positive semidefinite.
    """
    return alone(susie_steps(z, R, n, L, prior_weights, noise=noise, config=config))


def susie_steps(
    z: ndarray | Sequence[float],
    R: ndarray | LDMatrix,
    n: float | None = None,
    L: int = 10,
    prior_weights: ndarray | Sequence[float] | None = None,
    *,
    noise: Noise = Noise(),
    config: SusieConfig = SusieConfig(),
) -> Steps:
    """The fit of `susie` as a coroutine, for `alone` or `varfx.finemap.lockstep.together`."""
    check_numbers(L, n)
    values = checked_vector("z", z, None)
    ld = as_ld(R, values.size)
    if isinstance(ld, DenseLD) and ld is not R:
        require_positive(ld.matrix, values)
    weights = normalised_weights(prior_weights, values.size)
    _check_noise(noise, n, values.size)
    if n is not None and config.z_method == "pve":
        values = values * np.sqrt((n - 1) / (values**2 + n - 2))
    size = min(int(L), values.size)
    result = yield from Fit(values, ld, n, np.log(weights), size, noise).run(config)
    if not result.converged and noise.background is not None and noise.kappa is None:
        without = replace(noise, background=None)
        result = yield from Fit(values, ld, n, np.log(weights), size, without).run(config)
    return result


def alone(steps: Steps) -> Susie:
    """One fit on this processor."""
    with np.errstate(all="ignore"):  # a fit that diverges says so
        try:
            step = next(steps)
            while True:
                step = steps.send(answer(step))
        except StopIteration as stop:
            result: Susie = stop.value
            return result


def answer(step: Step) -> Answer:
    """A single effect on this processor."""
    effect = single_effect(step.score, step.d, step.log_weights)
    return effect, step.M.product(effect.alpha * effect.mean) if effect.V > 0 else effect.mean


def _check_noise(noise: Noise, n: float | None, size: int) -> None:
    if noise.sigma2 is None and n is None:
        raise DataError("`sigma2` is estimated only with `n` given. Give the sample size, or the value of sigma2.")
    if noise.sigma2 is None and noise.background is not None and noise.kappa is not None:
        raise DataError(
            "`sigma2` is estimated beside a background only if `kappa` is too. Give both values, or neither."
        )
    if noise.background is not None and (checked_vector("background", noise.background, size) < 0).any():
        raise DataError("`background` holds variances and must not be negative. Check the values.")
