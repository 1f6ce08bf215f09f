"""The paper's window likelihood, transcribed slowly in float64 NumPy: the oracle of the engines.

DeepWAS Eq. 2, times N: `z_i ~ N(0, D R[i,+] F R[+,i] D + sigma2 R[i,i])` with `D = diag(sqrt(N_m / N_ref))` and `F = N_ref f`,
where i are the observed core variants and + the panel. R is singular, so that the density is taken on the range of R[i,i]:
with an orthonormal basis Q of that range the data are `Q' z`, and the constant log|R[i,i]|+ turns their nats into those of the
whitened data. Nothing of varfx is used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import ndarray


class Truth(NamedTuple):
    log_p: float
    grad_F: ndarray
    grad_sigma2: float


def log_likelihood(
    R_core: ndarray, R_cross: ndarray, z: ndarray, F: ndarray, sigma2: float, scale: ndarray | None = None
) -> Truth:
    """log p of the whitened associations, and its derivatives, from dense inverses."""
    values, vectors = np.linalg.eigh(R_core)
    inside = values > 1e-8 * values[-1]
    Q, lam = vectors[:, inside], values[inside]
    D = np.eye(len(z)) if scale is None else np.diag(scale)
    rows = Q.T @ D @ R_cross  # (rank, M)
    covariance = rows @ np.diag(F) @ rows.T + sigma2 * np.diag(lam)
    inverse = np.linalg.inv(covariance)
    data = Q.T @ z
    _, log_det = np.linalg.slogdet(covariance)
    log_p = -0.5 * (log_det - np.log(lam).sum() + data @ inverse @ data + len(lam) * np.log(2 * np.pi))
    y = inverse @ data
    grad_F = np.array([0.5 * ((row @ y) ** 2 - row @ inverse @ row) for row in rows.T])
    grad_sigma2 = 0.5 * (y @ (lam * y) - np.trace(inverse * lam))
    return Truth(float(log_p), grad_F, float(grad_sigma2))


def correlated(rng: np.random.Generator, people: int, variants: int, memory: float = 0.9) -> ndarray:
    """Standardised columns of an autoregressive process, `X'X / people` a correlation matrix of rank below `people`."""
    X = rng.standard_normal((people, variants))
    for column in range(1, variants):
        X[:, column] = memory * X[:, column - 1] + np.sqrt(1 - memory**2) * X[:, column]
    X -= X.mean(axis=0)
    return np.asarray(X / np.sqrt((X**2).mean(axis=0)))
