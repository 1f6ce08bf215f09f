"""The polygenic background of a window, integrated out: `C = kappa B F B' + sigma2 I`, by factor or by eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from varfx.prior.effects.gibbs import SparseRegression
from varfx.prior.effects.shape import EffectShape


@dataclass(frozen=True, eq=False)
class FactoredBackground:
    """A window whose background is known: posteriors of it, exact in float64.

    Attributes:
        signal: B, whitened correlations.
        w: whitened associations.
        F: N f of the columns of `signal`.
        shape: the effect distribution.
        factor: lower Cholesky factor of C.
    """

    signal: Float[ndarray, "rank variant"]
    w: Float[ndarray, " rank"]
    F: Float[ndarray, " variant"]
    shape: EffectShape
    factor: Float[ndarray, "rank rank"]

    @classmethod
    def of(
        cls,
        signal: Float[ndarray, "rank variant"],
        w: Float[ndarray, " rank"],
        F: Float[ndarray, " variant"],
        sigma2: float,
        shape: EffectShape,
    ) -> FactoredBackground:
        """Factorises C."""
        C = (signal * (shape.background * F)) @ signal.T
        C[np.diag_indices_from(C)] += sigma2
        return cls(signal, w, F, shape, cholesky(C, lower=True))

    def regression(self) -> SparseRegression:
        """The sparse effects' regression, whitened by C."""
        inverse = solve_triangular(self.factor, np.eye(len(self.w)), lower=True).astype(np.float32)
        A = self.signal.T.astype(np.float32) @ inverse.T
        w = solve_triangular(self.factor, self.w, lower=True)
        chances, _, variances = self.shape.slabs(self.F)
        return SparseRegression.of(A, w, chances, variances, self.shape.background * self.F)

    def effects(self, s: Float[ndarray, " variant"], inside: ndarray) -> Float[ndarray, " chosen"]:
        """Posterior means of background and sparse effects together, given the means `s` of the latter."""
        left = self.w if not s.any() else self.w - self.signal @ s
        solved = cho_solve((self.factor, True), left)
        return np.asarray(s[inside] + self.shape.background * self.F[inside] * (self.signal[:, inside].T @ solved))


@dataclass(frozen=True, eq=False)
class RotatedWindow:
    """A window in the eigenbasis of `B F B'`, in which any background is diagonal.

    Attributes:
        signal: `B' Q`, one row per variant, float32.
        w: `Q' w`.
        eigenvalues: of `B F B'`.
        F: N f of its variants.
        core: mask of the core's variants, by which the hyperparameters are learned.
    """

    signal: Float[ndarray, "variant rank"]
    w: Float[ndarray, " rank"]
    eigenvalues: Float[ndarray, " rank"]
    F: Float[ndarray, " variant"]
    core: ndarray

    @classmethod
    def of(cls, signal: ndarray, w: ndarray, F: ndarray, core: ndarray) -> RotatedWindow:
        """The rotated window of a whitened one."""
        wide = signal.astype(np.float64)
        values, Q = np.linalg.eigh((wide * F) @ wide.T)
        rotated = signal.T.astype(np.float32) @ Q.astype(np.float32)
        return cls(rotated, Q.T @ w, np.maximum(values, 0.0), F, core)

    def regression(self, sigma2: float, shape: EffectShape) -> SparseRegression:
        """The sparse effects' regression, whitened by C."""
        scale = self.scale(sigma2, shape.background)
        A = self.signal * (1 / scale).astype(np.float32)
        chances, _, variances = shape.slabs(self.F)
        return SparseRegression.of(A, self.w / scale, chances, variances, shape.background * self.F)

    def scale(self, sigma2: float, background: float) -> Float[ndarray, " rank"]:
        """Standard deviations of background and noise in the eigenbasis."""
        return np.asarray(np.sqrt(background * self.eigenvalues + sigma2))


def log_density(residual_square: ndarray, eigenvalues: ndarray, sigma2: float, background: float) -> float:
    """Log density of residuals in the eigenbasis under background and noise, given their (expected) squares."""
    variance = background * eigenvalues + sigma2
    return float(-0.5 * (np.log(2 * np.pi * variance) + residual_square / variance).sum())
