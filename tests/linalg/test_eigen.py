import pytest
import torch

from varfx.errors import ConfigError, DataError
from varfx.linalg import symmetric_eigen


def test_eigenpairs_give_the_matrix_back_descending(matrix_of) -> None:
    A = matrix_of(torch.tensor([3.0, 0.5, 7.0, 2.0]))
    eigen = symmetric_eigen(A)
    assert eigen.values.tolist() == pytest.approx([7, 3, 2, 0.5])
    torch.testing.assert_close((eigen.vectors * eigen.values) @ eigen.vectors.T, A)
    assert eigen.rank == 4
    assert eigen.lowest == pytest.approx(0.5)


def test_rounding_noise_becomes_zero_and_leaves_the_rank(generator: torch.Generator) -> None:
    X = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    A = X @ X.T  # rank 6: the other 34 eigenvalues are noise of both signs
    eigen = symmetric_eigen(A)
    assert eigen.rank == 6
    assert (eigen.values[6:] == 0).all()
    values, vectors = eigen.range()
    assert vectors.shape == (40, 6)
    torch.testing.assert_close((vectors * values) @ vectors.T, A)


def test_a_negative_eigenvalue_is_removed_but_told(matrix_of) -> None:
    eigen = symmetric_eigen(matrix_of(torch.tensor([2.0, 1.0, -0.5])))
    assert eigen.values.tolist() == pytest.approx([2, 1, 0])
    assert eigen.lowest == pytest.approx(-0.5)
    assert symmetric_eigen(-torch.eye(3)).rank == 0
    assert symmetric_eigen(torch.zeros(3, 3)).rank == 0


def test_floor_is_relative_to_the_largest(matrix_of) -> None:
    A = matrix_of(torch.tensor([1e6, 2e3, 9e2]))
    assert symmetric_eigen(A, floor=1e-3).rank == 2
    assert symmetric_eigen(A, floor=0.0).rank == 3


def test_duplicate_rows_lower_the_rank(matrix_of) -> None:
    A = matrix_of(torch.tensor([3.0, 2.0, 1.0]))
    index = [0, 1, 2, 1]
    assert symmetric_eigen(A[index][:, index]).rank == 3


def test_what_is_not_a_matrix_is_refused() -> None:
    with pytest.raises(DataError, match=r"`matrix` must be square, got shape \(2, 3\)"):
        symmetric_eigen(torch.ones(2, 3))
    with pytest.raises(DataError, match=r"`matrix` must be finite: 2 of 4 values are not, first at index \(0, 1\)"):
        symmetric_eigen(torch.tensor([[1.0, torch.inf], [torch.inf, 1.0]]))
    with pytest.raises(ConfigError, match="`floor` must be at least 0 and below 1, got 1"):
        symmetric_eigen(torch.eye(2), floor=1.0)
