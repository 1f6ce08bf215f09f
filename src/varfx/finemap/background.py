"""The size of the polygenic background of a locus, by the evidence lower bound given the sparse effects.

With effects `b_j ~ N(0, kappa T_j)` beside the sparse ones, and w the whitened associations, `C = kappa B T B' + sigma2 I`:

    -2 ELBO(kappa) = log|C| + (w - B b)' C^-1 (w - B b) + sum_l E |B (b_l - E b_l)|^2_{C^-1} + constant

In the eigenvectors of `B T B'` C is diagonal, so that a value of kappa costs as many operations as the LD has directions. On a
truncated panel only its kept directions are looked at.
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
        error = self.w - self._product(means.sum(axis=0))
        total = squares.sum(axis=0)
        rows = support(total)
        spread = np.square(self.B[:, rows]) @ total[rows]
        for mean in means:
            spread -= np.square(self._product(mean))
        energy = error * error + np.maximum(spread, 0.0)

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

    def _product(self, b: Float[ndarray, " variant"]) -> Float[ndarray, " rank"]:
        rows = support(b)
        return np.asarray(self.B[:, rows] @ b[rows])
