"""Predicted against observed expression of a gene without any individual's values: means of groups of at least 10 individuals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import polars as pl
import scipy.stats
from jaxtyping import Float64
from numpy import ndarray

from varfx.expression.cohort.gene_data import adjusted_expression
from varfx.expression.cohort.store import Cohort
from varfx.pages.words import number, rounded
from varfx.report.html.blocks import Block, Chart, Columns, Prose
from varfx.report.html.charts.agreement import agreement

LEAST_INDIVIDUALS = 10  # of a group that is shown
MOST_GROUPS = 10


def agreement_block(cohort: Cohort, predictions: pl.DataFrame, gene_id: str, name: str) -> Block:
    """The chart of a gene, or the reason why there is none.

    Args:
        cohort: the run's.
        predictions: of the gene; columns of `varfx.expression.run.PREDICTION_SCHEMA`.
        gene_id: the gene.
        name: of the chart.
    """
    values = individual_means(cohort, predictions, gene_id)
    groups = {model: grouped(*pair) for model, pair in values.items()}
    shown = {model: each for model, each in groups.items() if each is not None}
    without = [model for model in groups if model not in shown]
    said = f" Constant predictions, or fewer than {2 * LEAST_INDIVIDUALS} individuals: {', '.join(without)}." if without else ""  # fmt: skip
    if not shown:
        return Prose(
            text=f"Predicted against observed expression is not drawn.{said} Groups have at least {LEAST_INDIVIDUALS} individuals, so that no individual's value is shown.",
            emphasis="note",
        )
    return _chart(shown, {model: int(values[model][0].size) for model in shown}, name, said)


def individual_means(
    cohort: Cohort, predictions: pl.DataFrame, gene_id: str
) -> dict[str, tuple[Float64[ndarray, " individual"], Float64[ndarray, " individual"]]]:
    """Per model predicted and observed expression of each test individual, averaged over the folds in which it is one.

    Individuals without a finite prediction are left out.
    """
    row_of = {name: row for row, name in enumerate(cohort.people)}
    test = predictions.filter((pl.col("part") == "test") & pl.col("prediction").is_finite())
    total: dict[str, list[ndarray]] = {}
    for (model, fold), part in test.partition_by("model", "fold", as_dict=True, maintain_order=True).items():
        sums = total.setdefault(str(model), [np.zeros(len(cohort.people)) for _ in range(3)])
        rows = [row_of[name] for name in part["person"]]
        observed = adjusted_expression(cohort, gene_id, cohort.fold(int(fold)))
        sums[0][rows] += part["prediction"].to_numpy().astype(np.float64)
        sums[1][rows] += observed[rows]
        sums[2][rows] += 1
    return {model: (p[n > 0] / n[n > 0], y[n > 0] / n[n > 0]) for model, (p, y, n) in total.items()}


def grouped(
    predicted: Float64[ndarray, " individual"], observed: Float64[ndarray, " individual"]
) -> Mapping[str, ndarray] | None:
    """Groups of individuals with like predictions: means, the 95 % interval of the observed mean, and their number.

    Individuals with equal predictions stand in one group, and every group has at least `LEAST_INDIVIDUALS`. None where this gives
    fewer than two groups.

    Args:
        predicted: of each individual.
        observed: of each individual.
    """
    size = max(LEAST_INDIVIDUALS, -(-predicted.size // MOST_GROUPS))
    order = np.argsort(predicted, kind="stable")
    ends = np.flatnonzero(np.diff(predicted[order], append=np.inf) > 0) + 1  # behind the last of equal predictions
    bounds = [0]
    for end in ends.tolist():
        if end - bounds[-1] >= size:
            bounds.append(end)
    if len(bounds) < 3:
        return None
    bounds[-1] = predicted.size  # the rest is too few for a group of their own
    parts = [order[low:high] for low, high in itertools.pairwise(bounds)]
    count = np.array([part.size for part in parts])
    means = np.array([observed[part].mean() for part in parts])
    errors = np.array([observed[part].std(ddof=1) for part in parts]) / np.sqrt(count)
    reach = scipy.stats.t.ppf(0.975, count - 1) * errors
    return {
        "predicted": np.array([predicted[part].mean() for part in parts]),
        "observed": means,
        "low": means - reach,
        "high": means + reach,
        "individuals": count,
    }


def _chart(groups: Mapping[str, Mapping[str, ndarray]], sizes: Mapping[str, int], name: str, said: str) -> Chart:
    columns: Columns = {
        "model": [model for model, each in groups.items() for _ in each["individuals"]],
        **{
            key: rounded((value for each in groups.values() for value in each[key]), 3)
            for key in ("predicted", "observed", "low", "high")
        },
        "individuals": [int(value) for each in groups.values() for value in each["individuals"]],
    }
    words = "; ".join(
        f"{model}: {each['individuals'].size} groups of {sizes[model]} individuals, observed means from {number(each['observed'][0])} in the lowest to {number(each['observed'][-1])} in the highest"
        for model, each in groups.items()
    )
    caption = f"Test individuals in groups of at least {LEAST_INDIVIDUALS} with like predictions, averaged over folds; 95 % intervals of the means (Student). No individual's value is in this page.{said}"
    return agreement(columns, name=name, models=list(groups), caption=caption, alternative=f"{words}.")
