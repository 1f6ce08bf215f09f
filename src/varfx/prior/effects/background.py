"""The polygenic background of a window, integrated out: `C = kappa B F B' + sigma2 I`, by factor or by eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.linalg import blas, cholesky, solve_triangular

from varfx.prior.effects.gibbs import SparseRegression
from varfx.prior.effects.shape import EffectShape

MOST_CONDITION = 1e5  # of C, for which float32 suffices
SOLVED, SOLVED_LARGE = 1e-13, 1e-6  # relative residual of a solution; of a large window, whose signal is in float32
MOST_STEPS = 100


class Regressors(Protocol):
    """`w ~ N(S b, sigma2 N)`: what posterior means need of a window or of a pair."""

    def product(self, b: Float[ndarray, " variant"]) -> Float[ndarray, " rank"]:
        """`S b`."""
        ...

    def scores(self, u: Float[ndarray, " rank"]) -> Float[ndarray, " variant"]:
        """`S' u`."""
        ...

    def noise(self, u: Float[ndarray, " rank"]) -> Float[ndarray, " rank"]:
        """`N u`."""
        ...


@dataclass(frozen=True, eq=False)
class Whitened:
    """Regressors of independent noise.

    Attributes:
        signal: B, whitened correlations. Products are in its precision: a float64 vector would convert it anew in each.
    """

    signal: Float[ndarray, "rank variant"]

    def product(self, b: Float[ndarray, " variant"]) -> Float[ndarray, " rank"]:
        """`B b`."""
        return np.asarray(self.signal @ b.astype(self.signal.dtype), dtype=np.float64)

    def scores(self, u: Float[ndarray, " rank"]) -> Float[ndarray, " variant"]:
        """`B' u`."""
        return np.asarray(u.astype(self.signal.dtype) @ self.signal, dtype=np.float64)

    def noise(self, u: Float[ndarray, " rank"]) -> Float[ndarray, " rank"]:
        """u."""
        return u


@dataclass(frozen=True, eq=False)
class FactoredBackground:
    """A window of known background. The sampler's regression is in float32; posterior means given its effects are exact,
    those of large windows to 1e-6.

    Attributes:
        regressors: of the whitened associations.
        w: whitened associations.
        variance: of the background, in units of 1 / N, per variant.
        sigma2: residual variance.
        solved_to: relative residual of a solution.
        inverse: `L^-1` of the lower Cholesky factor of C, float32.
        regression: of the sparse effects, whitened by C too.
        sampled: places of the variants that may have a sparse effect.
    """

    regressors: Regressors
    w: Float[ndarray, " rank"]
    variance: Float[ndarray, " variant"]
    sigma2: float
    solved_to: float
    inverse: Float[ndarray, "rank rank"]
    regression: SparseRegression
    sampled: Int[ndarray, " sampled"]

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
        """Of a window, every variant of which may have a sparse effect.

        Args:
            signal: B, whitened correlations.
            w: whitened associations.
            F: N f of the columns of `signal`.
            sigma2: residual variance.
            shape: the effect distribution.
            inclusion: see `EffectShape.slabs`.
        """
        variance = shape.background * F
        A = torch.from_numpy(signal).to(torch.float32).T.contiguous().numpy()  # several times faster than by NumPy
        scaled = A * np.sqrt(variance)[:, None].astype(np.float32)
        C = scaled.T @ scaled
        if too_far(C, sigma2):
            wide = signal * np.sqrt(variance)
            C = wide @ wide.T
        C[np.diag_indices_from(C)] += sigma2
        inverse = inverse_factor(C)
        chances, _, variances = shape.slabs(F, inclusion)
        return cls(
            regressors=Whitened(signal),
            w=w,
            variance=variance,
            sigma2=sigma2,
            solved_to=SOLVED_LARGE if signal.dtype == np.float32 else SOLVED,
            inverse=inverse,
            regression=SparseRegression.of(
                turned_rows(inverse, A), inverse @ w.astype(np.float32), chances, variances, variance
            ),
            sampled=np.arange(len(F)),
        )

    def effects(self, s: Float[ndarray, " sampled"], inside: Bool[ndarray, " variant"]) -> Float[ndarray, " chosen"]:
        """Posterior means of background and sparse effects together, given the means `s` of the latter."""
        effects = np.zeros(len(self.variance))
        effects[self.sampled] = s
        left = self.w if not s.any() else self.w - self.regressors.product(effects)
        effects += self.variance * self.regressors.scores(self._solve(left))
        return np.asarray(effects[inside])

    def _solve(self, left: Float[ndarray, " rank"]) -> Float[ndarray, " rank"]:
        """`C^-1 left`: conjugate gradients, with the factor as preconditioner, so that few steps suffice."""
        solved, residual = np.zeros_like(left), left.copy()
        direction, before = np.zeros_like(left), 1.0
        for _ in range(MOST_STEPS):
            if np.linalg.norm(residual) <= self.solved_to * np.linalg.norm(left):
                break
            preconditioned = self.inverse.T @ (self.inverse @ residual.astype(np.float32))
            product = float(residual @ preconditioned)
            direction = preconditioned + product / before * direction
            before = product
            signal = self.regressors.product(self.variance * self.regressors.scores(direction))
            image = signal + self.sigma2 * self.regressors.noise(direction)
            step = product / float(direction @ image)
            solved += step * direction
            residual -= step * image
        return solved


def too_far(C: Float[ndarray, "rank rank"], sigma2: float) -> bool:
    """Whether a signal covariance beside the noise is too much for float32."""
    return bool(np.abs(C).sum(0).max() > MOST_CONDITION * sigma2)


def inverse_factor(C: Float[ndarray, "rank rank"]) -> Float[ndarray, "rank rank"]:
    """`L^-1` of `C = L L'` in float32; C is overwritten."""
    factor = cholesky(C, lower=True, overwrite_a=True)
    inverse = solve_triangular(factor, np.eye(len(factor), dtype=factor.dtype), lower=True)
    return np.asarray(inverse.astype(np.float32, copy=False))


def turned_rows(
    inverse: Float[ndarray, "rank rank"], A: Float[ndarray, "variant rank"]
) -> Float[ndarray, "variant rank"]:
    """`(L^-1 A')'`; A is overwritten."""
    return np.asarray(blas.strmm(1.0, inverse, A.T, lower=1, overwrite_b=1).T)


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
