"""Preconditioners with a root that is not symmetric: a diagonal plus a few columns, and a Cholesky factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override  # comes with torch; in `typing` from Python 3.12

from varfx.errors import DataError
from varfx.linalg.preconditioners import Preconditioner, require_positive
from varfx.short_repr import short_repr


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class LowRankPreconditioner(Preconditioner):
    """`P = D^1/2 (I + V diag(gain) V') D^1/2`: a diagonal and a few dominant columns, by Woodbury's identity.

    Its root is `D^1/2 (I + V diag(gain) V')^1/2`. Made by `from_columns`. Products cost two with V.

    Attributes:
        values: (n,) D, positive.
        V: (n, d) orthonormal columns.
        gain: (d,) not negative.
    """

    __repr__ = short_repr

    values: Float[Tensor, " n"]
    V: Float[Tensor, "n d"]
    gain: Float[Tensor, " d"]

    @staticmethod
    def from_columns(values: Float[Tensor, " n"], U: Float[Tensor, "n d"]) -> LowRankPreconditioner:
        """`P = diag(values) + U U'`.

        Raises:
            DataError: shapes that do not fit, more columns than rows, values that are not positive.
        """
        if values.ndim != 1 or U.ndim != 2 or U.shape[0] != values.shape[0] or U.shape[1] > U.shape[0]:
            raise DataError(
                f"`values` must be (n,) and `U` (n, d) with d at most n, got {tuple(values.shape)} and {tuple(U.shape)}."
            )
        require_positive("values", values)
        Q, R = torch.linalg.qr(U / values.sqrt()[:, None])  # not the Gram matrix, which would square the condition
        left, singular, _ = torch.linalg.svd(R)
        return LowRankPreconditioner(values=values, V=Q @ left, gain=singular.square())

    @property
    @override
    def like(self) -> Tensor:
        return self.values

    @override
    def solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        root = self.values.sqrt()[:, None]
        return self._inside(X / root, -self.gain / (1 + self.gain)) / root

    @override
    def sqrt_matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return self._inside(X, (1 + self.gain).sqrt() - 1) * self.values.sqrt()[:, None]

    @override
    def sqrt_solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return self._inside(X / self.values.sqrt()[:, None], (1 + self.gain).rsqrt() - 1)

    @override
    def sqrt_solve_transposed(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return self._inside(X, (1 + self.gain).rsqrt() - 1) / self.values.sqrt()[:, None]

    @override
    def logdet(self) -> Float[Tensor, ""]:
        return self.values.double().log().sum() + self.gain.double().log1p().sum()

    def correction(self) -> Float[Tensor, "n d"]:
        """Columns K with `P^-1 = D^-1 - K K'`."""
        return self.V * (self.gain / (1 + self.gain)).sqrt() / self.values.sqrt()[:, None]

    def _inside(self, X: Float[Tensor, "n k"], change: Float[Tensor, " d"]) -> Float[Tensor, "n k"]:
        """`(I + V diag(change) V') X`."""
        return torch.addmm(X.T, (X.T @ self.V) * change, self.V.T).T


@final
@dataclass(frozen=True, eq=False)
class CholeskyPreconditioner(Preconditioner):
    """`P = L L'`, with L as its root; products cost n^2 a column.

    Attributes:
        L: (n, n) lower triangular with a positive diagonal; what stands above the diagonal is not looked at.
    """

    __repr__ = short_repr

    L: Float[Tensor, "n n"]

    def __post_init__(self) -> None:
        if self.L.ndim != 2 or self.L.shape[0] != self.L.shape[1]:
            raise DataError(f"`L` must be square, got shape {tuple(self.L.shape)}.")
        require_positive("L's diagonal", self.L.diagonal())

    @property
    @override
    def like(self) -> Tensor:
        return self.L

    @override
    def solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        solved: Tensor = torch.cholesky_solve(X, self.L)
        return solved

    @override
    def sqrt_matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return self.L.tril() @ X

    @override
    def sqrt_solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        solved: Tensor = torch.linalg.solve_triangular(self.L, X, upper=False)
        return solved

    @override
    def sqrt_solve_transposed(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        solved: Tensor = torch.linalg.solve_triangular(self.L.T, X, upper=True)
        return solved

    @override
    def logdet(self) -> Float[Tensor, ""]:
        return 2 * self.L.diagonal().double().log().sum()
