"""Operators that hold a matrix or a diagonal: material of tests; the package's own operators never form one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from varfx.errors import DataError
from varfx.linalg.blocks import column_blocks
from varfx.linalg.operators import LinearOperator, working_dtype


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
    def like(self) -> Tensor:
        return self.matrix.new_empty((self.matrix.shape[0], 0), dtype=working_dtype(self.matrix.dtype))

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
    def like(self) -> Tensor:
        return self.values

    @override
    def matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return X * self.values[:, None]

    @override
    def diagonal(self) -> Float[Tensor, " n"]:
        return self.values
