"""LD score regression as an objective: a transcription of B.6, finite differences, and the closed solution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from varfx.errors import DataError
from varfx.likelihood.chi2 import Chi2Window
from varfx.likelihood.ldsr import ballpark_h2, ldsr, paper_weights
from varfx.likelihood.ldsr_closed import WeightedLD, block_bounds, fit_ldsr_linear

N_REF = 50_000.0


def make_window(rng: np.random.Generator, *, dtype: torch.dtype = torch.float64) -> Chi2Window:
    """25 core variants of a panel of 40; 20 have an association."""
    rows = np.sort(rng.choice(25, 20, replace=False))
    return Chi2Window(
        squares=torch.from_numpy(rng.random((25, 40)) ** 4).to(dtype),
        rows=torch.from_numpy(rows),
        chi2=torch.from_numpy(rng.chisquare(1, 20) * 3),
        scale=torch.from_numpy(rng.uniform(0.7, 1.2, 20)),
        weights=torch.from_numpy(rng.uniform(0.01, 1, 20)),
    )


def variances(rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(np.exp(rng.standard_normal(40)) / 10)


def transcription(window: Chi2Window, F: np.ndarray, sigma2: float) -> float:
    """B.6 term by term."""
    total = 0.0
    for place, row in enumerate(window.rows.tolist()):
        mean = sum(float(window.squares[row, k]) * F[k] for k in range(40)) * float(window.scale[place]) + sigma2
        total += float(window.weights[place]) * (mean - float(window.chi2[place])) ** 2
    return total


def assert_derivatives(value: Callable[[Tensor, float], Tensor], F: Tensor, sigma2: float, grads: tuple) -> None:
    """Central differences of a function of F and sigma2."""
    step = 1e-5
    for k in range(F.shape[0]):
        bump = torch.zeros_like(F)
        bump[k] = step
        slope = float(value(F + bump, sigma2) - value(F - bump, sigma2)) / (2 * step)
        assert slope == pytest.approx(float(grads[0][k]), rel=1e-6, abs=1e-7)
    slope = float(value(F, sigma2 + step) - value(F, sigma2 - step)) / (2 * step)
    assert slope == pytest.approx(float(grads[1]), rel=1e-6)


def test_value_is_that_of_the_paper(rng: np.random.Generator) -> None:
    window, F = make_window(rng), variances(rng)
    result = ldsr(window, F, 1.1)
    assert float(result.weighted_squares) == pytest.approx(transcription(window, F.numpy(), 1.1), rel=1e-12)
    assert float(result.quasi_nats) == pytest.approx(-float(result.weighted_squares) / 4)
    assert result.num_observed == window.num_observed == 20


def test_gradient_is_that_of_finite_differences(rng: np.random.Generator) -> None:
    window, F = make_window(rng), variances(rng)
    result = ldsr(window, F, 1.1)
    value = lambda F, sigma2: ldsr(window, F, sigma2).weighted_squares  # noqa: E731
    assert_derivatives(value, F, 1.1, (result.grad_F, result.grad_sigma2))


def test_gradients_reach_the_graph(rng: np.random.Generator) -> None:
    window, F = make_window(rng), variances(rng).requires_grad_()
    sigma2 = torch.tensor(1.1, requires_grad=True)
    result = ldsr(window, F, sigma2)
    result.quasi_nats.backward()
    assert F.grad is not None
    assert sigma2.grad is not None
    torch.testing.assert_close(F.grad, -result.grad_F / 4)
    torch.testing.assert_close(sigma2.grad, (-result.grad_sigma2 / 4).float())


def test_half_precision_squares_are_summed_in_the_precision_of_f(rng: np.random.Generator) -> None:
    window, F = make_window(rng, dtype=torch.float16), variances(rng)
    wide = replace(window, squares=window.squares.double())
    for dtype, rtol in ((torch.float64, 1e-12), (torch.float32, 1e-5), (torch.float16, 2e-3)):
        result = ldsr(window, F.to(dtype), 1.1)
        assert result.grad_F.dtype == torch.promote_types(dtype, torch.float32)
        torch.testing.assert_close(
            result.grad_F.double(), ldsr(wide, F, 1.1).grad_F, rtol=rtol, atol=rtol * float(result.grad_F.abs().max())
        )


def test_the_paper_weights(rng: np.random.Generator) -> None:
    score, n = np.array([0.2, 1.0, 50.0]), np.array([1e5, 2e5, 1e5])
    found = paper_weights(score, n, h2=0.4, num_variants=1_000_000)
    expected = [
        1 / (1e5 * 0.4 / 1e6 + 1) ** 2,
        1 / (2e5 * 0.4 / 1e6 + 1) ** 2,
        1 / 50 / (1e5 * 0.4 * 50 / 1e6 + 1) ** 2,
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_the_ballpark_is_that_of_the_model() -> None:
    n, score, size = np.full(100, 1e5), np.linspace(10, 90, 100), 1_000_000
    chi2 = 1 + n * 0.3 * score / size
    assert ballpark_h2(chi2, score, n, num_variants=size) == pytest.approx(0.3, rel=1e-12)
    assert ballpark_h2(chi2 - 5, score, n, num_variants=size) == 0
    assert ballpark_h2(chi2 * 100, score, n, num_variants=size) == 1


def test_the_minimum_of_the_constant_model_is_the_closed_one(rng: np.random.Generator) -> None:
    windows = [make_window(rng) for _ in range(8)]

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        F = torch.full((40,), x[0], dtype=torch.float64)
        results = [ldsr(window, F, float(x[1])) for window in windows]
        gradient = [sum(float(r.grad_F.sum()) for r in results), sum(float(r.grad_sigma2) for r in results)]
        return sum(float(r.weighted_squares) for r in results), np.array(gradient)

    start = np.array([0.1, 1.0])
    fit = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, 10), (1e-3, 10)],
        options={"ftol": 1e-15, "gtol": 1e-9},
    )
    scores = np.concatenate([w.squares.sum(1)[w.rows].numpy() for w in windows])
    columns = [np.concatenate([getattr(w, name).numpy() for w in windows]) for name in ("chi2", "scale", "weights")]
    chi2, scale, weights = columns
    closed = fit_ldsr_linear(
        WeightedLD(scores[:, None], chi2, scale * N_REF, weights), block_bounds(chi2.size, 8)
    ).estimate
    np.testing.assert_allclose(fit.x, [closed[0] * N_REF, closed[1]], rtol=1e-6)


def test_errors(rng: np.random.Generator) -> None:
    window, F = make_window(rng), variances(rng)
    with pytest.raises(DataError, match=r"`F` must have shape \(40,\)"):
        ldsr(window, F[1:], 1.0)
    with pytest.raises(DataError, match=r"first F\[3\] = nan"):
        ldsr(window, F.index_fill(0, torch.tensor([3]), float("nan")), 1.0)
    with pytest.raises(DataError, match="`sigma2` must be one positive number"):
        ldsr(window, F, -1.0)
    with pytest.raises(
        DataError, match=r"`weights` one length; got \(25, 40\) and \[\(20,\), \(20,\), \(20,\), \(19,\)\]"
    ):
        replace(window, weights=window.weights[1:])
