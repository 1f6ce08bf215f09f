import pytest
import torch
from torch import Tensor

from cases.operators import Dense, Diagonal
from varfx.errors import ConfigError
from varfx.likelihood.paper.nystrom import nystrom
from varfx.linalg import Outcome, Preconditioner, ScaledGram, cg


def preconditioned_condition(P: Preconditioner, dense: Tensor) -> float:
    half = P.sqrt_solve(dense)
    values = torch.linalg.eigvalsh(P.sqrt_solve(half.T))
    return float(values[-1] / values[0])


def test_a_low_rank_matrix_with_a_ridge_is_captured_exactly(matrix_of, generator: torch.Generator) -> None:
    spectrum = torch.zeros(80, dtype=torch.float64)
    spectrum[:12] = torch.logspace(5, 1, 12, dtype=torch.float64)
    A = matrix_of(spectrum) + 0.3 * torch.eye(80, dtype=torch.float64)
    run = nystrom(Dense(A), shift=0.3, rank=16, generator=generator)
    assert run.outcome is Outcome.CONVERGED
    assert run.rank == 16
    assert run.error < 1e-6
    assert float(run.preconditioner.logdet()) == pytest.approx(float(torch.logdet(A)), abs=1e-4)
    solution = cg(
        Dense(A), torch.randn(80, 3, generator=generator, dtype=torch.float64), preconditioner=run.preconditioner
    )
    assert int(solution.steps.max()) <= 3
    assert solution.outcome is Outcome.CONVERGED


@pytest.mark.parametrize("tolerance", [0.5, 10.0, 100.0])
def test_adaptive_rank_reaches_its_target_and_no_more_than_twice(
    tolerance: float, matrix_of, generator: torch.Generator
) -> None:
    spectrum = torch.logspace(4, -4, 120, dtype=torch.float64)
    A = matrix_of(spectrum)
    dense = A + 0.1 * torch.eye(120, dtype=torch.float64)
    run = nystrom(Dense(dense), shift=0.1, rank=4, tolerance=tolerance, generator=generator)
    assert run.outcome is Outcome.CONVERGED
    needed = int((spectrum > tolerance * 0.1).sum())
    assert run.rank <= 4 * needed
    P = run.preconditioner
    assert P.rest == pytest.approx(float(P.values[-1]))  # lambda_rank + shift: their P^-1 up to its scale
    approximation = (P.V * (P.values - 0.1)) @ P.V.T
    missed = torch.linalg.matrix_norm(A - approximation, 2)
    assert run.error == pytest.approx(float(missed), rel=0.2)
    # Proposition 5.3 of Frangella, Tropp and Udell, with the error measured here
    bound = 1 + (float(P.values[-1]) - 0.1 + float(missed)) / 0.1
    assert preconditioned_condition(P, dense) <= bound * (1 + 1e-6)
    assert bound <= 1 + 1.2 * tolerance


def test_the_condition_number_falls_and_cg_with_it(
    ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    B, F, _ = ld_like
    C = ScaledGram(B=B, F=F, sigma2=1e-4)
    dense = (B * F) @ B.T + 1e-4 * torch.eye(60, dtype=torch.float64)
    run = nystrom(C, shift=1e-4, rank=8, tolerance=20.0, generator=generator)
    assert preconditioned_condition(run.preconditioner, dense) < 25
    assert float(torch.linalg.cond(dense)) > 1e3
    rhs = torch.randn(60, 3, generator=generator, dtype=torch.float64)
    helped = cg(C, rhs, preconditioner=run.preconditioner, rtol=1e-6)
    assert int(helped.steps.max()) < 0.5 * int(cg(C, rhs, rtol=1e-6).steps.max())
    torch.testing.assert_close(
        helped.value, torch.linalg.solve(dense, rhs), rtol=1e-3, atol=1e-3 * float(helped.value.abs().max())
    )


def test_approximation_stays_below_the_matrix(matrix_of, generator: torch.Generator) -> None:
    A = matrix_of(torch.logspace(2, -2, 40, dtype=torch.float64))
    run = nystrom(Dense(A + torch.eye(40, dtype=torch.float64)), shift=1.0, rank=10, max_rank=10, generator=generator)
    P = run.preconditioner
    gap = torch.linalg.eigvalsh(A - (P.V * (P.values - 1)) @ P.V.T)
    assert float(gap[0]) > -1e-10
    torch.testing.assert_close(P.V.T @ P.V, torch.eye(10, dtype=torch.float64))


def test_the_rank_limit_is_an_outcome(matrix_of, generator: torch.Generator) -> None:
    A = matrix_of(torch.logspace(4, 2, 50, dtype=torch.float64))
    run = nystrom(Dense(A), shift=0.01, rank=4, max_rank=6, generator=generator)
    assert run.outcome is Outcome.MAX_STEPS
    assert run.rank == 6
    assert run.error > 0.1


def test_full_rank_is_exact(matrix_of, generator: torch.Generator) -> None:
    A = matrix_of(torch.logspace(3, 1, 10, dtype=torch.float64))
    run = nystrom(Dense(A), shift=1e-9, rank=64, generator=generator)
    assert run.rank == 10
    assert run.outcome is Outcome.CONVERGED
    X = torch.randn(10, 2, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(run.preconditioner.solve(X), torch.linalg.solve(A, X))


def test_a_bare_ridge_and_float32(generator: torch.Generator, matrix_of) -> None:
    run = nystrom(Diagonal(torch.full((30,), 2.0)), shift=2.0, rank=3, generator=generator)
    assert (run.outcome, run.error) == (Outcome.CONVERGED, 0.0)
    X = torch.randn(30, 2, generator=generator)
    torch.testing.assert_close(run.preconditioner.solve(X), X / 2)
    spectrum = torch.logspace(3, -6, 60, dtype=torch.float64)
    dense = matrix_of(spectrum) + torch.eye(60, dtype=torch.float64)
    single = nystrom(Dense(dense.float()), shift=1.0, generator=generator)
    assert single.outcome is Outcome.CONVERGED
    assert single.preconditioner.dtype == torch.float32
    X = torch.randn(60, 3, generator=generator)
    assert int(cg(Dense(dense.float()), X, preconditioner=single.preconditioner, rtol=1e-4).steps.max()) < 15


def test_impossible_arguments_are_errors(generator: torch.Generator) -> None:
    A = Diagonal(torch.ones(3))
    for arguments, message in [
        ({"shift": 0.0}, "`shift` and `tolerance` must be positive, got 0.0"),
        ({"shift": 1.0, "tolerance": -1.0}, "`shift` and `tolerance` must be positive, got 1.0 and -1.0"),
        ({"shift": 1.0, "rank": 0}, "`rank` and `max_rank` must be at least 1, got 0"),
        ({"shift": 1.0, "max_rank": 0}, "`rank` and `max_rank` must be at least 1, got 16 and 0"),
    ]:
        with pytest.raises(ConfigError, match=message):
            nystrom(A, generator=generator, **arguments)
