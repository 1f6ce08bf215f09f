"""LD matrices of a locus as SuSiE takes them: dense, or `R = U U' + diag(D)` from a panel whose eigenpairs are truncated.

The diagonal D is what truncation took from each variant's variance, so that every variant keeps its marginal z and R stays
positive definite. A polygenic background b_j ~ N(0, T_j) turns R into the operator

    M = (T + sigma2 R^-1)^-1 = B' C^-1 B,   C = B T B' + sigma2 I,   B' B = R

and z into `zeta = (sigma2 I + R T)^-1 z = B' C^-1 w`; without background M = R / sigma2. By Woodbury M has the form of R again:
`M = sigma2 E^-1 U H^-1 U' E^-1 + D E^-1` with `E = sigma2 + D T` and `H = I + U' T E^-1 U`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.linalg import cholesky, solve_triangular

from varfx.errors import DataError
from varfx.short_repr import short_repr

TILE = 256  # rows and columns compared at a time
NEGLIGIBLE = 1e-14  # entries of a vector below this share of its largest are left out of a product
RELATIVE_FLOOR = 1e-10  # eigenvalues at or below this share of the largest are rounding noise
ORTHOGONAL = 1e-14  # of the columns of U, against the longest: rounding


class LDMatrix(Protocol):
    """What the sweeps need of a matrix of LD, or of M."""

    @property
    def size(self) -> int:
        """Number of variants."""
        ...

    @property
    def diagonal(self) -> Float[ndarray, " variant"]:
        """Its diagonal; one number if all are equal."""
        ...

    def product(self, b: Float[ndarray, " variant"]) -> Float[ndarray, " variant"]:
        """The matrix times a vector."""
        ...

    def block(self, rows: Int[ndarray, " row"]) -> Float[ndarray, "row row"]:
        """The matrix among some of its variants."""
        ...

    def factored(self) -> LowRankLD:
        """The same matrix as `U U' + diag(D)`."""
        ...

    def scaled(self, factor: float) -> LDMatrix:
        """The matrix times a positive number."""
        ...


@dataclass(frozen=True, eq=False)
class DenseLD:
    """A matrix held as it is.

    Attributes:
        matrix: symmetric.
        factor: scale of the matrix.
    """

    __repr__ = short_repr

    matrix: Float[ndarray, "variant variant"]
    factor: float = 1.0

    @property
    def size(self) -> int:
        """Number of variants."""
        return int(self.matrix.shape[0])

    @cached_property
    def diagonal(self) -> Float[ndarray, " variant"]:
        """Its diagonal; one number if all are equal."""
        return _one_if_equal(self.factor * np.diag(self.matrix))

    def product(self, b: Float[ndarray, " variant"]) -> Float[ndarray, " variant"]:
        """The matrix times a vector."""
        rows = support(b)
        if rows.size > self.size // 4:
            return np.asarray(self.factor * (self.matrix @ b))
        return np.asarray(self.factor * (b[rows] @ self.matrix[rows]))

    def block(self, rows: Int[ndarray, " row"]) -> Float[ndarray, "row row"]:
        """The matrix among some of its variants."""
        return np.asarray(self.factor * self.matrix[np.ix_(rows, rows)])

    def factored(self) -> LowRankLD:
        """The same matrix by its positive eigenpairs, with D = 0."""
        lam, V = np.linalg.eigh(self.matrix)
        kept = lam > RELATIVE_FLOOR * lam[-1]
        U = V[:, kept] * np.sqrt(self.factor * lam[kept])
        return LowRankLD(U=U, D=np.zeros(self.size))

    def scaled(self, factor: float) -> DenseLD:
        """The matrix times a positive number."""
        return DenseLD(self.matrix, self.factor * factor)


@dataclass(frozen=True, eq=False)
class LowRankLD:
    """`U U' + diag(D)`.

    Attributes:
        U: (variant, rank).
        D: not negative.
    """

    __repr__ = short_repr

    U: Float[ndarray, "variant rank"]
    D: Float[ndarray, " variant"]

    @property
    def size(self) -> int:
        """Number of variants."""
        return int(self.U.shape[0])

    @cached_property
    def diagonal(self) -> Float[ndarray, " variant"]:
        """Its diagonal; one number if all are equal."""
        return _one_if_equal(np.einsum("jr,jr->j", self.U, self.U) + self.D)

    def product(self, b: Float[ndarray, " variant"]) -> Float[ndarray, " variant"]:
        """The matrix times a vector."""
        rows = support(b)
        inner = self.U.T @ b if rows.size > self.size // 4 else b[rows] @ self.U[rows]
        return np.asarray(self.U @ inner + self.D * b)

    def block(self, rows: Int[ndarray, " row"]) -> Float[ndarray, "row row"]:
        """The matrix among some of its variants."""
        U = self.U[rows]
        return np.asarray(U @ U.T + np.diag(self.D[rows]))

    def factored(self) -> LowRankLD:
        """The object itself."""
        return self

    def scaled(self, factor: float) -> LowRankLD:
        """The matrix times a positive number."""
        return self if factor == 1 else LowRankLD(U=np.sqrt(factor) * self.U, D=factor * self.D)

    @cached_property
    def spectrum(self) -> tuple[Float[ndarray, " rank"], Float[ndarray, "rank rank"]]:
        """Eigenvalues, ascending, and eigenvectors of `U' U`: those of `U U'` are `U Q lam^-1/2`."""
        G = self.U.T @ self.U
        lam = G.diagonal()
        if np.abs(G - np.diag(lam)).max(initial=0.0) <= ORTHOGONAL * lam.max(initial=0.0):
            order = np.argsort(lam, kind="stable")
            return lam[order], np.eye(lam.size)[:, order]
        lam, Q = np.linalg.eigh(G)
        return lam, Q

    def dense_if_smaller(self) -> LDMatrix:
        """The same matrix in the form whose products are cheaper."""
        if 2 * self.U.shape[1] < self.size:
            return self
        return DenseLD(self.U @ self.U.T + np.diag(self.D))


@dataclass(frozen=True, eq=False)
class Weighed:
    """z and LD given a residual variance and a polygenic background.

    Attributes:
        M: `B' C^-1 B`.
        zeta: `B' C^-1 w`.
        log_det: `log |I + T^1/2 R T^1/2 / sigma2|`.
        explained: `w' w / sigma2 - w' C^-1 w`: the part of the squared associations that the background accounts for.
    """

    M: LDMatrix
    zeta: Float[ndarray, " variant"]
    log_det: float
    explained: float


def weigh(
    ld: LDMatrix, z: Float[ndarray, " variant"], sigma2: float, T: Float[ndarray, " variant"] | None = None
) -> Weighed:
    """z and LD given the residual variance, and background variances T if there are any."""
    if T is None or not T.any():
        return Weighed(M=ld.scaled(1 / sigma2), zeta=z / sigma2, log_det=0.0, explained=0.0)
    factored = ld.factored()
    U, D = factored.U, factored.D
    E = sigma2 + D * T
    H = (U.T * (T / E)) @ U
    H[np.diag_indices_from(H)] += 1.0
    lower = cholesky(H, lower=True, overwrite_a=True, check_finite=False)
    scaled = U / E[:, None]
    half = solve_triangular(lower, scaled.T, lower=True, check_finite=False).T  # E^-1 U H^-1/2
    zeta = z / E - half @ (half.T @ (T * z)) if (D == 0).all() else _zeta(z, T, E, half)
    M = LowRankLD(U=np.sqrt(sigma2) * half, D=D / E)
    return Weighed(
        M=M.dense_if_smaller(),
        zeta=zeta,
        log_det=float(np.log(E / sigma2).sum() + 2 * np.log(np.diag(lower)).sum()),
        explained=float((T * z) @ zeta / sigma2),
    )


def _zeta(z: ndarray, T: ndarray, E: ndarray, half: ndarray) -> ndarray:
    """`(sigma2 I + R T)^-1 z = E^-1 z - E^-1 U H^-1 U' T E^-1 z`."""
    return np.asarray(z / E - half @ ((half * E[:, None]).T @ (T * z / E)))


def background_diagonal(ld: LowRankLD, T: Float[ndarray, " variant"]) -> Float[ndarray, " variant"]:
    """The diagonal of `R T R`: what the background adds to the variance of each z."""
    U, D = ld.U, ld.D
    G = (U.T * T) @ U
    own = np.einsum("jr,jr->j", U, U)
    return np.asarray(np.einsum("jr,jr->j", U @ G, U) + 2 * D * T * own + D * D * T)


def support(b: Float[ndarray, " variant"]) -> Int[ndarray, " row"]:
    """Rows of a vector that are not negligible beside its largest."""
    size = np.abs(b)
    return np.flatnonzero(size > NEGLIGIBLE * size.max(initial=0.0))


def as_ld(R: ndarray | LDMatrix, size: int) -> LDMatrix:
    """An LD matrix from a plain array, after checks.

    Raises:
        DataError: not square, of another size, not finite, asymmetric, or a diagonal that is not 1.
    """
    if isinstance(R, DenseLD | LowRankLD):
        if R.size != size:
            raise DataError(f"`R` is of {R.size} variants, but `z` has {size}.")
        return R
    try:
        matrix = np.ascontiguousarray(R, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"`R` must be a matrix of numbers: {error}.") from None
    if matrix.shape != (size, size):
        raise DataError(f"`R` has shape {matrix.shape}, but `z` has {size} values: R must be ({size}, {size}).")
    if not np.isfinite(matrix.sum()):
        bad = ~np.isfinite(matrix)
        first = tuple(int(place) for place in np.argwhere(bad)[0])
        raise DataError(f"`R` must be finite: {bad.sum()} values are not, first at {first}. Leave these variants out.")
    asymmetry = _asymmetry(matrix)
    if asymmetry > 1e-6:
        raise DataError(
            f"`R` must be symmetric; it differs from its transpose by up to {asymmetry:.3g}. A triangle alone is not enough."
        )
    far = np.abs(np.diag(matrix) - 1)
    if (far > 1e-3).any():
        worst = int(far.argmax())
        raise DataError(
            f"`R` must hold correlations, with 1 on the diagonal: {(far > 1e-3).sum()} of {size} are not, first "
            f"{matrix[worst, worst]:.4g} at {worst}. Divide by standard deviations first."
        )
    return DenseLD(matrix)


def _asymmetry(matrix: ndarray) -> float:
    """Largest difference from the transpose, tile by tile: a whole transpose would not fit the processor's cache."""
    starts = range(0, len(matrix), TILE)
    tiles = [(i, j) for i in starts for j in starts if i <= j]
    differences = [
        np.abs(matrix[i : i + TILE, j : j + TILE] - matrix[j : j + TILE, i : i + TILE].T).max() for i, j in tiles
    ]
    return float(max(differences))


def _one_if_equal(values: ndarray) -> ndarray:
    """One number in place of many equal ones, so that products with it are cheap."""
    if values.size and np.ptp(values) <= 1e-12 * abs(values[0]):
        return values[:1].copy()
    return np.asarray(values)
