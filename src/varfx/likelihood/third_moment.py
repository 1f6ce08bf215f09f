"""Third central moment of a window's scores under the model, from one quadratic form per direction.

The score of a direction is `G = 1/2 (u' dC u - tr C^-1 dC)` with `u = C^-1 w` and dC the change of the covariance. Its third central moment is
`tr (C^-1 dC)^3`, which is the mean of

    y' C^-1 dC C^-1 y,   y = dC u,   dC = B diag(F c) B' + sigma2 c_s I

as the average information is that of `tr (C^-1 dC)^2`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.ld import WhitenedWindow
from varfx.ld.gaps import LEAST_RANK


@torch.no_grad()
def window_third_moment(
    window: WhitenedWindow,
    F: Float[Tensor, " variant"],
    directions: Float[Tensor, "variant direction"],
    by_sigma2: Float[Tensor, " direction"],
    sigma2: float,
) -> Float[Tensor, " direction"]:
    """Unbiased estimate of the third central moment of each direction's score, in float64.

    Args:
        window: whitened associations.
        F: N f.
        directions: c, d log F / d theta.
        by_sigma2: c_s, d log sigma2 / d theta.
        sigma2: residual variance of w.
    """
    large = (
        window.rank >= LEAST_RANK and window.B.device.type == "cpu"
    )  # products in float32, as in `window_information`
    B, w = window.merged(torch.float32 if large else torch.float64).B, window.w.double().reshape(window.rank, -1)[:, 0]
    scaled = B * F.sqrt().to(B.dtype)
    C = (scaled @ scaled.T).double()
    C.diagonal().add_(sigma2)
    L = torch.linalg.cholesky(C)
    u = torch.cholesky_solve(w[:, None], L)
    weighted = F[:, None] * directions
    y = (B @ ((B.T @ u.to(B.dtype)) * weighted).to(B.dtype)).double() + sigma2 * u * by_sigma2
    q = torch.cholesky_solve(y, L)
    projected = (B.T @ q.to(B.dtype)).double()
    return (projected.square() * weighted).sum(0) + sigma2 * by_sigma2 * q.square().sum(0)
