import pytest
import torch
from torch import Tensor

from cases.operators import Dense, Diagonal
from varfx.errors import DataError
from varfx.linalg import LinearOperator, ScaledGram


def operators(ld_like: tuple[Tensor, Tensor, float]) -> list[tuple[str, LinearOperator, Tensor]]:
    """Each kind of operator, with the dense float64 matrix that it stands for."""
    B, F, sigma2 = ld_like
    T = torch.linspace(-1, 1, 20 * 60, dtype=torch.float64).cos().reshape(20, 60)
    gram, eye = (B * F) @ B.T, torch.eye(60, dtype=torch.float64)
    d = torch.linspace(1, 2, 60, dtype=torch.float64)
    half = gram.half()
    return [
        ("dense", Dense(gram), gram),
        ("dense float32", Dense(gram.float()), gram),
        ("dense half", Dense(half), half.double()),
        ("diagonal", Diagonal(d), d.diag()),
        ("gram", ScaledGram(B=B, F=F, sigma2=sigma2), gram + sigma2 * eye),
        ("gram float32", ScaledGram(B=B.float(), F=F.float(), sigma2=sigma2), gram + sigma2 * eye),
        (
            "gram half",
            ScaledGram(B=B.half(), F=F, sigma2=sigma2),
            (B.half().double() * F) @ B.half().double().T + sigma2 * eye,
        ),
        ("gram T", ScaledGram(B=B, F=F, sigma2=0.0, T=T), T @ gram @ T.T),
        ("gram T blocks", ScaledGram(B=B, F=F, sigma2=2.0, T=T, block_bytes=999), T @ gram @ T.T + 2 * eye[:20, :20]),
    ]


@pytest.mark.parametrize("position", range(9))
@pytest.mark.parametrize("width", [0, 1, 6])
def test_products_and_diagonal_are_those_of_the_matrix(
    position: int, width: int, ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    name, operator, dense = operators(ld_like)[position]
    tolerance = 1e-12 if operator.dtype == torch.float64 else 1e-5
    X = torch.randn(operator.size, width, generator=generator, dtype=torch.float64).to(operator.dtype)
    for layout in (X, X.T.contiguous().T):
        before = layout.clone()
        image = operator.matmul(layout)
        assert image.dtype == operator.dtype, name
        assert torch.equal(layout, before), f"{name} changed its argument"
        torch.testing.assert_close(
            image.double(), dense @ X.double(), rtol=tolerance, atol=tolerance * float(dense.norm())
        )
    torch.testing.assert_close(operator.diagonal().double(), dense.diagonal(), rtol=tolerance, atol=tolerance)
    assert operator.shape == dense.shape
    assert operator.device == torch.device("cpu")


def test_half_precision_storage_is_multiplied_in_float32() -> None:
    assert Dense(torch.eye(2).half()).dtype == torch.float32
    assert Dense(torch.eye(2).bfloat16()).dtype == torch.float32
    assert Dense(torch.eye(2, dtype=torch.float64)).dtype == torch.float64


def test_shapes_that_do_not_fit_are_errors() -> None:
    with pytest.raises(DataError, match=r"`matrix` must be square, got shape \(2, 3\)"):
        Dense(torch.ones(2, 3))
    with pytest.raises(DataError, match=r"`values` must have one axis, got shape \(2, 2\)"):
        Diagonal(torch.ones(2, 2))
