"""Traces and diagonals of matrices that are known by their products only (Hutchinson, 1989; Bekas et al., 2007)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.errors import DataError
from varfx.linalg.control import control_variate
from varfx.linalg.outcome import Estimate


@torch.no_grad()
def inverse_trace(
    solved: Float[Tensor, "n k"],
    preconditioned: Float[Tensor, "n k"],
    exact: Float[Tensor, ""] | float,
    *,
    control: Float[Tensor, " k"] | None = None,
) -> Estimate:
    """`tr C^-1 = tr P^-1 + E[(C^-1 z - P^-1 z)' P^-1 z]` for probes z with `E[z z'] = P`.

    Args:
        solved: `C^-1 Z`.
        preconditioned: `P^-1 Z`.
        exact: `tr P^-1`.
        control: of mean zero, one a probe; `solution.tridiagonals().diagonal[:, 0] - mean_eigenvalue` is free.

    Raises:
        DataError: the blocks differ in shape.
        ConfigError: there are no probes.
    """
    _require_same_shape(solved, preconditioned)
    samples = torch.linalg.vecdot((solved - preconditioned).double(), preconditioned.double(), dim=0)
    if control is not None:
        known = control.to(samples)
        samples = control_variate(samples, known, slope=0.0, variance=known.new_zeros(()))
    return Estimate.from_samples(samples, exact=exact)


@torch.no_grad()
def inverse_quadratic_diagonal(
    solved: Float[Tensor, "m k"], preconditioned: Float[Tensor, "m k"], exact: Float[Tensor, " m"]
) -> Estimate:
    """`b_m' C^-1 b_m` for every column of B, from probes z with `E[z z'] = P`.

    `b' C^-1 b = E[(b' C^-1 z)(b' P^-1 z)]`, with `(b' P^-1 z)^2`, whose mean `b' P^-1 b` is known, as control variate: unbiased
    for any P, and without error for P = C. The slope of the control is fitted for every m (see `control_variate`).

    With fewer than about 30 probes the errors of single entries are themselves rough; their mean square is right.

    Args:
        solved: `B' C^-1 Z`.
        preconditioned: `B' P^-1 Z`.
        exact: `b_m' P^-1 b_m`; `ScaledGram.column_quadratic(1 / p)` for a diagonal P.

    Raises:
        DataError: the two blocks differ in shape.
        ConfigError: there are no probes.
    """
    _require_same_shape(solved, preconditioned)
    squares = preconditioned.square()
    control = squares - exact.to(squares)[:, None]
    samples = control_variate(solved * preconditioned, control, slope=1.0, variance=2 * exact.to(squares).square())
    return Estimate.from_samples(samples)


def _require_same_shape(solved: Tensor, preconditioned: Tensor) -> None:
    if solved.shape != preconditioned.shape or solved.ndim != 2:
        raise DataError(
            f"`solved` and `preconditioned` must be blocks of one shape, got {tuple(solved.shape)} and {tuple(preconditioned.shape)}."
        )
