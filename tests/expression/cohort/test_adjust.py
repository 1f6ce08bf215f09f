"""Adjusted expression: what it is by the definition, and that nothing outside the training individuals reaches it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from cases.cohort import causal_variant, small_cohort
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.adjust import Adjustment, fit_adjustment, is_constant
from varfx.expression.cohort.gene_data import gene_data, imputed
from varfx.expression.cohort.store import open_cohort

METHODS = ("inverse-normal", "standardise", "none")


def slow_inverse_normal(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Each value by the ranks of the training individuals with neighbouring values, one at a time."""
    known = sorted(values[train])
    result = []
    for value in values:
        below = [x for x in known if x <= value]
        above = [x for x in known if x >= value]

        def rank(x: float) -> float:
            places = [place for place, other in enumerate(known, start=1) if other == x]
            return sum(places) / len(places)

        if not below or not above:
            r = rank(known[0]) if not below else rank(known[-1])
        else:
            low, high = below[-1], above[0]
            share = 0.0 if high == low else (value - low) / (high - low)
            r = rank(low) + share * (rank(high) - rank(low))
        result.append(norm.ppf(r / (len(known) + 1)))
    return np.array(result)


@pytest.fixture
def case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = np.round(rng.gamma(1, 2, 60), 1)  # with ties
    return values, rng.standard_normal((60, 4)), np.sort(rng.choice(60, 45, replace=False))


def test_inverse_normal_is_interpolated_between_training_ranks(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    values, _, train = case
    adjusted = fit_adjustment(values, None, train, "inverse-normal").apply(values)
    expected = slow_inverse_normal(values, train)
    expected -= expected[train].mean()
    np.testing.assert_allclose(adjusted, expected / expected[train].std(), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_covariates_are_regressed_out_with_training_coefficients(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], method: str
) -> None:
    values, C, train = case
    first = {
        "inverse-normal": slow_inverse_normal(values, train),
        "standardise": (values - values[train].mean()) / values[train].std(),
        "none": values,
    }[method]
    design = np.column_stack([np.ones(60), C])
    beta = np.linalg.solve(design[train].T @ design[train], design[train].T @ first[train])
    expected = first - design @ beta
    if method != "none":
        expected /= expected[train].std()
    adjusted = fit_adjustment(values, C, train, method).apply(values, C)  # type: ignore[arg-type]
    np.testing.assert_allclose(adjusted, expected, atol=1e-10)
    assert np.abs(C[train].T @ adjusted[train]).max() < 1e-10
    assert abs(adjusted[train].mean()) < 1e-12


def test_without_method_and_covariates_expression_stays(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    values, _, train = case
    np.testing.assert_array_equal(fit_adjustment(values, None, train, "none").apply(values), values)


def fields(adjustment: Adjustment) -> list[np.ndarray]:
    return [np.asarray(value) for value in vars(adjustment).values()]


@pytest.mark.parametrize("method", METHODS)
@given(noise=arrays(np.float64, 15, elements=st.floats(-1e6, 1e6)), scale=st.floats(-10, 10))
def test_others_never_change_what_training_people_get(method: str, noise: np.ndarray, scale: float) -> None:
    rng = np.random.default_rng(3)
    values, C = rng.gamma(1, 2, 40), rng.standard_normal((40, 3))
    train, others = np.arange(25), np.arange(25, 40)
    before = fit_adjustment(values, C, train, method)  # type: ignore[arg-type]
    changed, other_covariates = values.copy(), C.copy()
    changed[others], other_covariates[others] = noise, C[others] * scale + 1
    after = fit_adjustment(changed, other_covariates, train, method)  # type: ignore[arg-type]
    for one, other in zip(fields(before), fields(after), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(before.apply(values, C)[train], after.apply(changed, other_covariates)[train])


@given(values=arrays(np.float64, 30, elements=st.floats(-100, 100), unique=True), new=st.floats(-1000, 1000))
def test_the_transform_is_monotone_and_bounded_by_training_people(values: np.ndarray, new: float) -> None:
    adjustment = fit_adjustment(values, None, np.arange(30), "inverse-normal")
    probe = np.sort(np.append(values, new))
    adjusted = adjustment.apply(probe)
    assert (np.diff(adjusted) >= 0).all()
    trained = adjustment.apply(values)
    assert trained.min() <= adjusted.min()
    assert adjusted.max() <= trained.max()


def test_values_closer_than_a_slope_can_be_have_ranks() -> None:
    values = np.append(np.arange(29.0), 2.2e-311)
    adjustment = fit_adjustment(values, None, np.arange(30), "inverse-normal")
    low, between, high = adjustment.apply(np.array([0.0, 1.1e-311, 2.2e-311]))
    assert low < between < high


def test_a_covariate_without_variance_in_training_has_no_effect(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    values, C, train = case
    flat = np.ones(60)
    flat[np.setdiff1d(np.arange(60), train)] = 1e6
    with_flat = fit_adjustment(values, np.column_stack([C, flat, C[:, 0]]), train, "standardise")
    without = fit_adjustment(values, C, train, "standardise")
    assert with_flat.coefficients[4] == 0
    adjusted = with_flat.apply(values, np.column_stack([C, flat, C[:, 0]]))  # one twice: they share the effect
    np.testing.assert_allclose(adjusted, without.apply(values, C), atol=1e-10)


def test_what_cannot_be_adjusted_is_an_error(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    values, C, train = case
    constant = values.copy()
    constant[train] = 3.0
    with pytest.raises(DataError, match="the same in all 45 training individuals"):
        fit_adjustment(constant, None, train, "inverse-normal")
    with pytest.raises(DataError, match="4 covariates and an intercept explain anything in 5 training individuals"):
        fit_adjustment(values, C, train[:5], "none")
    with pytest.raises(DataError, match="explain expression exactly"):
        fit_adjustment(C[:, 1] * 2 + 1, C, train, "standardise")
    with pytest.raises(DataError, match="4 are needed, as in the fit, but 0 were given"):
        fit_adjustment(values, C, train, "none").apply(values)
    with pytest.raises(DataError, match="1 of 45 training values are not finite"):
        fit_adjustment(np.where(np.arange(60) == train[0], np.nan, values), None, train, "none")
    with pytest.raises(ConfigError, match="`method` must be"):
        fit_adjustment(values, None, train, "log")  # type: ignore[arg-type]
    assert is_constant(np.full(5, 1e8) + np.arange(5) * 1e-9)
    assert is_constant(np.zeros(3))
    assert not is_constant(np.array([0, 0, 1e-9]))


def test_gaps_in_dosages_are_the_training_mean(tmp_path: Path) -> None:
    cohort = open_cohort(small_cohort(tmp_path, missing=0.2, covariates=2))
    gene = cohort.genes["gene_id"][1]
    data, dosages = gene_data(cohort, gene, 2), cohort.dosages(gene)
    for variant in range(dosages.shape[0]):
        known = [count for count in dosages[variant, data.fold.train].tolist() if count >= 0]
        for person in range(dosages.shape[1]):
            count = dosages[variant, person]
            expected = count if count >= 0 else sum(known) / len(known)
            assert data.X[person, variant] == np.float32(expected)
    assert (dosages < 0).any()
    assert imputed(np.full((1, 40), -1, dtype=np.int8), data.fold).tolist() == [[0.0]] * 40


def test_gene_data_of_a_simulated_gene_shows_its_causal_variant(tmp_path: Path) -> None:
    cohort = open_cohort(small_cohort(tmp_path, people=300, heritability=0.6, covariates=3))
    for gene in cohort.genes["gene_id"]:
        data = gene_data(cohort, gene, 0)
        r = [abs(np.corrcoef(column, data.y)[0, 1]) for column in data.X.T]
        assert int(np.argmax(r)) == causal_variant(cohort, gene)
        assert max(r) > 0.6
        assert data.variants.height == data.X.shape[1]
        assert data.y[data.fold.train].std() == pytest.approx(1)


def test_an_error_names_the_gene(tmp_path: Path) -> None:
    cohort = open_cohort(small_cohort(tmp_path, people=12, covariates=9))
    with pytest.raises(DataError, match="ENSG00000000002: `covariates`: 9 covariates"):
        gene_data(cohort, "ENSG00000000002", 0)
