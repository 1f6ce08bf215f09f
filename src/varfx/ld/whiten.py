"""Whitening: from correlated associations to independent ones, exactly on the range of the LD matrix.

With `R[i,i] = V diag(lam) V'` over the core variants i (r eigenpairs kept) and the panel + (core and flank):

    w = lam^-1/2 V' z_i  (r,)        B = lam^-1/2 V' R[i,+]  (r, M)        w ~ N(0, B F B' + sigma2 I)

This is Eq. 2 of the DeepWAS paper times N, without the ridge of its appendix B.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from varfx.errors import DataError
from varfx.ld.gaps import LEAST_RANK, MOST_MISSING, StrongDirections, strong_directions, turned
from varfx.short_repr import short_repr

PEOPLE_PER_BLOCK = 2048  # whose genotypes are widened to float64 at a time
CLIP_SILENTLY = 1e-3  # negative eigenvalues down to this share of the largest are rounding of the file
RELATIVE_FLOOR = 1e-8  # eigenvalues at or below this share of the largest are rounding noise


@dataclass(frozen=True, kw_only=True, eq=False)
class WhitenedWindow:
    """The data of one window as the likelihood engines take them: `w ~ N(0, T B F B' T' + sigma2 I)`.

    Attributes:
        B: whitened correlations with all variants of the panel, one column per variant; float16, 32 or 64.
        w: whitened associations; with a second axis for independent replicates of the same trait, whose log p are added.
        T: re-whitens a stored `B` for a GWAS that lacks variants or has unequal sample sizes; None means identity.
        kept: whether the object serves several calls of an engine, which then share `gram`; False for one that is made per call.
    """

    __repr__ = short_repr

    B: Float[Tensor, "stored variant"]
    w: Float[Tensor, "rank ..."]
    T: Float[Tensor, "rank stored"] | None = None
    kept: bool = True

    def __post_init__(self) -> None:
        if self.B.ndim != 2 or self.w.ndim not in (1, 2) or 0 in self.w.shape[1:]:
            raise DataError(
                f"`B` must have 2 axes and `w` 1, or a second for replicates, got {tuple(self.B.shape)} and {tuple(self.w.shape)}."
            )
        left = (self.B.shape[0],) * 2 if self.T is None else tuple(self.T.shape)
        if left != (self.w.shape[0], self.B.shape[0]):
            raise DataError(
                f"`B` has {self.B.shape[0]} rows, `T` shape {None if self.T is None else left} and `w` {self.w.shape[0]} "
                "values: they must be (stored, variant), (rank, stored) and (rank,)."
            )

    @property
    def rank(self) -> int:
        """The number of independent associations of one replicate."""
        return self.w.shape[0]

    @property
    def replicates(self) -> int:
        """Number of independent replicates; usually 1."""
        return 1 if self.w.ndim == 1 else self.w.shape[1]

    @property
    def num_terms(self) -> int:
        """The number of independent associations over all replicates."""
        return self.w.numel()

    @property
    def num_variants(self) -> int:
        """The number of variants that may carry effects."""
        return self.B.shape[1]

    def to(self, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> WhitenedWindow:
        """The window in another precision or on another device; itself if nothing changes."""
        left = None if self.T is None else self.T.to(dtype=dtype, device=device)
        B, w = (each.to(dtype=dtype, device=device) for each in (self.B, self.w))
        if B is self.B and w is self.w and left is self.T:
            return self
        return WhitenedWindow(B=B, w=w, T=left)

    def gram(self, dtype: torch.dtype) -> Float[Tensor, "variant variant"]:
        """`B' T' T B`, computed at the first call and kept with the window: it depends on data only."""
        if dtype not in self._grams:
            B = self.merged(dtype).B
            self._grams[dtype] = B.T @ B
        return self._grams[dtype]

    @cached_property
    def _grams(self) -> dict[torch.dtype, Tensor]:
        return {}

    def merged(self, dtype: torch.dtype) -> WhitenedWindow:
        """The window with `T` multiplied into `B`."""
        B = self.B.to(dtype)
        return WhitenedWindow(B=B if self.T is None else self.T.to(dtype) @ B, w=self.w.to(dtype))


@dataclass(frozen=True, kw_only=True, eq=False)
class Factors:
    """Stored factors of one window: `R[i,i] = V diag(lam) V'` and `B = lam^-1/2 V' R[i,+]`, lam descending.

    `square_norm` is |R[i,i]|_F^2, the sum of the squares of all eigenvalues, also of those left out; None where it is unknown.
    `negative` counts the eigenvalues of R[i,i] below -1e-3 of the largest, and `lowest` is the smallest's share of it: correlations
    that were rounded, thresholded or estimated pair by pair are no covariance, and lose those directions.
    """

    __repr__ = short_repr

    lam: Float[ndarray, " rank"]
    V: Float[ndarray, "core rank"]
    B: Float[ndarray, "rank panel"]
    square_norm: float | None = None
    negative: int = 0
    lowest: float = 0.0


def kept_rank(lam: Float[ndarray, " n"], rank_variance: float) -> int:
    """Number of eigenvalues (descending) that are kept.

    Those at or below 1e-8 of the largest never are; of the others the fewest whose sum reaches `rank_variance` of
    the whole are.

    Raises:
        DataError: `rank_variance` is outside (0, 1], or no eigenvalue is positive.
    """
    if not 0 < rank_variance <= 1:
        raise DataError(f"`rank_variance` must be above 0 and at most 1, got {rank_variance}.")
    if not (lam.size and np.isfinite(lam).all() and lam[0] > 0):
        raise DataError("the LD matrix has no positive eigenvalue: check that its values are correlations.")
    positive = int(np.count_nonzero(lam > RELATIVE_FLOOR * lam[0]))
    if rank_variance == 1:
        return positive
    share = np.cumsum(lam[:positive]) / lam[:positive].sum()
    return min(positive, int(np.searchsorted(share, rank_variance - 1e-12)) + 1)


def eigenpairs(A: Any) -> tuple[Any, Any]:
    """Eigenvalues, descending, and eigenvectors of a symmetric matrix: arrays of an array, tensors of a tensor.

    On the CPU by NumPy: its OpenBLAS needs 0.6 to 0.7 of the time of torch's MKL here, and does not wait for other threads in a spin.

    Raises:
        DataError: values that are not finite.
    """
    if isinstance(A, Tensor) and A.device.type == "cpu":
        values, vectors = (np.ascontiguousarray(each) for each in eigenpairs(A.numpy()))
        return torch.from_numpy(values), torch.from_numpy(vectors)
    try:
        if isinstance(A, Tensor):
            values, vectors = torch.linalg.eigh(A)
            return values.flip(0), vectors.flip(1)
        values, vectors = np.linalg.eigh(A)
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
        raise DataError(
            f"the LD matrix has no eigenvalues ({error}): check that its values are correlations."
        ) from error
    return values[::-1], vectors[:, ::-1]


def factors_from_correlation(R_core: ndarray, R_cross: ndarray, *, rank_variance: float = 1.0) -> Factors:
    """Eigenpairs of `R_core`, in float64, and the whitened `R_cross`, in its own precision but at least float32.

    Args:
        R_core: correlations among the core variants, (core, core).
        R_cross: correlations of core with panel, (core, panel).
        rank_variance: share of the trace that the kept eigenpairs hold; see `kept_rank`.

    Raises:
        DataError: no eigenvalue is positive.
    """
    lam, V = eigenpairs(R_core.astype(np.float64))
    rank, square_norm = kept_rank(lam, rank_variance), float(lam @ lam)
    negative, lowest = int(np.count_nonzero(lam < -CLIP_SILENTLY * lam[0])), float(min(0.0, lam[-1]) / lam[0])
    lam, V = lam[:rank].copy(), np.ascontiguousarray(V[:, :rank])
    scaled = (V / np.sqrt(lam)).astype(np.result_type(R_cross.dtype, np.float32))
    B = scaled.T @ R_cross
    return Factors(lam=lam, V=V, B=B, square_norm=square_norm, negative=negative, lowest=lowest)


def factors_from_genotypes(
    X_core: Float[ndarray, "individual core"],
    X_panel: Float[ndarray, "individual panel"],
    *,
    rank_variance: float = 1.0,
) -> Factors:
    """Factors for `R = X'X / n`, by the smaller of the two Gram matrices (individuals or core variants).

    With `X_core / sqrt(n) = U lam^1/2 V'` the whitened correlations are `B = U' X_panel / sqrt(n)`: neither `R` is formed.

    Args:
        X_core: standardised genotypes (columns of mean 0 and mean square 1).
        X_panel: the same of core and flank.
        rank_variance: see `kept_rank`.
    """
    people, size = X_core.shape
    if size <= people:
        R_core, R_cross = np.zeros((size, size)), np.zeros((size, X_panel.shape[1]))
        for start in range(0, people, PEOPLE_PER_BLOCK):
            rows = slice(start, start + PEOPLE_PER_BLOCK)
            block = X_core[rows].astype(np.float64) / people
            R_core += block.T @ X_core[rows]
            R_cross += block.T @ X_panel[rows]
        return factors_from_correlation(R_core, R_cross, rank_variance=rank_variance)
    X = X_core.astype(np.float64) / np.sqrt(people)
    lam, U = eigenpairs(X @ X.T)
    rank, square_norm = kept_rank(lam, rank_variance), float(lam @ lam)
    lam, U = lam[:rank].copy(), np.ascontiguousarray(U[:, :rank])
    B = U.T @ (X_panel.astype(np.float64) / np.sqrt(people))
    return Factors(lam=lam, V=X.T @ U / np.sqrt(lam), B=B, square_norm=square_norm)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rewhitening:
    """Transform of a GWAS's associations at some of a core's variants into a `WhitenedWindow`.

    Attributes:
        U: `V lam^1/2` of the observed variants.
        inner: a function of X (stored, column) with `P = inner(U')`.
        left: see `T`; None for the identity, or where `strong` has it.
        strong: `T` as reflections, where a large core lacks few variants.
    """

    U: Float[ndarray, "observed stored"]
    inner: Callable[[Float[ndarray, "stored column"]], Float[ndarray, "rank column"]]
    left: Float[ndarray, "rank stored"] | None = None
    strong: StrongDirections | None = None

    @cached_property
    def T(self) -> Float[ndarray, "rank stored"] | None:
        """(rank, stored) or None: the window's B is `T B`."""
        return self.left if self.strong is None else self.strong.rows()

    @cached_property
    def P(self) -> Float[ndarray, "rank observed"]:
        """The whitening: `w = P z`."""
        return self.inner(self.U.T)

    def associations(self, z: Float[ndarray, "observed ..."]) -> Float[ndarray, "rank ..."]:
        """`P z`, without P where there is none yet."""
        if "P" in self.__dict__ or self.strong is None:
            return np.asarray(self.P @ z)
        return self.inner((self.U.T @ z).reshape(self.U.shape[1], -1)).reshape(-1, *z.shape[1:])

    def signal(self, B: Float[Tensor, "stored variant"]) -> Float[Tensor, "rank variant"]:
        """`T B` in the precision of B; B itself where T is the identity."""
        if self.strong is not None:
            Y, W = (torch.from_numpy(each).to(B.device, B.dtype) for each in self.strong.mirrors)
            return turned(Y, W, B)
        return B if self.T is None else torch.from_numpy(self.T).to(B.device, B.dtype) @ B


def rewhiten(
    factors: Factors,
    observed: ndarray,
    scale: Float[ndarray, " observed"] | None = None,
    *,
    device: torch.device | None = None,
) -> Rewhitening:
    """The whitening of a subset of the core, from what the panel stores.

    A variant that is not observed loses its row, never its column. `R[S,S] = U U'` with `U = V_S lam^1/2`, so that the
    eigenpairs of the small `U'U` give the whitening of S, and `R[S,+] = U B`.

    What a rank rule below 1 has cut off the window is still in the z of S, up to the variance of the smallest eigenvalue
    kept. Directions of S with less than half of that would be noise divided by next to nothing, and are dropped. A large core that
    lacks few variants is whitened by `varfx.ld.gaps`: the same up to a rotation, at a tenth of the cost.

    Args:
        factors: the stored window, of correlations with a diagonal of 1.
        observed: indexes into the core, ascending.
        scale: `sqrt(N_m / N_ref)` of each observed variant, if sample sizes differ; the row scale of the signal.
        device: of the eigenpairs and products, in float64; by default the CPU.

    Raises:
        DataError: nothing is observed.
    """
    if observed.size == 0:
        raise DataError("a window without an observed association cannot be whitened; leave it out.")
    core, stored = factors.V.shape
    U: Any = factors.V[observed].astype(np.float64) * np.sqrt(factors.lam)
    if observed.size == core and scale is None:
        return Rewhitening(U=U, inner=lambda X: X / factors.lam[:, None])
    cut_off = max(0.0, core - float(factors.lam.sum()))  # variance of the core that the panel lacks
    floor = min(float(factors.lam[-1]) / 2, cut_off)
    on_cpu, missing = device is None or device.type == "cpu", core - observed.size
    if on_cpu and scale is None and stored >= LEAST_RANK and missing <= MOST_MISSING * stored:
        strong = strong_directions(U, floor, RELATIVE_FLOOR, missing)
        return Rewhitening(U=U, inner=strong.solve, strong=strong)
    there = U if on_cpu else torch.from_numpy(U).to(device)
    on_device, Q = eigenpairs(there.T @ there)
    squares = _on_host(on_device)
    rank = max(1, min(kept_rank(squares, 1.0), int(np.count_nonzero(squares > floor))))
    inverse = (Q[:, :rank] / on_device[:rank]).T
    if scale is None:
        left = np.ascontiguousarray(_on_host(Q[:, :rank].T))
    else:
        weighted = there * (scale[:, None] if on_cpu else torch.from_numpy(scale).to(device)[:, None])
        left = _on_host(inverse @ (there.T @ weighted))
    on_host = _on_host(inverse)
    return Rewhitening(U=U, inner=lambda X: on_host @ X, left=left)


def _on_host(value: ndarray | Tensor) -> ndarray:
    return value.cpu().numpy() if isinstance(value, Tensor) else value


def whiten(
    R_core: ndarray | Tensor,
    R_cross: ndarray | Tensor,
    z: ndarray | Tensor,
    rank_variance: float = 1.0,
    *,
    scale: ndarray | Tensor | None = None,
) -> tuple[Float[Tensor, "rank panel"], Float[Tensor, " rank"], Float[Tensor, " rank"]]:
    """`B, w, lam` of one window from plain correlation matrices, in float64.

    Eigenpairs with lam at or below 1e-8 of the largest are dropped.

    Args:
        R_core: correlations among the core variants that have an association, (core, core).
        R_cross: their correlations with all variants of the panel, (core, panel).
        z: associations of the core variants, (core,).
        rank_variance: share of the trace that the kept eigenpairs hold; 1 keeps all.
        scale: `sqrt(N_m / N_ref)` of each core variant where sample sizes differ; multiplies the rows of `R_cross`.

    Raises:
        DataError: shapes that do not fit, values that are not finite, an asymmetric `R_core`, a `scale` not positive.
    """
    R, cross, associations = _float64("R_core", R_core), _float64("R_cross", R_cross), _float64("z", z)
    if (
        R.ndim != 2
        or R.shape[0] != R.shape[1]
        or cross.ndim != 2
        or not R.shape[:1] == cross.shape[:1] == associations.shape
    ):
        raise DataError(
            f"`R_core` {R.shape}, `R_cross` {cross.shape} and `z` {associations.shape} must be (core, core), (core, panel), (core,)."
        )
    asymmetry = float(np.abs(R - R.T).max(initial=0.0))
    if asymmetry > 1e-4:
        raise DataError(f"`R_core` must be symmetric; it differs from its transpose by up to {asymmetry:.3g}.")
    if scale is not None:
        rows = _float64("scale", scale)
        if rows.shape != associations.shape or not (rows > 0).all():
            raise DataError(f"`scale` must hold {associations.size} positive numbers, one per row of `R_cross`.")
        cross = cross * rows[:, None]
    factors = factors_from_correlation((R + R.T) / 2, cross, rank_variance=rank_variance)
    w = (factors.V / np.sqrt(factors.lam)).T @ associations
    return torch.from_numpy(factors.B), torch.from_numpy(w), torch.from_numpy(factors.lam)


def _float64(name: str, value: ndarray | Tensor) -> Float[ndarray, "..."]:
    """A finite array in float64."""
    plain = value.detach().cpu().double().numpy() if isinstance(value, Tensor) else value
    try:
        array = np.asarray(plain, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"`{name}` must be an array of numbers: {error}.") from error
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(place) for place in np.argwhere(bad)[0])
        raise DataError(
            f"`{name}` must be finite: {bad.sum()} of {array.size} values are not, first {array[first]} at {first}. "
            "Leave out variants without a value."
        )
    return array
