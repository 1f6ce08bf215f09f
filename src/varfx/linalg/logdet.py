"""Log-determinants by stochastic Lanczos quadrature, with the preconditioner as control variate."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.linalg.outcome import Estimate, Outcome
from varfx.linalg.preconditioners import Preconditioner
from varfx.linalg.tridiagonal import Tridiagonals


def quadrature_logdet(
    tridiagonals: Tridiagonals,
    preconditioner: Preconditioner,
    *,
    mean_eigenvalue: float | None = None,
) -> Estimate:
    """`log|C| = log|P| + n E[e1' log(T) e1]`: the first term exactly, the second as a mean over probes.

    T belongs to `M = P^-1/2 C P^-1/2` and a start `P^-1/2 z` with `E[z z'] = P`, as CG on `C x = z` leaves it. The start is
    normalised, which takes the scatter of |z| out of the estimate (Ubaru, Chen and Saad, 2017).

    With `mean_eigenvalue` a second control variate is used: `E[T_11] = tr(M)/n` is known, and log is nearly linear where
    P is good. Its slope for a probe is the regression of log on the eigenvalue over the *other* probes' Ritz values, so
    that the estimate stays unbiased.

    The standard error holds, besides the scatter, how much the last Lanczos step changed the value.

    Args:
        tridiagonals: one a probe; their outcome is handed on, or BREAKDOWN if an eigenvalue is not positive.
        preconditioner: P.
        mean_eigenvalue: `tr(P^-1 C) / n`, if known exactly; 1 if P is the diagonal of C.

    Raises:
        ConfigError: there are no probes.
    """
    nodes, weights = tridiagonals.rule()
    outcome = tridiagonals.outcome if bool((nodes > 0).all()) else Outcome.BREAKDOWN
    logs = nodes.log()
    samples = (weights * logs).sum(dim=1)
    truncation = _last_change(tridiagonals)
    if mean_eigenvalue is not None and tridiagonals.num_probes > 1:
        samples = samples - _slopes(nodes, weights, logs) * (tridiagonals.diagonal[:, 0] - mean_eigenvalue)
    size = preconditioner.size
    scatter = Estimate.from_samples(size * samples, exact=preconditioner.logdet().cpu(), outcome=outcome)
    return replace(scatter, stderr=torch.hypot(scatter.stderr, size * truncation))


def _last_change(tridiagonals: Tridiagonals) -> Float[Tensor, ""]:
    """Change of the mean over probes by the last Lanczos step."""
    change = tridiagonals.quadrature(torch.log) - tridiagonals.shortened().quadrature(torch.log)
    return change.mean().abs()


def _slopes(
    nodes: Float[Tensor, "k s"], weights: Float[Tensor, "k s"], logs: Float[Tensor, "k s"]
) -> Float[Tensor, " k"]:
    """For each probe the slope of log(x) on x over the spectral measure that the other probes see."""

    def mean_of_others(values: Tensor) -> Tensor:
        own = (weights * values).sum(dim=1)
        return (own.sum() - own) / (own.numel() - 1)

    x, y = mean_of_others(nodes), mean_of_others(logs)
    variance = mean_of_others(nodes.square()) - x.square()
    covariance = mean_of_others(nodes * logs) - x * y
    flat = variance <= 1e-12 * x.square()  # all eigenvalues alike: the tangent
    return torch.where(flat, 1 / x, covariance / torch.where(flat, 1, variance))
