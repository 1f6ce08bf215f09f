"""Whitening of a large core that lacks a few associations, by Cholesky factors in place of all eigenpairs.

Of the core's LD `U U'`, with `U = V_S lam^1/2` over the variants S that are there, `G = U'U` has few weak directions N (stored, d): as many
as variants are missing at most. The strong ones are spanned by the last rows of the reflections H that turn N into the first d axes:

    T = H[d:]        P = T G^-1 U'        P U U' P' = I        P U = T

which differs from `Q' lam^-1 U'` of the strong eigenpairs by a rotation, of which nothing depends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg.lapack import dgeqrf
from scipy.sparse.linalg import eigsh
from torch import Tensor

from varfx.linalg.threads import one_thread

LEAST_RANK = 512  # below which all eigenpairs cost nothing
MOST_MISSING = 0.25  # of the rank, above which they cost less
STEPS, MOST_CYCLES = 4, 12  # of a block Krylov search, before all eigenpairs are computed
EXACT = 1e-11  # residual of all weak directions, as a share of the largest eigenvalue


@dataclass(frozen=True, eq=False)
class StrongDirections:
    """Reflections that leave out the weak directions, and a factor of `G` without them.

    Attributes:
        mirrors: (stored, d) and (stored, d), Y and W of `H = I - Y W'`.
        factor: Cholesky factor of `G + c N N'`.
    """

    mirrors: tuple[Float[ndarray, "stored weak"], Float[ndarray, "stored weak"]]
    factor: Float[Tensor, "stored stored"]

    def solve(self, X: Float[ndarray, "stored column"]) -> Float[ndarray, "rank column"]:
        """`T G^-1 X`."""
        solved = _solve(self.factor, X)
        Y, W = self.mirrors
        return np.ascontiguousarray((solved - Y @ (W.T @ solved))[Y.shape[1] :])

    def rows(self) -> Float[ndarray, "rank stored"] | None:
        """T; None for the identity."""
        Y, W = self.mirrors
        stored, weak = Y.shape
        return np.ascontiguousarray((np.eye(stored) - Y @ W.T)[weak:]) if weak else None


def turned(
    Y: Float[Tensor, "stored weak"], W: Float[Tensor, "stored weak"], B: Float[Tensor, "stored variant"]
) -> Float[Tensor, "rank variant"]:
    """`T B` from the mirrors of T, all in the precision of B."""
    weak = Y.shape[1]
    return B[weak:] - Y[weak:] @ (W.T @ B) if weak else B


def strong_directions(
    U: Float[ndarray, "observed stored"], floor: float, relative_floor: float, missing: int
) -> StrongDirections:
    """The directions of `U'U` above both floors.

    Args:
        U: `V_S lam^1/2`.
        floor: eigenvalue at or below which a direction is weak.
        relative_floor: the same as a share of the largest eigenvalue.
        missing: number of the core's variants that are not in S.
    """
    return above(U.T @ U, floor, relative_floor, missing)  # NumPy knows a product with itself


def above(G: Float[ndarray, "n n"], floor: float, relative_floor: float, most: int) -> StrongDirections:
    """The directions of a symmetric G above both floors; about `most` at most are below."""
    # The largest eigenvalue sets the relative floor; else any size of G's will do, as its spectrum may be too flat to find it.
    largest = float(np.trace(G)) / len(G)
    if relative_floor:
        largest = float(eigsh(G, 1, v0=np.ones(len(G)), return_eigenvectors=False, tol=1e-6)[0])
    with one_thread():
        N = _weak(G, max(floor, relative_floor * largest), most, largest)
    mirrors = reflections(N)
    return StrongDirections(mirrors, _cholesky(G + largest * N @ N.T))


def _weak(G: Float[ndarray, "n n"], floor: float, most: int, largest: float) -> Float[ndarray, "n weak"]:
    """Orthonormal eigenvectors of the eigenvalues up to `floor`, of which there are few: block Krylov steps of the shifted inverse.

    A solution for a block of columns takes little longer than for one. Each cycle begins with the lowest Ritz vectors of the one before.
    All by torch, whose number of threads is that of this thread alone.
    """
    A = torch.from_numpy(G)
    shift = max(0.01 * floor, 1e-10 * largest)
    factor = _cholesky(G + shift * np.eye(len(G)))
    width = max(16, most // 4)
    generator = np.random.default_rng(0)

    def random(columns: int) -> Tensor:
        return torch.from_numpy(generator.standard_normal((len(G), columns)))

    start = random(width)
    for _ in range(MOST_CYCLES):
        if STEPS * width >= len(G):
            break
        values, vectors = _ritz(A, _krylov(factor, start))
        low = values <= floor
        number = int(low.sum())
        if number > width // 2:  # room for others, which the low ones must be told apart from
            width *= 2
            start = torch.hstack([vectors[:, low], random(width - number)])
            continue
        found = vectors[:, low]
        if torch.linalg.norm(A @ found - found * values[low]) <= EXACT * largest:
            return found.numpy()
        start = vectors[:, :width]
    all_values, all_vectors = np.linalg.eigh(G)
    return np.asarray(all_vectors[:, all_values <= floor])


def _krylov(factor: Float[Tensor, "n n"], start: Float[Tensor, "n width"]) -> Float[Tensor, "n basis"]:
    """Orthonormal basis of `A^-1 X, A^-2 X, ...` by the factor of A."""
    basis = start.new_zeros(len(start), 0)
    block = start
    for _ in range(STEPS):
        block = torch.cholesky_solve(block, factor)
        for _ in range(2):  # once is not enough where little is left
            block = torch.linalg.qr(block - basis @ (basis.T @ block))[0]
        basis = torch.hstack([basis, block])
    return basis


def _ritz(A: Float[Tensor, "n n"], Z: Float[Tensor, "n basis"]) -> tuple[Tensor, Float[Tensor, "n basis"]]:
    """Eigenvalues of A within the basis Z, ascending, and their vectors."""
    values, turn = torch.linalg.eigh(Z.T @ (A @ Z))
    return values, Z @ turn


def _cholesky(A: Float[ndarray, "n n"]) -> Float[Tensor, "n n"]:
    """By torch, in a fifth of NumPy's and SciPy's time."""
    factor: Tensor = torch.linalg.cholesky(torch.from_numpy(A))
    return factor


def _solve(factor: Float[Tensor, "n n"], X: Float[ndarray, "n column"]) -> Float[ndarray, "n column"]:
    return torch.cholesky_solve(torch.from_numpy(np.ascontiguousarray(X)), factor).numpy()


def reflections(
    N: Float[ndarray, "stored weak"],
) -> tuple[Float[ndarray, "stored weak"], Float[ndarray, "stored weak"]]:
    """Y and W of the orthogonal `H = I - Y W'` that turns the columns of N into the first axes."""
    stored, weak = N.shape
    if not weak:
        return np.zeros((stored, 0)), np.zeros((stored, 0))
    qr, tau, _, _ = dgeqrf(N)
    Y = np.tril(qr, -1)
    Y[np.arange(weak), np.arange(weak)] = 1.0
    W = np.zeros_like(Y)
    for j in range(weak):  # H' = (I - tau_0 y_0 y_0') (I - tau_1 y_1 y_1') ... = I - W Y'
        W[:, j] = tau[j] * (Y[:, j] - W[:, :j] @ (Y[:, :j].T @ Y[:, j]))
    return Y, W
