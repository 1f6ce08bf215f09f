import pytest
import torch

from cases.operators import Dense
from varfx.linalg import DiagonalPreconditioner, Outcome, Tridiagonals, cg


def test_padding_carries_no_weight() -> None:
    diagonal = torch.tensor([[2.0, 3.0, 99.0], [4.0, 99.0, 99.0], [99.0, 99.0, 99.0]])
    off = torch.tensor([[0.5, 99.0], [99.0, 99.0], [99.0, 99.0]])
    T = Tridiagonals.padded(diagonal, off, torch.tensor([2, 1, 0]), Outcome.MAX_STEPS)
    assert T.outcome is Outcome.MAX_STEPS
    assert T.num_probes == 3
    assert T.diagonal.dtype == torch.float64
    assert T.dense()[0].tolist() == [[2, 0.5, 0], [0.5, 3, 0], [0, 0, 1]]
    square = T.quadrature(torch.square)  # e1' T^2 e1 is the first row's sum of squares
    assert square.tolist() == pytest.approx([4.25, 16, 1])
    _, weights = T.rule()
    assert weights.sum(dim=1).tolist() == pytest.approx([1, 1, 1])


def test_shortened_takes_the_last_step_away() -> None:
    T = Tridiagonals.padded(
        torch.tensor([[2.0, 3.0, 4.0], [5.0, 6.0, 0.0], [7.0, 0.0, 0.0]]),
        torch.tensor([[0.1, 0.2], [0.3, 0.0], [0.0, 0.0]]),
        torch.tensor([3, 2, 1]),
        Outcome.ROUNDING,
    ).shortened()
    assert T.steps.tolist() == [2, 1, 1]
    assert T.diagonal.tolist() == [[2, 3, 1], [5, 1, 1], [7, 1, 1]]
    assert T.off_diagonal.tolist() == [[pytest.approx(0.1), 0], [0, 0], [0, 0]]
    assert T.outcome is Outcome.ROUNDING


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_gauss_rule_is_exact_for_polynomials_of_degree_twice_the_steps_less_one(
    steps: int, matrix_of, generator: torch.Generator
) -> None:
    """Golub and Meurant (1994): what s steps of CG leave integrates degree 2 s - 1 exactly, and 2 s not."""
    A = matrix_of(torch.linspace(0.5, 4, 20, dtype=torch.float64))
    d = torch.linspace(0.7, 1.6, 20, dtype=torch.float64)
    rhs = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    solution = cg(Dense(A), rhs, preconditioner=DiagonalPreconditioner(d), rtol=1e-30, max_steps=steps)
    whitened = A / d.sqrt()[:, None] / d.sqrt()
    start = rhs / d.sqrt()[:, None]
    start = start / start.norm(dim=0)
    T = solution.tridiagonals()
    for degree in range(2 * steps + 1):
        power = torch.linalg.matrix_power(whitened, degree)
        truth = (start * (power @ start)).sum(dim=0)
        agrees = torch.isclose(T.quadrature(lambda x, n=degree: x**n), truth, rtol=1e-10).all()
        assert bool(agrees) == (degree < 2 * steps)


def test_columns_can_be_chosen(matrix_of, generator: torch.Generator) -> None:
    A = Dense(matrix_of(torch.linspace(1, 9, 12, dtype=torch.float64)))
    rhs = torch.randn(12, 4, generator=generator, dtype=torch.float64)
    rhs[:, 3] = torch.nan
    solution = cg(A, rhs, rtol=1e-3)
    chosen = solution.tridiagonals(slice(1, 3))
    assert torch.equal(chosen.dense(), solution.tridiagonals().dense()[1:3])
    assert chosen.outcome is Outcome.CONVERGED
    assert solution.tridiagonals().outcome is Outcome.BREAKDOWN


def test_joined_matrices_keep_their_sizes_and_rules() -> None:
    short = Tridiagonals.padded(torch.tensor([[2.0]]), torch.zeros(1, 0), torch.tensor([1]), Outcome.CONVERGED)
    long = Tridiagonals.padded(
        torch.tensor([[2.0, 3.0, 4.0], [5.0, 6.0, 7.0]]),
        torch.tensor([[1.0, 0.5], [0.1, 0.2]]),
        torch.tensor([3, 2]),
        Outcome.MAX_STEPS,
    )
    joined = Tridiagonals.joined([short, long])
    assert joined.steps.tolist() == [1, 3, 2]
    assert joined.outcome is Outcome.MAX_STEPS
    expected = torch.cat([short.quadrature(torch.log), long.quadrature(torch.log)])
    torch.testing.assert_close(joined.quadrature(torch.log), expected)
