"""LD score regression as an objective for any variance model (paper, B.6): weighted squares of chi2 about its mean.

    S = sum_m weight_m [chi2_m - v_m]^2          v_m = N_m / N_ref sum_k r2_mk F_k + sigma2
    dS / dF_k    = -2 sum_m weight_m [chi2_m - v_m] N_m / N_ref r2_mk
    dS / dsigma2 = -2 sum_m weight_m [chi2_m - v_m]

It needs no inverse of R, and ignores how associations correlate: that is what it loses to the likelihood. After such a fit
sigma2 is the intercept of the regression. For variances linear in the parameters the minimum is closed: `ldsr_closed`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from varfx.likelihood.chi2 import Chi2Window, checked
from varfx.likelihood.known_gradient import with_gradient


@dataclass(frozen=True, kw_only=True, eq=False)
class LdsrResult:
    """Distance of one window's chi2 from their expectation. Small is good; it is not a probability.

    Attributes:
        weighted_squares: S, summed over the window's associations. Differentiable with respect to `F` and `sigma2` if they
            require gradients.
        grad_F: derivative of S by each variant's F.
        grad_sigma2: derivative of S by the intercept.
        num_observed: how many associations were summed.
    """

    weighted_squares: Float[Tensor, ""]
    grad_F: Float[Tensor, " variant"]
    grad_sigma2: Float[Tensor, ""]
    num_observed: int

    @property
    def quasi_nats(self) -> Float[Tensor, ""]:
        """`-S / 4`: the log density if chi2 were normal with its variance 2 v^2, each counted once per stretch of LD.

        With the paper's weights `1 / (l v^2)` this makes S comparable in scale with nats: it is what training climbs.
        """
        return -self.weighted_squares / 4


def ldsr(window: Chi2Window, F: Float[Tensor, " variant"], sigma2: float | Tensor) -> LdsrResult:
    """The weighted squares and their gradient, in the precision of F, at least float32.

    Args:
        window: chi2, squared correlations and weights.
        F: N times the variance of each variant's effect, not negative.
        sigma2: the intercept, positive.

    Raises:
        DataError: `F` or `sigma2` are no variances.
    """
    F, variance, values, level = checked(window, F, sigma2)
    residual = window.chi2.to(values) - window.signal(values) - level
    weighted = window.weights.to(values) * residual
    squares = window.replicates * (weighted @ residual)
    if window.scatter is not None:
        squares = squares + window.weights.to(values) @ window.scatter.to(values)
    slope = -2 * window.replicates * weighted
    grad_F, grad_sigma2 = window.by_variant(slope), slope.sum()
    return LdsrResult(
        weighted_squares=with_gradient(squares, (F, variance), (grad_F, grad_sigma2)),
        grad_F=grad_F,
        grad_sigma2=grad_sigma2,
        num_observed=window.num_observed,
    )


def paper_weights(
    ld_score: Float[ndarray, " variant"], n: Float[ndarray, " variant"], *, h2: float, num_variants: int
) -> Float[ndarray, " variant"]:
    """`1 / l_m * 1 / (N_m h2 l_m / M + 1)^2` (paper, B.6), LD scores below 1 counting as 1 as LDSC has it.

    Args:
        ld_score: l_m.
        n: sample sizes.
        h2: a ballpark of the heritability, made before training; see `ballpark_h2`.
        num_variants: M, over which h2 is spread.
    """
    score = np.maximum(ld_score, 1.0)
    return np.asarray(1 / (score * (n * h2 * score / num_variants + 1) ** 2))


def ballpark_h2(
    chi2: Float[ndarray, " variant"],
    ld_score: Float[ndarray, " variant"],
    n: Float[ndarray, " variant"],
    *,
    num_variants: int,
) -> float:
    """`M (mean chi2 - 1) / mean(N l)`, brought into 0 to 1: LDSC's first guess (Bulik-Sullivan et al. 2015)."""
    slope = (float(np.mean(chi2)) - 1) / float(np.mean(n * np.maximum(ld_score, 1.0)))
    return min(max(num_variants * slope, 0.0), 1.0)
