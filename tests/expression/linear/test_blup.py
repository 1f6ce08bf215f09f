"""BLUP and the single best variant, against slow transcriptions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import linregress, pearsonr

from cases.linear import brute_force, dosages, polygenic, standard
from varfx.errors import DataError
from varfx.expression.linear.blup import fit_blup, fit_top1


@pytest.mark.parametrize(("people", "variants"), [(40, 10), (30, 90)])
@pytest.mark.parametrize("h2", [0.1, 0.7])
def test_blup_is_the_dual_formula(rng: np.random.Generator, people: int, variants: int, h2: float) -> None:
    X = dosages(rng, people, variants)
    y = 3 + polygenic(rng, X, 0.5)
    Z, lam = standard(X), variants * (1 - h2) / h2
    beta = Z.T @ np.linalg.solve(Z @ Z.T + lam * np.eye(people), y - y.mean())
    fit = fit_blup(X, y, h2=h2)
    np.testing.assert_allclose(fit.weights, beta / X.std(axis=0), rtol=1e-8, atol=1e-12)
    others = dosages(rng, 15, variants)
    expected = y.mean() + (others - X.mean(axis=0)) / X.std(axis=0) @ beta
    np.testing.assert_allclose(fit.predict(others), expected, rtol=1e-8)
    # the primal form, ridge regression on standardised genotypes
    primal = np.linalg.solve(Z.T @ Z + lam * np.eye(variants), Z.T @ (y - y.mean()))
    np.testing.assert_allclose(fit.weights * X.std(axis=0), primal, rtol=1e-7, atol=1e-11)


def test_its_heritability_is_that_of_brute_force_reml(rng: np.random.Generator) -> None:
    X = dosages(rng, 40, 25)
    y, Z = polygenic(rng, X, 0.6), standard(X)

    def loss(h2: float) -> float:
        V = h2 * Z @ Z.T / 25 + (1 - h2) * np.eye(40)
        residual = y - y.mean()
        sigma2 = residual @ np.linalg.solve(V, residual) / 39  # Z is centred, so the mean is the generalised one
        return -brute_force(Z, y, h2, float(sigma2))

    expected = minimize_scalar(loss, bounds=(0, 0.999), method="bounded", options={"xatol": 1e-8}).x
    assert 0.05 < expected < 0.95
    assert fit_blup(X, y).notes["h2"] == pytest.approx(expected, abs=1e-5)


def test_variants_that_do_not_vary_get_no_weight(rng: np.random.Generator) -> None:
    X = dosages(rng, 40, 10)
    y = polygenic(rng, X, 0.6)
    wide = np.insert(X, [0, 4, 10], [0.0, 2.0, 1.3], axis=1)
    for fit in (fit_blup, fit_top1):
        narrow, with_constants = fit(X, y), fit(wide, y)
        np.testing.assert_array_equal(with_constants.weights[[0, 5, 12]], 0)
        np.testing.assert_allclose(np.delete(with_constants.weights, [0, 5, 12]), narrow.weights)
        assert with_constants.intercept == pytest.approx(narrow.intercept)


@pytest.mark.parametrize("fit", [fit_blup, fit_top1])
def test_without_variants_the_prediction_is_the_mean(rng: np.random.Generator, fit: type) -> None:
    y = 2 + rng.standard_normal(20)
    for X in (np.empty((20, 0)), np.ones((20, 3))):
        np.testing.assert_allclose(fit(X, y).predict(X[:4]), y.mean())


def test_blup_without_heritability_is_the_mean(rng: np.random.Generator) -> None:
    X = dosages(rng, 30, 10)
    fit = fit_blup(X, rng.standard_normal(30), h2=0.0)
    assert not fit.weights.any()


def test_top1_is_the_simple_regression_on_the_strongest_variant(rng: np.random.Generator) -> None:
    X = dosages(rng, 60, 20)
    y = polygenic(rng, X, 0.5)
    r = np.array([pearsonr(column, y).statistic for column in X.T])
    best = int(np.abs(r).argmax())
    line = linregress(X[:, best], y)
    fit = fit_top1(X, y)
    assert np.flatnonzero(fit.weights).tolist() == [best]
    assert fit.weights[best] == pytest.approx(line.slope)
    assert fit.intercept == pytest.approx(line.intercept)
    assert fit.notes["r"] == pytest.approx(r[best])


def test_of_equal_variants_the_first_is_taken(rng: np.random.Generator) -> None:
    X = dosages(rng, 60, 5)
    y = X[:, 2] + 0.1 * rng.standard_normal(60)
    doubled = np.column_stack([X, 2 - X[:, 2], X[:, 2]])
    assert np.flatnonzero(fit_top1(doubled, y).weights).tolist() == [2]


@pytest.mark.parametrize("fit", [fit_blup, fit_top1])
def test_bad_input(rng: np.random.Generator, fit: type) -> None:
    X = dosages(rng, 20, 4)
    with pytest.raises(DataError, match="must be"):
        fit(X, np.zeros(19))
    with pytest.raises(DataError, match="4 individuals are too few"):
        fit(X[:4], np.arange(4.0))
    with pytest.raises(DataError, match="`X` must be finite: 1 of 80 values are not"):
        fit(np.where(np.arange(80).reshape(20, 4) == 7, np.nan, X), np.arange(20.0))
