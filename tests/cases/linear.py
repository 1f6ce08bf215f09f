"""Genotypes in LD and expression with a known architecture, for tests of the linear models."""

from __future__ import annotations

import numpy as np
from scipy.linalg import null_space
from scipy.stats import multivariate_normal


def dosages(rng: np.random.Generator, people: int, variants: int) -> np.ndarray:
    """Counts of an allele on two haplotypes, each the sign of a walk along the window; every variant varies."""
    walks = np.cumsum(rng.standard_normal((2, people, variants)), axis=2) + 3 * rng.standard_normal(
        (2, people, variants)
    )
    cut = np.quantile(walks, rng.uniform(0.5, 0.9), axis=(0, 1))
    X = (walks > cut).sum(axis=0).astype(float)
    X[0], X[1] = 0, 1
    return X


def standard(X: np.ndarray) -> np.ndarray:
    return np.asarray((X - X.mean(axis=0)) / X.std(axis=0))


def polygenic(rng: np.random.Generator, X: np.ndarray, h2: float, variance: np.ndarray | None = None) -> np.ndarray:
    """`y = Z beta + e`, beta_j ~ N(0, h2 variance_j / sum variance), e ~ N(0, 1 - h2)."""
    share = np.ones(X.shape[1]) if variance is None else variance
    beta = rng.standard_normal(X.shape[1]) * np.sqrt(h2 * share / share.sum())
    return np.asarray(standard(X) @ beta + np.sqrt(1 - h2) * rng.standard_normal(X.shape[0]))


def brute_force(Z: np.ndarray, y: np.ndarray, h2: float, sigma2: float, covariates: np.ndarray | None = None) -> float:
    """The density of the error contrasts A'y, A an orthonormal basis of what is orthogonal to the fixed effects."""
    fixed = np.ones((y.size, 1)) if covariates is None else np.column_stack([np.ones(y.size), covariates])
    A = null_space(fixed.T)
    V = sigma2 * (h2 * Z @ Z.T / Z.shape[1] + (1 - h2) * np.eye(y.size))
    return float(multivariate_normal(cov=A.T @ V @ A).logpdf(A.T @ y))
