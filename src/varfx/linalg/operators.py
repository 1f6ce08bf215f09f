"""Symmetric matrices known by their products with blocks of vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override  # comes with torch; in `typing` from Python 3.12

from varfx.errors import DataError
from varfx.linalg.blocks import column_blocks


class LinearOperator(ABC):
    """A symmetric n x n matrix that need not exist in memory.

    Products with a block whose columns are contiguous (a transposed row-major block) are the fastest.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """n, the number of rows and of columns."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """The precision of the products; the storage may have a lower one."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the products happen."""

    @abstractmethod
    def matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """`A X`, for `X` of the operator's dtype and device; a new tensor."""

    @abstractmethod
    def diagonal(self) -> Float[Tensor, " n"]:
        """The diagonal of A, exactly."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.size, self.size


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


@final
@dataclass(frozen=True, eq=False)
class Dense(LinearOperator):
    """A symmetric matrix held in memory; symmetry is taken on trust.

    Attributes:
        matrix: in half precision it is multiplied in float32, block by block.
    """

    matrix: Float[Tensor, "n n"]

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.matrix.shape[0] != self.matrix.shape[1]:
            raise DataError(f"`matrix` must be square, got shape {tuple(self.matrix.shape)}.")

    @property
    @override
    def size(self) -> int:
        return self.matrix.shape[0]

    @property
    @override
    def dtype(self) -> torch.dtype:
        return working_dtype(self.matrix.dtype)

    @property
    @override
    def device(self) -> torch.device:
        return self.matrix.device

    @override
    def matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        rows = X.T
        if self.matrix.dtype == self.dtype:
            return (rows @ self.matrix).T
        out = torch.empty_like(rows, memory_format=torch.contiguous_format)
        for part, block in column_blocks(self.matrix, self.dtype):
            torch.mm(rows, block, out=out[:, part])
        return out.T

    @override
    def diagonal(self) -> Float[Tensor, " n"]:
        return self.matrix.diagonal().to(self.dtype)


@final
@dataclass(frozen=True, eq=False)
class Diagonal(LinearOperator):
    """`diag(values)`."""

    values: Float[Tensor, " n"]

    def __post_init__(self) -> None:
        if self.values.ndim != 1:
            raise DataError(f"`values` must have one axis, got shape {tuple(self.values.shape)}.")

    @property
    @override
    def size(self) -> int:
        return self.values.shape[0]

    @property
    @override
    def dtype(self) -> torch.dtype:
        return self.values.dtype

    @property
    @override
    def device(self) -> torch.device:
        return self.values.device

    @override
    def matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return X * self.values[:, None]

    @override
    def diagonal(self) -> Float[Tensor, " n"]:
        return self.values


@final
@dataclass(frozen=True, eq=False)
class Sum(LinearOperator):
    """The sum of operators of one size, dtype and device."""

    terms: tuple[LinearOperator, ...]

    def __post_init__(self) -> None:
        kinds = [(term.size, term.dtype, term.device) for term in self.terms]
        if len(set(kinds)) != 1:
            raise DataError(f"`terms` must be at least one, of one size, dtype and device; got {kinds}.")

    @property
    @override
    def size(self) -> int:
        return self.terms[0].size

    @property
    @override
    def dtype(self) -> torch.dtype:
        return self.terms[0].dtype

    @property
    @override
    def device(self) -> torch.device:
        return self.terms[0].device

    @override
    def matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        total = self.terms[0].matmul(X)
        for term in self.terms[1:]:
            total = total + term.matmul(X)
        return total

    @override
    def diagonal(self) -> Float[Tensor, " n"]:
        return torch.stack([term.diagonal() for term in self.terms]).sum(dim=0)
