"""The size of the polygenic background of a locus, by the evidence lower bound given the sparse effects.

With effects `b_j ~ N(0, kappa T_j)` beside the sparse ones, and w the whitened associations, `C = kappa B T B' + sigma2 I`:

    -2 ELBO(kappa) = log|C| + (w - B b)' C^-1 (w - B b) + sum_l E |B (b_l - E b_l)|^2_{C^-1} + constant

In the eigenvectors of `B T B'` (eigenvalues d_i) C is diagonal, so that a value of kappa costs as many operations as the LD has
directions. On a truncated panel only its kept directions are looked at.

Without a residual variance both are found by moments (SuSiE-inf, Cui et al. 2024; there T = 1). With the energy e_i of direction i, the
expectation of `(w - B b)_i^2`, and a trait of variance 1:

    n sigma2 + kappa sum d = n - 1 - w'w + sum e         sigma2 sum d + kappa sum d^2 = sum d e
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize_scalar

from varfx.finemap.ld_matrix import LowRankLD, support

LOWEST = 1e-6  # of kappa; less is none


@dataclass(frozen=True, eq=False)
class Background:
    """What the likelihood of kappa needs of a locus.

    Attributes:
        B: whitened LD in the eigenvectors of `B T B'`.
        lam: eigenvalues of `B T B'`.
        w: whitened associations in the same directions.
    """

    B: Float[ndarray, "rank variant"]
    lam: Float[ndarray, " rank"]
    w: Float[ndarray, " rank"]

    @classmethod
    def of(cls, ld: LowRankLD, z: Float[ndarray, " variant"], T: Float[ndarray, " variant"]) -> Background:
        """The object for one locus; costs two products of the LD with itself."""
        lam_ld, Q = ld.spectrum
        kept = lam_ld > 1e-10 * lam_ld[-1]
        B = Q[:, kept].T @ ld.U.T  # rows orthogonal, of squared length lam_ld
        w = (B @ z) / lam_ld[kept]
        lam, P = np.linalg.eigh((B * T) @ B.T)
        return cls(B=P.T @ B, lam=np.maximum(lam, 0.0), w=P.T @ w)

    def kappa(
        self,
        sigma2: float,
        means: Float[ndarray, "effect variant"],
        squares: Float[ndarray, "effect variant"],
        *,
        largest: float = 1.0,
    ) -> float:
        """The kappa of largest evidence lower bound, 0 to `largest`.

        Args:
            sigma2: residual variance.
            means: posterior mean of each effect at each variant.
            squares: posterior mean of its square.
            largest: upper bound of kappa.
        """
        energy = self._energy(means, squares)

        def loss(kappa: float) -> float:
            C = kappa * self.lam + sigma2
            return float((np.log(C) + energy / C).sum())

        found = minimize_scalar(
            lambda x: loss(np.exp(x)),
            bounds=(np.log(LOWEST), np.log(largest)),
            method="bounded",
            options={"xatol": 1e-4},
        )
        kappa = float(np.exp(found.x))
        return kappa if found.fun < loss(0.0) and kappa > 2 * LOWEST else 0.0

    def moments(
        self,
        n: float,
        means: Float[ndarray, "effect variant"],
        squares: Float[ndarray, "effect variant"],
        *,
        largest: float = 1.0,
    ) -> tuple[float, float]:
        """Residual variance and kappa by moments; kappa is 0 where they allow no background, and at most `largest`.

        Args:
            n: sample size.
            means: posterior mean of each effect at each variant.
            squares: posterior mean of its square.
            largest: upper bound of kappa.
        """
        energy = self._energy(means, squares)
        whole = n - 1 - float(self.w @ self.w) + float(energy.sum())
        trace, square = float(self.lam.sum()), float(self.lam @ self.lam)
        sigma2, kappa = np.linalg.solve([[n, trace], [trace, square]], [whole, float(self.lam @ energy)])
        if not (sigma2 > 0 and kappa > 0):
            return whole / n, 0.0
        if kappa > largest:
            return (whole - largest * trace) / n, largest
        return float(sigma2), float(kappa)

    def _energy(
        self, means: Float[ndarray, "effect variant"], squares: Float[ndarray, "effect variant"]
    ) -> Float[ndarray, " rank"]:
        """Expectation of `(w - B b)^2` in each direction."""
        error = self.w - self._product(means.sum(axis=0))
        total = squares.sum(axis=0)
        rows = support(total)
        spread = np.square(self.B[:, rows]) @ total[rows]
        for mean in means:
            spread -= np.square(self._product(mean))
        return np.asarray(error * error + np.maximum(spread, 0.0))

    def _product(self, b: Float[ndarray, " variant"]) -> Float[ndarray, " rank"]:
        rows = support(b)
        return np.asarray(self.B[:, rows] @ b[rows])
