"""Newton's method on pieces whose maximum is known, and the jackknife against real refits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from varfx.errors import DataError
from varfx.likelihood.ldsr_closed import BlockJackknife, block_bounds
from varfx.likelihood.maximise import (
    Pieces,
    deleted_steps,
    maximise,
    sandwich_steps,
    scaled_inverse,
)


def quadratic(x: np.ndarray, y: np.ndarray):  # type: ignore[no-untyped-def]
    """Least squares as a likelihood: one piece per row."""

    def evaluate(theta: np.ndarray) -> Pieces:
        residual = y - x @ theta
        return Pieces(-0.5 * float(residual @ residual), residual[:, None] * x, x[:, :, None] * x[:, None, :])

    return evaluate


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = np.c_[np.ones(60), rng.standard_normal((60, 2)) * [1.0, 1e-6]]
    return x, x @ [1.0, -2.0, 3e5] + rng.standard_normal(60) * rng.uniform(0.2, 2, 60)


def test_least_squares(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    scale = np.array([1, 1, 1e-6])
    found = maximise(quadratic(x / scale, y), np.zeros(3))
    assert found.converged
    np.testing.assert_allclose(found.theta, np.linalg.lstsq(x / scale, y, rcond=None)[0], rtol=1e-6)
    np.testing.assert_allclose(found.covariance, np.linalg.inv((x / scale).T @ (x / scale)), rtol=1e-8)


def test_normal_prior_is_ridge(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    x = x / [1, 1, 1e-6]
    precision = np.array([0.0, 3.0, 50.0])
    found = maximise(quadratic(x, y), np.ones(3), prior_precision=precision)
    np.testing.assert_allclose(found.theta, np.linalg.solve(x.T @ x + np.diag(precision), x.T @ y), rtol=1e-6)


def test_deleted_steps_are_refits_and_sandwich_is_whites(data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data
    x = x / [1, 1, 1e-6]
    found = maximise(quadratic(x, y), np.zeros(3))
    bounds = block_bounds(60, 12)
    refits = [
        np.linalg.lstsq(np.delete(x, np.s_[a:b], 0), np.delete(y, np.s_[a:b]), rcond=None)[0] - found.theta
        for a, b in itertools.pairwise(bounds)
    ]
    np.testing.assert_allclose(deleted_steps(found.pieces, bounds), refits, atol=1e-6)
    residual = y - x @ found.theta
    inverse = np.linalg.inv(x.T @ x)
    for edges in (np.arange(61), bounds):
        n = len(edges) - 1
        scores = np.array([residual[a:b] @ x[a:b] for a, b in itertools.pairwise(edges)])
        white = inverse @ scores.T @ scores @ inverse * n / (n - 1)
        steps = sandwich_steps(found.pieces, edges)
        covariance = BlockJackknife(estimate=found.theta, delete_values=found.theta + steps).covariance
        np.testing.assert_allclose(covariance, white, rtol=1e-4)


def test_a_poor_curvature_is_damped() -> None:
    def evaluate(theta: np.ndarray) -> Pieces:  # the information says a tenth of the true curvature
        return Pieces(-50 * float(theta[0] - 0.3) ** 2, -100 * (theta - 0.3)[None], np.full((1, 1, 1), 10.0))

    found = maximise(evaluate, np.zeros(1))
    assert found.converged
    assert found.theta[0] == pytest.approx(0.3, abs=1e-3)
    assert any(each.damping > 0 for each in found.rounds)


def test_no_likelihood_at_the_start() -> None:
    with pytest.raises(DataError, match="does not exist at the starting point"):
        maximise(lambda _: None, np.zeros(1))


def test_a_parameter_without_information_stays() -> None:
    def evaluate(theta: np.ndarray) -> Pieces:
        return Pieces(-0.5 * float(theta[0] - 1) ** 2, np.array([[1 - theta[0], 0.0]]), np.diag([1.0, 0.0])[None])

    found = maximise(evaluate, np.zeros(2))
    assert found.converged
    np.testing.assert_allclose(found.theta, [1, 0], atol=1e-3)
    np.testing.assert_allclose(scaled_inverse(np.diag([4.0, 0.0])), np.diag([0.25, 0.0]))
