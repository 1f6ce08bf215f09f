"""The polygenic background of a window, integrated out: `C = kappa B F B' + sigma2 I`, by factor or by eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import blas, cholesky, solve_triangular

from varfx.prior.effects.gibbs import SparseRegression
from varfx.prior.effects.shape import EffectShape

MOST_CONDITION = 1e5  # of C, for which float32 suffices
SOLVED, SOLVED_LARGE = 1e-13, 1e-6  # relative residual of a solution; of a large window, whose signal is in float32
MOST_STEPS = 100


@dataclass(frozen=True, eq=False)
class FactoredBackground:
    """A window of known background. The sampler's regression is in float32; posterior means given its effects are exact,
    those of large windows to 1e-6.

    Attributes:
        signal: B, whitened correlations.
        w: whitened associations.
        F: N f of the columns of `signal`.
        sigma2: residual variance.
        shape: the effect distribution.
        A: whitened by C too, one row per variant, float32: `(L^-1 B)'`.
        inverse: `L^-1` of the lower Cholesky factor of C, float32.
        inclusion: see `EffectShape.slabs`.
    """

    signal: Float[ndarray, "rank variant"]
    w: Float[ndarray, " rank"]
    F: Float[ndarray, " variant"]
    sigma2: float
    shape: EffectShape
    A: Float[ndarray, "variant rank"]
    inverse: Float[ndarray, "rank rank"]
    inclusion: Float[ndarray, " variant"] | None = None

    @classmethod
    def of(
        cls,
        signal: Float[ndarray, "rank variant"],
        w: Float[ndarray, " rank"],
        F: Float[ndarray, " variant"],
        sigma2: float,
        shape: EffectShape,
        inclusion: Float[ndarray, " variant"] | None = None,
    ) -> FactoredBackground:
        """Factorises C, in float32 where its condition allows, and whitens by it."""
        A = torch.from_numpy(signal).to(torch.float32).T.contiguous().numpy()  # several times faster than by NumPy
        size = np.sqrt(shape.background * F)
        scaled = A * size[:, None].astype(np.float32)
        C = scaled.T @ scaled
        if np.abs(C).sum(0).max() > MOST_CONDITION * sigma2:
            wide = signal * size
            C = wide @ wide.T
        C[np.diag_indices_from(C)] += sigma2
        factor = cholesky(C, lower=True, overwrite_a=True)
        inverse = solve_triangular(factor, np.eye(len(w), dtype=factor.dtype), lower=True).astype(
            np.float32, copy=False
        )
        A = blas.strmm(1.0, inverse, A.T, lower=1, overwrite_b=1).T
        return cls(signal, w, F, sigma2, shape, A, inverse, inclusion)

    def regression(self) -> SparseRegression:
        """The sparse effects' regression, whitened by C."""
        chances, _, variances = self.shape.slabs(self.F, self.inclusion)
        w = self.inverse @ self.w.astype(np.float32)
        return SparseRegression.of(self.A, w, chances, variances, self.shape.background * self.F)

    def effects(self, s: Float[ndarray, " variant"], inside: ndarray) -> Float[ndarray, " chosen"]:
        """Posterior means of background and sparse effects together, given the means `s` of the latter."""
        left = self.w if not s.any() else self.w - self._signal(s)
        solved = self._solve(left)
        return np.asarray((s + self.shape.background * self.F * self._scores(solved))[inside])

    def _signal(self, b: Float[ndarray, " variant"]) -> Float[ndarray, " rank"]:
        """`B b` in the precision of B, which a float64 vector would convert anew in every product."""
        return np.asarray(self.signal @ b.astype(self.signal.dtype), dtype=np.float64)

    def _scores(self, u: Float[ndarray, " rank"]) -> Float[ndarray, " variant"]:
        """`B' u`, likewise."""
        return np.asarray(u.astype(self.signal.dtype) @ self.signal, dtype=np.float64)

    def _solve(self, left: Float[ndarray, " rank"]) -> Float[ndarray, " rank"]:
        """`C^-1 left`: conjugate gradients, with the factor as preconditioner, so that few steps suffice."""
        variance = self.shape.background * self.F
        solved_to = SOLVED_LARGE if self.signal.dtype == np.float32 else SOLVED
        solved, residual = np.zeros_like(left), left.copy()
        direction, before = np.zeros_like(left), 1.0
        for _ in range(MOST_STEPS):
            if np.linalg.norm(residual) <= solved_to * np.linalg.norm(left):
                break
            preconditioned = self.inverse.T @ (self.inverse @ residual.astype(np.float32))
            product = float(residual @ preconditioned)
            direction = preconditioned + product / before * direction
            before = product
            image = self._signal(variance * self._scores(direction)) + self.sigma2 * direction
            step = product / float(direction @ image)
            solved += step * direction
            residual -= step * image
        return solved


@dataclass(frozen=True, eq=False)
class RotatedWindow:
    """A window in the eigenbasis of `B F B'`, in which any background is diagonal.

    Attributes:
        signal: `B' Q`, one row per variant, float32.
        w: `Q' w`.
        eigenvalues: of `B F B'`.
        F: N f of its variants.
        core: mask of the core's variants, by which the hyperparameters are learned.
        inclusion: see `EffectShape.slabs`.
    """

    signal: Float[ndarray, "variant rank"]
    w: Float[ndarray, " rank"]
    eigenvalues: Float[ndarray, " rank"]
    F: Float[ndarray, " variant"]
    core: ndarray
    inclusion: Float[ndarray, " variant"] | None = None

    @classmethod
    def of(
        cls, signal: ndarray, w: ndarray, F: ndarray, core: ndarray, inclusion: ndarray | None = None
    ) -> RotatedWindow:
        """The rotated window of a whitened one."""
        wide = signal.astype(np.float64)
        values, Q = np.linalg.eigh((wide * F) @ wide.T)
        rotated = signal.T.astype(np.float32) @ Q.astype(np.float32)
        return cls(rotated, Q.T @ w, np.maximum(values, 0.0), F, core, inclusion)

    def regression(self, sigma2: float, shape: EffectShape) -> SparseRegression:
        """The sparse effects' regression, whitened by C."""
        scale = self.scale(sigma2, shape.background)
        A = self.signal * (1 / scale).astype(np.float32)
        chances, _, variances = self.slabs(shape)
        return SparseRegression.of(A, self.w / scale, chances, variances, shape.background * self.F)

    def slabs(self, shape: EffectShape) -> tuple[ndarray, ndarray, ndarray]:
        """`EffectShape.slabs` of its variants."""
        return shape.slabs(self.F, self.inclusion)

    def scale(self, sigma2: float, background: float) -> Float[ndarray, " rank"]:
        """Standard deviations of background and noise in the eigenbasis."""
        return np.asarray(np.sqrt(background * self.eigenvalues + sigma2))


def log_density(residual_square: ndarray, eigenvalues: ndarray, sigma2: float, background: float) -> float:
    """Log density of residuals in the eigenbasis under background and noise, given their (expected) squares."""
    variance = background * eigenvalues + sigma2
    return float(-0.5 * (np.log(2 * np.pi * variance) + residual_square / variance).sum())
