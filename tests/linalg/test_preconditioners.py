import pytest
import torch
from torch import Tensor

from varfx.errors import DataError
from varfx.linalg import DiagonalPreconditioner, EigenPreconditioner, Identity, Preconditioner, Probe

KINDS = ["identity", "diagonal", "eigen", "eigen full", "eigen none"]


def build(kind: str, generator: torch.Generator) -> tuple[Preconditioner, Tensor]:
    """A preconditioner and its dense matrix."""
    eye = torch.eye(8, dtype=torch.float64)
    d = torch.rand(8, generator=generator, dtype=torch.float64) * 3 + 0.1
    Q = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64)).Q
    match kind:
        case "identity":
            return Identity(8, torch.float64), eye
        case "diagonal":
            return DiagonalPreconditioner(d), d.diag()
        case "eigen":
            V = Q[:, :3]
            return EigenPreconditioner(V=V, values=d[:3], rest=0.4), (V * d[:3]) @ V.T + 0.4 * (eye - V @ V.T)
        case "eigen full":
            return EigenPreconditioner(V=Q, values=d, rest=1e-300), (Q * d) @ Q.T
        case "eigen none":
            return EigenPreconditioner(V=Q[:, :0], values=d[:0], rest=0.7), 0.7 * eye
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [0, 1, 5])
def test_solve_roots_and_logdet_are_those_of_the_matrix(kind: str, width: int, generator: torch.Generator) -> None:
    P, dense = build(kind, generator)
    X = torch.randn(8, width, generator=generator, dtype=torch.float64)
    before = X.clone()
    torch.testing.assert_close(P.solve(X), torch.linalg.solve(dense, X))
    torch.testing.assert_close(P.sqrt_matmul(P.sqrt_matmul(X)), dense @ X)
    torch.testing.assert_close(P.sqrt_solve(P.sqrt_solve(X)), torch.linalg.solve(dense, X))
    torch.testing.assert_close(P.sqrt_solve(P.sqrt_matmul(X)), X)
    torch.testing.assert_close(P.logdet(), torch.logdet(dense))
    assert torch.equal(X, before)
    assert (P.size, P.dtype, P.device) == (8, torch.float64, torch.device("cpu"))


@pytest.mark.parametrize("kind", KINDS)
def test_roots_are_symmetric(kind: str, generator: torch.Generator) -> None:
    P, _ = build(kind, generator)
    root = P.sqrt_matmul(torch.eye(8, dtype=torch.float64))
    torch.testing.assert_close(root, root.T)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("probe", list(Probe))
def test_samples_have_the_matrix_as_covariance(kind: str, probe: Probe, generator: torch.Generator) -> None:
    P, dense = build(kind, generator)
    num = 20_000
    Z = P.sample(num, generator=generator, probe=probe)
    scatter = (dense.diagonal()[:, None] * dense.diagonal() + dense**2).sqrt() / num**0.5  # of a normal's covariance
    assert ((Z @ Z.T / num - dense).abs() < 5 * scatter).all()


def test_logdet_of_float32_is_summed_in_float64() -> None:
    assert DiagonalPreconditioner(torch.full((3,), 1e-30)).logdet().dtype == torch.float64
    assert float(DiagonalPreconditioner(torch.full((3,), 1e-30)).logdet()) == pytest.approx(-207.2327, abs=1e-3)


def test_what_is_not_positive_definite_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"`values` must be positive and finite: 2 of 3 are not, first at index 1 \(0\)"
    ):
        DiagonalPreconditioner(torch.tensor([1.0, 0.0, torch.nan]))
    with pytest.raises(DataError, match=r"`values` must have one axis, got shape \(2, 2\)"):
        DiagonalPreconditioner(torch.ones(2, 2))
    eye = torch.eye(3)
    with pytest.raises(DataError, match=r"`values` must be positive and finite: 1 of 3"):
        EigenPreconditioner(V=eye, values=torch.tensor([1.0, 2.0, -1.0]), rest=1.0)
    with pytest.raises(DataError, match="`rest` must be positive and finite, got 0"):
        EigenPreconditioner(V=eye, values=torch.ones(3), rest=0.0)
    with pytest.raises(DataError, match=r"`V` must be \(n, d\).*got \(3, 3\) and \(2,\)"):
        EigenPreconditioner(V=eye, values=torch.ones(2), rest=1.0)
    with pytest.raises(DataError, match=r"`V` must be \(n, d\).*got \(2, 3\) and \(3,\)"):
        EigenPreconditioner(V=eye[:2], values=torch.ones(3), rest=1.0)
