"""Drivers by the three published rules against slow transcriptions of their text; scale, intercept and individuals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from varfx.errors import ConfigError, DataError
from varfx.expression.variants import drivers
from varfx.expression.variants.config import RULES, Rule
from varfx.expression.variants.drivers import correlations, driver_score, find_drivers, high_scoring


def transcription(copies: np.ndarray, weights: np.ndarray, y: np.ndarray, rule: Rule) -> list[int]:
    """The rules as sentences, one variant at a time, with scipy's test."""
    m = len(weights)
    order = sorted(range(m), key=lambda row: -abs(weights[row]))
    total = pearsonr(copies @ weights, y).statistic
    drivers: list[int] = []
    reached = 0.0
    for number, row in enumerate(order):
        members = order[: number + 1] if rule == "sasse" else [*drivers, row]
        partial = copies[:, members] @ weights[members]
        own = copies[:, row] * weights[row]
        r_partial = pearsonr(partial, y).statistic if np.ptp(partial) > 0 else np.nan
        constant = np.ptp(own) == 0
        own_r = np.nan if constant else pearsonr(own, y).statistic
        p_two = np.nan if constant else pearsonr(own, y).pvalue
        p_one = np.nan if constant else pearsonr(own, y, alternative="greater").pvalue
        if rule == "sasse":
            share = r_partial / total
            if share - reached > 0.05 and own_r > 0 and p_two < 0.01 / m:
                drivers.append(row)
            reached = 0.0 if np.isnan(share) else share
        elif rule == "variformer":
            share = r_partial / total
            if share - reached > 0.05 and own_r > 0 and p_one < 0.01 / m:
                drivers.append(row)
                reached = share
        else:
            if np.isnan(r_partial) or r_partial < reached + 0.05 or np.isnan(own_r) or own_r < 0 or p_two * m > 0.01:
                continue
            drivers.append(row)
            reached = r_partial
    return drivers


def simulated(
    seed: int, people: int = 120, variants: int = 40, causal: int = 4, noise: float = 0.3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Copies in LD, weights of which few are large, and predictions that are their sum, and more."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((people, variants))
    for column in range(1, variants):
        latent[:, column] = 0.7 * latent[:, column - 1] + 0.7 * latent[:, column]
    threshold = rng.uniform(-1, 2.5, variants)
    copies = ((latent > threshold).astype(float) + (latent + rng.standard_normal(latent.shape) > threshold)) / 2
    weights = 0.05 * rng.standard_normal(variants)
    weights[rng.choice(variants, causal, replace=False)] += rng.choice([-1, 1], causal) * rng.uniform(0.3, 1, causal)
    y = 2 + copies @ weights + noise * rng.standard_normal(people)
    return copies, weights, y


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_its_transcription(rule: Rule) -> None:
    counts = []
    for seed in range(25):
        copies, weights, y = simulated(seed)
        found = find_drivers(copies, weights, y, rule=rule)
        assert found.order.tolist() == transcription(copies, weights, y, rule)
        assert sorted(found.order) == np.flatnonzero(found.chosen).tolist()
        assert found.linear_r == pytest.approx(pearsonr(copies @ weights, y).statistic, rel=1e-10)
        counts.append(found.order.size)
    assert min(counts) < max(counts)
    assert max(counts) >= 3


def test_the_rules_are_three() -> None:
    chosen = {rule: [find_drivers(*simulated(seed), rule=rule).order.tolist() for seed in range(25)] for rule in RULES}
    assert chosen["sasse"] != chosen["variformer"]
    assert chosen["rastogi"] != chosen["variformer"]
    assert chosen["rastogi"] != chosen["sasse"]


@pytest.mark.parametrize("rule", RULES)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_drivers_depend_on_neither_scale_nor_order_nor_unit(rule: Rule, seed: int, scale: float, shift: float) -> None:
    copies, weights, y = simulated(seed)
    found = find_drivers(copies, weights, y, rule=rule).chosen
    order = np.random.default_rng(seed).permutation(weights.size)
    np.testing.assert_array_equal(find_drivers(copies[:, order], weights[order], y, rule=rule).chosen, found[order])
    # copies or dosages, weights in any unit, predictions with any intercept: which variants are drivers is the same ...
    np.testing.assert_array_equal(find_drivers(2 * copies, scale * weights, shift + 3 * y, rule=rule).chosen, found)


def test_the_score_needs_the_right_scale_and_the_intercept() -> None:
    """... but the score is not: published code left out the reference and summed dosages instead of halves."""
    copies, weights, y = simulated(3, noise=0.0)
    found = find_drivers(copies, weights, y)
    rows = found.order
    reference = 2 + float(np.delete(weights, rows) @ np.delete(copies, rows, axis=1).mean(0))
    right = driver_score(copies[:, rows], weights[rows], reference, y)
    linear = reference + copies[:, rows] @ weights[rows]
    assert right.r2 == pytest.approx(r2_score(y, linear), rel=1e-12)
    assert right.r == pytest.approx(pearsonr(linear, y).statistic, rel=1e-12)
    assert right.r2 > 0.8
    assert driver_score(2 * copies[:, rows], weights[rows], 0.0, y).r2 < 0
    exact = driver_score(copies, weights, 2.0, y)
    assert (exact.r, exact.r2) == pytest.approx((1, 1))


def test_monomorphic_variants_are_no_drivers_and_stop_nothing() -> None:
    copies, weights, y = simulated(1)
    first = find_drivers(copies, weights, y)
    wide = np.hstack([np.ones((len(y), 3)) / 2, copies])
    for rule in RULES:
        again = find_drivers(wide, np.concatenate([[9.0, -8.0, 7.0], weights]), y, rule=rule)
        assert not again.chosen[:3].any()
        assert again.chosen[3:].any()
    assert first.chosen.any()


def test_a_constant_prediction_has_no_drivers_and_no_score() -> None:
    copies, weights, _ = simulated(1)
    for rule in RULES:
        found = find_drivers(copies, weights, np.full(120, 1.7), rule=rule)
        assert not found.chosen.any()
        assert np.isnan(found.linear_r)
    score = driver_score(copies, weights, 0.0, np.full(120, 1.7))
    assert np.isnan(score.r)
    assert np.isnan(score.r2)
    nothing = driver_score(copies[:, :0], weights[:0], 1.0, copies[:, 0])
    assert np.isnan(nothing.r)
    assert nothing.r2 < 0


def test_false_drivers_are_rare() -> None:
    """Predictions that have nothing to do with the variants: at 0.01 over all variants, hardly ever a driver."""
    rng = np.random.default_rng(0)
    found = 0
    for seed in range(200):
        copies, weights, _ = simulated(seed)
        found += find_drivers(copies, weights, rng.standard_normal(120), rule="variformer").chosen.any()
    assert found <= 8  # 2 expected at most


def test_high_scoring_variants_are_the_largest_in_either_direction() -> None:
    weights = np.array([0.1, -3.0, 0.0, 2.0, -0.5, 0.0])
    assert np.flatnonzero(high_scoring(weights, 2)).tolist() == [1, 3]
    assert np.flatnonzero(high_scoring(weights, 6)).tolist() == [0, 1, 3, 4]
    assert not high_scoring(weights, 0).any()


def test_correlations_are_pearsons() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    X[:, 2] = 0.1
    found = correlations(X, y)
    assert found[[0, 1, 3]] == pytest.approx([pearsonr(X[:, k], y).statistic for k in (0, 1, 3)], rel=1e-12)
    assert np.isnan(found[2])


def test_errors_say_what_to_do() -> None:
    copies, weights, y = simulated(1)
    with pytest.raises(ConfigError, match="`rule` must be one of sasse, variformer, rastogi, got 'greedy'"):
        find_drivers(copies, weights, y, rule="greedy")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"`copies` must be \(individual, variant\) = \(120, 39\)"):
        find_drivers(copies, weights[1:], y)
    with pytest.raises(DataError, match="at least 4 individuals to correlate over, got 3"):
        find_drivers(copies[:3], weights, y[:3])
    y[0] = np.nan
    with pytest.raises(DataError, match="`prediction`: 1 of 120 are not finite"):
        find_drivers(copies, weights, y)
    with pytest.raises(ConfigError, match="`count` must not be negative"):
        high_scoring(weights, -1)


def test_only_rastogi_counts_a_gain_of_exactly_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule's text: at least 0.05 for Rastogi, more than 0.05 for the others."""
    copies, weights, y = simulated(0)
    first = int(np.argmax(np.abs(weights)))
    copies, weights = copies[:, [first]], weights[[first]]
    reached = float(correlations(copies * weights, y)[0])
    assert reached > 0.05
    monkeypatch.setattr(drivers, "GAIN", reached)
    assert find_drivers(copies, weights, y, rule="rastogi").order.tolist() == [0]
    monkeypatch.setattr(drivers, "GAIN", 1.0)  # the share of the only variant in the whole
    assert find_drivers(copies, weights, y, rule="variformer").order.tolist() == []
    assert find_drivers(copies, weights, y, rule="sasse").order.tolist() == []
