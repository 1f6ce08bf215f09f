"""The penalised regressions of the Variformer paper, as scikit-learn fits them.

Unstandardised dosages, every variant of the window, no frequency filter; `VarianceThreshold` drops what does not vary.
Penalties are chosen by 5-fold cross-validation within the individuals given (ridge: leave-one-out), with scikit-learn's defaults.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from varfx.errors import ConfigError
from varfx.expression.linear.fit import CONSTANT, LinearFit, check_training

PENALISED = ("elastic-net", "lasso", "ridge")


def fit_penalised(
    model: str, X: Float[ndarray, "individual variant"], y: Float64[ndarray, " individual"], *, seed: int = 0
) -> LinearFit:
    """The model `Pipeline(VarianceThreshold(), ElasticNetCV(max_iter=2000))`, or with LassoCV() or RidgeCV().

    Args:
        model: "elastic-net", "lasso" or "ridge".
        X: dosages of the training individuals.
        y: their adjusted expression.
        seed: of scikit-learn's random choices (its defaults make none).

    Returns:
        The fit; `notes` hold the penalty `alpha` and whether coordinate descent at that penalty `converged`.

    Raises:
        ConfigError: another model.
        DataError: too few individuals, or values that are not finite.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.pipeline import Pipeline

    check_training(X, y)
    regression = _regression(model, seed)
    X = X.astype(np.float64)
    if not (X.std(axis=0) > CONSTANT).any():
        return LinearFit(weights=np.zeros(X.shape[1]), intercept=float(y.mean()), notes={"converged": True})
    pipeline = Pipeline([("varying", VarianceThreshold()), ("regression", regression)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of small penalties tried on the way, or told by `notes`
        pipeline.fit(X, y)
    weights = np.zeros(X.shape[1])
    weights[pipeline["varying"].get_support()] = regression.coef_
    converged = model == "ridge" or regression.n_iter_ < regression.max_iter
    return LinearFit(
        weights=weights,
        intercept=float(regression.intercept_),
        notes={"alpha": float(regression.alpha_), "converged": bool(converged)},
    )


def _regression(model: str, seed: int) -> Any:
    from sklearn.linear_model import ElasticNetCV, LassoCV, RidgeCV

    match model:
        case "elastic-net":
            return ElasticNetCV(max_iter=2000, random_state=seed)
        case "lasso":
            return LassoCV(random_state=seed)
        case "ridge":
            return RidgeCV()
        case _:
            raise ConfigError(f"`model` must be one of {', '.join(PENALISED)}, got {model!r}.")
