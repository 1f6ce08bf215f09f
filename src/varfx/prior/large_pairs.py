"""Posterior means of two large neighbouring cores without their covariance: conjugate gradients on the whitened windows as they are.

    C = [A; B] F [A; B]' + sigma2 [[I, X'], [X, I]]

A and B are the whitened correlations of the two cores, X the correlations of their noise (see `varfx.prior.pairs`), each without the
directions of the second core that the first one repeats.
"""

from __future__ import annotations

from dataclasses import dataclass

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

    def project(self, Y: Float[Tensor, "n k"]) -> Float[Tensor, "union k"]:
        """`[A; B]' Y`."""
        first, second = Y[: self.A.shape[0]], Y[self.A.shape[0] :]
        found = Y.new_zeros(len(self.F), Y.shape[1])
        found[self.columns[0]] = self.A.T @ first
        found[self.columns[1]] += self.B.T @ second
        return found

    @override
    def matmul(self, X: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        first, second = X[: self.A.shape[0]], X[self.A.shape[0] :]
        effects = self.F[:, None] * self.project(X)
        return torch.cat(
            [
                self.A @ effects[self.columns[0]] + self.sigma2 * (first + self.X.T @ second),
                self.B @ effects[self.columns[1]] + self.sigma2 * (second + self.X @ first),
            ]
        )

    @override
    def diagonal(self) -> Float[Tensor, " n"]:
        A, B = self.A.square() @ self.F[self.columns[0]], self.B.square() @ self.F[self.columns[1]]
        return torch.cat([A, B]) + self.sigma2


def pair_slopes(
    a: Side, b: Side, F: Float[ndarray, " union"], sigma2: float
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
    X, strong = shared_noise(a, b)
    Y, W = (torch.from_numpy(each) for each in strong.mirrors)
    rows = np.union1d(a.rows, b.rows)
    C = PairCovariance(
        A=a.signal,
        B=turned(Y.float(), W.float(), b.signal),
        columns=(torch.from_numpy(np.searchsorted(rows, a.rows)), torch.from_numpy(np.searchsorted(rows, b.rows))),
        F=torch.from_numpy(F[rows]).float(),
        sigma2=sigma2,
        X=turned(Y, W, X).float(),
    )
    w = torch.cat([a.w, turned(Y, W, b.w[:, None])[:, 0]]).float()[:, None]
    found = cg(C, w, preconditioner=DiagonalPreconditioner(values=C.diagonal()), rtol=SOLVED, max_steps=MOST_STEPS)
    if found.outcome not in (Outcome.CONVERGED, Outcome.ROUNDING):
        raise DataError(
            f"the posterior of {rows.size:,} variants does not converge (residual {found.rel_residual:.1e}): check variances."
        )
    return rows, C.project(found.value)[:, 0].double().numpy()
