"""Predictions of linear models for the individuals of another cohort."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float32
from numpy import ndarray

from varfx.expression.run import ExpressionRun, training_fold
from varfx.expression.transfer.config import Absent
from varfx.expression.transfer.window import MatchedWindow, training_means
from varfx.expression.weights import aligned_weights

KeyedValues = dict[tuple[str, int], Float32[ndarray, " individual"]]


def linear_predictions(
    run: ExpressionRun, window: MatchedWindow, models: Sequence[str], folds: Sequence[int], absent: Absent
) -> KeyedValues:
    """Adjusted expression of the other individuals by model and fold; none where a model has no variant they have.

    Missing genotypes are the mean of the individuals that the model was fitted on, as at home.

    Args:
        run: with weights.
        window: of the gene.
        models: some of the run's.
        folds: some of the run's.
        absent: genotypes at variants that the other cohort lacks.
    """
    weights, intercepts = run.weights, run.intercepts
    assert weights is not None
    assert intercepts is not None
    mine = pl.col("gene_id") == window.gene.gene_id
    weights, intercepts = weights.filter(mine), intercepts.filter(mine)
    at_home = window.home.dosages(window.gene.gene_id)
    found: KeyedValues = {}
    for number in folds:
        X_of = {}
        for model in models:
            train = training_fold(run, window.home, number, model).train
            if train.size not in X_of:
                X_of[train.size] = _dosages(window, training_means(at_home, train), absent)
            X = X_of[train.size]
            key = (pl.col("model") == model) & (pl.col("fold") == number)
            intercept = intercepts.filter(key)["intercept"]
            weight = aligned_weights(window.variants, weights.filter(key))
            if len(intercept) and (not weight.any() or weight[window.found].any()):
                found[model, number] = (X @ weight + intercept[0]).astype(np.float32)
    return found


def _dosages(window: MatchedWindow, means: ndarray, absent: Absent) -> ndarray:
    """Dosages (individual, variant) without gaps, rounded as those that the models were fitted on."""
    fill = means.copy()
    if absent == "reference":
        fill[~window.found] = 0.0
    known = window.dosages >= 0
    return np.where(known, window.dosages, fill[:, None]).T.astype(np.float32).astype(np.float64)
