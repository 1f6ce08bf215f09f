"""Blocks of dependent pieces: their length, what they miss, and degrees of freedom, against simulated moving averages and direct sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray

from varfx.likelihood.blocks import FEW_BLOCKS, MIN_BLOCKS, Blocks, autocovariance, choose_blocks, effective_degrees
from varfx.likelihood.maximise import in_blocks


def moving_average(rng: np.random.Generator, stretches: ndarray, weights: ndarray) -> ndarray:
    """Pieces of two parameters that depend on each other within stretches."""
    parts = []
    for size in np.diff(stretches):
        noise = rng.standard_normal((size + len(weights) - 1, 2))
        parts.append(sum(weight * noise[k : k + size] for k, weight in enumerate(weights)))
    return np.concatenate(parts) @ np.array([[2.0, 0.3], [0.0, 1e-3]])


def test_independent_pieces_are_blocks_of_their_own(rng: np.random.Generator) -> None:
    found = choose_blocks(rng.standard_normal((4000, 3)), np.array([0, 2000, 4000]), reach=1, max_lag=1, most=5000)
    assert found.length == 1
    assert found.count == 4000
    assert found.inflation == pytest.approx(1, abs=0.03)


def test_stretches_of_four_stay_whole(rng: np.random.Generator) -> None:
    """Windows that all see the same effects: their chromosome is the block."""
    shared = np.repeat(rng.standard_normal((22, 2)), 4, axis=0) + 0.5 * rng.standard_normal((88, 2))
    edges = np.arange(0, 89, 4)
    found = choose_blocks(shared, edges, reach=1, max_lag=8, most=100)
    np.testing.assert_array_equal(found.bounds, edges)
    assert found.missing == 0


def test_variance_of_the_sum_is_found(rng: np.random.Generator) -> None:
    """Of a moving average over three neighbours in stretches of 40; each window alone would say 40 % of it."""
    stretches, weights = np.arange(0, 401, 40), np.ones(3)
    truth = 400 * 9 - 10 * 2 * (
        2 * 1 + 1 * 2
    )  # n times the squared sum of weights, less the pairs that the edges cut off
    ratios, alone, lengths = [], [], []
    for _ in range(300):
        score = moving_average(rng, stretches, weights)
        found = choose_blocks(score, stretches, reach=1, max_lag=4, most=400)
        lengths.append(found.length)
        ratios.append(found.inflation**2 * (in_blocks(score, found.bounds)[:, 0] ** 2).sum() / (4 * truth))
        alone.append((score[:, 0] ** 2).sum() / (4 * truth))
    assert 6 <= np.median(lengths) <= 12
    assert np.mean(alone) < 0.4
    assert np.mean(ratios) == pytest.approx(1, abs=0.06)


def test_autocovariance_of_a_moving_average(rng: np.random.Generator) -> None:
    stretches = np.array([0, 30_000, 60_000])
    gamma = autocovariance(moving_average(rng, stretches, np.array([1.0, 0.5])), stretches, 3)
    np.testing.assert_allclose(gamma, [1, 0.5 / 1.25, 0, 0], atol=0.02)


def test_blocks_do_not_become_too_few(rng: np.random.Generator) -> None:
    score = moving_average(rng, np.array([0, 36]), np.ones(12))
    found = choose_blocks(score, np.array([0, 36]), reach=1, max_lag=12, most=100)
    assert found.count >= MIN_BLOCKS
    assert found.missing > 0.1
    assert 1 < found.inflation < 1.5


def test_blocks_reach_as_far_as_a_flank_if_enough_are_left(rng: np.random.Generator) -> None:
    score, edges = rng.standard_normal((88, 2)), np.arange(0, 89, 4)
    assert choose_blocks(score, edges, reach=5, max_lag=8, most=100).count == 22
    assert choose_blocks(score, np.array([0, 88]), reach=4, max_lag=1, most=100).count == 22
    assert choose_blocks(score[:36], np.array([0, 36]), reach=4, max_lag=1, most=100).count >= FEW_BLOCKS


def test_most_blocks(rng: np.random.Generator) -> None:
    found = choose_blocks(rng.standard_normal((500, 2)), np.arange(0, 501, 5), reach=1, max_lag=3, most=30)
    assert found.count == 30
    assert found.bounds[0] == 0
    assert found.bounds[-1] == 500
    assert np.diff(found.bounds).min() >= 10


@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=12),
    seed=st.integers(0, 2**32 - 1),
    reach=st.integers(1, 4),
    max_lag=st.integers(1, 6),
    most=st.integers(2, 40),
)
def test_blocks_hold_each_piece_once(sizes: list[int], seed: int, reach: int, max_lag: int, most: int) -> None:
    edges = np.cumsum([0, *sizes])
    score = np.cumsum(np.random.default_rng(seed).standard_normal((edges[-1], 2)), axis=0)
    found = choose_blocks(score, edges, reach=reach, max_lag=max_lag, most=most)
    assert found.bounds[0] == 0
    assert found.bounds[-1] == edges[-1]
    assert (np.diff(found.bounds) > 0).all()
    assert found.count <= most
    assert found.inflation >= 1


def test_effective_degrees() -> None:
    assert effective_degrees(np.full(22, 0.3)) == pytest.approx(21)
    assert effective_degrees(np.array([1.0, 1, 1, 1, 0, 0])) == pytest.approx(3)
    assert effective_degrees(np.array([5.0, 0])) == 0
    assert effective_degrees(np.zeros(3)) == 0
    assert Blocks(np.arange(4), 1, missing=-0.2).inflation == 1
    assert Blocks(np.arange(4), 1, missing=0.9).inflation == pytest.approx(2**0.5)
