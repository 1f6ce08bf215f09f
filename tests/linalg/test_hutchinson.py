"""Traces and diagonals by probes: right in the mean, and their error bars true."""

import pytest
import torch
from torch import Tensor

from varfx.errors import DataError
from varfx.linalg import (
    DiagonalPreconditioner,
    EigenPreconditioner,
    Estimate,
    Preconditioner,
    Probe,
    ScaledGram,
    cg,
    inverse_quadratic_diagonal,
    inverse_trace,
    symmetric_eigen,
)

RUNS = 250


def assert_calibrated(runs: list[Estimate], truth: Tensor) -> None:
    """Every entry unbiased, and the error bars the true ones: each by itself, and in the mean square over all entries.

    The z-scores of skewed samples have a mean of their own, so that the bias is looked for in the values.
    """
    errors = torch.stack([run.value - truth for run in runs])
    stderr = torch.stack([run.stderr for run in runs])
    assert ((errors.mean(dim=0) / errors.std(dim=0)).abs() < 4.5 / len(runs) ** 0.5).all()
    assert 0.85 < float((errors / stderr).std(dim=0).mean()) < 1.25
    assert 0.85 < float(errors.square().mean().sqrt() / stderr.square().mean().sqrt()) < 1.18


def preconditioners(C: ScaledGram, dense: Tensor) -> list[Preconditioner]:
    eigen = symmetric_eigen(dense)
    top = EigenPreconditioner(V=eigen.vectors[:, :10], values=eigen.values[:10], rest=float(eigen.values[10:].mean()))
    return [DiagonalPreconditioner(C.diagonal()), top]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("probe", list(Probe))
def test_gradient_terms_are_calibrated(
    which: int, probe: Probe, ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    """`b_m' C^-1 b_m` and `tr C^-1`, from the same solves as a likelihood engine makes them."""
    B, F, sigma2 = ld_like
    C = ScaledGram(B=B, F=F, sigma2=sigma2)
    dense = (B * F) @ B.T + sigma2 * torch.eye(60, dtype=torch.float64)
    P = preconditioners(C, dense)[which]
    exact, exact_trace = (B * P.solve(B)).sum(dim=0), P.solve(torch.eye(60, dtype=torch.float64)).trace()
    mean_eigenvalue = float(P.solve(dense).trace()) / 60
    quadratic, trace, controlled = [], [], []
    for _ in range(RUNS):
        Z = P.sample(64, generator=generator, probe=probe)
        solution = cg(C, Z, preconditioner=P, rtol=1e-6)
        X, X0 = solution.value, P.solve(Z)
        quadratic.append(inverse_quadratic_diagonal(C.project(X), C.project(X0), exact))
        trace.append(inverse_trace(X, X0, exact_trace))
        first = solution.tridiagonals().diagonal[:, 0] - mean_eigenvalue
        controlled.append(inverse_trace(X, X0, exact_trace, control=first))
    inverse = torch.linalg.inv(dense)
    assert_calibrated(quadratic, (B * (inverse @ B)).sum(dim=0))
    assert_calibrated(trace, inverse.trace())
    assert_calibrated(controlled, inverse.trace())


@pytest.mark.parametrize("num_probes", [2, 8, 16])
def test_few_probes_stay_unbiased_and_their_pooled_error_true(
    num_probes: int, ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    B, F, sigma2 = ld_like
    C = ScaledGram(B=B, F=F * 0.3, sigma2=sigma2)
    P = DiagonalPreconditioner(C.diagonal())
    exact = C.column_quadratic(1 / P.values)
    truth = (B * torch.linalg.solve((B * F * 0.3) @ B.T + sigma2 * torch.eye(60, dtype=torch.float64), B)).sum(dim=0)
    errors, stderr = [], []
    for _ in range(RUNS):
        Z = P.sample(num_probes, generator=generator)
        X = cg(C, Z, preconditioner=P, rtol=1e-6).value
        run = inverse_quadratic_diagonal(C.project(X), C.project(P.solve(Z)), exact)
        errors.append(run.value - truth)
        stderr.append(run.stderr)
    error, bar = torch.stack(errors), torch.stack(stderr)
    assert ((error.mean(dim=0) / error.std(dim=0)).abs() < 4.5 / RUNS**0.5).all()
    assert 0.8 < float(error.square().mean().sqrt() / bar.square().mean().sqrt()) < 1.2


def test_exact_part_of_a_diagonal_preconditioner_comes_from_the_operator(
    ld_like: tuple[Tensor, Tensor, float],
) -> None:
    B, F, sigma2 = ld_like
    C = ScaledGram(B=B, F=F, sigma2=sigma2)
    P = DiagonalPreconditioner(C.diagonal())
    torch.testing.assert_close(C.column_quadratic(1 / P.values), (B * P.solve(B)).sum(dim=0))


@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_the_fitted_slope_beats_plain_probes_and_the_slope_one(
    strength: float, ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    B, F, sigma2 = ld_like
    C = ScaledGram(B=B, F=F * strength, sigma2=sigma2)
    P = DiagonalPreconditioner(C.diagonal())
    exact = C.column_quadratic(1 / P.values)
    truth = (B * torch.linalg.solve((B * F * strength) @ B.T + sigma2 * torch.eye(60, dtype=torch.float64), B)).sum(
        dim=0
    )
    errors = torch.zeros(3, dtype=torch.float64)
    for _ in range(60):
        Z = P.sample(32, generator=generator)
        X, X0 = C.project(cg(C, Z, preconditioner=P, rtol=1e-6).value), C.project(P.solve(Z))
        fitted = inverse_quadratic_diagonal(X, X0, exact).value
        plain, one = (X * X0).mean(dim=1), exact + ((X - X0) * X0).mean(dim=1)
        errors += torch.stack([(value - truth).square().sum() for value in (fitted, plain, one)])
    assert errors[0] < 0.85**2 * errors[2]
    assert errors[0] < 0.8**2 * errors[1]


def test_the_free_control_shrinks_the_trace_error(
    ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    B, F, sigma2 = ld_like
    C = ScaledGram(B=B, F=F * 0.1, sigma2=sigma2)
    P = DiagonalPreconditioner(C.diagonal())
    Z = P.sample(64, generator=generator)
    solution = cg(C, Z, preconditioner=P, rtol=1e-6)
    exact = float((1 / P.values).sum())
    plain = inverse_trace(solution.value, P.solve(Z), exact)
    control = solution.tridiagonals().diagonal[:, 0] - 1
    assert inverse_trace(solution.value, P.solve(Z), exact, control=control).stderr < 0.7 * plain.stderr


def test_the_exact_preconditioner_leaves_no_error(
    ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    B, F, sigma2 = ld_like
    C = ScaledGram(B=B, F=F * 0, sigma2=sigma2)
    P = DiagonalPreconditioner(C.diagonal())
    Z = P.sample(3, generator=generator)
    run = inverse_quadratic_diagonal(
        C.project(cg(C, Z, preconditioner=P).value), C.project(P.solve(Z)), (B**2).sum(0) / sigma2
    )
    torch.testing.assert_close(run.value, (B**2).sum(dim=0) / sigma2)
    assert float(run.stderr.max()) < 1e-9


def test_blocks_are_left_alone() -> None:
    solved, preconditioned = torch.full((2, 3), 3.0), torch.full((2, 3), 2.0)
    run = inverse_quadratic_diagonal(solved, preconditioned, torch.tensor([10.0, 20.0]))
    # solved * preconditioned = 6 for every probe: a constant, from which no slope can be learned, so that the slope
    # beforehand, 1, takes away the whole control, 4 - exact
    assert run.value.tolist() == [12, 22]
    assert inverse_trace(solved, preconditioned, 1.0).value == 1 + 2 * 2
    assert (solved == 3).all()
    assert (preconditioned == 2).all()


def test_arguments_that_do_not_fit_are_errors() -> None:
    with pytest.raises(DataError, match=r"blocks of one shape, got \(3, 2\) and \(3, 1\)"):
        inverse_trace(torch.ones(3, 2), torch.ones(3, 1), 0.0)
    with pytest.raises(DataError, match=r"blocks of one shape, got \(3,\) and \(3,\)"):
        inverse_quadratic_diagonal(torch.ones(3), torch.ones(3), torch.ones(3))
