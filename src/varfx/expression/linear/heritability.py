"""Cis-heritability by restricted maximum likelihood (REML), exactly, on the eigenvalues of the relationship matrix.

    y ~ N(C b, sigma2 [h2 K + (1 - h2) I]),    K = Z Z' / M,    Z standardised, so that the mean of K's diagonal is 1

With P the projection off the fixed effects (intercept and covariates C, p columns) and `P K P = U diag(d) U'`, the n - p
error contrasts are independent, of variance `sigma2 v_i`, `v_i = 1 + h2 (d_i - 1)`, and sigma2 has a closed maximum:

    l(h2) = -1/2 [ (n - p) log(2 pi S / (n - p)) + sum_i log v_i + (n - p) ],    S = sum_i (U' y)_i^2 / v_i

so that one number is searched for (Patterson and Thompson 1971; Kang et al. 2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import chi2

from varfx.errors import DataError

MAX_H2 = 0.999  # the search's end: beyond, residuals have no variance
EIGENVALUE_FLOOR = 1e-10  # of the largest; below is rounding
_GRID = np.concatenate([[0.0], np.geomspace(1e-5, 0.05, 40), np.linspace(0.06, 0.98, 60), [0.99, 0.995, MAX_H2]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Contrasts:
    """The data in the basis where individuals are independent.

    Attributes:
        d: positive eigenvalues of P K P, descending.
        U: their eigenvectors.
        u: `U' y`.
        num_rest: contrasts with eigenvalue 0.
        rest_squares: sum of squares of y along them.
    """

    d: Float64[ndarray, " rank"]
    U: Float64[ndarray, "individual rank"]
    u: Float64[ndarray, " rank"]
    num_rest: int
    rest_squares: float

    @property
    def count(self) -> int:
        """Error contrasts: n - p."""
        return self.d.size + self.num_rest


@dataclass(frozen=True, kw_only=True)
class Heritability:
    """Share of variance that the variants of a window explain together.

    Attributes:
        h2: the estimate, in [0, 0.999].
        stderr: from the expected information at the estimate.
        ci95: where twice the log-likelihood is within 3.84 of the maximum.
        sigma2: variance in all, `h2 sigma2` of it genetic.
        log_p: restricted log-likelihood, in nats.
        log_p_null: the same at h2 = 0.
        p_value: of the likelihood ratio test against 0, on the boundary: half a chi-square with one degree of freedom.
        num_people: who were looked at.
        num_variants: columns of Z.
    """

    h2: float
    stderr: float
    ci95: tuple[float, float]
    sigma2: float
    log_p: float
    log_p_null: float
    p_value: float
    num_people: int
    num_variants: int


def reml(
    Z: Float64[ndarray, "individual variant"],
    y: Float64[ndarray, " individual"],
    covariates: Float64[ndarray, "individual covariate"] | None = None,
) -> Heritability:
    """The heritability of `y` by the variants of `Z`.

    Args:
        Z: standardised genotypes.
        y: expression.
        covariates: fixed effects beside the intercept, which is always there. Where `y` has had covariates regressed out
            in these same individuals, give them here, or the degrees of freedom they took are not accounted for.

    Raises:
        DataError: too few individuals, no variation in `y`.
    """
    contrasts = rotate(Z, y, covariates)
    h2 = maximise(contrasts)
    log_p, sigma2 = log_likelihood(contrasts, h2)
    log_p_null, _ = log_likelihood(contrasts, 0.0)
    statistic = 2 * (log_p - log_p_null)
    return Heritability(
        h2=h2,
        stderr=_stderr(contrasts, h2),
        ci95=_interval(contrasts, h2, log_p),
        sigma2=sigma2,
        log_p=log_p,
        log_p_null=log_p_null,
        p_value=float(chi2.sf(statistic, 1) / 2) if h2 > 0 else 1.0,
        num_people=y.size,
        num_variants=Z.shape[1],
    )


def rotate(
    Z: Float64[ndarray, "individual variant"],
    y: Float64[ndarray, " individual"],
    covariates: Float64[ndarray, "individual covariate"] | None = None,
) -> Contrasts:
    """The independent contrasts of `y` under `K = Z Z' / M`; see `reml`.

    Raises:
        DataError: no more individuals than fixed effects, or `y` does not vary beside them.
    """
    n, M = Z.shape
    fixed = np.ones((n, 1)) if covariates is None else np.column_stack([np.ones(n), covariates])
    basis = _range(fixed)
    count = n - basis.shape[1]
    if count < 2:
        raise DataError(
            f"{n} individuals and {basis.shape[1]} fixed effects leave nothing to estimate heritability from."
        )
    residual = y - basis @ (basis.T @ y)
    if not residual.std() > 1e-12 * max(1.0, float(np.abs(y).max())):
        raise DataError("`y` is constant, or explained by the covariates: it has no heritability.")
    d, U = _eigenpairs(Z - basis @ (basis.T @ Z))
    d, U = d[:count], U[:, :count]
    u = U.T @ residual
    rest = max(0.0, float(residual @ residual - u @ u)) if d.size < count else 0.0
    return Contrasts(d=d / max(1, M), U=U, u=u, num_rest=count - d.size, rest_squares=rest)


def log_likelihood(contrasts: Contrasts, h2: float) -> tuple[float, float]:
    """The restricted log-likelihood at `h2`, and the total variance that maximises it there."""
    v = 1 + h2 * (contrasts.d - 1)
    sigma2 = (float(np.sum(contrasts.u**2 / v)) + contrasts.rest_squares / (1 - h2)) / contrasts.count
    log_det = float(np.log(v).sum()) + contrasts.num_rest * math.log1p(-h2)
    return -0.5 * (contrasts.count * (math.log(2 * math.pi * sigma2) + 1) + log_det), sigma2


def maximise(contrasts: Contrasts) -> float:
    """The h2 of largest likelihood: the best place of a grid, refined between its neighbours."""
    if not contrasts.d.size:
        return 0.0
    v = 1 + _GRID[:, None] * (contrasts.d - 1)
    S = (contrasts.u**2 / v).sum(axis=1) + contrasts.rest_squares / (1 - _GRID)
    values = contrasts.count * np.log(S) + np.log(v).sum(axis=1) + contrasts.num_rest * np.log1p(-_GRID)
    best = int(values.argmin())
    low, high = _GRID[max(0, best - 1)], _GRID[min(_GRID.size - 1, best + 1)]
    found = minimize_scalar(
        lambda h2: -log_likelihood(contrasts, h2)[0], bounds=(low, high), method="bounded", options={"xatol": 1e-9}
    )
    at_grid, _ = log_likelihood(contrasts, float(_GRID[best]))
    return float(found.x) if -found.fun > at_grid else float(_GRID[best])


def _stderr(contrasts: Contrasts, h2: float) -> float:
    """From the expected information about h2, sigma2 being estimated too: `1/2 [sum a^2 - (sum a)^2 / m]`."""
    a = (contrasts.d - 1) / (1 + h2 * (contrasts.d - 1))
    rest = -1 / (1 - h2)
    squares = float(a @ a) + contrasts.num_rest * rest**2
    total = float(a.sum()) + contrasts.num_rest * rest
    information = 0.5 * (squares - total**2 / contrasts.count)
    return information**-0.5 if information > 0 else math.inf


def _interval(contrasts: Contrasts, h2: float, log_p: float) -> tuple[float, float]:
    """The profile likelihood's 95 % interval within [0, MAX_H2]."""
    level = log_p - float(chi2.ppf(0.95, 1)) / 2

    def above(value: float) -> float:
        return log_likelihood(contrasts, value)[0] - level

    low = 0.0 if h2 == 0 or above(0.0) >= 0 else float(brentq(above, 0.0, h2))
    high = MAX_H2 if h2 == MAX_H2 or above(MAX_H2) >= 0 else float(brentq(above, h2, MAX_H2))
    return low, high


def _range(fixed: Float64[ndarray, "individual effect"]) -> Float64[ndarray, "individual rank"]:
    """An orthonormal basis of the columns' span; collinear ones count once."""
    scaled = fixed / np.maximum(np.sqrt((fixed**2).mean(axis=0)), 1e-300)
    U, s, _ = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray(U[:, s > 1e-10 * s[0]])


def _eigenpairs(
    Z: Float64[ndarray, "individual variant"],
) -> tuple[Float64[ndarray, " rank"], Float64[ndarray, "individual rank"]]:
    """Positive eigenvalues of `Z Z'`, descending, and their eigenvectors; by the smaller side."""
    if not Z.size:
        return np.empty(0), np.empty((Z.shape[0], 0))
    if Z.shape[0] <= Z.shape[1]:
        values, vectors = np.linalg.eigh(Z @ Z.T)
        values, vectors = values[::-1], vectors[:, ::-1]
    else:
        vectors, s, _ = np.linalg.svd(Z, full_matrices=False)
        values = s**2
    kept = values > EIGENVALUE_FLOOR * max(values[0], 1e-300)
    return values[kept], vectors[:, kept]
