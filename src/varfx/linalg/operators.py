"""Symmetric matrices known by their products with blocks of vectors."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.errors import DataError
from varfx.linalg.square import SquareMatrix


class LinearOperator(SquareMatrix):
    """A symmetric n x n matrix that need not exist in memory.

    Products with a block whose columns are contiguous (a transposed row-major block) are the fastest.
    """

    @abstractmethod
    def matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """`A X`, for `X` of the operator's dtype and device; a new tensor."""

    @abstractmethod
    def diagonal(self) -> Float[Tensor, " n"]:
        """The diagonal of A, exactly."""


def require_finite(name: str, values: Tensor) -> None:
    """Raise a DataError that counts the entries which are NaN or infinite."""
    bad = torch.nonzero(~torch.isfinite(values))
    if bad.shape[0]:
        first = tuple(bad[0].tolist())
        raise DataError(
            f"`{name}` must be finite: {bad.shape[0]} of {values.numel()} values are not, first at index {first}. "
            "Remove them or replace them before."
        )


def working_dtype(storage: torch.dtype) -> torch.dtype:
    """The precision to compute in: float32 for half-precision storage, else the storage's own."""
    return torch.float32 if storage in (torch.float16, torch.bfloat16) else storage
