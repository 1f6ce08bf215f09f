"""Does a window's LD fit its associations? Three numbers from what a panel stores.

With the kept eigenpairs `V, lam` of R, q = V' z, and the rest of R (trace `mu`, squared norm `nu`):

    energy         E = |z|^2 - |q|^2 outside the kept directions, mean mu, variance 2 nu without effects (Satterthwaite's chi2)
    estimate_s     argmax_s N(z; 0, (1 - s) R + s I)     (Zou et al. 2022)
    variance_lr    2 log ratio of N(z; 0, F R^2 + sigma2 R) at the best sigma2 and at 1

Signal leaves the kept directions too. Many effects of variance F make the rest of z's covariance `R_o + F R_o^2`; strong effects add
`g = reach sum b^2 d` (`varfx.qc.strong_effects`; top bounds the rest's eigenvalues):

    mean of E   mu + F nu + g          variance of E   2 nu (1 + F top)^2 + 4 top g

The strong effects are taken out of q before the likelihood ratios are computed, which know effects of one variance F only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import minimize_scalar
from scipy.stats import chi2, norm

from varfx.qc.strong_effects import REACH, largest_outside, strong_effects

ROUNDING_S = 1e-3  # of s, which says nothing about the LD
MIN_REST = 1e-6  # share of the trace outside the kept directions below which there is nothing to test
F_BOUNDS = (np.log(1e-6), np.log(1e5))
SIGMA2_BOUNDS = (np.log(0.5), np.log(400.0))


@dataclass(frozen=True)
class WindowCheck:
    """How well the LD of one window fits its associations.

    Attributes:
        variants: number of associations.
        mean_chi2: mean of z^2.
        energy_ratio: energy outside the kept directions over its mean; NaN where nothing is outside.
        energy_z: normal deviate of `energy_p`; NaN where the panel lacks |R|^2.
        energy_p: p-value of the energy.
        energy_least: energy over its mean if strong effects left outside all that they can; at most `energy_ratio`.
        s: share of z that R does not explain.
        s_lr: 2 log likelihood ratio of an s beside a constant prior and 0.001, which rounding of stored LD leaves.
        sigma2: residual variance of z beside a constant prior.
        variance_lr: 2 log likelihood ratio of `sigma2` and 1.
    """

    variants: int
    mean_chi2: float
    energy_ratio: float
    energy_z: float
    energy_p: float
    energy_least: float
    s: float
    s_lr: float
    sigma2: float
    variance_lr: float


@dataclass(frozen=True, eq=False)
class Directions:
    """The kept directions of the LD of a window's observed variants, and what lies outside.

    Attributes:
        V: orthonormal columns, (observed, rank).
        lam: variance of z along each.
        rest: variance of z outside (the trace of the rest).
        rest_square: squared norm of the rest; None where the panel lacks it.
        lacking: variance of each variant's z outside.
    """

    V: Float[ndarray, "observed rank"]
    lam: Float[ndarray, " rank"]
    rest: float
    rest_square: float | None
    lacking: Float[ndarray, " observed"]


def directions_of(
    lam: Float[ndarray, " rank"],
    V: Float[ndarray, "core rank"],
    observed: Int[ndarray, " observed"],
    square_norm: float | None,
) -> Directions:
    """The directions of the observed variants of a core.

    Missing variants take directions away from the outside; those left are taken for a random choice of them.

    Args:
        lam: kept eigenvalues of the core.
        V: kept eigenvectors.
        observed: rows of the variants with an association.
        square_norm: |R|_F^2 of the whole core.
    """
    V = V.astype(np.float64)
    size = V.shape[0]
    own = np.minimum(np.einsum("jr,jr,r->j", V, V, lam), 1.0)
    lacking = 1 - own
    square = None if square_norm is None else max(0.0, square_norm - float((lam**2).sum()))
    if observed.size == size:
        return Directions(V=V, lam=lam, rest=float(lacking.sum()), rest_square=square, lacking=lacking)
    U = V[observed] * np.sqrt(lam)
    kept, Q = np.linalg.eigh(U.T @ U)
    used = kept > 1e-8 * kept[-1]
    kept, Q = kept[used], Q[:, used]
    rest = float(lacking.sum())
    beyond = max(1, size - lam.size)  # directions outside, of which some are lost with the variants
    left = max(0, observed.size - kept.size) / beyond
    if square is not None:
        square = left**2 * square + left * (1 - left) * rest**2 / beyond
    added = max(0.0, float(lacking[observed].sum()) - left * rest) / kept.size
    return Directions(
        V=U @ (Q / np.sqrt(kept)), lam=kept + added, rest=left * rest, rest_square=square, lacking=lacking[observed]
    )


def check_window(z: Float[ndarray, " observed"], directions: Directions) -> WindowCheck:
    """How well the LD of one window fits its associations."""
    lam = directions.lam
    q = directions.V.T @ z
    total = float(z @ z)
    outside = max(0.0, total - float(q @ q))
    beyond = z.size - lam.size
    strong = strong_effects(z, directions.V * np.sqrt(lam), directions.lacking)
    top = largest_outside(directions.rest, directions.rest_square or np.inf, beyond, float(lam.min()))
    left = q - lam * (strong.b @ directions.V[strong.rows])
    F, sigma2, ratio = _variance(lam, left * left)
    if strong.rows.size:
        sigma2, ratio = min((sigma2, ratio), _variance(lam, q * q)[1:], key=lambda found: found[1])
    mean_reach = (directions.rest_square or np.inf) / max(directions.rest, MIN_REST)
    leaves = strong.outside(min(top, REACH * mean_reach))
    energy_ratio, deviate, p = _energy(outside, directions, F, top, leaves)
    most = _mean_energy(directions, F, max(leaves, strong.at_most(top)))
    least = energy_ratio * _mean_energy(directions, F, leaves) / most if most > 0 else np.nan
    expected = directions.rest + leaves
    own = outside * directions.rest / expected if expected > 0 else outside
    s = _inconsistency(lam, q * q, directions.rest, outside, beyond, 0.0)[0]
    s_lr = _inconsistency(lam, left * left, directions.rest, own, beyond, F)[1]
    return WindowCheck(
        variants=z.size,
        mean_chi2=total / z.size,
        energy_ratio=energy_ratio,
        energy_z=deviate,
        energy_p=p,
        energy_least=least,
        s=s,
        s_lr=s_lr,
        sigma2=sigma2,
        variance_lr=ratio,
    )


def estimate_s(z: Float[ndarray, " variant"], R: Float[ndarray, "variant variant"]) -> float:
    """The share of z that R does not explain, from plain arrays: `argmax_s N(z; 0, (1 - s) R + s I)`."""
    lam, V = np.linalg.eigh(R)
    lam = np.where(lam < 1e-8, 0.0, lam)
    return _inconsistency(lam, np.square(V.T @ z), 0.0, 0.0, 0, 0.0)[0]


def _mean_energy(directions: Directions, F: float, strong: float) -> float:
    """Mean of the energy outside, given effects of variance F and what strong ones leave."""
    return directions.rest + F * (directions.rest_square or 0.0) + strong


def _energy(outside: float, directions: Directions, F: float, top: float, strong: float) -> tuple[float, float, float]:
    """Ratio to the mean, normal deviate and p-value of the energy outside, given effects of variance F and what strong ones leave."""
    mu = directions.rest
    if mu <= MIN_REST * directions.lacking.size:
        return (np.nan, np.nan, np.nan)
    square = directions.rest_square
    if square is None or square <= 0:
        return outside / (mu + strong), np.nan, np.nan
    mean = _mean_energy(directions, F, strong)
    half_variance = square * (1 + F * top) ** 2 + 2 * top * strong
    scale, freedom = half_variance / mean, mean**2 / half_variance
    p = float(chi2.sf(outside / scale, freedom))
    logp = float(chi2.logsf(outside / scale, freedom))
    deviate = float(norm.isf(p)) if p > 1e-300 else float(np.sqrt(-2 * logp))
    return outside / mean, deviate, p


def _inconsistency(
    lam: ndarray, q2: ndarray, rest: float, outside: float, beyond: int, F: float
) -> tuple[float, float]:
    """estimate_s, and the likelihood ratio of an s beside the signal F; `beyond` directions outside share the rest of the variance."""
    level = rest / beyond if beyond > 0 else 0.0

    def loss(s: float, F: float) -> float:
        C = (1 - s) * lam + s + F * lam * lam
        value = float((np.log(C) + q2 / C).sum())
        if beyond > 0:
            C_rest = (1 - s) * level + s + F * level * level
            value += beyond * float(np.log(C_rest)) + outside / C_rest
        return value

    def best(F: float) -> tuple[float, float]:
        found = minimize_scalar(
            lambda x: loss(np.exp(x), F), bounds=(np.log(1e-9), 0.0), method="bounded", options={"xatol": 1e-9}
        )
        return float(np.exp(found.x)), float(found.fun)

    s, lowest = best(F)
    return best(0.0)[0], max(0.0, loss(ROUNDING_S, F) - lowest) if s > ROUNDING_S else 0.0


def _variance(lam: ndarray, q2: ndarray) -> tuple[float, float, float]:
    """F given sigma2 = 1, the best sigma2, and 2 log likelihood ratio of that and 1, of whitened associations."""
    used = lam > 1e-4 * lam.max()
    lam, y2 = lam[used], q2[used] / lam[used]

    def best(sigma2: float) -> tuple[float, float]:
        def loss(x: float) -> float:
            C = np.exp(x) * lam + sigma2
            return float((np.log(C) + y2 / C).sum())

        found = minimize_scalar(loss, bounds=F_BOUNDS, method="bounded", options={"xatol": 1e-3})
        return float(found.fun), float(np.exp(found.x))

    at_one, F = best(1.0)
    found = minimize_scalar(
        lambda x: best(np.exp(x))[0], bounds=SIGMA2_BOUNDS, method="bounded", options={"xatol": 1e-3}
    )
    return F, float(np.exp(found.x)), max(0.0, at_one - float(found.fun))
