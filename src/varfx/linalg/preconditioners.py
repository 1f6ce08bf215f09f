"""Matrices that are like the one to be solved, but easy: their solve, square root, log-determinant and samples are exact."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override  # comes with torch; in `typing` from Python 3.12

from varfx.errors import DataError
from varfx.linalg.probes import Probe, draw_probes
from varfx.linalg.square import SquareMatrix
from varfx.short_repr import short_repr


class Preconditioner(SquareMatrix):
    """A symmetric positive definite n x n matrix P.

    `logdet` and `solve` make it the deterministic part of an estimate (a control variate); `sample` the probes of the rest.
    """

    @abstractmethod
    def solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """`P^-1 X`."""

    @abstractmethod
    def sqrt_matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """`S X`, with a root `S S' = P`: the symmetric one, `P^1/2`, unless the class says otherwise."""

    @abstractmethod
    def sqrt_solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """`S^-1 X`."""

    def sqrt_solve_transposed(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """`S^-T X`; the same as `sqrt_solve` where the root is symmetric."""
        return self.sqrt_solve(X)

    @abstractmethod
    def logdet(self) -> Float[Tensor, ""]:
        """`log|P|`, in float64."""

    def sample(self, num: int, *, generator: torch.Generator, probe: Probe = Probe.GAUSSIAN) -> Float[Tensor, "n k"]:
        """`num` columns z with `E[z z'] = P`: the root times white probes, normally distributed by default."""
        white = draw_probes(self.size, num, generator=generator, probe=probe, dtype=self.dtype, device=self.device)
        return self.sqrt_matmul(white)


def require_positive(name: str, values: Tensor) -> None:
    """Raise a DataError that counts the values which are not positive and finite."""
    bad = torch.nonzero(~((values > 0) & torch.isfinite(values)))
    if bad.shape[0]:
        first = int(bad[0, 0])
        raise DataError(
            f"`{name}` must be positive and finite: {bad.shape[0]} of {values.numel()} are not, "
            f"first at index {first} ({float(values[first]):.3g}). Add a ridge, or leave them out."
        )


@final
@dataclass(frozen=True, eq=False)
class Identity(Preconditioner):
    """`P = I`: no preconditioning."""

    num_rows: int
    dtype: torch.dtype = torch.float32
    device: torch.device = torch.device("cpu")  # noqa: RUF009

    @property
    @override
    def like(self) -> Tensor:
        return torch.empty((self.num_rows, 0), dtype=self.dtype, device=self.device)

    @override
    def solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return X

    @override
    def sqrt_matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return X

    @override
    def sqrt_solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return X

    @override
    def logdet(self) -> Float[Tensor, ""]:
        return torch.zeros((), dtype=torch.float64, device=self.device)


@final
@dataclass(frozen=True, eq=False)
class DiagonalPreconditioner(Preconditioner):
    """`P = diag(values)`, all positive; of a matrix's own diagonal: Jacobi's preconditioner."""

    __repr__ = short_repr

    values: Float[Tensor, " n"]

    def __post_init__(self) -> None:
        if self.values.ndim != 1:
            raise DataError(f"`values` must have one axis, got shape {tuple(self.values.shape)}.")
        require_positive("values", self.values)

    @property
    @override
    def like(self) -> Tensor:
        return self.values

    @override
    def solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return X / self.values[:, None]

    @override
    def sqrt_matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return X * self.values.sqrt()[:, None]

    @override
    def sqrt_solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return X / self.values.sqrt()[:, None]

    @override
    def logdet(self) -> Float[Tensor, ""]:
        return self.values.double().log().sum()


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class EigenPreconditioner(Preconditioner):
    """`P = V diag(values) V' + rest (I - V V')`: a few directions known, the others alike.

    `V g V' + eps I` is `values = g + eps, rest = eps`. Products cost two with V, 4 n d k flops.

    Attributes:
        V: (n, d) orthonormal columns; that they are is taken on trust.
        values: (d,) positive.
        rest: positive variance of the directions outside V; without effect if d = n.
    """

    __repr__ = short_repr

    V: Float[Tensor, "n d"]
    values: Float[Tensor, " d"]
    rest: float

    def __post_init__(self) -> None:
        if self.V.ndim != 2 or self.values.shape != self.V.shape[1:] or self.V.shape[1] > self.V.shape[0]:
            raise DataError(
                f"`V` must be (n, d) with d at most n and `values` (d,), got {tuple(self.V.shape)} and {tuple(self.values.shape)}."
            )
        require_positive("values", self.values)
        if not 0 < self.rest < torch.inf:
            raise DataError(f"`rest` must be positive and finite, got {self.rest}.")

    @property
    @override
    def like(self) -> Tensor:
        return self.V

    @override
    def solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return self._apply(X, self.values.reciprocal(), 1 / self.rest)

    @override
    def sqrt_matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return self._apply(X, self.values.sqrt(), self.rest**0.5)

    @override
    def sqrt_solve(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return self._apply(X, self.values.rsqrt(), self.rest**-0.5)

    @override
    def logdet(self) -> Float[Tensor, ""]:
        outside = self.size - self.values.shape[0]
        logs = self.values.double().log().sum()
        return logs + outside * torch.tensor(self.rest, dtype=torch.float64, device=self.device).log()

    def _apply(self, X: Float[Tensor, "n k"], inside: Float[Tensor, " d"], outside: float) -> Float[Tensor, "n k"]:
        coordinates = X.T @ self.V
        if self.V.shape[1] == self.size:  # no outside: keep its rounding error out, too
            return (coordinates.mul_(inside) @ self.V.T).T
        return torch.addmm(X.T, coordinates.mul_(inside - outside), self.V.T, beta=outside).T
