"""Models judged on another cohort: the scores are scipy's, and nobody who taught them is among those who judge them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr

from cases.cohort import small_cohort
from cases.transfer import as_other_cohort
from cases.variants import linear_run, some_weights
from varfx.errors import DataError
from varfx.expression.cohort.adjust import fit_adjustment
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.evaluate import evaluate
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.expression.transfer.others import CohortOthers
from varfx.expression.transfer.predict import predict_elsewhere
from varfx.expression.transfer.same_people import Comparison
from varfx.expression.transfer.window import match_window

QUICK = EvaluationConfig(num_samples=20, heritability=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return open_cohort(small_cohort(tmp_path_factory.mktemp("home"), window=256, people=50))


@pytest.fixture(scope="module")
def run(home: Cohort) -> Path:
    return linear_run(home.path.parent / "B", home, {"blup": some_weights(home, 8)})


def test_scores_in_another_cohort(home: Cohort, run: Path, tmp_path: Path) -> None:
    """With other names and too few variants to compare, all count; genes without expression there are said."""
    other = open_cohort(as_other_cohort(home, tmp_path / "O", prefix="X", genes=3).path)
    result = evaluate([run], QUICK, cohort=other.path)
    table = predict_elsewhere(run, [other.path]).table
    assert len(result.genes) == 3
    for entry in result.genes:
        raw = other.expression()[other.gene_row(entry["gene"])].astype(float)
        everyone = np.arange(raw.size)
        observed = fit_adjustment(raw, None, everyone, "inverse-normal").apply(raw)
        predicted = table.filter(pl.col("gene_id") == entry["gene"])["prediction"].to_numpy()
        assert entry["pcc"] == pytest.approx(pearsonr(observed, predicted).statistic, abs=1e-9)
        assert entry["n_people"] == 50
    assert (result.cohort, result.home) == (str(other.path), str(home.path))
    assert "judged in 50 individuals" in result.notes[0]
    assert "inverse-normal, 0 covariates" in result.notes[0]
    assert any("1 genes have no expression in the other cohort" in note for note in result.notes)
    assert result.matching[0][0]["step"] == "found"


def test_the_runs_own_individuals_do_not_judge(home: Cohort, run: Path, tmp_path: Path) -> None:
    other = as_other_cohort(home, tmp_path / "O")
    with pytest.raises(DataError, match=r"all 50 individuals of .* nobody is left to judge them on"):
        evaluate([run], QUICK, cohort=other.path)


def test_individuals_are_known_by_their_genotypes(tmp_path: Path) -> None:
    """Many windows apart; half of the names are exchanged, so that names mislead."""
    home = open_cohort(small_cohort(tmp_path, window=10_000, people=40, genes=50, variants_per_gene=4))
    names = [f"{'X' if number % 2 else ''}{name}" for number, name in enumerate(home.people)]
    comparison, others = Comparison(), CohortOthers(home)
    for gene in home.genes["gene_id"]:
        comparison.add(match_window(home, gene, others))
    same = comparison.same(home.people, tuple(names))
    assert same.rows == tuple(range(40))
    assert (same.by_name, same.namesakes) == (20, 0)
    assert "20 of them under another name" in (same.note() or "")
    rng = np.random.default_rng(0)
    shuffled = Comparison()
    shuffled._home = comparison._home
    shuffled._others = [rng.permutation(row) for row in comparison._others]
    same = shuffled.same(home.people, home.people)
    assert (same.rows, same.namesakes) == ((), 40)
    assert "40 individuals only share a name" in (same.note() or "")
