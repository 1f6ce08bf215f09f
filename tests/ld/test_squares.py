"""Squared correlations made again from a stored window, against the correlations themselves."""

from __future__ import annotations

import numpy as np
import pytest

from varfx.ld import squares
from varfx.ld.build import ld_scores
from varfx.ld.squares import squared_correlations
from varfx.ld.whiten import Factors, factors_from_genotypes


def sample(rng: np.random.Generator, people: int) -> np.ndarray:
    """Standardised genotypes of 60 variants; neighbours are correlated."""
    walk = rng.standard_normal((people, 60)).cumsum(axis=1)
    X = walk + 3 * rng.standard_normal((people, 60))
    return (X - X.mean(0)) / X.std(0)


@pytest.mark.parametrize("people", [30, 200])
@pytest.mark.parametrize("block_bytes", [2**27, 1])
def test_they_are_those_of_the_sample_less_their_bias(
    rng: np.random.Generator, people: int, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(squares, "BLOCK_BYTES", block_bytes)
    X = sample(rng, people)
    R = X[:, 10:50].T @ X / people
    found = squared_correlations(factors_from_genotypes(X[:, 10:50], X), people)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, R**2 - (1 - R**2) / (people - 2), rtol=1e-3, atol=2e-5)
    np.testing.assert_allclose(found.astype(float).sum(axis=1), ld_scores(R, people), rtol=1e-3)
    assert np.all(np.abs(found[np.arange(40), np.arange(10, 50)] - 1) < 1e-3)  # with itself


def test_half_precision_storage_and_a_nominal_sample_size(rng: np.random.Generator) -> None:
    X = sample(rng, 200)
    whole = factors_from_genotypes(X, X)
    stored = Factors(lam=whole.lam, V=whole.V.astype(np.float32), B=whole.B.astype(np.float16))
    np.testing.assert_allclose(squared_correlations(stored, 2), (X.T @ X / 200) ** 2, atol=2e-3)
