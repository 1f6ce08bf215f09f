"""The step of the published trainer: everything anew at every step, gradients by autograd. A baseline to be timed.

    R[i,i] = V lam V',   R^- = V lam^-1 V',   W = R[+,i] R^- R[i,+]   (M, M),   u = R[+,i] R^- z
    S = I + F^1/2 W F^1/2 / sigma2 = L L'
    log p = -1/2 [ r log sigma2 + log|S| + (z' R^- z - |L^-1 F^1/2 u|^2 / sigma2) / sigma2 + r log 2 pi ]

With `W = B'B`, `u = B'w` and `z' R^- z = w'w` this is, by the determinant lemma and Woodbury, the whitened log p of `exact`
to the last nat: the same number, found by an eigendecomposition and an M x M factorisation that `exact` does not need.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.ld.whiten import RELATIVE_FLOOR
from varfx.likelihood.known_gradient import with_gradient
from varfx.likelihood.paper.ridged import PaperWindow
from varfx.likelihood.result import LikelihoodResult, check_parameters


def published_step(window: PaperWindow, F: Float[Tensor, " panel"], sigma2: float | Tensor) -> LikelihoodResult:
    """The whitened log p and its gradient, the way the published trainer computes them, in the window's precision.

    Args:
        window: correlations and associations; its stored eigenpairs are not used.
        F: N times the variance of each variant's effect; where it is 0 the root has no derivative, and the gradient is NaN.
        sigma2: residual variance of z.

    Raises:
        DataError: `F` or `sigma2` are no variances.
    """
    F = torch.as_tensor(F, device=window.z.device)
    variance = sigma2 if isinstance(sigma2, Tensor) else torch.tensor(float(sigma2), dtype=torch.float64)
    check_parameters(window, F.detach(), variance.detach())
    lam, V = torch.linalg.eigh(window.R_core)
    kept = lam > RELATIVE_FLOOR * lam[-1]
    inverse = (V * torch.where(kept, 1 / lam, 0)) @ V.T
    half = inverse @ window.R_cross
    W = window.R_cross.T @ half
    u, quadratic = half.T @ window.z, window.z @ (inverse @ window.z)
    rank = int(kept.sum())
    with torch.enable_grad():
        F_leaf = F.detach().to(window.z).requires_grad_()
        level = variance.detach().to(window.z).requires_grad_()
        root = F_leaf.sqrt()
        S = torch.eye(F_leaf.shape[0], dtype=W.dtype, device=W.device) + root[:, None] * W * root / level
        L = torch.linalg.cholesky(S)
        projected = torch.linalg.solve_triangular(L, (root * u)[:, None], upper=False)
        explained = projected.square().sum() / level
        log_det = rank * level.log() + 2 * L.diagonal().log().sum()
        nats = -0.5 * (log_det + (quadratic - explained) / level + rank * math.log(2 * math.pi)).sum()
    grad_F, grad_sigma2 = torch.autograd.grad(nats, (F_leaf, level))
    return LikelihoodResult(
        log_p=with_gradient(nats, (F, variance), (grad_F, grad_sigma2)),
        grad_F=grad_F,
        grad_sigma2=grad_sigma2.reshape(()),
        log_p_stderr=0.0,
        engine=f"published step ({str(window.z.dtype).removeprefix('torch.')})",
    )
