"""Fine-mapping across ancestries: post-hoc probabilities by enumeration, one ancestry as SuSiE, shared and private effects."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray

from varfx.finemap.ancestries import JointFit, posthoc_probabilities
from varfx.finemap.ancestries.fit import shared_effect
from varfx.finemap.config import SusieConfig
from varfx.finemap.fit import Fit, Noise, Step
from varfx.finemap.ld_matrix import DenseLD
from varfx.finemap.single_effect import single_effect
from varfx.finemap.susie import susie

SIZE, N = 60, 20_000.0


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 1000))
def test_posthoc_probabilities_by_subsets(ancestries: int, variants: int, seed: int) -> None:
    log_bf = np.random.default_rng(seed).normal(0, 3, (ancestries, variants))
    weights = {
        subset: sum(np.exp(sum(log_bf[k, j] for k in subset)) for j in range(variants))
        for size in range(ancestries + 1)
        for subset in itertools.combinations(range(ancestries), size)
    }
    assert weights[()] == variants
    total = sum(weights.values())
    expected = [sum(weight for subset, weight in weights.items() if k in subset) / total for k in range(ancestries)]
    np.testing.assert_allclose(posthoc_probabilities(log_bf), expected, rtol=1e-10)


def test_posthoc_probabilities_of_large_bayes_factors() -> None:
    np.testing.assert_allclose(posthoc_probabilities(np.array([[2000.0, 0.0], [-50.0, 0.0]])), [1.0, 0.0], atol=1e-12)


def ld(seed: int, rho: float) -> ndarray:
    """Correlations of an autoregressive process with noise: positive definite."""
    lags = np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))
    jitter = np.random.default_rng(seed).normal(size=(400, SIZE)) @ np.linalg.cholesky(rho**lags).T
    return np.asarray(np.corrcoef(jitter.T))


def z_of(R: ndarray, effects: dict[int, float], seed: int) -> ndarray:
    b = np.zeros(SIZE)
    for place, value in effects.items():
        b[place] = value
    return np.asarray(
        R @ b + np.linalg.cholesky(R + 1e-9 * np.eye(SIZE)) @ np.random.default_rng(seed).normal(size=SIZE)
    )


def fit_of(z: ndarray, R: ndarray, L: int = 5) -> Fit:
    return Fit(z, DenseLD(R), N, np.zeros(z.size), L, Noise())


def equal(size: int) -> ndarray:
    return np.full(size, -np.log(size))


CONFIG = SusieConfig(z_method="score", tol=1e-9)


def test_one_ancestry_is_susie() -> None:
    R = ld(1, 0.8)
    z = z_of(R, {10: 9.0, 40: -7.0}, 2)
    joint = JointFit([fit_of(z, R)], [np.arange(SIZE)], equal(SIZE)).run(CONFIG)
    alone = susie(z, R, N, L=5, config=CONFIG)
    np.testing.assert_allclose(joint.pip, alone.pip, atol=2e-4)
    assert [each.variants.tolist() for each in joint.sets] == [
        each.variants.tolist() for each in sorted(alone.sets, key=lambda one: -one.log_bf)
    ]
    assert joint.elbo[-1] == pytest.approx(alone.elbo, abs=1e-3)


def test_evidence_bound_rises() -> None:
    panels = [(ld(1, 0.8), {10: 6.0, 40: -5.0}), (ld(2, 0.5), {10: 4.0, 25: 5.0})]
    fits = [fit_of(z_of(R, effects, 3 + k), R) for k, (R, effects) in enumerate(panels)]
    joint = JointFit(fits, [np.arange(SIZE)] * 2, equal(SIZE)).run(CONFIG)
    assert joint.converged
    assert (np.diff(joint.elbo) > -1e-6).all()


def test_shared_effect_against_the_sum_over_variants() -> None:
    """The evidence at the variances found is that of the sum, and no other variance is better; absent variants have no Bayes factor."""
    rng = np.random.default_rng(4)
    rows = [np.arange(8), np.array([0, 2, 3, 6, 9])]
    steps = [
        Step(
            score=rng.normal(0, 3, own.size),
            d=np.full(own.size, 1.3),
            log_weights=equal(own.size),
            M=DenseLD(np.eye(own.size)),
        )
        for own in rows
    ]

    def evidence(V: tuple[float, float]) -> float:
        total = equal(10)
        for k, own in enumerate(rows):
            if V[k] > 0:
                total[own] += single_effect(steps[k].score, steps[k].d, equal(own.size), V=V[k]).lbf
        return float(np.logaddexp.reduce(total))

    effects, alpha, found = shared_effect(steps, rows, equal(10))
    V = (effects[0].V, effects[1].V)
    assert found == pytest.approx(evidence(V), rel=1e-10)
    assert alpha.sum() == pytest.approx(1)
    for factors in ((1.05, 1), (0.95, 1), (1, 1.05), (1, 0.95)):
        assert evidence((V[0] * factors[0], V[1] * factors[1])) <= found + 1e-9


def test_two_ancestries_narrow_the_set_and_say_where_it_exists() -> None:
    wide, narrow = ld(1, 0.97), ld(2, 0.6)
    shared = [z_of(wide, {30: 8.0}, 5), z_of(narrow, {30: 7.0}, 6)]
    joint = JointFit([fit_of(shared[0], wide), fit_of(shared[1], narrow)], [np.arange(SIZE)] * 2, equal(SIZE)).run(
        CONFIG
    )
    alone = susie(shared[0], wide, N, config=CONFIG)
    (one,) = joint.sets
    assert 30 in one.variants
    assert one.variants.size < len(alone.sets[0])
    assert (one.exists > 0.95).all()
    private = [shared[0], z_of(narrow, {}, 7)]
    joint = JointFit([fit_of(private[0], wide), fit_of(private[1], narrow)], [np.arange(SIZE)] * 2, equal(SIZE)).run(
        CONFIG
    )
    (one,) = joint.sets
    assert one.exists[0] > 0.95
    assert one.exists[1] < 0.5  # the probability before the data


def test_order_of_ancestries_changes_nothing() -> None:
    wide, narrow = ld(1, 0.9), ld(2, 0.6)
    z = [z_of(wide, {30: 6.0}, 5), z_of(narrow, {30: 5.0}, 6)]
    rows = [np.arange(SIZE), np.arange(0, SIZE, 2)]
    fits = [fit_of(z[0], wide), fit_of(z[1][rows[1]], narrow[np.ix_(rows[1], rows[1])])]
    first = JointFit(fits, rows, equal(SIZE)).run(CONFIG)
    fits = [fit_of(z[1][rows[1]], narrow[np.ix_(rows[1], rows[1])]), fit_of(z[0], wide)]
    second = JointFit(fits, rows[::-1], equal(SIZE)).run(CONFIG)
    np.testing.assert_allclose(first.pip, second.pip, atol=1e-3)
    np.testing.assert_allclose(first.sets[0].exists, second.sets[0].exists[::-1], atol=1e-3)
