"""Genotypes in LD and expression with a known architecture, for tests of the linear models."""

from __future__ import annotations

import numpy as np


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
