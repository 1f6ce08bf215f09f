"""Evidence lower bound of a whitened window under sparse effects on a polygenic background, and its gradient.

An effect in units of 1 / sqrt(N) is b_m = u_m + s_m, of variance F_m = N f_m whatever the rest:

    u_m ~ N(0, kappa F_m)                                     the background, integrated out: C = kappa B F B' + sigma2 I
    s_m ~ (1 - pi_m) delta_0 + pi_m sum_k q_k N(0, v_mk)      v_mk = (1 - kappa) F_m c_k / (pi_m sum_j q_j c_j)

With q(s) = prod_m q_m(s_m), posterior chances gamma_mk, and N(mu_mk, t_mk) in slab k, the log density of w is at least

    bound = E_q log N(w - B s; 0, C) - KL(q | p)

`expectation_step` raises it by coordinate ascent over q; `lower_bound` has its gradient at a fixed q, which at the best q is that of
the bound's maximum. With D the diagonal of Var_q(s), a_m = C^-1/2 b_m and r = C^-1/2 (w - B E s):

    d bound / d log odds pi_m = gamma_m - pi_m                     at fixed v
    d bound / d log v_mk      = gamma_mk / 2 ((mu_mk^2 + t_mk) / v_mk - 1)
    d bound / d (kappa F_m)   = 1/2 [ (a_m' r)^2 + a_m' A D A' a_m - a_m' a_m ]

kappa near 1 is the normal prior and its exact likelihood; kappa = 0 with pi = 1 its mean-field bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from varfx.errors import DataError
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood.known_gradient import with_gradient
from varfx.linalg.compiled import compiled

MOST_SWEEPS = 100
TOLERANCE = 1e-3  # nats: a sweep that adds less is the last


@dataclass(frozen=True, eq=False)
class MixturePrior:
    """Distribution of the effects of a window's variants.

    Attributes:
        F: N times the variance of each effect, background and sparse part together.
        log_odds: log pi_m / (1 - pi_m).
        background: kappa, below 1.
        slabs: q_k, which add to 1.
        sizes: c_k.
    """

    F: Float[Tensor, " variant"]
    log_odds: Float[Tensor, " variant"]
    background: Float[Tensor, ""]
    slabs: Float[Tensor, " slab"]
    sizes: tuple[float, ...]

    def log_chances(self) -> tuple[Float[Tensor, "slab variant"], Float[Tensor, " variant"]]:
        """log pi_m q_k and log(1 - pi_m)."""
        return self.slabs.log()[:, None] + logsigmoid(self.log_odds), logsigmoid(-self.log_odds)

    def log_variances(self) -> Float[Tensor, "slab variant"]:
        """log v_mk."""
        c = torch.tensor(self.sizes, dtype=self.F.dtype, device=self.F.device)
        relative = c.log() - (self.slabs * c).sum().log() + torch.log1p(-self.background)
        return relative[:, None] + self.F.log() - logsigmoid(self.log_odds)

    def detached(self) -> MixturePrior:
        """The same distribution outside any graph."""
        F, log_odds, background, slabs = (
            each.detach() for each in (self.F, self.log_odds, self.background, self.slabs)
        )
        return MixturePrior(F, log_odds, background, slabs, self.sizes)


@dataclass(frozen=True, eq=False)
class SparsePosterior:
    """q(s) of a window.

    Attributes:
        chance: gamma_mk.
        centre: mu_mk.
        spread: t_mk.
        bounds: the bound after each sweep, which never falls.
    """

    chance: Float[Tensor, "slab variant"]
    centre: Float[Tensor, "slab variant"]
    spread: Float[Tensor, "slab variant"]
    bounds: tuple[float, ...] = ()

    def mean(self) -> Float[Tensor, " variant"]:
        """E s."""
        return (self.chance * self.centre).sum(0)

    def variance(self) -> Float[Tensor, " variant"]:
        """Var s."""
        return (self.chance * (self.centre**2 + self.spread)).sum(0) - self.mean() ** 2


@dataclass(frozen=True, eq=False)
class _Whitened:
    """A window whitened by C, too.

    Attributes:
        A: `(L^-1 B)'` with the lower Cholesky factor L of C, one row per variant.
        w: `L^-1 w`.
        inverse: `L^-1`.
        log_p: log N(w; 0, C).
    """

    A: Float[Tensor, "variant rank"]
    w: Float[Tensor, " rank"]
    inverse: Float[Tensor, "rank rank"]
    log_p: float

    @classmethod
    def of(cls, window: WhitenedWindow, prior: MixturePrior, sigma2: float, dtype: torch.dtype) -> _Whitened:
        """Factorises C.

        Raises:
            DataError: the window holds replicates, or C cannot be factorised.
        """
        if window.w.ndim != 1:
            raise DataError(f"the window holds {window.replicates} replicates: the bound needs one.")
        B = window.B.to(dtype) if window.T is None else window.T.to(dtype) @ window.B.to(dtype)
        C = (B * (prior.background * prior.F).to(dtype)) @ B.T
        C.diagonal().add_(sigma2)
        factor, failed = torch.linalg.cholesky_ex(C)
        if failed:
            raise DataError(f"the covariance of {window.rank} whitened associations cannot be factorised in {dtype}.")
        unit = torch.eye(window.rank, dtype=dtype, device=C.device)
        inverse = torch.linalg.solve_triangular(factor, unit, upper=False)
        w = inverse @ window.w.to(dtype)
        log_det = 2 * float(factor.diagonal().double().log().sum())
        log_p = -0.5 * (window.rank * math.log(2 * math.pi) + log_det + float(w.double().square().sum()))
        return cls(B.T @ inverse.T, w, inverse, log_p)


@torch.no_grad()
def expectation_step(
    window: WhitenedWindow,
    prior: MixturePrior,
    sigma2: float,
    *,
    dtype: torch.dtype = torch.float64,
    tolerance: float = TOLERANCE,
    most_sweeps: int = MOST_SWEEPS,
) -> SparsePosterior:
    """q(s) by coordinate ascent from s = 0, variants of the strongest associations first.

    Args:
        window: whitened associations, without replicates.
        prior: of their effects.
        sigma2: residual variance of z.
        dtype: of the products, float64 or float32.
        tolerance: a sweep that raises the bound by fewer nats is the last.
        most_sweeps: at most so many.

    Raises:
        DataError: see `lower_bound`.
    """
    prior = prior.detached()
    return _ascend(_Whitened.of(window, prior, sigma2, dtype), prior, tolerance, most_sweeps)


def lower_bound(
    window: WhitenedWindow,
    prior: MixturePrior,
    sigma2: float,
    posterior: SparsePosterior | None = None,
    *,
    dtype: torch.dtype = torch.float64,
) -> Float[Tensor, ""]:
    """The bound in nats, with first derivatives to all tensors of the prior.

    Args:
        window: whitened associations, without replicates.
        prior: of their effects.
        sigma2: residual variance of z.
        posterior: q(s), held fixed; by default that of `expectation_step`.
        dtype: of the products; float64 or float32.

    Raises:
        DataError: the window holds replicates, or C cannot be factorised.
    """
    with torch.no_grad():
        fixed = prior.detached()
        whitened = _Whitened.of(window, fixed, sigma2, dtype)
        q = _ascend(whitened, fixed, TOLERANCE, MOST_SWEEPS) if posterior is None else posterior
        value, slope = _expected_log_density(whitened, q)
    background_F = prior.background * prior.F
    return with_gradient(value, [background_F], [slope]) - _divergence(prior, q)


def _expected_log_density(whitened: _Whitened, q: SparsePosterior) -> tuple[Tensor, Float[Tensor, " variant"]]:
    """E_q log N(w - B s; 0, C), and its derivatives to kappa F."""
    A, mean, variance = whitened.A, q.mean(), q.variance()
    d = A.square().sum(1)
    residual = whitened.w - A.T @ mean.to(A.dtype)
    H = -torch.outer(residual, residual) - (A.T * variance.to(A.dtype)) @ A
    H.diagonal().add_(1.0)
    slope = -0.5 * ((A @ H) * A).sum(1)
    squares = (whitened.w.double().square().sum() - residual.double().square().sum()) / 2
    return whitened.log_p + squares - 0.5 * (d.double() * variance.double()).sum(), slope


def _divergence(prior: MixturePrior, q: SparsePosterior) -> Tensor:
    """KL(q | p)."""
    log_chances, log_null = (each.double() for each in prior.log_chances())
    log_v = prior.log_variances().double()
    chance, centre, spread = (each.double() for each in (q.chance, q.centre, q.spread))
    null = (1 - chance.sum(0)).clamp_min(0.0)
    inclusion = torch.xlogy(chance, chance) - chance * log_chances
    exclusion = torch.xlogy(null, null) - null * log_null
    size = 0.5 * chance * ((centre**2 + spread) * (-log_v).exp() - 1 - spread.log() + log_v)
    return inclusion.sum() + exclusion.sum() + size.sum()


def _ascend(whitened: _Whitened, prior: MixturePrior, tolerance: float, most_sweeps: int) -> SparsePosterior:
    """Coordinate ascent, on the CPU."""
    A, residual = whitened.A.cpu().numpy(), whitened.w.cpu().numpy().copy()
    log_chances, log_null = (each.double().cpu().numpy() for each in prior.log_chances())
    log_v = prior.log_variances().double().cpu().numpy()
    d = np.square(A).sum(1).astype(np.float64)
    t = 1 / (d + np.exp(-log_v))
    constant = log_chances - log_null + 0.5 * (np.log(t) - log_v)
    order = np.argsort(-np.abs(A @ residual), kind="stable")
    chance, own, mean = np.zeros_like(t), np.zeros(len(d)), np.zeros(len(d))
    start = whitened.log_p + 0.5 * float(whitened.w.double().square().sum()) + float(log_null.sum())
    bounds: list[float] = []
    for _ in range(most_sweeps):
        others = compiled(_sweep)(A, order, d, constant, t, chance, own, mean, residual)
        bounds.append(start - 0.5 * float(np.square(residual, dtype=np.float64).sum()) + others)
        if len(bounds) > 1 and bounds[-1] - bounds[-2] < tolerance:
            break
    chances, centre, spread = (torch.from_numpy(each).to(prior.F.device) for each in (chance, t * own, t))
    return SparsePosterior(chances, centre, spread, tuple(bounds))


def _sweep(A: Any, order: Any, d: Any, constant: Any, t: Any, chance: Any, own: Any, mean: Any, residual: Any) -> float:
    """Brings q of every variant to its best given the others'; machine code.

    `constant` is log(pi_mk / (1 - pi_m)) + 1/2 log(t_k / v_mk); `own` a variant's association g without the others' effects, so that
    the slabs' centres are `t own`. Changes `chance`, `own`, `mean` and `residual`. Returns the variants' part of the bound but for
    log(1 - pi_m): with Z the sum of the slabs' weights and 1, KL_m and -1/2 d Var s_m add up to
    `log Z - g E s_m + 1/2 d (E s_m)^2`.
    """
    slabs, rank = t.shape[0], A.shape[1]
    bound = 0.0
    for m in order:
        g = d[m] * mean[m]
        for i in range(rank):
            g += A[m, i] * residual[i]
        top = 0.0
        for k in range(slabs):
            chance[k, m] = constant[k, m] + 0.5 * t[k, m] * g * g
            top = max(top, chance[k, m])
        total = np.exp(-top)
        for k in range(slabs):
            chance[k, m] = np.exp(chance[k, m] - top)
            total += chance[k, m]
        after = 0.0
        for k in range(slabs):
            chance[k, m] /= total
            after += chance[k, m] * t[k, m] * g
        own[m] = g
        bound += top + np.log(total) - g * after + 0.5 * d[m] * after * after
        change = after - mean[m]
        mean[m] = after
        if change != 0:
            for i in range(rank):
                residual[i] -= A[m, i] * change
    return bound
