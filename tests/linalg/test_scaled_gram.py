from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from varfx.errors import DataError
from varfx.linalg import ScaledGram

Problem = tuple[Tensor, Tensor, float]


@given(
    st.integers(1, 7),
    st.integers(1, 9),
    st.integers(0, 4),
    st.integers(1, 300),
    st.booleans(),
    st.booleans(),
    st.integers(0, 9),
)
def test_blocks_change_nothing(
    rows: int, columns: int, width: int, block_bytes: int, left: bool, half: bool, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    B = torch.randn(rows, columns, generator=rng, dtype=torch.float64)
    B = B.half() if half else B
    F = torch.rand(columns, generator=rng, dtype=torch.float64)
    T = torch.randn(3, rows, generator=rng, dtype=torch.float64) if left else None
    TB = B.double() if T is None else T @ B.double()
    C = ScaledGram(B=B, F=F, sigma2=0.5, T=T, block_bytes=block_bytes)
    X = torch.randn(C.size, width, generator=rng, dtype=torch.float64)
    weights = torch.rand(C.size, generator=rng, dtype=torch.float64)
    for value, truth in [
        (C.matmul(X), TB @ (F[:, None] * (TB.T @ X)) + 0.5 * X),
        (C.project(X), TB.T @ X),
        (C.expand(C.project(X)), TB @ (TB.T @ X)),
        (C.diagonal(), (TB**2) @ F + 0.5),
        (C.column_quadratic(weights), weights @ TB**2),
    ]:
        torch.testing.assert_close(value, truth, rtol=1e-11, atol=1e-11)


def test_half_precision_is_close_to_float64(ld_like: Problem, generator: torch.Generator) -> None:
    B, F, sigma2 = ld_like
    X = torch.randn(60, 5, generator=generator, dtype=torch.float64)
    truth = ScaledGram(B=B, F=F, sigma2=sigma2).matmul(X)
    for storage, bound in ((torch.float16, 1e-3), (torch.bfloat16, 8e-3)):
        image = ScaledGram(B=B.to(storage), F=F.float(), sigma2=sigma2).matmul(X.float())
        assert image.dtype == torch.float32
        assert (image - truth).norm() < bound * truth.norm()


def test_half_precision_is_accumulated_in_float32() -> None:
    # In half precision 2048 + 1 is 2048, and 300^2 is infinite.
    C = ScaledGram(B=torch.ones(1, 5000).half(), F=torch.ones(5000), sigma2=0.0)
    assert float(C.matmul(torch.ones(1, 1))) == 5000
    C = ScaledGram(B=torch.full((1, 2), 300.0).half(), F=torch.ones(2), sigma2=0.0)
    assert float(C.diagonal()) == 180_000
    assert C.column_quadratic(torch.ones(1)).tolist() == [90_000, 90_000]


def test_float64_products_of_float32_storage_are_float64(ld_like: Problem, generator: torch.Generator) -> None:
    B, F, sigma2 = ld_like
    stored = B.float()
    X = torch.randn(60, 2, generator=generator, dtype=torch.float64)
    truth = ScaledGram(B=stored.double(), F=F, sigma2=sigma2).matmul(X)
    torch.testing.assert_close(ScaledGram(B=stored, F=F, sigma2=sigma2).matmul(X), truth, rtol=1e-13, atol=1e-13)


def test_product_is_projection_scaled_and_expanded(ld_like: Problem, generator: torch.Generator) -> None:
    B, F, sigma2 = ld_like
    C = ScaledGram(B=B, F=F, sigma2=sigma2)
    X = torch.randn(60, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(C.matmul(X), C.expand(F[:, None] * C.project(X)) + sigma2 * X)


def test_a_memory_mapped_file_will_do(ld_like: Problem, tmp_path: Path, generator: torch.Generator) -> None:
    B, F, sigma2 = ld_like
    np.save(tmp_path / "B.npy", B.half().numpy())
    mapped = torch.from_numpy(np.load(tmp_path / "B.npy", mmap_mode="r+"))
    X = torch.randn(60, 3, generator=generator)
    on_disk = ScaledGram(B=mapped, F=F.float(), sigma2=sigma2, block_bytes=1000).matmul(X)
    in_memory = ScaledGram(B=B.half(), F=F.float(), sigma2=sigma2, block_bytes=1000).matmul(X)
    assert torch.equal(on_disk, in_memory)


def test_what_cannot_be_a_covariance_is_refused() -> None:
    B, F = torch.ones(2, 3), torch.ones(3)
    with pytest.raises(
        DataError, match=r"`F` must hold one variance per column of `B`: `B` has shape \(2, 3\), `F` \(2,\)"
    ):
        ScaledGram(B=B, F=torch.ones(2), sigma2=1.0)
    with pytest.raises(DataError, match=r"`T` must have one column per row of `B`.*2 rows.*shape \(2, 3\)"):
        ScaledGram(B=B, F=F, sigma2=1.0, T=torch.ones(2, 3))
    with pytest.raises(DataError, match=r"`T` must have .* the dtype of `F`: .*float32.*float64"):
        ScaledGram(B=B, F=F, sigma2=1.0, T=torch.ones(2, 2, dtype=torch.float64))
    with pytest.raises(DataError, match=r"`sigma2` must be finite and not negative, got -0.1"):
        ScaledGram(B=B, F=F, sigma2=-0.1)
    with pytest.raises(DataError, match=r"`sigma2` must be finite and not negative, got nan"):
        ScaledGram(B=B, F=F, sigma2=float("nan"))
    with pytest.raises(DataError, match=r"must not be negative: 2 of 3 are, the lowest at index 2 \(-3\)"):
        ScaledGram(B=B, F=torch.tensor([1.0, -2.0, -3.0]), sigma2=1.0)
    with pytest.raises(DataError, match=r"`F` must be finite: 1 of 3 values are not, first at index \(1,\)"):
        ScaledGram(B=B, F=torch.tensor([1.0, torch.nan, 3.0]), sigma2=1.0)


@pytest.mark.parametrize("with_T", [False, True])
@pytest.mark.parametrize("block_bytes", [None, 700])
def test_product_and_projections_in_one_pass(
    with_T: bool, block_bytes: int | None, ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    B, F, sigma2 = ld_like
    T = torch.randn(40, 60, generator=generator, dtype=torch.float64) if with_T else None
    C = ScaledGram(B=B, F=F, sigma2=sigma2, T=T, block_bytes=block_bytes)
    X = torch.randn(C.size, 3, generator=generator, dtype=torch.float64)
    also = torch.randn(60, 2, generator=generator, dtype=torch.float64)
    product, projected, extra = C.matmul_and_project(X, also)
    torch.testing.assert_close(product, C.matmul(X))
    torch.testing.assert_close(projected, C.project(X))
    torch.testing.assert_close(extra, B.T @ also)
