"""Averages of scores by class of heritability, size of the training set, and over genes."""

from __future__ import annotations

import numpy as np
import pytest

from varfx.expression.linear.config import BaselineConfig
from varfx.expression.means import across_genes, by_heritability, differences, gene_means, learning_curves, model_means
from varfx.expression.metrics import Scores, score
from varfx.expression.model_names import size_of, sized_name


def scores(rng: np.random.Generator, level: float, predicted: float) -> Scores:
    observed = level + rng.standard_normal(30)
    return score(observed, predicted + 0.5 * (observed - level), np.ones((5, 30)))


@pytest.fixture
def scored(rng: np.random.Generator) -> dict[tuple[str, str, str, int], Scores]:
    """Ten genes of rising expression; model a predicts their level, model b the opposite."""
    return {
        (f"G{gene}", model, "hop", fold): scores(rng, gene, gene if model == "a" else -gene)
        for gene in range(10)
        for model in ("a", "b")
        for fold in (0, 1)
    }


def test_levels_of_genes_are_compared_over_genes(scored: dict[tuple[str, str, str, int], Scores]) -> None:
    records = {(entry["model"], entry["gene_set"]): entry for entry in across_genes(scored, {"G0", "G1"})}
    assert records["a", "training"]["genes"] == 8
    assert records["a", "training"]["spearman"] == pytest.approx(1)
    assert records["b", "training"]["spearman"] == pytest.approx(-1)
    assert records["a", "training"]["pearson"] > 0.99
    assert records["a", "held-out"]["pearson"] is None  # of two genes


def test_classes_of_heritability_hold_each_gene_once(scored: dict[tuple[str, str, str, int], Scores]) -> None:
    h2 = [0.0, 0.049, 0.05, 0.1, 0.15, 0.2, 0.4, 1.0, 0.999, None]
    means = gene_means(scored, set())
    records = by_heritability(means, [{"gene": f"G{k}", "h2": value} for k, value in enumerate(h2)], seed=0)
    mine = [entry for entry in records if entry["model"] == "a"]
    assert [(entry["h2_low"], entry["genes"]) for entry in mine] == [(0.0, 2), (0.05, 1), (0.1, 2), (0.2, 1), (0.4, 3)]
    r2 = {entry["gene"]: entry["r2"] for entry in means if entry["model"] == "a"}
    assert mine[2]["mean_r2"] == pytest.approx((r2["G3"] + r2["G4"]) / 2)
    assert mine[1]["mean_r2_ci95"] is None


def test_curves_join_the_sizes_of_a_model(rng: np.random.Generator) -> None:
    names = ["blup", "blup@50", "blup@100:RUN", "ridge@50", "ridge@100"]
    scored = {(f"G{gene}", name, "hop", 0): scores(rng, 0, 0) for gene in range(3) for name in names}
    records = learning_curves(model_means(gene_means(scored, set()), 0), {0: 200, 1: 202})
    assert [(entry["model"], entry["train_size"]) for entry in records] == [
        ("blup", 50), ("blup", 201), ("ridge", 50), ("ridge", 100)
    ]  # fmt: skip
    assert all(entry["genes"] == 3 for entry in records)


def test_names_and_sizes_come_back() -> None:
    assert [size_of(sized_name("blup", size)) for size in (None, 50)] == [("blup", None), ("blup", 50)]
    assert size_of("enformer@home") == ("enformer@home", None)
    assert BaselineConfig(models=("ridge",), train_size=(10, 20)).names == ("ridge", "ridge@10", "ridge@20")


def test_intervals_of_few_genes_end_where_a_mean_can_be() -> None:
    rows = [
        {"gene": gene, "model": model, "split": "hop", "gene_set": "training", "fold": 0, "pcc": pcc, "r2": r2}
        for gene, model, pcc, r2 in (("A", "a", 0.9, 0.7), ("B", "a", 0.1, -0.4), ("A", "b", -0.8, 0.1), ("B", "b", 0.9, 0.2))
    ]  # fmt: skip
    a, b = model_means(rows, seed=0)
    assert (a["mean_pcc"], a["mean_r2"]) == (pytest.approx(0.5), pytest.approx(0.15))
    assert a["mean_pcc_ci95"] == b["mean_pcc_ci95"] == [-1, 1]
    assert a["mean_r2_ci95"][1] == 1
    assert a["mean_r2_ci95"][0] < -1  # R2 has no least value
    assert b["mean_r2_ci95"][0] < 0.1
    assert b["mean_r2_ci95"][1] < 1  # not touched: 12.7 standard errors end before
    (gap,) = differences(rows, seed=0)
    assert gap["pcc_ci95"] == [-2, 2]
    assert gap["r2_ci95"][0] < -2
