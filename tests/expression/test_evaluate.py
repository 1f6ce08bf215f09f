"""Scores are scipy's and scikit-learn's, intervals are calibrated, and only what belongs together is compared."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from cases.cohort import small_cohort
from varfx.bootstrap import counts_of_individuals, mean_interval, percentiles
from varfx.errors import ConfigError, DataError, StoreError
from varfx.expression.cohort.adjust import fit_adjustment
from varfx.expression.cohort.gene_data import gene_data, imputed
from varfx.expression.cohort.store import Fold, open_cohort
from varfx.expression.evaluate import evaluate, gene_heritability
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.expression.linear.fit import standardise
from varfx.expression.linear.heritability import reml
from varfx.expression.metrics import score
from varfx.expression.run import begin_run, cohort_identity, write_run
from varfx.io import sealed


def test_scores_are_scipys_and_scikit_learns(rng: np.random.Generator) -> None:
    y = rng.standard_normal(40) + 3
    p = 0.5 * y + rng.standard_normal(40)
    scores = score(y, p, counts_of_individuals(40, 10, 0))
    assert scores.pcc == pytest.approx(pearsonr(y, p).statistic, rel=1e-12)
    assert scores.r2 == pytest.approx(r2_score(y, p), rel=1e-12)
    assert scores.num_people == 40


def test_bootstrap_samples_are_scores_of_resampled_people(rng: np.random.Generator) -> None:
    y = rng.standard_normal(25)
    p = y + rng.standard_normal(25)
    weights = counts_of_individuals(25, 6, 3)
    assert (weights.sum(axis=1) == 25).all()
    scores = score(y, p, weights)
    for sample, counts in enumerate(weights.astype(int)):
        people = np.repeat(np.arange(25), counts)
        assert scores.pcc_samples[sample] == pytest.approx(pearsonr(y[people], p[people]).statistic)
        assert scores.r2_samples[sample] == pytest.approx(r2_score(y[people], p[people]))


def test_a_constant_prediction_has_an_r2_but_no_correlation(rng: np.random.Generator) -> None:
    y = rng.standard_normal(30)
    scores = score(y, np.full(30, 0.3), counts_of_individuals(30, 50, 0))
    assert scores.pcc is None
    assert scores.pcc_samples.size == 0
    assert scores.r2 == pytest.approx(r2_score(y, np.full(30, 0.3)))
    wobble = np.full(30, 4950.0) + 1e-6 * rng.standard_normal(30)  # rounding of float32
    assert score(y, wobble, counts_of_individuals(30, 5, 0)).pcc is None


def test_missing_predictions_and_few_people_have_no_scores(rng: np.random.Generator) -> None:
    y = rng.standard_normal(30)
    p = np.where(np.arange(30) == 4, np.nan, y)
    scores = score(y, p, counts_of_individuals(30, 5, 0))
    assert (scores.pcc, scores.r2, scores.num_people) == (None, None, 29)
    assert score(y[:2], y[:2], counts_of_individuals(2, 5, 0)).r2 is None
    assert score(np.ones(9), y[:9], counts_of_individuals(9, 5, 0)).r2 is None
    assert percentiles(np.array([np.nan, 1.0])) is None
    with pytest.raises(DataError, match="`observed` must be finite: 1"):
        score(p, y, counts_of_individuals(30, 5, 0))
    with pytest.raises(DataError, match="differ"):
        score(y, y[:5], counts_of_individuals(30, 5, 0))


def test_tiny_samples_do_not_divide_by_zero() -> None:
    """Of 3 individuals some bootstrap samples hold one individual only; warnings are errors here."""
    scores = score(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.5, 3.0]), counts_of_individuals(3, 400, 0))
    assert np.isnan(scores.pcc_samples).any()
    bounds = percentiles(scores.pcc_samples)
    assert bounds is not None
    assert -1 <= bounds[0] <= bounds[1] <= 1 + 1e-9


def test_the_interval_of_a_correlation_covers() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for number in range(300):
        x = rng.standard_normal(80)
        y = 0.5 * x + 0.75**0.5 * rng.standard_normal(80)
        bounds = percentiles(score(y, x, counts_of_individuals(80, 300, number)).pcc_samples)
        assert bounds is not None
        covered += bounds[0] <= 0.5 <= bounds[1]
    assert 0.88 <= covered / 300 <= 0.99


def test_the_mean_over_genes() -> None:
    values = np.array([0.1, 0.3, 0.2, 0.5])
    mean, bounds = mean_interval(values)
    assert mean == pytest.approx(0.275)
    assert bounds is not None
    assert bounds[0] < 0.275 < bounds[1]
    assert mean_interval(values[:1])[1] is None
    assert mean_interval(values[:0]) == (None, None)


def predictions(cohort_path: Path, models: dict[str, float], *, hogp: tuple[str, ...] = ()) -> pl.DataFrame:
    """Models that predict the observed values plus noise of an sd each (infinite: a constant; NaN: nothing)."""
    cohort = open_cohort(cohort_path)
    rng = np.random.default_rng(5)
    tables = []
    for gene in cohort.genes["gene_id"]:
        for number in range(cohort.num_folds):
            data = gene_data(cohort, gene, number)
            for model, sd in models.items():
                heldout = gene in cohort.genes_heldout
                for part in ("tune", "test"):
                    rows = getattr(data.fold, part)
                    value = (
                        data.y[rows] + sd * rng.standard_normal(rows.size) if np.isfinite(sd) else np.zeros(rows.size)
                    )
                    value = np.full(rows.size, np.nan) if np.isnan(sd) else value
                    tables.append(
                        pl.DataFrame(
                            {"person": [cohort.people[row] for row in rows], "prediction": value}
                        ).with_columns(
                            gene_id=pl.lit(gene),
                            model=pl.lit(model),
                            fold=pl.lit(number),
                            split=pl.lit("hogp" if heldout and model in hogp else "hop"),
                            part=pl.lit(part),
                        )
                    )
    return pl.concat(tables)


def write(cohort: Path, out: Path, table: pl.DataFrame, **more: object) -> Path:
    models = table["model"].unique(maintain_order=True).to_list()
    record = {"kind": "expression baselines", **cohort_identity(cohort), "models": models, "folds": [0, 1, 2]}
    record |= {"genes": table["gene_id"].unique().to_list(), "config": {}, "provenance": {}, **more}
    begin_run(out, {"config": {}, "inputs": {}})
    write_run(out, record=record, predictions=table)
    return out


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cohort(tmp_path_factory.mktemp("evaluate"), people=60, genes=6)


@pytest.fixture(scope="module")
def run(cohort: Path) -> Path:
    table = predictions(cohort, {"good": 0.5, "bad": 1.5, "flat": np.inf, "none": np.nan}, hogp=("bad",))
    return write(cohort, cohort.parent / "RUN", table)


def test_every_gene_model_and_fold_has_its_entry(cohort: Path, run: Path) -> None:
    result = evaluate([run], EvaluationConfig(num_samples=100))
    opened = open_cohort(cohort)
    assert len(result.genes) == 6 * 4 * 3
    table = predictions(cohort, {"good": 0.5, "bad": 1.5, "flat": np.inf, "none": np.nan}, hogp=("bad",))
    for entry in result.genes:
        data = gene_data(opened, entry["gene"], entry["fold"])
        mine = table.filter(
            (pl.col("gene_id") == entry["gene"])
            & (pl.col("model") == entry["model"])
            & (pl.col("fold") == entry["fold"])
        ).filter(pl.col("part") == "test")
        assert mine["person"].to_list() == [opened.people[row] for row in data.fold.test]
        heldout = entry["gene"] in opened.genes_heldout
        assert entry["split"] == ("hogp" if heldout and entry["model"] == "bad" else "hop")
        assert entry["gene_set"] == ("held-out" if heldout else "training")
        if entry["model"] == "none":
            assert (entry["pcc"], entry["r2"], entry["n_people"]) == (None, None, 0)
            continue
        y, p = data.y[data.fold.test], mine["prediction"].to_numpy()
        assert entry["n_people"] == y.size
        assert entry["r2"] == pytest.approx(r2_score(y, p), abs=1e-5)
        if entry["model"] == "flat":
            assert entry["pcc"] is None
        else:
            assert entry["pcc"] == pytest.approx(pearsonr(y, p).statistic, abs=1e-6)
            assert entry["pcc_ci95"][0] <= entry["pcc"] <= entry["pcc_ci95"][1]


def test_means_and_differences(run: Path) -> None:
    result = evaluate([run], EvaluationConfig(num_samples=100, heritability=False))
    entries = [entry for entry in result.genes if entry["gene_set"] == "training"]
    genes = list(dict.fromkeys(entry["gene"] for entry in entries))
    per_gene = {
        model: np.array(
            [np.mean([e["r2"] for e in entries if (e["gene"], e["model"]) == (gene, model)]) for gene in genes]
        )
        for model in ("good", "bad", "flat")
    }
    means = {entry["model"]: entry for entry in result.models if entry["gene_set"] == "training"}
    for model, values in per_gene.items():
        assert means[model]["mean_r2"] == pytest.approx(values.mean())
        assert means[model]["genes"] == len(genes)
    assert means["flat"]["constant"] == len(genes)
    assert means["flat"]["mean_pcc"] == 0  # a constant prediction tells nobody from anybody
    assert means["none"] == means["none"] | {"genes": 0, "missing": len(genes), "mean_r2": None, "mean_pcc": None}
    (gap,) = [d for d in result.differences if (d["gene_set"], d["first"], d["second"]) == ("training", "good", "bad")]
    assert gap["r2"] == pytest.approx((per_gene["good"] - per_gene["bad"]).mean())
    assert gap["r2_ci95"][0] < gap["r2"] < gap["r2_ci95"][1]
    assert not [d for d in result.differences if "none" in (d["first"], d["second"])]
    # on held-out genes a network that never saw them stands against models of their own
    across = [d for d in result.differences if d["gene_set"] == "held-out" and d["second_split"] == "hogp"]
    assert {(d["first"], d["first_split"], d["second"]) for d in across} >= {("good", "hop", "bad")}
    assert result.heritability == []


def test_the_result_is_json_and_a_table(run: Path) -> None:
    result = evaluate([run], EvaluationConfig(num_samples=50))
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert {"gene", "model", "split", "fold", "pcc", "r2", "n_people"} <= json.loads(text)["genes"][0].keys()
    table = result.table()
    assert table.height == len(result.genes)
    assert {"pcc_low", "pcc_high", "h2", "h2_stderr"} <= set(table.columns)
    again = evaluate([run], EvaluationConfig(num_samples=50))
    assert again.to_dict() == result.to_dict()


def test_test_sets_too_small_for_a_score_are_said(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = "have test sets of fewer than"
    assert not any(few in note for note in evaluate([run], EvaluationConfig(num_samples=10, heritability=False)).notes)
    monkeypatch.setattr(sys.modules["varfx.expression.evaluate"], "LEAST_PEOPLE", 1000)  # the room exports the function
    assert any(
        f"{few} 1000 individuals: they have no score" in note
        for note in evaluate([run], EvaluationConfig(num_samples=10, heritability=False)).notes
    )


def test_several_runs_are_compared_on_one_cohort(cohort: Path, run: Path, tmp_path: Path) -> None:
    other = write(cohort, tmp_path / "OTHER", predictions(cohort, {"good": 1.0, "new": 0.7}), skipped=[
        {"gene": "ENSG9", "fold": 1, "reason": "constant"}
    ])  # fmt: skip
    result = evaluate([run, other], EvaluationConfig(num_samples=20, heritability=False))
    assert {entry["model"] for entry in result.genes} == {"good:RUN", "good:OTHER", "new", "bad", "flat", "none"}
    assert any("model good of" in note and "is called good:OTHER" in note for note in result.notes)
    assert any(
        "1 genes and folds could not be fitted, first ENSG9 in fold 1 (constant)" in note for note in result.notes
    )
    with pytest.raises(DataError, match="a run is given twice"):
        evaluate([run, run], EvaluationConfig(num_samples=20, heritability=False))


def test_runs_of_another_cohort_are_refused(cohort: Path, run: Path, tmp_path: Path) -> None:
    strange = small_cohort(tmp_path, people=60, genes=6, seed=1)
    other = write(strange, tmp_path / "OTHER", predictions(strange, {"good": 1.0}))
    with pytest.raises(DataError, match=r"was made on another cohort .* same individuals and folds only"):
        evaluate([run, other])
    with pytest.raises(DataError, match="has no weights of variants"):  # of another cohort: to be judged there
        evaluate([run], cohort=strange)
    moved = tmp_path / "moved"
    shutil.copytree(cohort, moved)
    assert evaluate([run], EvaluationConfig(num_samples=10, heritability=False), cohort=moved).genes
    shutil.rmtree(strange)
    with pytest.raises(StoreError, match=r"is not there\. Say where it lies now with --cohort"):
        evaluate([other])
    with pytest.raises(ConfigError, match="no run is given"):
        evaluate([])


def test_predictions_of_others_than_test_people_are_refused(cohort: Path, tmp_path: Path) -> None:
    table = predictions(cohort, {"good": 1.0})
    swapped = table.with_columns(part=pl.col("part").replace({"tune": "test", "test": "tune"}))
    with pytest.raises(DataError, match="not in the test set of fold 0"):
        evaluate([write(cohort, tmp_path / "SWAPPED", swapped)], EvaluationConfig(heritability=False))
    unknown = table.with_columns(gene_id=pl.lit("ENSG404")).unique(["model", "fold", "person"])
    with pytest.raises(DataError, match="predictions of ENSG404, which the cohort does not have"):
        evaluate([write(cohort, tmp_path / "UNKNOWN", unknown)], EvaluationConfig(heritability=False))
    nothing = write(cohort, tmp_path / "NOTHING", table.filter(pl.col("part") == "tune"))
    with pytest.raises(DataError, match="no predictions for test individuals"):
        evaluate([nothing], EvaluationConfig(heritability=False))


def test_heritability_of_a_simulated_gene(tmp_path: Path) -> None:
    opened = open_cohort(small_cohort(tmp_path, people=400, genes=2, heritability=0.5, covariates=3))
    for gene in opened.genes["gene_id"]:
        record = gene_heritability(opened, gene)
        assert record["h2_ci95"][0] <= 0.5 <= record["h2_ci95"][1]
        assert record["p"] < 1e-6
        assert record["variants"] > 5


def test_a_damaged_run_is_named(run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "BROKEN"
    shutil.copytree(run, broken)
    (broken / sealed.MANIFEST).unlink()
    with pytest.raises(StoreError, match="unfinished, or not written by varfx"):
        evaluate([broken])


def test_folds_have_bootstrap_samples_of_their_own(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One seed in every fold would pair resampled individuals of different test sets, and make means over folds too wide or narrow."""
    asked: list[tuple[int, int, int]] = []

    def spy(num_individuals: int, num_samples: int, seed: int) -> np.ndarray:
        asked.append((num_individuals, num_samples, seed))
        return counts_of_individuals(num_individuals, num_samples, seed)

    monkeypatch.setattr(sys.modules[evaluate.__module__], "counts_of_individuals", spy)
    evaluate([run], EvaluationConfig(heritability=False, num_samples=20, seed=5))
    assert {seed for *_, seed in asked} == {5, 6, 7}


def test_heritability_counts_the_covariates_degrees_of_freedom(tmp_path: Path) -> None:
    opened = open_cohort(small_cohort(tmp_path, people=60, genes=1, heritability=0.5, covariates=20))
    gene = opened.genes["gene_id"][0]
    everyone = np.arange(60)
    assert opened.covariates is not None
    C = opened.covariates.T
    values = opened.expression()[opened.gene_row(gene)].astype(np.float64)
    y = fit_adjustment(values, C, everyone, opened.normalise).apply(values, C)
    Z = standardise(imputed(opened.dosages(gene), Fold(everyone, everyone, everyone))).Z
    record = gene_heritability(opened, gene)
    assert record["h2_stderr"] == pytest.approx(reml(Z, y, C).stderr)
    assert record["h2_stderr"] != pytest.approx(reml(Z, y).stderr, rel=0.02)
