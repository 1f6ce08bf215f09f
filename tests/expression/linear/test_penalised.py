"""The paper's regressions are scikit-learn's, on unstandardised dosages, with what does not vary dropped."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import ElasticNetCV, LassoCV, RidgeCV
from sklearn.pipeline import Pipeline

from cases.linear import dosages, polygenic
from varfx.errors import ConfigError, DataError
from varfx.expression.linear import penalised
from varfx.expression.linear.penalised import PENALISED, fit_penalised

REGRESSIONS = {"elastic-net": lambda: ElasticNetCV(max_iter=2000), "lasso": LassoCV, "ridge": RidgeCV}


@pytest.mark.parametrize("model", PENALISED)
def test_it_is_scikit_learns(rng: np.random.Generator, model: str) -> None:
    X = dosages(rng, 60, 15)
    X[:, [3, 8]] = [0.0, 1.25]
    y = 2 + polygenic(rng, np.delete(X, [3, 8], axis=1), 0.7)
    reference = Pipeline([("a", VarianceThreshold()), ("b", REGRESSIONS[model]())]).fit(X, y)
    fit = fit_penalised(model, X.astype(np.float32), y)
    others = dosages(rng, 20, 15)
    np.testing.assert_allclose(fit.predict(others), reference.predict(others), rtol=1e-9)
    np.testing.assert_array_equal(np.delete(fit.weights, [3, 8]), reference["b"].coef_)
    assert not fit.weights[[3, 8]].any()
    assert fit.intercept == reference["b"].intercept_
    assert fit.notes["alpha"] == reference["b"].alpha_
    assert fit.notes["converged"]


@pytest.mark.parametrize("model", PENALISED)
def test_without_variation_the_prediction_is_the_mean(rng: np.random.Generator, model: str) -> None:
    y = 2 + rng.standard_normal(20)
    for X in (np.empty((20, 0)), np.full((20, 3), 1.5)):
        np.testing.assert_allclose(fit_penalised(model, X, y).predict(X[:4]), y.mean())


def test_a_fit_that_did_not_converge_says_so(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    X = dosages(rng, 40, 30)
    y = polygenic(rng, X, 0.9)
    monkeypatch.setattr(penalised, "_regression", lambda model, seed: LassoCV(max_iter=1))
    assert fit_penalised("lasso", X, y).notes["converged"] is False


def test_bad_input(rng: np.random.Generator) -> None:
    X = dosages(rng, 20, 4)
    with pytest.raises(ConfigError, match="`model` must be one of elastic-net, lasso, ridge, got 'svm'"):
        fit_penalised("svm", X, X[:, 0])
    with pytest.raises(DataError, match="`y` must be finite"):
        fit_penalised("ridge", X, np.full(20, np.inf))
