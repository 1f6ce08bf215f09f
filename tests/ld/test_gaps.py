"""Large cores that lack a few associations: the same likelihood as by all eigenpairs, by Cholesky factors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from varfx.ld.gaps import above, reflections, turned
from varfx.ld.whiten import Factors, WhitenedWindow, factors_from_correlation, rewhiten
from varfx.likelihood import exact

RULES = rewhiten.__globals__


def block(seed: int, size: int, rank_variance: float) -> Factors:
    """An autoregressive block with a few repeated variants."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((4 * size, size))
    for j in range(1, size):
        X[:, j] = 0.9 * X[:, j - 1] + np.sqrt(1 - 0.81) * X[:, j]
    X[:, 1::9] = X[:, 0::9][:, : X[:, 1::9].shape[1]]
    R = np.corrcoef(X.T)
    return factors_from_correlation(R, R, rank_variance=rank_variance)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), missing=st.integers(0, 8), rank_variance=st.sampled_from([1.0, 0.99, 0.95]))
def test_the_likelihood_is_that_of_all_eigenpairs(seed: int, missing: int, rank_variance: float) -> None:
    rng = np.random.default_rng(seed)
    factors = block(seed, 60, rank_variance)
    observed = np.sort(rng.choice(60, 60 - missing, replace=False))
    z, F = factors.V[observed] @ (np.sqrt(factors.lam) * rng.standard_normal(factors.lam.size)), rng.gamma(1, 1, 60)
    found = []
    for least in (1, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(RULES, "LEAST_RANK", least)
            patch.setitem(RULES, "MOST_MISSING", 1.0)
            whitening = rewhiten(factors, observed)
        assert (whitening.strong is not None) == (least == 1 and missing > 0)
        np.testing.assert_allclose(whitening.associations(z), whitening.P @ z, atol=1e-9)
        B = torch.from_numpy(factors.B)
        left = None if whitening.T is None else torch.from_numpy(whitening.T)
        w = torch.from_numpy(whitening.P @ z)
        apart = float(exact(WhitenedWindow(B=B, w=w, T=left), torch.from_numpy(F), 1.1).log_p)
        merged = float(exact(WhitenedWindow(B=whitening.signal(B), w=w), torch.from_numpy(F), 1.1).log_p)
        assert merged == pytest.approx(apart, rel=1e-9)
        found.append((len(w), apart))
    assert found[0][0] == found[1][0]
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-9, abs=1e-8)


def test_noise_of_the_whitened_associations_is_independent() -> None:
    factors = block(3, 60, 0.99)
    observed = np.delete(np.arange(60), [4, 20, 21])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RULES, "LEAST_RANK", 1)
        whitening = rewhiten(factors, observed)
    noise = whitening.P @ whitening.U
    np.testing.assert_allclose(noise @ noise.T, np.eye(len(noise)), atol=1e-9)
    np.testing.assert_allclose(noise, np.eye(factors.lam.size) if whitening.T is None else whitening.T, atol=1e-9)


def test_weak_directions_are_those_of_the_eigenvalues() -> None:
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    values = np.concatenate([[0.0, 1e-9, 0.01, 0.02], np.linspace(0.1, 5, 36)])
    strong = above((Q * values) @ Q.T, 0.05, 0.0, 2)
    T = strong.rows()
    assert T is not None
    np.testing.assert_allclose(T.T @ T, Q[:, 4:] @ Q[:, 4:].T, atol=1e-9)
    X = rng.standard_normal((40, 3))
    np.testing.assert_allclose(strong.solve(X), T @ (Q[:, 4:] / values[4:]) @ Q[:, 4:].T @ X, atol=1e-9)


def test_reflections_turn_the_columns_into_axes() -> None:
    N = np.linalg.qr(np.random.default_rng(1).standard_normal((9, 3)))[0]
    Y, W = reflections(N)
    H = np.eye(9) - Y @ W.T
    np.testing.assert_allclose(H @ H.T, np.eye(9), atol=1e-12)
    np.testing.assert_allclose((H @ N)[3:], 0, atol=1e-12)
    B = torch.randn(9, 5, dtype=torch.float64)
    np.testing.assert_allclose(turned(torch.from_numpy(Y), torch.from_numpy(W), B), H[3:] @ B.numpy(), atol=1e-12)
