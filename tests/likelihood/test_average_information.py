"""Score and average information of a window against finite differences of the exact engine and a dense transcription."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from varfx.ld import WhitenedWindow
from varfx.likelihood import exact
from varfx.likelihood.average_information import window_information


@pytest.fixture
def case(rng: np.random.Generator) -> tuple[WhitenedWindow, torch.Tensor, torch.Tensor, float]:
    B, w = rng.standard_normal((7, 12)) / 3, rng.standard_normal(7) * 1.3
    T = np.linalg.qr(rng.standard_normal((7, 7)))[0][:6]
    window = WhitenedWindow(B=torch.from_numpy(B), w=torch.from_numpy(T @ w), T=torch.from_numpy(T))
    D = torch.from_numpy(np.c_[np.ones(12), rng.random((12, 2))])
    return window, torch.from_numpy(rng.random(12) * 3), D, 0.8


def test_score_is_the_slope_of_the_exact_log_p(case: tuple[WhitenedWindow, torch.Tensor, torch.Tensor, float]) -> None:
    window, F, D, sigma2 = case

    def log_p(theta: np.ndarray) -> float:
        moved = F * (D @ torch.from_numpy(theta[:-1])).exp()
        return float(exact(window, moved, sigma2 * float(np.exp(theta[-1])), dtype=torch.float64).log_p)

    found = window_information(window, F, D, sigma2)
    assert found is not None
    assert found.log_p == pytest.approx(log_p(np.zeros(4)), abs=1e-10)
    e = 1e-5
    slope = [(log_p(e * one) - log_p(-e * one)) / (2 * e) for one in np.eye(4)]
    np.testing.assert_allclose(found.score, slope, atol=1e-8)
    by_variant = []
    for m in range(12):
        one = torch.zeros(12, dtype=torch.float64)
        one[m] = e
        up, down = (exact(window, F * (sign * one).exp(), sigma2, dtype=torch.float64).log_p for sign in (1, -1))
        by_variant.append(float(up - down) / (2 * e))
    np.testing.assert_allclose(found.variant_score, by_variant, atol=1e-8)


def test_average_information_is_the_mean_of_observed_and_expected_in_linear_parameters(
    case: tuple[WhitenedWindow, torch.Tensor, torch.Tensor, float],
) -> None:
    window, F, D, sigma2 = case
    found = window_information(window, F, D, sigma2)
    assert found is not None
    assert window.T is not None
    B, w = (window.T @ window.B).numpy(), window.w.numpy()
    parts = [(B * (F.numpy() * column)) @ B.T for column in D.numpy().T] + [sigma2 * np.eye(6)]
    inverse = np.linalg.inv((B * F.numpy()) @ B.T + sigma2 * np.eye(6))
    u = inverse @ w
    expected = np.array([[0.5 * np.trace(inverse @ a @ inverse @ b) for b in parts] for a in parts])
    # of C linear in theta: minus the second derivative of log p
    observed = np.array([[u @ a @ inverse @ b @ u for b in parts] for a in parts]) - expected
    np.testing.assert_allclose(found.information, (observed + expected) / 2, rtol=1e-10)


def test_mean_information_is_the_variance_of_the_score(rng: np.random.Generator) -> None:
    B = torch.from_numpy(rng.standard_normal((10, 15)) / 3)
    F, D = torch.from_numpy(rng.random(15) * 2), torch.ones(15, 1, dtype=torch.float64)
    draws = []
    for _ in range(2000):
        w = B @ (F.sqrt() * torch.from_numpy(rng.standard_normal(15))) + torch.from_numpy(rng.standard_normal(10))
        draws.append(window_information(WhitenedWindow(B=B, w=w), F, D, 1.0))
    scores = np.array([draw.score for draw in draws if draw is not None])
    information = np.mean([draw.information for draw in draws if draw is not None], axis=0)
    assert len(scores) == 2000
    assert np.abs(scores.mean(0) / (scores.std(0) / 2000**0.5)).max() < 4
    np.testing.assert_allclose(np.cov(scores.T), information, rtol=0.12)


def test_a_covariance_that_is_not_positive_definite_has_no_likelihood() -> None:
    window = WhitenedWindow(B=torch.eye(2, dtype=torch.float64), w=torch.ones(2, dtype=torch.float64))
    ones = torch.ones(2, 1, dtype=torch.float64)
    assert window_information(window, -2 * torch.ones(2, dtype=torch.float64), ones, 1.0) is None
