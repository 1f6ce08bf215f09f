"""The composite likelihood is the sum of the likelihoods of windows of one association."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from varfx.errors import DataError
from varfx.ld.whiten import WhitenedWindow, whiten
from varfx.likelihood import exact
from varfx.likelihood.chi2 import Chi2Window
from varfx.likelihood.composite import composite


def correlations(rng: np.random.Generator, variants: int = 30, people: int = 80) -> np.ndarray:
    X = rng.standard_normal((people, variants)).cumsum(axis=1) + rng.standard_normal((people, variants))
    X = (X - X.mean(0)) / X.std(0)
    return X.T @ X / people


def make(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Chi2Window, Tensor]:
    """Correlations of 12 core with 30 panel variants, their z, the same as a window of chi2, and F."""
    R = correlations(rng)[9:21]
    z = rng.standard_normal(12) * 2
    window = Chi2Window(
        squares=torch.from_numpy(R**2),
        rows=torch.arange(12),
        chi2=torch.from_numpy(z**2),
        scale=torch.from_numpy(rng.uniform(0.6, 1.3, 12)),
        weights=torch.ones(12, dtype=torch.float64),
    )
    return R, z, window, torch.from_numpy(np.exp(rng.standard_normal(30)) / 5)


def test_it_is_the_sum_of_likelihoods_of_single_associations(rng: np.random.Generator) -> None:
    R, z, window, F = make(rng)
    result = composite(window, F, 0.8)
    total, grad_F, grad_sigma2 = 0.0, torch.zeros(30, dtype=torch.float64), 0.0
    for m in range(12):
        B, w, _ = whiten(np.ones((1, 1)), R[m : m + 1], z[m : m + 1], scale=window.scale[m : m + 1].sqrt())
        single = exact(WhitenedWindow(B=B, w=w), F, 0.8)
        total += float(single.log_p)
        grad_F += single.grad_F
        grad_sigma2 += float(single.grad_sigma2)
    assert float(result.composite_log_p) == pytest.approx(total, rel=1e-12)
    torch.testing.assert_close(result.grad_F, grad_F, rtol=1e-10, atol=1e-12)
    assert float(result.grad_sigma2) == pytest.approx(grad_sigma2, rel=1e-10)
    assert result.num_observed == 12


def test_gradient_is_that_of_autograd_and_finite_differences(rng: np.random.Generator) -> None:
    _, _, window, F = make(rng)
    F, sigma2 = F.requires_grad_(), torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    v = window.scale * (window.squares @ F) + sigma2
    written = -0.5 * (window.chi2 / v + (2 * math.pi * v).log()).sum()
    by_F, by_sigma2 = torch.autograd.grad(written, (F, sigma2))
    result = composite(window, F, sigma2)
    torch.testing.assert_close(result.composite_log_p, written)
    got_F, got_sigma2 = torch.autograd.grad(result.composite_log_p, (F, sigma2))
    torch.testing.assert_close(got_F, by_F)
    torch.testing.assert_close(got_sigma2, by_sigma2)
    values, step = F.detach(), 1e-5
    for k in (0, 13, 29):
        bump = torch.zeros_like(values)
        bump[k] = step
        change = (
            composite(window, values + bump, 0.8).composite_log_p
            - composite(window, values - bump, 0.8).composite_log_p
        )
        assert float(change) / (2 * step) == pytest.approx(float(result.grad_F[k]), rel=1e-6)


def test_only_observed_variants_count(rng: np.random.Generator) -> None:
    _, _, window, F = make(rng)
    kept = torch.tensor([0, 3, 4, 11])
    some = replace(window, **{name: getattr(window, name)[kept] for name in ("rows", "chi2", "scale", "weights")})
    rest = torch.tensor([m for m in range(12) if m not in kept])
    others = replace(window, **{name: getattr(window, name)[rest] for name in ("rows", "chi2", "scale", "weights")})
    whole, parts = composite(window, F, 0.8), [composite(each, F, 0.8) for each in (some, others)]
    assert float(whole.composite_log_p) == pytest.approx(sum(float(part.composite_log_p) for part in parts), rel=1e-12)
    torch.testing.assert_close(whole.grad_F, parts[0].grad_F + parts[1].grad_F)


def test_negative_squares_of_sampling_noise_count_as_nothing(rng: np.random.Generator) -> None:
    _, _, window, F = make(rng)
    noisy = replace(window, squares=window.squares.clone())
    noisy.squares[4] = -0.01
    result = composite(noisy, F, 0.8)
    without = torch.tensor([m for m in range(12) if m != 4])
    rest = replace(window, **{name: getattr(window, name)[without] for name in ("rows", "chi2", "scale", "weights")})
    alone = -0.5 * (float(window.chi2[4]) / 0.8 + math.log(2 * math.pi * 0.8))
    assert float(result.composite_log_p) == pytest.approx(float(composite(rest, F, 0.8).composite_log_p) + alone)
    torch.testing.assert_close(result.grad_F, composite(rest, F, 0.8).grad_F)


def test_the_truth_maximises_its_expectation(rng: np.random.Generator) -> None:
    """Correlated associations, and still: the mean score at the truth is zero."""
    R, _, window, F = make(rng)
    square = R[:, 9:21]
    factor = torch.linalg.cholesky(torch.from_numpy(R @ np.diag(F.numpy()) @ R.T + 0.8 * square))
    window = replace(window, scale=torch.ones(12, dtype=torch.float64))
    draws = []
    for _ in range(4000):
        z = factor @ torch.from_numpy(rng.standard_normal(12))
        draws.append(composite(replace(window, chi2=z.square()), F, 0.8).grad_sigma2)
    score = torch.stack(draws)
    assert abs(float(score.mean())) < 4 * float(score.std()) / 4000**0.5


def test_errors(rng: np.random.Generator) -> None:
    _, _, window, F = make(rng)
    with pytest.raises(DataError, match=r"`F` must be finite and not negative: 1 of 30 are not, first F\[5\] = -2"):
        composite(window, F.index_fill(0, torch.tensor([5]), -2.0), 1.0)
