"""The closed LD score regression against numpy, brute force and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varfx.errors import DataError
from varfx.likelihood.ldsr_closed import (
    BlockJackknife,
    WeightedLD,
    block_bounds,
    fit_ldsr_linear,
    fit_reweighted,
    fit_two_step,
    jackknife_least_squares,
    ldsc_weights,
    weighted_least_squares,
)


def lstsq(design: np.ndarray, response: np.ndarray, weights: np.ndarray) -> np.ndarray:
    root = np.sqrt(weights)
    return np.linalg.lstsq(design * root[:, None], response * root, rcond=None)[0]


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size, columns = draw(st.integers(30, 120)), draw(st.integers(1, 4))
    design = rng.standard_normal((size, columns)) * 10.0 ** draw(st.integers(-6, 6))
    weights = np.exp(draw(st.floats(0, 2)) * rng.standard_normal(size))
    return design, rng.standard_normal(size), weights, draw(st.integers(2, 15))


@given(problems())
def test_least_squares_is_that_of_numpy(problem: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
    design, response, weights, _ = problem
    expected = lstsq(design, response, weights)
    np.testing.assert_allclose(
        weighted_least_squares(design, response, weights), expected, rtol=1e-8, atol=1e-9 * abs(expected).max()
    )


@given(problems())
def test_jackknife_is_brute_force_leave_one_block_out(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray, int],
) -> None:
    design, response, weights, blocks = problem
    fit = jackknife_least_squares(design, response, weights, block_bounds(response.size, blocks))
    estimate = lstsq(design, response, weights)
    deleted, pseudo = [], []
    for part in range(blocks):
        first, last = part * response.size // blocks, (part + 1) * response.size // blocks
        keep = np.r_[0:first, last : response.size]
        deleted.append(lstsq(design[keep], response[keep], weights[keep]))
        pseudo.append(blocks * estimate - (blocks - 1) * deleted[-1])
    covariance = sum(np.outer(p, p) for p in pseudo - np.mean(pseudo, axis=0)) / (blocks - 1) / blocks
    atol = 1e-8 * abs(np.array(deleted)).max()
    np.testing.assert_allclose(fit.delete_values, deleted, rtol=1e-7, atol=atol)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-5, atol=1e-7 * abs(covariance).max())
    np.testing.assert_allclose(fit.standard_error**2, np.diag(covariance), rtol=1e-5)


@given(size=st.integers(2, 5000), data=st.data())
def test_blocks_cover_everything_in_nearly_equal_parts(size: int, data: st.DataObject) -> None:
    blocks = data.draw(st.integers(2, min(size, 300)))
    bounds = block_bounds(size, blocks)
    assert bounds[0] == 0
    assert bounds[-1] == size
    assert bounds.size == blocks + 1
    assert set(np.diff(bounds)) <= {size // blocks, size // blocks + 1}


def test_transform_carries_the_jackknife_over(rng: np.random.Generator) -> None:
    fit = BlockJackknife(estimate=np.array([2.0, 4.0]), delete_values=rng.random((10, 2)))
    ratio = fit.transform(lambda value: (value[..., 0] / value[..., 1])[..., None])
    assert ratio.estimate.tolist() == [0.5]
    np.testing.assert_array_equal(ratio.delete_values[:, 0], fit.delete_values[:, 0] / fit.delete_values[:, 1])


def simulate(rng: np.random.Generator, size: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ld_scores = np.exp(rng.standard_normal((size, 2)) + [3, 1])
    n = rng.uniform(20_000, 60_000, size)
    mean = 1.1 + n * (ld_scores @ [4e-7, 3e-6])
    return ld_scores, n, mean


@pytest.mark.parametrize("intercept", [None, 1.1])
def test_linear_fit_minimises_the_weighted_squares(rng: np.random.Generator, intercept: float | None) -> None:
    ld_scores, n, mean = simulate(rng, 500)
    chi2 = mean * rng.chisquare(1, 500)
    weights = 1 / (ld_scores[:, 0] * mean**2)
    fit = fit_ldsr_linear(WeightedLD(ld_scores, chi2, n, weights), block_bounds(500, 20), intercept=intercept)
    assert fit.estimate.size == (3 if intercept is None else 2)

    def loss(values: np.ndarray) -> float:
        level = values[2] if intercept is None else intercept
        return float((weights * (chi2 - n * (ld_scores @ values[:2]) - level) ** 2).sum())

    best = loss(fit.estimate)
    for position in range(fit.estimate.size):
        step = np.zeros(fit.estimate.size)
        step[position] = 1e-3 * fit.estimate[position]
        assert loss(fit.estimate + step) > best
        assert loss(fit.estimate - step) > best


def test_jackknife_error_is_the_true_one(rng: np.random.Generator) -> None:
    ld_scores, n, mean = simulate(rng, 2000)
    weights = 1 / (ld_scores.sum(axis=1) * mean**2)
    truth = np.array([4e-7, 3e-6, 1.1])
    bounds = block_bounds(2000, 100)
    fits = [
        fit_ldsr_linear(WeightedLD(ld_scores, mean * rng.chisquare(1, 2000), n, weights), bounds) for _ in range(400)
    ]
    scores = np.array([(fit.estimate - truth) / fit.standard_error for fit in fits])
    assert (abs(scores.mean(axis=0)) < 4 / 20).all()
    assert (scores.std(axis=0) > 0.88).all()
    assert (scores.std(axis=0) < 1.12).all()
    covered = (abs(scores) < 1.96).mean(axis=0)
    assert (covered > 0.91).all()
    assert (covered < 0.985).all()


def test_jackknife_error_sees_correlation_within_blocks(rng: np.random.Generator) -> None:
    """Neighbours that repeat the same association add no information: errors must not shrink."""
    ld_scores, n, mean = simulate(rng, 500)
    single = mean * rng.chisquare(1, 500)
    once = fit_ldsr_linear(WeightedLD(ld_scores, single, n, 1 / mean**2), block_bounds(500, 50))
    eight = [np.repeat(values, 8, axis=0) for values in (ld_scores, single, n, 1 / mean**2)]
    repeated = fit_ldsr_linear(WeightedLD(*eight), block_bounds(4000, 50))
    np.testing.assert_allclose(repeated.standard_error, once.standard_error, rtol=1e-9)


def test_weights_are_the_formula_with_its_floors() -> None:
    weights = ldsc_weights(
        np.array([10.0, 0.2, 10.0]),
        np.array([5.0, 0.1, 5.0]),
        np.array([1000.0, 1000.0, 2000.0]),
        h2=0.5,
        num_variants=1e4,
        intercept=1.1,
    )
    expected = [1 / (2 * 1.6**2 * 5), 1 / (2 * 1.15**2), 1 / (2 * 2.1**2 * 5)]
    np.testing.assert_allclose(weights, expected, rtol=1e-14)


@pytest.mark.parametrize(("h2", "used"), [(-3.0, 0.0), (7.0, 1.0)])
def test_weights_keep_h2_between_0_and_1(h2: float, used: float) -> None:
    arrays = (np.array([10.0, 30.0]), np.array([5.0, 6.0]), np.array([1e4, 2e4]))
    np.testing.assert_array_equal(
        ldsc_weights(*arrays, h2=h2, num_variants=1e4, intercept=1.0),
        ldsc_weights(*arrays, h2=used, num_variants=1e4, intercept=1.0),
    )


def test_reweighting_updates_twice_and_passes_the_fit(rng: np.random.Generator) -> None:
    ld_scores, n, mean = simulate(rng, 600)
    chi2, ld_score = mean * rng.chisquare(1, 600), ld_scores[:, 0]
    seen = []

    def reweight(tau: float, intercept: float) -> np.ndarray:
        seen.append((tau, intercept))
        return 1 / (abs(intercept) + n * abs(tau) * ld_score) ** 2

    fit = fit_reweighted(WeightedLD(ld_scores[:, :1], chi2, n, np.ones(600)), block_bounds(600, 10), reweight)
    design = np.column_stack([n * ld_score, np.ones(600)])
    weights = np.ones(600)
    for tau, intercept in seen:
        np.testing.assert_allclose(lstsq(design, chi2, weights), [tau, intercept], rtol=1e-8)
        weights = 1 / (abs(intercept) + n * abs(tau) * ld_score) ** 2
    assert len(seen) == 2
    np.testing.assert_allclose(fit.estimate, lstsq(design, chi2, weights), rtol=1e-8)


def test_two_steps_take_the_intercept_from_small_chi2_alone(rng: np.random.Generator) -> None:
    ld_scores, n, mean = simulate(rng, 3000)
    chi2, ld_score = mean * rng.chisquare(1, 3000), ld_scores[:, 0]
    weights = 1 / mean**2
    small = chi2 < 10

    fit = fit_two_step(
        WeightedLD(ld_scores[:, :1], chi2, n, weights),
        50,
        lambda tau, intercept, mask: weights[mask],
        lambda tau, intercept: weights,
        small=small,
    )

    def two_steps(keep: np.ndarray) -> tuple[float, float]:
        part = keep & small
        design = np.column_stack([n * ld_score, np.ones(3000)])
        intercept = lstsq(design[part], chi2[part], weights[part])[1]
        slope = lstsq(design[keep, :1], chi2[keep] - intercept, weights[keep])[0]
        return float(slope), float(intercept)

    np.testing.assert_allclose(fit.estimate, two_steps(np.ones(3000, dtype=bool)), rtol=1e-9)
    bounds = np.floor(np.linspace(0, small.sum(), 51)).astype(int)
    bounds = np.r_[0, np.flatnonzero(small)[bounds[1:-1]], 3000]
    exact = []
    for block in range(50):
        keep = np.ones(3000, dtype=bool)
        keep[bounds[block] : bounds[block + 1]] = False
        exact.append(two_steps(keep))
    np.testing.assert_allclose(fit.delete_values[:, 1], np.array(exact)[:, 1], rtol=1e-9)
    # the slope's delete values are of first order in the change of the intercept
    change = np.array(exact)[:, 0] - fit.estimate[0]
    np.testing.assert_allclose(fit.delete_values[:, 0] - fit.estimate[0], change, atol=0.05 * change.std())


def test_errors(rng: np.random.Generator) -> None:
    design, response, weights = rng.random((20, 2)), rng.random(20), np.ones(20)
    with pytest.raises(DataError, match="`num_blocks` must be from 2 to the number of variants, 20, but is 21"):
        block_bounds(20, 21)
    with pytest.raises(DataError, match="is 1"):
        block_bounds(20, 1)
    with pytest.raises(DataError, match=r"shapes are \(20, 2\), \(19,\) and \(20,\)"):
        weighted_least_squares(design, response[:-1], weights)
    weights[[4, 7]] = 0.0, np.nan
    with pytest.raises(DataError, match=r"2 of 20 variants are not, first row 4 \(weight 0\)"):
        weighted_least_squares(design, response, weights)
    collinear = np.column_stack([design, design.sum(axis=1)])
    with pytest.raises(DataError, match="the 3 coefficients cannot be told apart from all variants"):
        weighted_least_squares(collinear, response, np.ones(20))


def test_a_column_that_lives_in_one_block_is_an_error(rng: np.random.Generator) -> None:
    design = np.column_stack([rng.random(100), np.arange(100) < 5])
    with pytest.raises(DataError, match="from the variants that stay when a block is left out"):
        jackknife_least_squares(design, rng.random(100), np.ones(100), block_bounds(100, 10))
