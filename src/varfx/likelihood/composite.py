"""The composite likelihood: each association as if it were alone. The paper's link from its likelihood to LD score regression.

For windows of one association the paper's Eq. 5 becomes, with the constant,

    log p_c = sum_m -1/2 [ chi2_m / v_m + log v_m + log 2 pi ]         v_m = N_m / N_ref sum_k r2_mk F_k + sigma2
    d log p_c / dv_m = 1/2 [ chi2_m / v_m^2 - 1 / v_m ]

Its maximum is consistent, but its nats count the same evidence once per variant in LD: they are not those of the likelihood,
and no interval can be read from their curvature (Lindsay 1988).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.likelihood.chi2 import Chi2Window, checked
from varfx.likelihood.known_gradient import with_gradient


@dataclass(frozen=True, kw_only=True, eq=False)
class CompositeResult:
    """The composite log-likelihood of one window, and its gradient.

    Attributes:
        composite_log_p: summed over the window's associations, in nats that overlap. Differentiable with respect to `F` and
            `sigma2` if they require gradients.
        grad_F: its derivative by each variant's F.
        grad_sigma2: its derivative by sigma2.
        num_observed: how many associations were summed.
    """

    composite_log_p: Float[Tensor, ""]
    grad_F: Float[Tensor, " variant"]
    grad_sigma2: Float[Tensor, ""]
    num_observed: int


def composite(window: Chi2Window, F: Float[Tensor, " variant"], sigma2: float | Tensor) -> CompositeResult:
    """The composite log-likelihood and its gradient, in the precision of F, at least float32.

    A variance that the bias correction of r2 makes negative (sampling noise around 0) counts as 0, with no gradient to F.

    Args:
        window: chi2 and squared correlations; its weights are not used.
        F: N times the variance of each variant's effect, not negative.
        sigma2: residual variance of z, positive.

    Raises:
        DataError: `F` or `sigma2` are no variances.
    """
    F, variance, values, level = checked(window, F, sigma2)
    signal = window.signal(values)
    v = signal.clamp_min(0) + level
    chi2 = window.chi2.to(values)
    nats = -0.5 * window.replicates * (chi2 / v + v.log()).sum() - 0.5 * window.num_observed * math.log(2 * math.pi)
    by_variance = 0.5 * window.replicates * (chi2 / v - 1) / v
    grad_F = window.by_variant(torch.where(signal > 0, by_variance, 0))
    grad_sigma2 = by_variance.sum()
    return CompositeResult(
        composite_log_p=with_gradient(nats, (F, variance), (grad_F, grad_sigma2)),
        grad_F=grad_F,
        grad_sigma2=grad_sigma2,
        num_observed=window.num_observed,
    )
