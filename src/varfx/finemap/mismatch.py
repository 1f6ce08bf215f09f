"""Noise of LD that was estimated from few individuals, or in another population (susieR 2's `R_finite` and `R_mismatch`).

The LD of a panel of n individuals is off by about `(1 + r^2) / n` in variance. Given the other effects' mean b, z_j then varies by

    sigma2 + (1 / n + mismatch) s_j,   s_j = (R b)_j^2 + b' R b

The mismatch beyond sampling is one number per locus, by maximum likelihood of the residuals (Sun et al.; susieR 0.16, BSD-3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize_scalar

from varfx.finemap.ld_matrix import LDMatrix, LowRankLD

LOW_DIRECTION = 1e-3  # share of the largest eigenvalue up to which a direction of LD counts as low
ARTEFACT = 0.1  # share of the residual in low directions above which a fit is doubtful


@dataclass(frozen=True)
class Mismatch:
    """Sampling error and mismatch of the LD of a locus.

    Attributes:
        per_person: 1 / size of the reference.
        excess: what `mismatch` stands for above.
    """

    per_person: float
    excess: float = 0.0

    def inflation(
        self, signal: Float[ndarray, " variant"], energy: float, base: Float[ndarray, " variant"] | float
    ) -> Float[ndarray, " variant"]:
        """Factor of the noise variance of each z.

        Args:
            signal: `R b` of the other effects.
            energy: `b' R b` of the other effects.
            base: noise variance without the error of the LD.
        """
        return np.asarray(1 + (self.per_person + self.excess) * (signal * signal + max(energy, 0.0)) / base)


def excess_mismatch(
    residual: Float[ndarray, " variant"],
    s: Float[ndarray, " variant"],
    base: Float[ndarray, " variant"] | float,
    per_person: float,
) -> float:
    """The mismatch of largest likelihood of `r_j ~ N(0, base + (1/n + mismatch) s_j)`; 0 below a tenth of its error at 0."""
    used = s > np.finfo(float).eps
    if not used.any():
        return 0.0
    square, s = residual[used] ** 2, s[used]
    start = (base[used] if isinstance(base, ndarray) else base) + per_person * s
    error = 1 / np.sqrt(0.5 * np.square(s / start).sum())

    def loss(excess: float) -> float:
        variance = start + excess * s
        return float(0.5 * (np.log(variance) + square / variance).sum())

    largest = max(1.0, 100 * per_person, 10 * float(((square - start) / s).max()))
    lowest = np.log(1e-10)
    found = minimize_scalar(
        lambda x: loss(np.exp(x)), bounds=(lowest, np.log(largest)), method="bounded", options={"xatol": 1e-8}
    )
    excess = float(np.exp(found.x))
    return excess if found.fun < loss(0.0) and excess >= 0.1 * error else 0.0


def coherence(alpha: Float[ndarray, " variant"], weights: Float[ndarray, " variant"], ld: LDMatrix) -> float:
    """Mean r2 between two draws of the variant of an effect, among variants that the data favour twofold; 1 if there are none."""
    kept = np.flatnonzero(alpha >= 2 * weights)
    if not kept.size:
        return 1.0
    share = alpha[kept] / alpha[kept].sum()
    return float(np.clip(share @ np.square(ld.block(kept)) @ share, 0.0, 1.0))


def low_direction_share(residual: Float[ndarray, " variant"], ld: LowRankLD) -> float:
    """Share of the residual's squared norm in directions of LD with an eigenvalue of at most a thousandth of the largest.

    Directions that a panel has cut off count as low.
    """
    norm = float(residual @ residual)
    if norm < 1e-12:
        return 0.0
    lam, Q = ld.spectrum
    high = lam > LOW_DIRECTION * lam[-1]
    inside = (residual @ ld.U) @ (Q[:, high] / np.sqrt(lam[high]))
    return float(np.clip(1 - (inside @ inside) / norm, 0.0, 1.0))
