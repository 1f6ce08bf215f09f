"""Eigenpairs of a symmetric positive semi-definite matrix, with rounding noise removed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.linalg.operators import require_finite
from varfx.short_repr import short_repr


@dataclass(frozen=True, kw_only=True, eq=False)
class SymmetricEigen:
    """`A = vectors diag(values) vectors'`, values descending, those that are rounding noise set to zero.

    Attributes:
        values: not negative.
        vectors: orthonormal columns.
        rank: how many values are positive.
        lowest: the smallest eigenvalue before the clean-up; well below zero means that A was not semi-definite.
    """

    __repr__ = short_repr

    values: Float[Tensor, " n"]
    vectors: Float[Tensor, "n n"]
    rank: int
    lowest: float

    def range(self) -> tuple[Float[Tensor, " rank"], Float[Tensor, "n rank"]]:
        """The positive values and their vectors."""
        return self.values[: self.rank], self.vectors[:, : self.rank]


@torch.no_grad()
def symmetric_eigen(matrix: Float[Tensor, "n n"], *, floor: float | None = None) -> SymmetricEigen:
    """Eigenpairs of the symmetric part of a matrix that should be positive semi-definite.

    Args:
        matrix: float32 or float64; its two triangles are averaged.
        floor: values at or below this share of the largest become zero; None means n times the rounding unit.

    Raises:
        DataError: the matrix is not square or not finite.
        ConfigError: `floor` is outside [0, 1).
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise DataError(f"`matrix` must be square, got shape {tuple(matrix.shape)}.")
    if floor is not None and not 0 <= floor < 1:
        raise ConfigError(f"`floor` must be at least 0 and below 1, got {floor}.")
    require_finite("matrix", matrix)
    share = matrix.shape[0] * torch.finfo(matrix.dtype).eps if floor is None else floor
    ascending, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    values = ascending.flip(0)
    kept = values > share * values[:1].clamp(min=0)
    return SymmetricEigen(
        values=torch.where(kept, values, 0),
        vectors=vectors.flip(1),
        rank=int(kept.sum()),
        lowest=float(values[-1]) if values.numel() else 0.0,
    )
