"""Score and average information of a window's likelihood in a few parameters, for standard errors and Newton steps.

With `F(delta) = F exp(D delta)` for directions D, `theta = (delta, log sigma2)`, `C = B F B' + sigma2 I` and `u = C^-1 w`:

    g_m    = 1/2 [(b_m' u)^2 - b_m' C^-1 b_m]             d log p / d F_m
    G_k    = sum_m F_m D_mk g_m,   G_s = sigma2 / 2 [|u|^2 - tr C^-1]
    y_k    = B (F o D_k o B' u),   y_s = sigma2 u
    AI_kl  = 1/2 y_k' C^-1 y_l

AI is the mean of the observed and the expected information with the traces cancelled (Gilmour, Thompson & Cullis 1995, Biometrics 51:1440).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from varfx.ld import WhitenedWindow
from varfx.ld.gaps import LEAST_RANK


@dataclass(frozen=True, eq=False)
class WindowInformation:
    """One window's likelihood to second order.

    Attributes:
        log_p: nats.
        score: d log p / d theta.
        information: average information.
        curvature: what the second derivative of F and sigma2 adds to minus the Hessian: `-D' diag(s) D`, s being `variant_score`.
        variant_score: d log p / d log F of each of the window's variants.
    """

    log_p: float
    score: Float[ndarray, " parameter"]
    information: Float[ndarray, "parameter parameter"]
    curvature: Float[ndarray, "parameter parameter"]
    variant_score: Float[ndarray, " variant"]


@torch.no_grad()
def window_information(
    window: WhitenedWindow,
    F: Float[Tensor, " variant"],
    directions: Float[Tensor, "variant direction"],
    sigma2: float,
) -> WindowInformation | None:
    """Score and average information of one window, in float64; `log sigma2` is the last parameter.

    Of windows of rank 512 and more on the CPU, `B F B'`, `L^-1 B` and `B' u` are products in float32; their rounding moves the score by
    less than a thousandth of its standard deviation (a test says so). None if C is not positive definite.

    Args:
        window: whitened associations.
        F: N f.
        directions: d log F / d delta.
        sigma2: residual variance of w.
    """
    large = window.rank >= LEAST_RANK and window.B.device.type == "cpu"
    B, w = window.merged(torch.float32 if large else torch.float64).B, window.w.double().reshape(window.rank, -1)[:, 0]
    scaled = B * F.sqrt().to(B.dtype)
    C = (scaled @ scaled.T).double() if large else (B * F) @ B.T
    C.diagonal().add_(sigma2)
    L, failed = torch.linalg.cholesky_ex(C)
    if bool(failed):
        return None
    A = torch.linalg.solve_triangular(L.to(B.dtype), B, upper=False)
    half = torch.linalg.solve_triangular(L, w[:, None], upper=False)
    u = torch.linalg.solve_triangular(L.T, half, upper=True)[:, 0]
    identity = torch.eye(len(w), dtype=L.dtype, device=L.device)
    inverse_trace = torch.linalg.solve_triangular(L, identity, upper=False).square().sum()
    projected = (B.T @ u.to(B.dtype)).double()
    by_log_F = 0.5 * F * (projected.square() - A.square().sum(0).double())
    by_sigma2 = 0.5 * sigma2 * (u.square().sum() - inverse_trace)
    Y = torch.cat([(B @ ((F * projected)[:, None] * directions).to(B.dtype)).double(), sigma2 * u[:, None]], dim=1)
    half_Y = torch.linalg.solve_triangular(L, Y, upper=False)
    log_p = -L.diagonal().log().sum() - 0.5 * half.square().sum() - 0.5 * len(w) * math.log(2 * math.pi)
    curvature = torch.zeros(Y.shape[1], Y.shape[1], dtype=L.dtype, device=L.device)
    curvature[:-1, :-1] = -directions.T @ (by_log_F[:, None] * directions)
    curvature[-1, -1] = -by_sigma2
    return WindowInformation(
        log_p=float(log_p),
        score=torch.cat([directions.T @ by_log_F, by_sigma2[None]]).cpu().numpy(),
        information=(0.5 * half_Y.T @ half_Y).cpu().numpy(),
        curvature=curvature.cpu().numpy(),
        variant_score=by_log_F.cpu().numpy(),
    )
