"""Which variants of a doubtful window do not fit the others.

kriging    z_j given the others under (1 - s) R + s I: conditional mean and variance from the precision matrix P
flip_lr    log likelihood ratio of z_j's sign: a scale mixture of normals around minus and plus the mean (Zou et al. 2022)
dentist    (z_j - r_j z_lead)^2 / (1 - r_j^2), chi2 of 1 degree of freedom, for r_j^2 > 0.6 (DENTIST-S of SLALOM, Kanai et al. 2022)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import chi2, norm

SMALLEST_SCALE, RATIO = 0.8, 1.05  # of the mixture's grid
MAX_STEPS, WEIGHT_TOL = 300, 1e-7  # of the mixture's weights
FLIP_LR, FLIP_Z = 2.0, 2.0  # a sign is doubtful above both
DENTIST_R2, DENTIST_LOG10P = 0.6, 4.0


@dataclass(frozen=True, eq=False)
class VariantChecks:
    """How each variant of a window fits the others.

    Attributes:
        kriging: (z - conditional mean) / conditional sd.
        conditional_mean: of z given the others.
        conditional_variance: of z given the others.
        flip_lr: natural log likelihood ratio of the flipped sign.
        flipped: whether the sign is doubtful: flip_lr and |z| above 2.
        dentist: chi2 against the lead; NaN for variants in weak LD with it.
        outlier: whether -log10 p of `dentist` is above 4.
    """

    kriging: Float[ndarray, " variant"]
    conditional_mean: Float[ndarray, " variant"]
    conditional_variance: Float[ndarray, " variant"]
    flip_lr: Float[ndarray, " variant"]
    flipped: Bool[ndarray, " variant"]
    dentist: Float[ndarray, " variant"]
    outlier: Bool[ndarray, " variant"]


def check_variants(
    z: Float[ndarray, " variant"], U: Float[ndarray, "variant rank"], D: Float[ndarray, " variant"], s: float
) -> VariantChecks:
    """How each variant fits the others, with `R = U U' + diag(D)`.

    Args:
        z: associations.
        U: factor of the LD.
        D: what the diagonal of `U U'` lacks to 1.
        s: the window's `estimate_s`.
    """
    diagonal, Pz = _precision((1 - s) * D + s, np.sqrt(1 - s) * U, z)
    variance = 1 / diagonal
    mean = z - variance * Pz
    kriging = (z - mean) / np.sqrt(variance)
    flip = _flip_ratio(z, mean, variance, kriging)
    lead = int(np.abs(z).argmax())
    r = U @ U[lead]
    r[lead] = 1.0
    statistic, outlier = dentist(z, r, lead)
    return VariantChecks(
        kriging=kriging,
        conditional_mean=mean,
        conditional_variance=variance,
        flip_lr=flip,
        flipped=(flip > FLIP_LR) & (np.abs(z) > FLIP_Z),
        dentist=statistic,
        outlier=outlier,
    )


def dentist(
    z: Float[ndarray, " variant"], r: Float[ndarray, " variant"], lead: int
) -> tuple[Float[ndarray, " variant"], Bool[ndarray, " variant"]]:
    """DENTIST-S of each variant in LD with the lead (NaN for the others), and which are outliers.

    Args:
        z: associations.
        r: correlations with the lead.
        lead: row of the lead.
    """
    r2 = r * r
    linked = (r2 > DENTIST_R2) & (r2 < 1 - 1e-9)
    linked[lead] = False
    statistic = np.full(z.size, np.nan)
    statistic[linked] = (z[linked] - r[linked] * z[lead]) ** 2 / (1 - r2[linked])
    outlier = np.zeros(z.size, dtype=bool)
    outlier[linked] = -chi2.logsf(statistic[linked], 1) / np.log(10) > DENTIST_LOG10P
    return statistic, outlier


def _precision(noise: ndarray, U: ndarray, z: ndarray) -> tuple[ndarray, ndarray]:
    """Diagonal of P and P z for `P = (diag(noise) + U U')^-1`, by Woodbury."""
    noise = np.maximum(noise, 1e-9)
    scaled = U / noise[:, None]
    H = np.eye(U.shape[1]) + U.T @ scaled
    half = cho_solve(cho_factor(H, lower=True), scaled.T)
    diagonal = 1 / noise - np.einsum("jr,rj->j", scaled, half)
    return np.maximum(diagonal, 1e-12), np.asarray(z / noise - scaled @ (half @ z))


def _flip_ratio(z: ndarray, mean: ndarray, variance: ndarray, kriging: ndarray) -> ndarray:
    """Log likelihood ratio of `-z`'s and z's distance from the mean under a scale mixture fitted to the window."""
    worst = float(np.square(kriging).max())
    largest = 2.0 if worst < 1 else 2 * np.sqrt(worst)
    number = int(np.ceil(np.log2(largest / SMALLEST_SCALE) / np.log2(RATIO)))
    scales = RATIO ** np.arange(-number, 1.0) * largest
    sd = np.sqrt(variance)[:, None] * scales
    kept = norm.logpdf((z - mean)[:, None], scale=sd)
    top = kept.max(axis=1, keepdims=True)
    likelihood = np.exp(kept - top)
    weights = _mixture(likelihood) + 1e-15
    flipped = norm.logpdf((z + mean)[:, None], scale=sd)
    top_flipped = flipped.max(axis=1, keepdims=True)
    plain = np.log(likelihood @ weights) + top[:, 0]
    return np.asarray(np.log(np.exp(flipped - top_flipped) @ weights) + top_flipped[:, 0] - plain)


def _mixture(likelihood: Float[ndarray, "variant scale"]) -> Float[ndarray, " scale"]:
    """Weights of largest likelihood, by expectation-maximisation."""
    weights = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(MAX_STEPS):
        share = likelihood * weights
        share /= share.sum(axis=1, keepdims=True)
        before, weights = weights, share.mean(axis=0)
        if np.abs(weights - before).max() < WEIGHT_TOL:
            break
    return np.asarray(weights)
