"""Preconditioned conjugate gradients for many right-hand sides at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.linalg.operators import LinearOperator
from varfx.linalg.outcome import Outcome
from varfx.linalg.preconditioners import Identity, Preconditioner
from varfx.linalg.tridiagonal import Tridiagonals
from varfx.short_repr import short_repr

_ROUNDING_SLACK = 2.0  # the recomputed residual may exceed the tolerance by this factor before the outcome says so


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution:
    """A solve's value, and how far to trust it.

    Attributes:
        value: (n, k).
        outcome: the worst of `outcomes`; its value says what to try.
        outcomes: of each column.
        rel_residual: the largest of `rel_residuals`; 0 if there are no columns.
        rel_residuals: (k,) `|b - A x| / |b|`, recomputed from `value` unless `verify=False`; 0 where b is 0.
        steps: (k,) how many steps each column took.
        alpha: (k, s) step lengths of CG.
        beta: (k, s) its conjugation coefficients.
    """

    __repr__ = short_repr

    value: Float[Tensor, "n k"]
    outcome: Outcome
    outcomes: tuple[Outcome, ...]
    rel_residual: float
    rel_residuals: Float[Tensor, " k"]
    steps: Int[Tensor, " k"]
    alpha: Float[Tensor, "k s"]
    beta: Float[Tensor, "k s"]

    def tridiagonals(self, columns: slice = slice(None)) -> Tridiagonals:
        """The Lanczos matrices of `P^-1/2 A P^-1/2` from the start `P^-1/2 b`, one a column, at no further product."""
        outcome = Outcome.worst(self.outcomes[columns])
        return Tridiagonals.from_cg(self.alpha[columns], self.beta[columns], self.steps[columns], outcome)


@torch.no_grad()
def cg(
    operator: LinearOperator,
    rhs: Float[Tensor, "n k"],
    *,
    preconditioner: Preconditioner | None = None,
    rtol: float = 1e-4,
    max_steps: int = 500,
    verify: bool = True,
) -> Solution:
    """`X` with `A X = B`, each column by its own CG recurrence and all columns in one product with A a step.

    A column leaves the iteration when `|b - A x| <= rtol |b|` by the recurrence, or when it breaks down; the value that it
    has then is kept. Columns are scaled to a largest entry of 1, so that no length under- or overflows.

    Args:
        operator: A, symmetric positive definite.
        rhs: B, of the operator's dtype and device.
        preconditioner: P, symmetric positive definite; None means no preconditioning.
        rtol: the residual to reach, relative to b.
        max_steps: most products with A for a column, one more for the check.
        verify: recompute the residual at the end, at the price of one product. If False `rel_residuals` are the
            recurrence's, which drift from the truth near the rounding limit; for callers who check by themselves.

    Raises:
        DataError: shapes or dtypes that do not fit.
        ConfigError: `rtol` or `max_steps` is not positive.
    """
    _check(operator, rhs, preconditioner, rtol, max_steps)
    P = Identity(operator.size, operator.dtype, operator.device) if preconditioner is None else preconditioner
    scale = rhs.abs().amax(dim=0)
    scale = torch.where(scale == 0, 1, scale)
    scaled = (rhs / scale).T.contiguous().T  # contiguous columns: the layout in which products are fastest
    run = _iterate(operator, P, scaled, rtol, max_steps)

    norms = _norms(scaled)
    residuals = _norms(scaled - operator.matmul(run.value)) if verify else run.residual_norms
    relative = torch.where(norms == 0, 0, residuals / norms)
    limit = _ROUNDING_SLACK * rtol
    outcomes = tuple(
        Outcome.ROUNDING if outcome is Outcome.CONVERGED and not residual <= limit else outcome
        for outcome, residual in zip(run.outcomes, relative.tolist(), strict=True)
    )
    return Solution(
        value=run.value * scale,
        outcome=Outcome.worst(outcomes),
        outcomes=outcomes,
        rel_residual=float(relative.max()) if outcomes else 0.0,
        rel_residuals=relative,
        steps=run.steps,
        alpha=run.alpha,
        beta=run.beta,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """State of the recurrence; fields as in `Solution`."""

    value: Float[Tensor, "n k"]
    outcomes: tuple[Outcome, ...]
    residual_norms: Float[Tensor, " k"]
    steps: Int[Tensor, " k"]
    alpha: Float[Tensor, "k s"]
    beta: Float[Tensor, "k s"]


def _iterate(
    operator: LinearOperator, preconditioner: Preconditioner, rhs: Float[Tensor, "n k"], rtol: float, max_steps: int
) -> _Run:
    """The recurrence. Columns that have ended are taken out of the blocks, so that they stay as they are and cost nothing."""
    width = rhs.shape[1]
    value, norms = torch.zeros_like(rhs), _norms(rhs)
    steps = torch.zeros(width, dtype=torch.int64, device=rhs.device)
    broken = torch.zeros(width, dtype=torch.bool, device=rhs.device)
    index = torch.arange(width, device=rhs.device)  # the columns still running
    alphas: list[tuple[Tensor, Tensor]] = []
    betas: list[tuple[Tensor, Tensor]] = []

    tolerance, unit = rtol * norms, torch.finfo(rhs.dtype).eps
    X, R = value.clone(), rhs.clone()
    Z = preconditioner.solve(R)
    D, rz = Z.clone(), _dots(R, Z)
    for step in range(1, max_steps + 1):
        AD = operator.matmul(D)
        curvature = _dots(D, AD)
        # Below this the sign of the curvature is unknown; a positive definite A that is not singular to working precision
        # stays far above it. Comparisons with NaN are false, so that NaN counts as unsound.
        sound = (curvature > unit * _norms(D) * _norms(AD)) & (curvature < torch.inf) & (rz > 0) & (rz < torch.inf)
        alpha = torch.where(sound, rz / curvature, 0)
        X.addcmul_(D, alpha)
        R.addcmul_(AD, alpha, value=-1)
        length = _norms(R)
        running = sound & (length > tolerance)
        alphas.append((index, alpha))
        remaining = int(running.sum())  # the only wait for the device in a step
        if remaining < index.numel() or remaining == 0 or step == max_steps:
            value[:, index], norms[index] = X, length
            steps[index] = torch.where(sound, step, step - 1)
            broken[index] = ~sound & ~(length <= tolerance)
            if remaining == 0 or step == max_steps:
                index = index[running]
                break
            index, tolerance, rz = index[running], tolerance[running], rz[running]
            X, R, D = (block[:, running].T.contiguous().T for block in (X, R, D))
        Z = preconditioner.solve(R)
        rz_next = _dots(R, Z)
        beta = rz_next / rz
        betas.append((index, beta))
        D.mul_(beta).add_(Z)
        rz = rz_next

    outcomes = [Outcome.BREAKDOWN if flag else Outcome.CONVERGED for flag in broken.tolist()]
    for column in index.tolist():
        outcomes[column] = Outcome.MAX_STEPS
    return _Run(
        value=value,
        outcomes=tuple(outcomes),
        residual_norms=norms,
        steps=steps,
        alpha=_table(alphas, width, len(alphas), rhs),
        beta=_table(betas, width, len(alphas), rhs),
    )


def _table(entries: list[tuple[Tensor, Tensor]], width: int, num_steps: int, like: Tensor) -> Float[Tensor, "k s"]:
    """The coefficients of all steps, zero where a column was no longer in the blocks."""
    table = like.new_zeros((num_steps, width))
    for row, (index, coefficients) in zip(table, entries, strict=False):  # the last step has no beta
        row[index] = coefficients
    return table.T


def _dots(X: Float[Tensor, "n k"], Y: Float[Tensor, "n k"]) -> Float[Tensor, " k"]:
    products: Tensor = torch.linalg.vecdot(X, Y, dim=0)
    return products


def _norms(X: Float[Tensor, "n k"]) -> Float[Tensor, " k"]:
    norms: Tensor = torch.linalg.vector_norm(X, dim=0)
    return norms


def _check(
    operator: LinearOperator, rhs: Tensor, preconditioner: Preconditioner | None, rtol: float, max_steps: int
) -> None:
    if rhs.ndim != 2 or rhs.shape[0] != operator.size or rhs.shape[0] == 0:
        raise DataError(f"`rhs` must be ({operator.size}, k) with at least one row, got shape {tuple(rhs.shape)}.")
    if rhs.dtype != operator.dtype:
        raise DataError(f"`rhs` must have the operator's dtype {operator.dtype}, got {rhs.dtype}: convert one of them.")
    if preconditioner is not None and (preconditioner.size, preconditioner.dtype) != (operator.size, operator.dtype):
        raise DataError(
            f"`preconditioner` is {preconditioner.dtype} of size {preconditioner.size}, but the operator is {operator.dtype} of "
            f"size {operator.size}: build it from the same operator."
        )
    if not rtol > 0:
        raise ConfigError(f"`rtol` must be positive, got {rtol}.")
    if max_steps < 1:
        raise ConfigError(f"`max_steps` must be at least 1, got {max_steps}.")
