"""REML: equal to a brute-force likelihood, right on average, and with intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import null_space

from cases.linear import brute_force, dosages, polygenic, standard
from varfx.errors import DataError
from varfx.expression.linear.heritability import MAX_H2, log_likelihood, maximise, reml, rotate


@pytest.mark.parametrize(("people", "variants"), [(30, 8), (25, 60), (20, 19), (20, 20)])
@pytest.mark.parametrize("num_covariates", [0, 3])
def test_the_likelihood_is_that_of_the_error_contrasts(
    rng: np.random.Generator, people: int, variants: int, num_covariates: int
) -> None:
    X = dosages(rng, people, variants)
    y, Z = polygenic(rng, X, 0.5), standard(X)
    C = rng.standard_normal((people, num_covariates)) if num_covariates else None
    contrasts = rotate(Z, y, C)
    assert contrasts.count == people - 1 - num_covariates
    for h2 in (0.0, 1e-4, 0.3, 0.9, MAX_H2):
        log_p, sigma2 = log_likelihood(contrasts, h2)
        assert log_p == pytest.approx(brute_force(Z, y, h2, sigma2, C), rel=1e-9)
        assert log_p >= brute_force(Z, y, h2, sigma2 * 1.01, C)
        assert log_p >= brute_force(Z, y, h2, sigma2 * 0.99, C)


@pytest.mark.parametrize("seed", range(6))
def test_the_maximum_is_that_of_a_fine_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = dosages(rng, 60, 40)
    contrasts = rotate(standard(X), polygenic(rng, X, seed / 5 * 0.9))
    values = [log_likelihood(contrasts, h2)[0] for h2 in np.linspace(0, MAX_H2, 4001)]
    found = maximise(contrasts)
    assert log_likelihood(contrasts, found)[0] >= max(values) - 1e-9
    assert found == pytest.approx(np.linspace(0, MAX_H2, 4001)[int(np.argmax(values))], abs=3e-4)


def test_the_standard_error_is_the_inverse_of_the_information(rng: np.random.Generator) -> None:
    """For the average data of the model, observed and expected information agree: y y' is replaced by its expectation."""
    X = dosages(rng, 80, 30)
    Z = standard(X)
    result = reml(Z, polygenic(rng, X, 0.6))
    A = null_space(np.ones((1, 80)))
    K = A.T @ (Z @ Z.T / 30) @ A

    def expected(h2: float, sigma2: float) -> float:
        """The mean log-likelihood at these parameters when the estimate is the truth."""
        V = sigma2 * (h2 * K + (1 - h2) * np.eye(79))
        truth = result.sigma2 * (result.h2 * K + (1 - result.h2) * np.eye(79))
        return -0.5 * float(np.linalg.slogdet(V)[1] + np.trace(np.linalg.solve(V, truth)))

    e, at = 1e-4, np.array([result.h2, result.sigma2])
    I = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            a, b = e * np.eye(2)[i], e * np.eye(2)[j]
            difference = (
                expected(*(at + a + b)) - expected(*(at + a - b)) - expected(*(at - a + b)) + expected(*(at - a - b))
            )
            I[i, j] = -difference / (4 * e**2)
    assert result.stderr == pytest.approx(np.linalg.inv(I)[0, 0] ** 0.5, rel=1e-3)


def test_it_is_unbiased_and_its_interval_covers() -> None:
    """300 traits with h2 = 0.5 on the same genotypes: mean within 3 standard errors, 95 % intervals cover 91 to 99 %."""
    rng = np.random.default_rng(1)
    X = dosages(rng, 120, 60)
    Z = standard(X)
    results = [reml(Z, polygenic(rng, X, 0.5)) for _ in range(300)]
    estimates = np.array([each.h2 for each in results])
    assert abs(estimates.mean() - 0.5) < 3 * estimates.std() / 300**0.5
    assert 0.91 <= np.mean([each.ci95[0] <= 0.5 <= each.ci95[1] for each in results]) <= 0.99
    assert np.mean([each.stderr for each in results]) == pytest.approx(estimates.std(), rel=0.2)


def test_the_test_against_zero_is_calibrated() -> None:
    rng = np.random.default_rng(2)
    X = dosages(rng, 100, 50)
    Z = standard(X)
    results = [reml(Z, rng.standard_normal(100)) for _ in range(600)]
    p = np.array([each.p_value for each in results])
    assert 0.02 <= np.mean(p < 0.05) <= 0.08
    at_zero = np.array([each.h2 for each in results]) == 0
    assert 0.4 <= at_zero.mean() <= 0.75  # the boundary has half the mass, more for skewed eigenvalues
    assert set(p[at_zero]) == {1.0}


def test_covariates_cost_their_degrees_of_freedom() -> None:
    """40 covariates regressed out of 100 individuals: without naming them the residual variance is taken for too small."""
    rng = np.random.default_rng(3)
    named, unnamed = [], []
    for _ in range(80):
        X = dosages(rng, 100, 20)
        C = rng.standard_normal((100, 40))
        y = polygenic(rng, X, 0.4) + C @ rng.standard_normal(40)
        basis = np.column_stack([np.ones(100), C])
        residual = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
        named.append(reml(standard(X), residual, C).h2)
        unnamed.append(reml(standard(X), residual).h2)
        if len(named) == 1:
            assert reml(standard(X), y, C).h2 == pytest.approx(named[0], abs=1e-6)
    assert abs(np.mean(named) - 0.4) < 3 * np.std(named) / 80**0.5
    assert np.mean(unnamed) < np.mean(named) - 0.02


def test_scale_and_shift_do_not_matter(rng: np.random.Generator) -> None:
    X = dosages(rng, 50, 30)
    y = polygenic(rng, X, 0.5)
    one, other = reml(standard(X), y), reml(standard(X), 7 - 3 * y)
    assert other.h2 == pytest.approx(one.h2, abs=1e-6)
    assert other.sigma2 == pytest.approx(9 * one.sigma2, rel=1e-6)
    assert other.p_value == pytest.approx(one.p_value, rel=1e-6)


def test_no_variants_and_collinear_covariates(rng: np.random.Generator) -> None:
    y = rng.standard_normal(20)
    empty = reml(np.empty((20, 0)), y)
    assert (empty.h2, empty.p_value, empty.num_variants) == (0.0, 1.0, 0)
    assert empty.sigma2 == pytest.approx(y.var(ddof=1))
    C = rng.standard_normal((20, 1))
    Z = standard(dosages(rng, 20, 5))
    assert reml(Z, y, np.hstack([C, 2 * C, np.ones((20, 1))])).log_p == pytest.approx(reml(Z, y, C).log_p)
    assert math.isfinite(reml(Z, y).stderr)


def test_bad_input(rng: np.random.Generator) -> None:
    Z = standard(dosages(rng, 20, 5))
    with pytest.raises(DataError, match="`y` is constant"):
        reml(Z, np.full(20, 3.0))
    with pytest.raises(DataError, match="20 individuals and 20 fixed effects leave nothing"):
        reml(Z, rng.standard_normal(20), rng.standard_normal((20, 19)))


def test_the_interval_ends_where_the_profile_has_fallen_by_half_a_chi_square_quantile() -> None:
    """3.841 / 2 nats, the 95 % quantile with one degree of freedom; not that of 90 %."""
    rng = np.random.default_rng(8)
    X = dosages(rng, 120, 60)
    Z, y = standard(X), polygenic(rng, X, 0.5)
    result, contrasts = reml(Z, y), rotate(Z, y)
    assert 0 < result.ci95[0] < result.ci95[1] < 0.999
    for end in result.ci95:
        assert result.log_p - log_likelihood(contrasts, end)[0] == pytest.approx(3.841458820694124 / 2, rel=1e-6)
