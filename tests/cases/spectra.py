"""Matrices of a known spectrum, in float64: the truth that every test compares with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

SpdFactory = Callable[[Tensor], Tensor]


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20261121)


@pytest.fixture
def matrix_of(generator: torch.Generator) -> SpdFactory:
    """`matrix_of(spectrum)`: a symmetric matrix with these eigenvalues and random eigenvectors."""

    def build(spectrum: Tensor) -> Tensor:
        size = spectrum.shape[0]
        Q = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
        matrix = (Q * spectrum.double()) @ Q.T
        return (matrix + matrix.T) / 2

    return build


@pytest.fixture
def ld_like(generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
    """`B (60, 90), F, sigma2` with neighbouring columns alike and two of them equal, as linkage disequilibrium makes them."""
    B = torch.randn(60, 90, generator=generator, dtype=torch.float64)
    for column in range(1, 90):
        B[:, column] = 0.9 * B[:, column - 1] + 0.19**0.5 * B[:, column]
    B[:, 40] = B[:, 39]
    F = torch.rand(90, generator=generator, dtype=torch.float64) * 0.05
    F[::7] = 0
    return B, F, 0.8
