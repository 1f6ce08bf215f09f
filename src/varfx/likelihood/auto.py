"""The likelihood of a window by whichever engine is fastest for it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.errors import ConfigError
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood.config import Engine, check_engine
from varfx.likelihood.cost_model import CostModel, Variety, calibrated
from varfx.likelihood.exact import exact
from varfx.likelihood.result import LikelihoodResult, working_dtype
from varfx.likelihood.stochastic import stochastic


def evaluate(
    window: WhitenedWindow,
    F: Float[Tensor, " variant"],
    sigma2: float | Tensor,
    *,
    engine: Engine = "auto",
    gradient_error: float = 0.1,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    costs: CostModel | None = None,
) -> LikelihoodResult:
    """The log marginal likelihood of a window and its gradient.

    Args:
        window: whitened data, (r, M) and (r,), or (r, k) for k replicates: for those auto takes exact.
        F: N times the variance of each variant's effect, not negative, (M,).
        sigma2: residual variance of z, positive.
        engine: auto takes the one with the least predicted time; exact has no error; stochastic has the one asked for.
        gradient_error: relative error of `grad_F` that stochastic may have.
        generator: of the random probes; exact does not need it.
        dtype: precision to compute in; by default the widest of the inputs, at least float32.
        costs: predicted times; by default those of this machine, measured once and kept.

    Raises:
        DataError: `F` or `sigma2` are no variances, or shapes do not fit.
        ConfigError: an unknown engine, or no generator where probes are drawn.
    """
    check_engine(engine)
    if engine != "exact" and generator is None:
        raise ConfigError(f"`generator` must be given for engine {engine}: its random probes come from there.")
    precision = working_dtype(window, torch.as_tensor(F), dtype)
    if engine == "exact":
        return exact(window, F, sigma2, dtype=precision)
    if engine == "auto":
        best = choose(window, dtype=precision, gradient_error=gradient_error, costs=costs)
        if best != "stochastic":
            return exact(window, F, sigma2, dtype=precision, form="rank" if best == "exact rank" else "symmetric")
    assert generator is not None
    return stochastic(window, F, sigma2, gradient_error=gradient_error, generator=generator, dtype=precision)


def choose(
    window: WhitenedWindow, *, dtype: torch.dtype, gradient_error: float = 0.1, costs: CostModel | None = None
) -> Variety:
    """The engine, and the form of exact, with the least predicted time for a window of this shape, storage and device."""
    model = calibrated(dtype, window.B.device) if costs is None else costs
    seconds = model.seconds(
        window.rank,
        window.num_variants,
        rewhitened=None if window.T is None else window.B.shape[0],
        converted=window.B.dtype != dtype,
        kept=window.kept,
        gradient_error=gradient_error,
    )
    possible: list[Variety] = [each for each in seconds if window.w.ndim == 1 or each != "stochastic"]
    return min(possible, key=lambda variety: seconds[variety])
