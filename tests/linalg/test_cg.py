"""CG against torch.linalg.solve, and against a slow transcription of the textbook's recurrence."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cases.operators import Dense, Diagonal
from varfx.errors import ConfigError, DataError
from varfx.linalg import (
    DiagonalPreconditioner,
    EigenPreconditioner,
    LinearOperator,
    Outcome,
    ScaledGram,
    Solution,
    cg,
    symmetric_eigen,
)


class Counting(LinearOperator):
    """Counts the products and their columns."""

    def __init__(self, inner: LinearOperator) -> None:
        self.inner, self.widths = inner, []

    like = property(lambda self: self.inner.like)

    def matmul(self, X: Tensor) -> Tensor:
        self.widths.append(X.shape[1])
        return self.inner.matmul(X)

    def diagonal(self) -> Tensor:
        return self.inner.diagonal()


def textbook_cg(A: Tensor, b: Tensor, P: Tensor, steps: int) -> tuple[Tensor, list[float], list[float]]:
    """Saad (2003), algorithm 9.1, one right-hand side; the iterate and the coefficients."""
    x = torch.zeros_like(b)
    r = b - A @ x
    z = torch.linalg.solve(P, r)
    p, alphas, betas = z, [], []
    for _ in range(steps):
        alpha = (r @ z) / (A @ p @ p)
        x = x + alpha * p
        r_next = r - alpha * (A @ p)
        z_next = torch.linalg.solve(P, r_next)
        beta = (r_next @ z_next) / (r @ z)
        p, r, z = z_next + beta * p, r_next, z_next
        alphas.append(float(alpha))
        betas.append(float(beta))
    return x, alphas, betas


@pytest.mark.parametrize("condition", [1.0, 1e1, 1e2, 1e4, 1e6, 1e8])
def test_solves_every_condition_number(condition: float, matrix_of, generator: torch.Generator) -> None:
    A = matrix_of(torch.logspace(0, math.log10(condition), 60, dtype=torch.float64))
    rhs = torch.randn(60, 5, generator=generator, dtype=torch.float64)
    truth = torch.linalg.solve(A, rhs)
    solution = cg(Dense(A), rhs, rtol=1e-8, max_steps=5000)
    assert solution.outcome is Outcome.CONVERGED
    assert solution.rel_residual <= 2e-8
    # |error| <= cond * rel_residual * |x|, with room for the reference's own rounding
    assert ((solution.value - truth).norm(dim=0) <= 4e-8 * condition * truth.norm(dim=0)).all()


def test_float32_reaches_what_float32_can(matrix_of, generator: torch.Generator) -> None:
    A = matrix_of(torch.logspace(0, 2, 60, dtype=torch.float64))
    rhs = torch.randn(60, 5, generator=generator, dtype=torch.float64)
    solution = cg(Dense(A.float()), rhs.float(), rtol=1e-5)
    assert solution.outcome is Outcome.CONVERGED
    assert solution.value.dtype == torch.float32
    torch.testing.assert_close(solution.value.double(), torch.linalg.solve(A, rhs), rtol=0, atol=1e-3)


def test_residual_is_recomputed_from_the_value(
    ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    B, F, sigma2 = ld_like
    C = ScaledGram(B=B, F=F, sigma2=sigma2)
    dense = (B * F) @ B.T + sigma2 * torch.eye(60, dtype=torch.float64)
    rhs = torch.randn(60, 4, generator=generator, dtype=torch.float64)
    for rtol in (0.5, 1e-2, 1e-6):
        solution = cg(C, rhs, rtol=rtol)
        truth = (rhs - dense @ solution.value).norm(dim=0) / rhs.norm(dim=0)
        torch.testing.assert_close(solution.rel_residuals, truth, rtol=1e-6, atol=1e-12)
        assert solution.rel_residual == float(solution.rel_residuals.max())


def test_coefficients_and_iterates_are_the_textbooks(matrix_of, generator: torch.Generator) -> None:
    A = matrix_of(torch.linspace(1, 50, 30, dtype=torch.float64))
    P = A.diagonal().clone()
    rhs = torch.randn(30, 3, generator=generator, dtype=torch.float64)
    solution = cg(Dense(A), rhs, preconditioner=DiagonalPreconditioner(P), rtol=1e-30, max_steps=7)
    assert solution.outcome is Outcome.MAX_STEPS
    assert solution.steps.tolist() == [7, 7, 7]
    for column in range(3):
        x, alphas, betas = textbook_cg(A, rhs[:, column], P.diag(), 7)
        torch.testing.assert_close(solution.value[:, column], x, rtol=1e-9, atol=1e-12)
        assert solution.alpha[column].tolist() == pytest.approx(alphas, rel=1e-9)
        assert solution.beta[column, :6].tolist() == pytest.approx(betas[:6], rel=1e-9)


def test_each_column_goes_its_own_way(matrix_of, generator: torch.Generator) -> None:
    """A column's answer does not depend on its neighbours, and one that has ended costs no more products."""
    A = matrix_of(torch.logspace(0, 4, 40, dtype=torch.float64))
    eigen = symmetric_eigen(A)
    rhs = torch.randn(40, 4, generator=generator, dtype=torch.float64)
    rhs[:, 1] = eigen.vectors[:, 3]  # one step
    rhs[:, 2] = eigen.vectors[:, 0] + eigen.vectors[:, 39]  # two steps
    operator = Counting(Dense(A))
    together = cg(operator, rhs, rtol=1e-9)
    assert together.steps[1:3].tolist() == [1, 2]
    assert operator.widths[:3] == [4, 3, 2]
    assert operator.widths[-1] == 4  # the check
    for column in range(4):
        alone = cg(Dense(A), rhs[:, column : column + 1], rtol=1e-9)
        torch.testing.assert_close(together.value[:, column : column + 1], alone.value, rtol=1e-6, atol=1e-10)
        assert int(together.steps[column]) == pytest.approx(int(alone.steps[0]), rel=0.1)


@given(
    st.permutations(range(4)), st.lists(st.floats(-1e3, 1e3).filter(lambda s: abs(s) > 1e-3), min_size=4, max_size=4)
)
def test_permuted_and_scaled_columns_give_permuted_and_scaled_solutions(order: list[int], scales: list[float]) -> None:
    rng = torch.Generator().manual_seed(3)
    X = torch.randn(12, 12, generator=rng, dtype=torch.float64)
    A = Dense(X @ X.T + 3 * torch.eye(12, dtype=torch.float64))
    rhs = torch.randn(12, 4, generator=rng, dtype=torch.float64)
    factor = torch.tensor(scales, dtype=torch.float64)
    plain, changed = cg(A, rhs, rtol=1e-10), cg(A, (rhs * factor)[:, order], rtol=1e-10)
    torch.testing.assert_close(changed.value, (plain.value * factor)[:, order], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("exponent", [-38, -30, 25, 36])
def test_lengths_that_would_under_or_overflow_do_no_harm(exponent: int, generator: torch.Generator) -> None:
    d = torch.linspace(1, 3, 20)
    rhs = torch.randn(20, 2, generator=generator)
    solution = cg(Diagonal(d), rhs * 10.0**exponent, rtol=1e-5)
    assert solution.outcome is Outcome.CONVERGED
    torch.testing.assert_close(solution.value / 10.0**exponent, rhs / d[:, None], rtol=1e-3, atol=1e-4)


def test_the_exact_inverse_needs_one_step(ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator) -> None:
    B, F, sigma2 = ld_like
    C = ScaledGram(B=B, F=F, sigma2=sigma2)
    eigen = symmetric_eigen((B * F) @ B.T)
    P = EigenPreconditioner(V=eigen.vectors, values=eigen.values + sigma2, rest=sigma2)
    solution = cg(C, torch.randn(60, 3, generator=generator, dtype=torch.float64), preconditioner=P, rtol=1e-10)
    assert solution.outcome is Outcome.CONVERGED
    assert solution.steps.tolist() == [1, 1, 1]


def test_the_diagonal_preconditioner_saves_steps_on_a_badly_scaled_matrix(
    matrix_of, generator: torch.Generator
) -> None:
    scale = torch.logspace(-3, 3, 50, dtype=torch.float64)
    A = matrix_of(torch.linspace(1, 3, 50, dtype=torch.float64)) * scale[:, None] * scale
    rhs = torch.randn(50, 2, generator=generator, dtype=torch.float64)
    helped = cg(Dense(A), rhs, preconditioner=DiagonalPreconditioner(A.diagonal()), rtol=1e-6)
    assert helped.outcome is Outcome.CONVERGED
    assert int(helped.steps.max()) < 40
    assert cg(Dense(A), rhs, rtol=1e-6, max_steps=200).outcome is Outcome.MAX_STEPS


def test_zero_right_hand_sides_are_solved_by_zero(matrix_of, generator: torch.Generator) -> None:
    A = Dense(matrix_of(torch.linspace(1, 5, 10, dtype=torch.float64)))
    rhs = torch.randn(10, 3, generator=generator, dtype=torch.float64)
    rhs[:, 1] = 0
    solution = cg(A, rhs, rtol=1e-10)
    assert solution.outcomes == (Outcome.CONVERGED,) * 3
    assert (solution.value[:, 1] == 0).all()
    assert int(solution.steps[1]) == 0
    assert float(solution.rel_residuals[1]) == 0
    everything = cg(A, torch.zeros(10, 2, dtype=torch.float64))
    assert everything.outcome is Outcome.CONVERGED
    assert everything.rel_residual == 0


def test_no_columns_and_one_row() -> None:
    none = cg(Diagonal(torch.ones(4)), torch.empty(4, 0))
    assert none.value.shape == (4, 0)
    assert (none.outcome, none.outcomes, none.rel_residual) == (Outcome.CONVERGED, (), 0.0)
    one = cg(Diagonal(torch.tensor([4.0])), torch.tensor([[2.0, -8.0]]))
    assert one.value.tolist() == [[0.5, -2.0]]
    assert one.steps.tolist() == [1, 1]


def test_duplicated_columns_of_the_factor_and_of_the_right_hand_side(
    ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    B, F, sigma2 = ld_like
    B = torch.cat([B, B[:, :30], B[:, :30]], dim=1)
    F = torch.cat([F, F[:60]])
    dense = (B * F) @ B.T + sigma2 * torch.eye(60, dtype=torch.float64)
    b = torch.randn(60, 1, generator=generator, dtype=torch.float64)
    solution = cg(ScaledGram(B=B, F=F, sigma2=sigma2), b.repeat(1, 3), rtol=1e-10)
    assert solution.outcome is Outcome.CONVERGED
    torch.testing.assert_close(solution.value, torch.linalg.solve(dense, b).repeat(1, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sigma2", [1e-6, 1.0, 1e3])
@pytest.mark.parametrize("variances", ["twelve orders", "one enormous", "zero"])
def test_the_outcome_tells_the_truth_about_hard_covariances(
    variances: str, sigma2: float, dtype: torch.dtype, ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    """CONVERGED only where the residual in float64 agrees; whatever happens the value is finite."""
    B = ld_like[0].to(dtype)
    F = {
        "twelve orders": torch.logspace(-9, 3, 90, dtype=torch.float64),
        "one enormous": torch.where(torch.arange(90) == 50, 1e6, 1e-3).double(),
        "zero": torch.zeros(90, dtype=torch.float64),
    }[variances].to(dtype)
    C = ScaledGram(B=B, F=F, sigma2=sigma2)
    rhs = torch.randn(60, 3, generator=generator, dtype=torch.float64).to(dtype)
    solution = cg(C, rhs, preconditioner=DiagonalPreconditioner(C.diagonal()), rtol=1e-4, max_steps=2000)
    dense = (B.double() * F.double()) @ B.double().T + sigma2 * torch.eye(60, dtype=torch.float64)
    truth = (rhs.double() - dense @ solution.value.double()).norm(dim=0) / rhs.double().norm(dim=0)
    assert torch.isfinite(solution.value).all()
    for outcome, residual in zip(solution.outcomes, truth.tolist(), strict=True):
        assert residual < (5e-4 if dtype == torch.float32 else 1.01e-4) or outcome is not Outcome.CONVERGED
    if dtype == torch.float64 or variances == "zero":
        assert solution.outcome is Outcome.CONVERGED
        torch.testing.assert_close(solution.rel_residuals.double(), truth, rtol=0.01, atol=1e-6)


def test_an_indefinite_matrix_is_a_breakdown_and_leaves_a_finite_value(matrix_of, generator: torch.Generator) -> None:
    A = matrix_of(torch.tensor([-2.0, 1, 2, 3, 4, 5, 6, 7]))
    solution = cg(Dense(A), torch.randn(8, 3, generator=generator, dtype=torch.float64), rtol=1e-8)
    assert Outcome.BREAKDOWN in solution.outcomes
    assert solution.outcome is Outcome.BREAKDOWN
    assert torch.isfinite(solution.value).all()


def test_a_singular_matrix_outside_its_range_is_not_converged() -> None:
    for dtype in (torch.float32, torch.float64):
        values = torch.tensor([1.0, 2.0, 0.0], dtype=dtype)
        solution = cg(Diagonal(values), torch.ones(3, 1, dtype=dtype), max_steps=100)
        assert solution.outcome is Outcome.BREAKDOWN
        assert solution.steps.tolist() == [2]
        assert 0.5 < solution.rel_residual < 2  # nothing is solved, and nothing is blown up by rounding either


def test_a_breakdown_stays_in_its_column(generator: torch.Generator) -> None:
    A = Diagonal(torch.tensor([-1.0, 1.0, 2.0, 3.0]))
    rhs = torch.randn(4, 3, generator=generator)
    rhs[0] = torch.tensor([0.0, 1.0, 0.0])  # only the middle column sees the negative eigenvalue
    rhs[1:, 1] = 0
    solution = cg(A, rhs, rtol=1e-5)
    assert solution.outcomes == (Outcome.CONVERGED, Outcome.BREAKDOWN, Outcome.CONVERGED)
    torch.testing.assert_close(solution.value[1:, [0, 2]], (rhs / A.values[:, None])[1:, [0, 2]], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_a_breakdown(bad: float, generator: torch.Generator) -> None:
    rhs = torch.randn(4, 2, generator=generator)
    rhs[2, 0] = bad
    solution = cg(Diagonal(torch.ones(4)), rhs)
    assert solution.outcomes == (Outcome.BREAKDOWN, Outcome.CONVERGED)
    assert not solution.rel_residual < 1
    in_matrix = cg(Diagonal(torch.tensor([1.0, 1.0, bad, 1.0])), torch.ones(4, 1))
    assert in_matrix.outcome is Outcome.BREAKDOWN


def test_a_preconditioner_that_is_not_positive_is_a_breakdown() -> None:
    class Negative(DiagonalPreconditioner):
        def solve(self, X: Tensor) -> Tensor:
            return -X

    solution = cg(Diagonal(torch.ones(3)), torch.ones(3, 1), preconditioner=Negative(torch.ones(3)))
    assert solution.outcome is Outcome.BREAKDOWN


def test_the_step_limit_is_an_outcome(matrix_of, generator: torch.Generator) -> None:
    A = Counting(Dense(matrix_of(torch.logspace(0, 6, 50, dtype=torch.float64))))
    solution = cg(A, torch.randn(50, 2, generator=generator, dtype=torch.float64), rtol=1e-10, max_steps=5)
    assert solution.outcomes == (Outcome.MAX_STEPS, Outcome.MAX_STEPS)
    assert solution.steps.tolist() == [5, 5]
    assert solution.rel_residual > 1e-10
    assert len(A.widths) == 6


def test_rounding_beyond_the_tolerance_is_an_outcome(matrix_of, generator: torch.Generator) -> None:
    """The recurrence believes in 1e-9; float32 cannot."""
    A = matrix_of(torch.logspace(0, 4, 60, dtype=torch.float64)).float()
    rhs = torch.randn(60, 2, generator=generator)
    solution = cg(Dense(A), rhs, rtol=1e-9, max_steps=2000)
    assert solution.outcome is Outcome.ROUNDING
    assert solution.rel_residual > 2e-9
    believed = cg(Dense(A), rhs, rtol=1e-9, max_steps=2000, verify=False)
    assert believed.outcome is Outcome.CONVERGED
    assert believed.rel_residual <= 1e-9


def test_without_the_check_one_product_is_saved_and_nothing_else_changes(matrix_of, generator: torch.Generator) -> None:
    A = Dense(matrix_of(torch.linspace(1, 30, 40, dtype=torch.float64)))
    rhs = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    checked, unchecked = Counting(A), Counting(A)
    first = cg(checked, rhs, rtol=1e-5)
    second = cg(unchecked, rhs, rtol=1e-5, verify=False)
    assert len(checked.widths) == len(unchecked.widths) + 1
    assert torch.equal(first.value, second.value)
    torch.testing.assert_close(first.rel_residuals, second.rel_residuals, rtol=1e-5, atol=1e-12)


def test_arguments_are_left_alone_and_no_graph_is_built(generator: torch.Generator) -> None:
    d = torch.linspace(1, 2, 6, requires_grad=True)
    rhs = torch.randn(6, 2, generator=generator)
    before = rhs.clone()
    solution = cg(Diagonal(d), rhs)
    assert torch.equal(rhs, before)
    assert not solution.value.requires_grad


def test_arguments_that_do_not_fit_are_errors() -> None:
    A, rhs = Diagonal(torch.ones(3)), torch.ones(3, 1)
    with pytest.raises(DataError, match=r"`rhs` must be \(3, k\) with at least one row, got shape \(2, 1\)"):
        cg(A, torch.ones(2, 1))
    with pytest.raises(DataError, match=r"`rhs` must be \(3, k\).*got shape \(3,\)"):
        cg(A, torch.ones(3))
    with pytest.raises(DataError, match=r"`rhs` must be \(0, k\) with at least one row"):
        cg(Diagonal(torch.ones(0)), torch.ones(0, 1))
    with pytest.raises(DataError, match=r"`rhs` must have the operator's dtype torch.float32, got torch.float64"):
        cg(A, rhs.double())
    with pytest.raises(
        DataError, match=r"`preconditioner` is torch.float32 of size 2, but the operator is torch.float32 of size 3"
    ):
        cg(A, rhs, preconditioner=DiagonalPreconditioner(torch.ones(2)))
    for rtol in (0.0, math.nan):
        with pytest.raises(ConfigError, match="`rtol` must be positive"):
            cg(A, rhs, rtol=rtol)
    with pytest.raises(ConfigError, match="`max_steps` must be at least 1, got 0"):
        cg(A, rhs, max_steps=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu(ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator) -> None:
    B, F, sigma2 = ld_like
    rhs = torch.randn(60, 5, generator=generator, dtype=torch.float64)

    def solve(device: str) -> Solution:
        C = ScaledGram(B=B.half().to(device), F=F.to(device), sigma2=sigma2)
        return cg(C, rhs.to(device), preconditioner=DiagonalPreconditioner(C.diagonal()), rtol=1e-10)

    there, here = solve("cuda"), solve("cpu")
    assert there.outcome is here.outcome is Outcome.CONVERGED
    torch.testing.assert_close(there.value.cpu(), here.value)
    torch.testing.assert_close(there.tridiagonals().dense()[:, :3, :3], here.tridiagonals().dense()[:, :3, :3])
