"""The sampler against sums over all configurations of a few variants, and its conditionals against brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy import ndarray

from varfx.prior.effects.background import FactoredBackground, RotatedWindow, log_density
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.effects.convergence import CONVERGED, split_r_hat
from varfx.prior.effects.evidence import (
    ONE_EFFECT_CHANCES,
    PATH,
    evidence,
    integrated,
    lower_bound,
    normal_evidence,
    one_effect_gain,
    scaled,
    slope,
)  # fmt: skip
from varfx.prior.effects.gibbs import BLOCK, Averages, sample
from varfx.prior.effects.posterior import DOUBLINGS, run_chains
from varfx.prior.effects.shape import MIXTURE_SIZES, MOST_LIKELY, EffectShape, first_shape

SIGMA2 = 1.2


def small(rng: np.random.Generator, variants: int = 6, rank: int = 5) -> tuple[ndarray, ndarray, ndarray]:
    """Whitened correlations in LD, associations with one clear effect and one doubtful one, and F."""
    signal = rng.standard_normal((rank, variants)) * 0.4
    signal[:, 1] = signal[:, 0] + 0.1 * rng.standard_normal(rank)  # two variants that can hardly be told apart
    F = rng.gamma(2.0, 0.5, variants)
    w = signal[:, 0] * 5 + signal[:, 3] * 2 + np.sqrt(SIGMA2) * rng.standard_normal(rank)
    return signal, w, F


def shape_of(F: ndarray, background: float = 0.4, exponent: float = 0.5) -> EffectShape:
    return EffectShape(
        background=background,
        sizes=np.array([4.0, 30.0]),
        weights=np.array([0.1, 0.03]),
        exponent=exponent,
        mean_F=float(F.mean()),
    )


def log_normal(w: ndarray, C: ndarray) -> float:
    return float(-0.5 * (np.linalg.slogdet(2 * np.pi * C)[1] + w @ np.linalg.solve(C, w)))


def enumerated(signal: ndarray, w: ndarray, F: ndarray, shape: EffectShape) -> tuple[float, ndarray, ndarray, ndarray]:
    """Log evidence, and the mean, sd and chance of a sparse effect of each variant: a sum over (1 + K)^p configurations.

    Straight from the model: given a configuration all effects are normal with variance kappa F_m + v_mk.
    """
    rel = np.maximum(F / shape.mean_F, 1e-6)
    logs, means, squares, present = [], [], [], []
    for slabs in product(range(1 + len(shape.sizes)), repeat=F.size):
        variance, log_prior = shape.background * F, 0.0
        for m, k in enumerate(slabs):
            chances = shape.weights * rel[m] ** shape.exponent
            if k == 0:
                log_prior += np.log(1 - chances.sum())
            else:
                log_prior += np.log(chances[k - 1])
                v = shape.sizes[k - 1] * shape.mean_F * rel[m] ** (1 - shape.exponent)
                variance = variance + v * (np.arange(F.size) == m)
        C = (signal * variance) @ signal.T + SIGMA2 * np.eye(w.size)
        gain = (signal * variance).T @ np.linalg.inv(C)
        mean = gain @ w
        logs.append(log_prior + log_normal(w, C))
        means.append(mean)
        squares.append(mean**2 + variance - np.diag(gain @ signal * variance))
        present.append(np.array(slabs) > 0)
    top = max(logs)
    weights = np.exp(np.array(logs) - top)
    total = weights.sum()
    mean = weights @ np.array(means) / total
    sd = np.sqrt(weights @ np.array(squares) / total - mean**2)
    return float(top + np.log(total)), mean, sd, weights @ np.array(present) / total


def averaged(background: FactoredBackground, sweeps: int, seed: int = 0, chains: int = 50) -> Averages:
    regression = background.regression
    s = np.zeros((chains, len(background.variance)), dtype=np.float32)
    generator = np.random.default_rng(seed)
    averages = Averages.zeros(regression)
    sample(regression, s, 50, generator)
    sample(regression, s, sweeps, generator, averages)
    return averages.means()


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_sampler_finds_the_sum_over_all_configurations(exponent: float) -> None:
    rng = np.random.default_rng(3)
    signal, w, F = small(rng)
    shape = shape_of(F, exponent=exponent)
    _, mean, sd, chance = enumerated(signal, w, F, shape)
    background = FactoredBackground.of(signal, w, F, SIGMA2, shape)
    found = averaged(background, 250)
    everything = np.ones(F.size, dtype=bool)
    assert 0.1 < chance.max() < 0.99
    np.testing.assert_allclose(found.chance.sum(0), chance, atol=0.01)
    np.testing.assert_allclose(background.effects(found.mean, everything), mean, atol=0.02 * np.abs(mean).max())
    np.testing.assert_allclose(found.total_mean, mean, atol=0.02 * np.abs(mean).max())
    np.testing.assert_allclose(np.sqrt(found.total_square - found.total_mean**2), sd, rtol=0.02)


def test_the_eigenbasis_is_the_same_model() -> None:
    rng = np.random.default_rng(4)
    signal, w, F = small(rng)
    shape = shape_of(F)
    rotated = RotatedWindow.of(signal, w, F, np.ones(F.size, dtype=bool))
    one, two = rotated.regression(SIGMA2, shape), FactoredBackground.of(signal, w, F, SIGMA2, shape).regression
    np.testing.assert_allclose(one.A @ one.A.T, two.A @ two.A.T, atol=1e-6)
    np.testing.assert_allclose(one.A @ one.w, two.A @ two.w, atol=1e-5)
    C = (signal * (0.4 * F)) @ signal.T + SIGMA2 * np.eye(w.size)
    assert log_density(rotated.w**2, rotated.eigenvalues, SIGMA2, 0.4) == pytest.approx(log_normal(w, C), rel=1e-10)
    C = (signal * F) @ signal.T + SIGMA2 * np.eye(w.size)
    assert normal_evidence(rotated, SIGMA2) == pytest.approx(log_normal(w, C), rel=1e-10)


def test_evidence_is_that_of_the_sum_over_all_configurations_and_the_bound_is_below() -> None:
    rng = np.random.default_rng(5)
    signal, w, F = small(rng, 5)
    shape = shape_of(F)
    window = RotatedWindow.of(signal, w, F, np.ones(F.size, dtype=bool))
    slopes, bound = [], 0.0
    for step in PATH:
        there = scaled(shape, step)
        averages = averaged(FactoredBackground.of(signal, w, F, SIGMA2, there), 100)
        slopes.append(slope(window, there, averages))
        exact = enumerated(signal, w, F, there)[0]
        regression = window.regression(SIGMA2, there)
        states = np.zeros((2, F.size), dtype=np.float32)
        states[0, 0] = states[1, [1, 3]] = 2.0
        found = lower_bound(window, SIGMA2, there, regression, averages, states)
        assert found < exact + 1e-6
        bound = found if step == PATH[0] else bound
    found = bound + integrated(np.array(slopes))
    assert found == pytest.approx(enumerated(signal, w, F, shape)[0], abs=0.8)
    first = enumerated(signal, w, F, scaled(shape, PATH[0]))[0]
    assert integrated(np.array(slopes)) == pytest.approx(enumerated(signal, w, F, shape)[0] - first, abs=0.05)


def test_without_slabs_the_posterior_is_the_normal_one_to_the_last_digits() -> None:
    rng = np.random.default_rng(6)
    signal, w, F = small(rng, 40, 20)
    shape = EffectShape(background=1.0, sizes=np.array([30.0]), weights=np.zeros(1), exponent=0.5, mean_F=1.0)
    assert shape.is_normal
    background = FactoredBackground.of(signal, w, F, SIGMA2, shape)
    found = averaged(background, 20, chains=2)
    assert not found.chance.any()
    C = (signal * F) @ signal.T + SIGMA2 * np.eye(w.size)
    expected = F * (signal.T @ np.linalg.solve(C, w))
    got = background.effects(found.mean, np.ones(F.size, dtype=bool))
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)
    variance = F - np.einsum("rm,rm->m", signal * F, np.linalg.solve(C, signal * F))
    np.testing.assert_allclose(found.total_square - found.total_mean**2, variance, rtol=1e-4)


def test_variants_of_several_blocks_are_sampled_as_the_sum_over_all_configurations() -> None:
    """The variants of interest lie in three blocks, among variants that no association tells anything about."""
    rng = np.random.default_rng(7)
    signal, w, F = small(rng)
    shape = shape_of(F)
    _, mean, _, chance = enumerated(signal, w, F, shape)
    places = np.array([3, BLOCK - 1, BLOCK, BLOCK + 9, 2 * BLOCK, 2 * BLOCK + 6])
    wide, wide_F = np.zeros((w.size, 2 * BLOCK + 7)), np.ones(2 * BLOCK + 7)
    wide[:, places], wide_F[places] = signal, F
    background = FactoredBackground.of(wide, w, wide_F, SIGMA2, shape)
    found = averaged(background, 150)
    np.testing.assert_allclose(found.chance.sum(0)[places], chance, atol=0.015)
    np.testing.assert_allclose(found.total_mean[places], mean, atol=0.03 * np.abs(mean).max())
    alone = np.delete(found.chance.sum(0), places)
    np.testing.assert_allclose(alone, shape.slabs(np.ones(1))[0].sum(), rtol=1e-5)


def test_effects_move_between_variants_that_cannot_be_told_apart() -> None:
    """Two equal columns far apart in order: each has half of the chance, in every chain."""
    rng = np.random.default_rng(9)
    signal = rng.standard_normal((20, 90)) * 0.4
    signal[:, 80] = signal[:, 4]
    w = signal[:, 4] * 9 + rng.standard_normal(20)
    F = np.full(90, 0.3)
    shape = EffectShape(background=0.1, sizes=np.array([100.0]), weights=np.array([0.01]), exponent=0.5, mean_F=0.3)
    config = EffectsConfig(effects="mixture", chains=4, sweeps=100)
    regression = FactoredBackground.of(signal, w, F, 1.0, shape).regression
    means, r_hat, sweeps = run_chains(regression, config, np.random.default_rng(1))
    assert means.chance[0, [4, 80]] == pytest.approx([0.5, 0.5], abs=0.1)
    assert r_hat < CONVERGED
    assert sweeps == 100


def test_chains_that_disagree_go_on() -> None:
    rng = np.random.default_rng(10)
    signal, w, F = small(rng, 60, 30)
    regression = FactoredBackground.of(signal, w, F, SIGMA2, shape_of(F)).regression
    config = EffectsConfig(effects="mixture", chains=2, sweeps=10)
    found = [run_chains(regression, config, np.random.default_rng(seed)) for seed in range(6)]
    assert any(sweeps > 10 for _, _, sweeps in found)
    assert all(r_hat <= CONVERGED or sweeps == 10 * 2**DOUBLINGS for _, r_hat, sweeps in found)


@pytest.mark.parametrize("scale", [1.0, 3000.0])
def test_means_given_sparse_effects_are_exact_whatever_the_condition(scale: float) -> None:
    """In float32 the factor of a background of large variance would be useless; the mean is that of float64."""
    rng = np.random.default_rng(11)
    signal, w, F = small(rng, 300, 40)
    F = F * scale
    shape = shape_of(F)
    background = FactoredBackground.of(signal, w, F, 1e-3, shape)
    s = np.where(rng.random(300) < 0.02, 3.0, 0.0)
    C = (signal * (0.4 * F)) @ signal.T + 1e-3 * np.eye(40)
    expected = s + 0.4 * F * (signal.T @ np.linalg.solve(C, w - signal @ s))
    got = background.effects(s, np.ones(300, dtype=bool))
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    whitened = np.linalg.solve(np.linalg.cholesky(C), signal).T
    np.testing.assert_allclose(background.regression.A, whitened, atol=1e-3 * np.abs(whitened).max())


def test_one_effect_per_stretch_is_the_sum_over_its_places() -> None:
    rng = np.random.default_rng(12)
    signal, w, F = small(rng)
    w, F = 2 * w, 0.2 * F
    window = RotatedWindow.of(signal, w, F, np.ones(F.size, dtype=bool))
    mean_F = float(F.mean())
    C = (signal * F) @ signal.T + SIGMA2 * np.eye(w.size)
    rel = F / mean_F
    gains = []
    for size in MIXTURE_SIZES:
        variance = size * mean_F * np.sqrt(rel)
        with_one = [log_normal(w, C + v * np.outer(b, b)) for v, b in zip(variance, signal.T, strict=True)]
        factor = np.log(np.sqrt(rel) / np.sqrt(rel).sum() @ np.exp(np.array(with_one) - log_normal(w, C)))
        gains.append(max(np.logaddexp(np.log1p(-p), np.log(p) + factor) for p in ONE_EFFECT_CHANCES[:-1]))
        gains.append(factor)
    assert max(gains) > 1
    assert one_effect_gain([window], SIGMA2, mean_F) == pytest.approx(max(gains), abs=1e-4)


def test_two_runs_tell_the_evidences_sampling_error() -> None:
    rng = np.random.default_rng(13)
    signal, w, F = small(rng, 5)
    shape = shape_of(F)
    window = RotatedWindow.of(signal, w, F, np.ones(F.size, dtype=bool))
    exact = enumerated(signal, w, F, shape)[0]
    found = np.array([evidence(window, SIGMA2, shape, [seed]) for seed in range(12)])
    assert found[:, 0].mean() == pytest.approx(exact, abs=0.8)
    assert 0.3 < found[:, 1].mean() / found[:, 0].std() < 1.7


def test_r_hat_flags_chains_that_disagree() -> None:
    rng = np.random.default_rng(8)
    draws = rng.standard_normal((200, 4, 1))
    assert split_r_hat(draws)[0] < 1.02
    assert split_r_hat(draws + 3 * np.arange(4)[None, :, None])[0] > CONVERGED
    trend = draws + np.linspace(0, 5, 200)[:, None, None]
    assert split_r_hat(trend)[0] > CONVERGED
    assert split_r_hat(np.ones((50, 4, 1)))[0] < CONVERGED
    assert split_r_hat(np.ones((50, 4, 1)) * np.arange(4)[None, :, None])[0] == np.inf
    assert split_r_hat(draws[:3])[0] == np.inf


def test_prior_chances_and_sizes_keep_the_marginal_variance() -> None:
    F = np.array([0.2, 1.0, 3.0, 1e-12])
    shape = shape_of(F, background=0.3, exponent=0.25)
    chances, null, variances = shape.slabs(F)
    share = 0.3 + shape.sizes @ shape.weights
    np.testing.assert_allclose((0.3 * F + (chances * variances).sum(0))[:3], (share * F)[:3], rtol=1e-12)
    np.testing.assert_allclose(null, 1 - chances.sum(0))
    first = first_shape((5.0, 30.0), 1.0)
    assert first.background + first.sizes @ first.weights == pytest.approx(1.0)
    crowded = EffectShape(background=0.1, sizes=shape.sizes, weights=np.array([0.5, 0.4]), exponent=1.0, mean_F=1.0)
    assert crowded.slabs(np.array([10.0]))[0].sum() == pytest.approx(MOST_LIKELY)
