import pytest
import torch

from cases.lanczos import lanczos
from cases.operators import Dense, Diagonal
from varfx.errors import ConfigError, DataError
from varfx.linalg import DiagonalPreconditioner, Outcome, cg, symmetric_eigen


def test_basis_is_orthonormal_and_carries_the_matrix_over(matrix_of, generator: torch.Generator) -> None:
    A = matrix_of(torch.logspace(-4, 4, 50, dtype=torch.float64))  # where the plain recurrence loses orthogonality
    run = lanczos(Dense(A), torch.randn(50, 3, generator=generator, dtype=torch.float64), max_steps=30)
    Q = run.basis
    assert run.outcome is Outcome.MAX_STEPS
    assert Q.shape == (3, 30, 50)
    torch.testing.assert_close(Q @ Q.mT, torch.eye(30, dtype=torch.float64).expand(3, -1, -1), rtol=0, atol=1e-13)
    torch.testing.assert_close(Q @ A @ Q.mT, run.tridiagonals.dense(), rtol=0, atol=1e-9)


def test_all_steps_give_the_eigenvalues(matrix_of, generator: torch.Generator) -> None:
    spectrum = torch.linspace(-3, 5, 25, dtype=torch.float64)  # indefinite is allowed
    run = lanczos(
        Dense(matrix_of(spectrum)), torch.randn(25, 2, generator=generator, dtype=torch.float64), max_steps=100
    )
    assert run.outcome is Outcome.CONVERGED
    nodes, _ = run.tridiagonals.rule()
    torch.testing.assert_close(nodes, spectrum.expand(2, -1))


def test_agrees_with_the_matrices_that_cg_leaves(matrix_of, generator: torch.Generator) -> None:
    A = Dense(matrix_of(torch.linspace(1, 20, 30, dtype=torch.float64)))
    P = DiagonalPreconditioner(torch.linspace(0.5, 2, 30, dtype=torch.float64))
    start = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    ours = lanczos(A, start, max_steps=8, preconditioner=P).tridiagonals
    theirs = cg(A, P.sqrt_matmul(start), preconditioner=P, rtol=1e-30, max_steps=8).tridiagonals()
    torch.testing.assert_close(ours.dense(), theirs.dense())


def test_an_exhausted_krylov_space_ends_its_own_vector_only(matrix_of, generator: torch.Generator) -> None:
    A = matrix_of(torch.linspace(1, 9, 20, dtype=torch.float64))
    eigen = symmetric_eigen(A)
    start = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    start[:, 1] = eigen.vectors[:, 5]
    start[:, 2] = eigen.vectors[:, 0] - 2 * eigen.vectors[:, 7]
    start[:, 3] = 0
    run = lanczos(Dense(A), start, max_steps=6)
    assert run.tridiagonals.steps.tolist() == [6, 1, 2, 0]
    assert run.outcome is Outcome.MAX_STEPS
    expected = (eigen.values[0].log() + 4 * eigen.values[7].log()) / 5
    values = run.tridiagonals.quadrature(torch.log)
    assert values[1:].tolist() == pytest.approx([float(eigen.values[5].log()), float(expected), 0])
    assert (run.basis[3] == 0).all()
    alone = lanczos(Dense(A), start[:, 1:3], max_steps=6)
    assert alone.outcome is Outcome.CONVERGED
    assert alone.tridiagonals.diagonal.shape == (2, 2)


def test_repeated_eigenvalues_exhaust_early(generator: torch.Generator) -> None:
    run = lanczos(
        Diagonal(torch.tensor([2.0] * 10 + [5.0] * 10)), torch.randn(20, 3, generator=generator), max_steps=20
    )
    assert run.outcome is Outcome.CONVERGED
    assert run.tridiagonals.steps.tolist() == [2, 2, 2]


def test_one_row_no_vectors_and_nan(generator: torch.Generator) -> None:
    one = lanczos(Diagonal(torch.tensor([3.0])), torch.tensor([[2.0]]))
    assert one.outcome is Outcome.CONVERGED
    assert one.tridiagonals.diagonal.tolist() == [[3.0]]
    assert lanczos(Diagonal(torch.ones(3)), torch.empty(3, 0)).tridiagonals.num_probes == 0
    nan = lanczos(Diagonal(torch.tensor([1.0, torch.nan, 2.0])), torch.ones(3, 1))
    assert nan.outcome is Outcome.BREAKDOWN
    assert lanczos(Diagonal(torch.ones(3)), torch.full((3, 1), torch.nan)).outcome is Outcome.BREAKDOWN


def test_arguments_that_do_not_fit_are_errors() -> None:
    with pytest.raises(DataError, match=r"`start` must be \(3, k\) with at least one row, got shape \(2, 1\)"):
        lanczos(Diagonal(torch.ones(3)), torch.ones(2, 1))
    with pytest.raises(ConfigError, match="`max_steps` must be at least 1, got 0"):
        lanczos(Diagonal(torch.ones(3)), torch.ones(3, 1), max_steps=0)
