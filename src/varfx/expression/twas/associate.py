"""S-PrediXcan's test of one gene: predicted expression against a trait, from marginal z and LD (Barbeira et al. 2018).

With w_l per copy of the effect allele, s_l the standard deviation of its dosage and R the correlations,

    z_gene = sum_l w_l s_l z_l / s_gene,   s_gene^2 = sum_lm w_l s_l R_lm s_m w_m
    effect = sum_l w_l s_l z_l / sqrt(n_l) / s_gene^2

the effect in standard deviations of the trait per unit of predicted expression. FUSION's weights are w_l s_l.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.special import log_ndtr

LEAST_VARIANCE = 1e-12  # of predicted expression; below, rounding


@dataclass(frozen=True)
class Association:
    """The test of one gene.

    Attributes:
        z: of predicted expression.
        effect: in sd of the trait per unit of predicted expression.
        variance: of predicted expression in the panel.
    """

    z: float
    effect: float
    variance: float


def associate(
    scaled: Float64[ndarray, " variant"],
    z: Float64[ndarray, " variant"],
    n: Float64[ndarray, " variant"],
    R: Float64[ndarray, "variant variant"],
) -> Association | None:
    """The association of predicted expression; None where it does not vary in the panel.

    Args:
        scaled: weights per standard deviation of the genotype.
        z: of the trait, for the weights' effect alleles.
        n: sample size of each z.
        R: correlations.
    """
    variance = float(scaled @ R @ scaled)
    if variance <= LEAST_VARIANCE * max(1.0, float(scaled @ scaled)):
        return None
    return Association(
        z=float(scaled @ z) / variance**0.5,
        effect=float(scaled @ (z / np.sqrt(n))) / variance,
        variance=variance,
    )


def neg_log10_p(z: float) -> float:
    """-log10 of the two-sided p; finite for any z."""
    return float(-(log_ndtr(-abs(z)) + np.log(2)) / np.log(10))


def given(z: float, other: float, r: float) -> float:
    """The z of one variable given another that correlates r with it; NaN where they cannot be told apart."""
    rest = 1 - r * r
    return (z - r * other) / rest**0.5 if rest > 1e-3 else float("nan")
