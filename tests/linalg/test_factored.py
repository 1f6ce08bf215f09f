import pytest
import torch
from torch import Tensor

from cases.lanczos import lanczos
from cases.operators import Dense
from varfx.errors import DataError
from varfx.linalg import CholeskyPreconditioner, LowRankPreconditioner, Preconditioner, Probe, cg

KINDS = ["no column", "one column", "equal columns", "dominant", "cholesky"]


def build(kind: str, generator: torch.Generator) -> tuple[Preconditioner, Tensor]:
    """A preconditioner and its dense matrix."""
    d = torch.rand(8, generator=generator, dtype=torch.float64) + 0.1
    U = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    match kind:
        case "no column":
            U = U[:, :0]
        case "one column":
            U = U[:, :1]
        case "equal columns":
            U[:, 1] = U[:, 0]
        case "dominant":
            U[:, 1] *= 1e3
        case "cholesky":
            dense = U @ U.T + d.diag()
            return CholeskyPreconditioner(torch.linalg.cholesky(dense) + torch.ones(8, 8).triu(1)), dense
    return LowRankPreconditioner.from_columns(d, U), d.diag() + U @ U.T


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [0, 1, 5])
def test_solve_roots_and_logdet_are_those_of_the_matrix(kind: str, width: int, generator: torch.Generator) -> None:
    P, dense = build(kind, generator)
    X = torch.randn(8, width, generator=generator, dtype=torch.float64)
    before, eye = X.clone(), torch.eye(8, dtype=torch.float64)
    root = P.sqrt_matmul(eye)
    torch.testing.assert_close(root @ root.T, dense)
    torch.testing.assert_close(P.solve(X), torch.linalg.solve(dense, X))
    torch.testing.assert_close(P.sqrt_matmul(X), root @ X)
    torch.testing.assert_close(P.sqrt_solve(X), torch.linalg.solve(root, X))
    torch.testing.assert_close(P.sqrt_solve_transposed(X), torch.linalg.solve(root.T, X))
    torch.testing.assert_close(P.logdet(), torch.logdet(dense))
    assert torch.equal(X, before)
    assert (P.size, P.dtype, P.device) == (8, torch.float64, torch.device("cpu"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("probe", list(Probe))
def test_samples_have_the_matrix_as_covariance(kind: str, probe: Probe, generator: torch.Generator) -> None:
    P, dense = build(kind, generator)
    num = 20_000
    Z = P.sample(num, generator=generator, probe=probe)
    scatter = (dense.diagonal()[:, None] * dense.diagonal() + dense**2).sqrt() / num**0.5  # of a normal's covariance
    assert ((Z @ Z.T / num - dense).abs() < 5 * scatter).all()


@pytest.mark.parametrize("kind", KINDS)
def test_correction_is_what_the_columns_take_from_the_inverse(kind: str, generator: torch.Generator) -> None:
    P, dense = build(kind, generator)
    if isinstance(P, LowRankPreconditioner):
        K = P.correction()
        torch.testing.assert_close((1 / P.values).diag() - K @ K.T, torch.linalg.inv(dense), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_lanczos_takes_the_transposed_root_on_the_right(kind: str, generator: torch.Generator) -> None:
    P, _ = build(kind, generator)
    A = torch.randn(8, 8, generator=generator, dtype=torch.float64)
    A = A @ A.T + torch.eye(8, dtype=torch.float64)
    start = torch.randn(8, 2, generator=generator, dtype=torch.float64)
    ours = lanczos(Dense(A), start, preconditioner=P, max_steps=5).tridiagonals
    theirs = cg(Dense(A), P.sqrt_matmul(start), preconditioner=P, rtol=1e-30, max_steps=5).tridiagonals()
    torch.testing.assert_close(ours.diagonal, theirs.diagonal, rtol=1e-6, atol=1e-6)


def test_a_dominant_column_costs_one_step(generator: torch.Generator) -> None:
    P, dense = build("dominant", generator)
    rhs = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    assert int(cg(Dense(dense), rhs, preconditioner=P, rtol=1e-8).steps.max()) == 1


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match=r"`U` \(n, d\) with d at most n, got \(3,\) and \(2, 1\)"):
        LowRankPreconditioner.from_columns(torch.ones(3), torch.ones(2, 1))
    with pytest.raises(DataError, match=r"got \(3,\) and \(3, 4\)"):
        LowRankPreconditioner.from_columns(torch.ones(3), torch.ones(3, 4))
    with pytest.raises(DataError, match="`values` must be positive and finite: 1 of 2"):
        LowRankPreconditioner.from_columns(torch.tensor([1.0, 0.0]), torch.ones(2, 1))
    with pytest.raises(DataError, match=r"`L` must be square, got shape \(2, 3\)"):
        CholeskyPreconditioner(torch.ones(2, 3))
    with pytest.raises(DataError, match="`L's diagonal` must be positive and finite: 1 of 2"):
        CholeskyPreconditioner(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
