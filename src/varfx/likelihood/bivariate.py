"""Likelihood of two traits on the same LD, with its score and average information.

    y = [w1; w2] ~ N(0, C),   C = [[B1 F1 B1' + s11 I, B1 G B2' + s12 I], [., B2 F2 B2' + s22 I]],   G = rho sqrt(F1 F2)

theta = (delta1, delta2, eta, s12, log s11, log s22) with `F_t = F_t0 exp(D delta_t)` and `rho = tanh(D eta)`. s12 is the correlation of the
noise, which shared individuals cause. With u = C^-1 y, p_t = B_t' u_t and a_tm the columns of L^-1 B_t:

    g11 = (p1^2 - |a1|^2) / 2,   g22 likewise,   g12 = p1 p2 - a1 . a2
    delta1: sum D (F1 g11 + G g12 / 2)       eta: sum D (1 - rho^2) sqrt(F1 F2) g12       s12: u1'u2 - tr (C^-1)_12
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.likelihood.average_information import WindowInformation


@dataclass(frozen=True, kw_only=True, eq=False)
class TraitPair:
    """Whitened associations of two traits at the same variants of a window.

    Attributes:
        B1: whitened correlations of the first trait's associations, in float64.
        B2: the second's; the same unless sample sizes differ between variants.
        w1: associations of the first trait.
        w2: of the second.
    """

    B1: Float[Tensor, "rank variant"]
    B2: Float[Tensor, "rank variant"]
    w1: Float[Tensor, " rank"]
    w2: Float[Tensor, " rank"]

    @property
    def nbytes(self) -> int:
        """Size in memory; `B1` and `B2` count once where they are one tensor."""
        return sum(each.nbytes for each in {id(each): each for each in (self.B1, self.B2, self.w1, self.w2)}.values())

    def to(self, device: torch.device) -> TraitPair:
        """The same on another device."""
        B1 = self.B1.to(device)
        B2 = B1 if self.B2 is self.B1 else self.B2.to(device)
        return TraitPair(B1=B1, B2=B2, w1=self.w1.to(device), w2=self.w2.to(device))


@dataclass(frozen=True, kw_only=True, eq=False)
class PairVariances:
    """Parameters of the model on a window's variants.

    Attributes:
        F1: N f of the first trait.
        F2: of the second.
        rho: correlation of effects per variant.
        directions: D.
        s11: residual variance of the first trait.
        s22: of the second.
        s12: covariance of the residuals.
    """

    F1: Float[Tensor, " variant"]
    F2: Float[Tensor, " variant"]
    rho: Float[Tensor, " variant"]
    directions: Float[Tensor, "variant direction"]
    s11: float
    s22: float
    s12: float


@torch.no_grad()
def pair_information(pair: TraitPair, model: PairVariances) -> WindowInformation | None:
    """Log p, score and average information of two traits in one window; None if C is not positive definite.

    `variant_score` is d log p / d eta of each variant's own rho.
    """
    D, B1, B2 = model.directions, pair.B1, pair.B2
    rank = len(pair.w1)
    root = (model.F1 * model.F2).sqrt()
    G, H = model.rho * root, (1 - model.rho**2) * root
    L, failed = torch.linalg.cholesky_ex(_covariance(pair, model, G))
    if bool(failed):
        return None
    y = torch.cat([pair.w1, pair.w2])
    half = torch.linalg.solve_triangular(L, y[:, None], upper=False)
    u = torch.linalg.solve_triangular(L.T, half, upper=True)[:, 0]
    u1, u2 = u[:rank], u[rank:]
    inverse = torch.linalg.solve_triangular(L, torch.eye(2 * rank, dtype=L.dtype, device=L.device), upper=False)
    a1, a2 = inverse[:, :rank] @ B1, inverse[:, rank:] @ B2
    p1, p2 = B1.T @ u1, B2.T @ u2
    g11, g22 = 0.5 * (p1**2 - a1.square().sum(0)), 0.5 * (p2**2 - a2.square().sum(0))
    g12 = p1 * p2 - (a1 * a2).sum(0)
    by_1, by_2, by_eta = model.F1 * g11 + 0.5 * G * g12, model.F2 * g22 + 0.5 * G * g12, H * g12
    traces = [inverse[:, :rank].square().sum(), inverse[:, rank:].square().sum()]
    crossed = (inverse[:, :rank] * inverse[:, rank:]).sum()
    by_s11, by_s22 = (
        0.5 * s * (v.square().sum() - trace)
        for s, v, trace in zip((model.s11, model.s22), (u1, u2), traces, strict=True)
    )
    score = torch.cat([D.T @ by_1, D.T @ by_2, D.T @ by_eta, torch.stack([u1 @ u2 - crossed, by_s11, by_s22])])
    zero = torch.zeros_like(u1)
    Y = torch.cat(
        [
            _moved(B1, B2, (model.F1 * p1 + 0.5 * G * p2)[:, None] * D, (0.5 * G * p1)[:, None] * D),
            _moved(B1, B2, (0.5 * G * p2)[:, None] * D, (model.F2 * p2 + 0.5 * G * p1)[:, None] * D),
            _moved(B1, B2, (H * p2)[:, None] * D, (H * p1)[:, None] * D),
            torch.cat([u2, u1])[:, None],
            model.s11 * torch.cat([u1, zero])[:, None],
            model.s22 * torch.cat([zero, u2])[:, None],
        ],
        dim=1,
    )
    half_Y = inverse @ Y
    log_p = -L.diagonal().log().sum() - 0.5 * half.square().sum() - rank * math.log(2 * math.pi)
    curvature = torch.diag(torch.cat([torch.zeros(len(score) - 2), torch.stack([-by_s11, -by_s22]).cpu()]).to(L))
    quarter, K = 0.25 * G * g12, D.shape[1]
    blocks = {
        (0, 0): model.F1 * g11 + quarter, (1, 1): model.F2 * g22 + quarter, (0, 1): quarter,
        (2, 2): -2 * model.rho * by_eta, (0, 2): 0.5 * by_eta, (1, 2): 0.5 * by_eta,
    }  # fmt: skip
    for (i, j), weight in blocks.items():
        block = -D.T @ (weight[:, None] * D)
        curvature[i * K : (i + 1) * K, j * K : (j + 1) * K] = block
        curvature[j * K : (j + 1) * K, i * K : (i + 1) * K] = block.T
    return WindowInformation(
        log_p=float(log_p),
        score=score.cpu().numpy(),
        information=(0.5 * half_Y.T @ half_Y).cpu().numpy(),
        curvature=curvature.cpu().numpy(),
        variant_score=by_eta.cpu().numpy(),
    )


def _covariance(pair: TraitPair, model: PairVariances, G: Float[Tensor, " variant"]) -> Float[Tensor, "n n"]:
    C11, C22 = (pair.B1 * model.F1) @ pair.B1.T, (pair.B2 * model.F2) @ pair.B2.T
    C12 = (pair.B1 * G) @ pair.B2.T
    for block, noise in ((C11, model.s11), (C22, model.s22), (C12, model.s12)):
        block.diagonal().add_(noise)
    return torch.cat([torch.cat([C11, C12], dim=1), torch.cat([C12.T, C22], dim=1)])


def _moved(B1: Tensor, B2: Tensor, first: Tensor, second: Tensor) -> Float[Tensor, "n direction"]:
    """What a change of the variances adds to the covariance, applied to u."""
    return torch.cat([B1 @ first, B2 @ second])
