"""Two large neighbouring cores as they are, neither whitened together; posterior means by conjugate gradients, without their covariance.

    C = [A; B] F [A; B]' + sigma2 [[I, X'], [X, I]]

A and B are the whitened correlations of the two cores, X the correlations of their noise (see `varfx.prior.pairs`), each without the
directions of the second core that the first one repeats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor
from typing_extensions import override  # comes with torch; in `typing` from Python 3.12

from varfx.errors import DataError
from varfx.ld.gaps import turned
from varfx.linalg import DiagonalPreconditioner, LinearOperator, Outcome, cg
from varfx.prior.pairs import Side, shared_noise

SOLVED = 1e-5  # relative residual of a solution
MOST_STEPS = 500


@dataclass(frozen=True, kw_only=True, eq=False)
class PairCovariance(LinearOperator):
    """C of two cores, in float32.

    Attributes:
        A: of the first core, on the variants `columns[0]`.
        B: of the second, on `columns[1]`.
        columns: places among the variants of both.
        F: N f of the variants of both.
        sigma2: residual variance.
        X: correlations of the noise.
    """

    A: Float[Tensor, "first variant"]
    B: Float[Tensor, "second other"]
    columns: tuple[Int[Tensor, " variant"], Int[Tensor, " other"]]
    F: Float[Tensor, " union"]
    sigma2: float
    X: Float[Tensor, "second first"]

    @property
    @override
    def like(self) -> Tensor:
        return self.F.new_empty(self.A.shape[0] + self.B.shape[0], 0)

    def signal(self, effects: Float[Tensor, "union k"]) -> Float[Tensor, "n k"]:
        """`[A; B] effects`."""
        return torch.cat([self.A @ effects[self.columns[0]], self.B @ effects[self.columns[1]]])

    def noise(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """`[[I, X'], [X, I]] X`."""
        first, second = X[: self.A.shape[0]], X[self.A.shape[0] :]
        return torch.cat([first + self.X.T @ second, second + self.X @ first])

    def project(self, Y: Float[Tensor, "n k"]) -> Float[Tensor, "union k"]:
        """`[A; B]' Y`."""
        first, second = Y[: self.A.shape[0]], Y[self.A.shape[0] :]
        found = Y.new_zeros(len(self.F), Y.shape[1])
        found[self.columns[0]] = self.A.T @ first
        found[self.columns[1]] += self.B.T @ second
        return found

    @override
    def matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return self.signal(self.F[:, None] * self.project(X)) + self.sigma2 * self.noise(X)

    @override
    def diagonal(self) -> Float[Tensor, " n"]:
        A, B = self.A.square() @ self.F[self.columns[0]], self.B.square() @ self.F[self.columns[1]]
        return torch.cat([A, B]) + self.sigma2

    def signal_covariance(self, dtype: torch.dtype) -> Float[Tensor, "n n"]:
        """`[A; B] F [A; B]'`, from the halves of its symmetric parts."""
        first, second = self.A.shape[0], self.B.shape[0]
        A, B = (
            (each.to(dtype) * self.F[columns].sqrt().to(dtype)).numpy()
            for each, columns in ((self.A, self.columns[0]), (self.B, self.columns[1]))
        )
        _, in_a, in_b = np.intersect1d(self.columns[0].numpy(), self.columns[1].numpy(), return_indices=True)
        C = torch.empty(first + second, first + second, dtype=dtype)
        C[:first, :first] = torch.from_numpy(A @ A.T)  # NumPy knows a product with itself
        C[first:, first:] = torch.from_numpy(B @ B.T)
        C[first:, :first] = torch.from_numpy(B[:, in_b] @ A[:, in_a].T)
        C[:first, first:] = C[first:, :first].T
        return C


def pair_covariance(
    a: Side, b: Side, sigma2: float
) -> tuple[Int[ndarray, " union"], PairCovariance, Float[Tensor, " n"]]:
    """Panel rows of the variants of two large cores, C without signal (F is 0: `dataclasses.replace` it), and w.

    Args:
        a: the first core.
        b: the second.
        sigma2: residual variance.
    """
    X, strong = shared_noise(a, b)
    Y, W = (torch.from_numpy(each) for each in strong.mirrors)
    rows = np.union1d(a.rows, b.rows)
    C = PairCovariance(
        A=a.signal,
        B=turned(Y.float(), W.float(), b.signal),
        columns=(torch.from_numpy(np.searchsorted(rows, a.rows)), torch.from_numpy(np.searchsorted(rows, b.rows))),
        F=torch.zeros(rows.size),
        sigma2=sigma2,
        X=turned(Y, W, X).float(),
    )
    return rows, C, torch.cat([a.w, turned(Y, W, b.w[:, None])[:, 0]])


def pair_slopes(
    a: Side, b: Side, F: Float[ndarray, " variant"], sigma2: float
) -> tuple[Int[ndarray, " union"], Float[ndarray, " union"]]:
    """Panel rows of the variants of two large cores, and `[A; B]' C^-1 w` of each, to a relative error of 1e-5.

    Args:
        a: the first core.
        b: the second.
        F: N f of the panel's variants.
        sigma2: residual variance.

    Raises:
        DataError: the solution does not converge.
    """
    rows, noise, w = pair_covariance(a, b, sigma2)
    C = replace(noise, F=torch.from_numpy(F[rows]).float())
    preconditioner = DiagonalPreconditioner(values=C.diagonal())
    found = cg(C, w.float()[:, None], preconditioner=preconditioner, rtol=SOLVED, max_steps=MOST_STEPS)
    if found.outcome not in (Outcome.CONVERGED, Outcome.ROUNDING):
        raise DataError(
            f"the posterior of {rows.size:,} variants does not converge (residual {found.rel_residual:.1e}): check variances."
        )
    return rows, C.project(found.value)[:, 0].double().numpy()
