"""The baselines of a cohort as a run: what it holds, on whom, the same for any number of workers, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from cases.cohort import causal_variant, small_cohort
from varfx.errors import ConfigError, DataError, FormatError, StoreError
from varfx.expression.cohort.gene_data import gene_data
from varfx.expression.cohort.store import open_cohort
from varfx.expression.evaluate import evaluate
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.expression.gene_list import gene_ids
from varfx.expression.linear import run as baseline
from varfx.expression.linear.blup import fit_blup
from varfx.expression.linear.config import LINEAR, BaselineConfig, InformedConfig
from varfx.expression.linear.run import fit_baselines
from varfx.expression.network.config import ZeroShotConfig
from varfx.expression.run import BASELINES, open_run
from varfx.models.enformer import Enformer, EnformerConfig

QUICK = BaselineConfig(
    models=("ridge", "blup", "top1", "informed-blup"), informed=InformedConfig(penalties=(30.0, 3.0))
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baseline")
    return small_cohort(folder, people=80, genes=6, missing=0.02, covariates=2, heritability=0.6)


@pytest.fixture(scope="module")
def finished(cohort: Path) -> Path:
    out = cohort.parent / "RUN"
    fit_baselines(cohort, out, QUICK, workers=1)
    return out


def test_a_run_holds_all_genes_models_folds_and_people(cohort: Path, finished: Path) -> None:
    run, opened = open_run(finished), open_cohort(cohort)
    assert run.kind == BASELINES
    assert run.record["models"] == list(QUICK.models)
    assert run.record["folds"] == [0, 1, 2]
    assert run.record["genes"] == opened.genes["gene_id"].to_list()
    assert not (finished / "parts").exists()
    for number in range(3):
        fold = opened.fold(number)
        rows = run.predictions.filter(pl.col("fold") == number)
        for part in ("tune", "test"):
            names = {opened.people[row] for row in getattr(fold, part)}
            assert set(rows.filter(pl.col("part") == part)["person"]) == names
        assert rows.height == 6 * 4 * (fold.tune.size + fold.test.size)
    assert run.predictions["prediction"].is_finite().all()
    assert set(run.predictions["split"]) == {"hop"}  # a linear model is of its own gene


def test_predictions_are_those_of_the_models_fitted_on_training_people(cohort: Path, finished: Path) -> None:
    run, opened = open_run(finished), open_cohort(cohort)
    gene_id = opened.genes["gene_id"][2]
    gene = gene_data(opened, gene_id, 1)
    fit = fit_blup(gene.X[gene.fold.train], gene.y[gene.fold.train])
    mine = run.predictions.filter(
        (pl.col("gene_id") == gene_id)
        & (pl.col("model") == "blup")
        & (pl.col("fold") == 1)
        & (pl.col("part") == "test")
    )
    np.testing.assert_allclose(mine["prediction"].to_numpy(), fit.predict(gene.X[gene.fold.test]), rtol=1e-5, atol=1e-6)


def test_weights_and_intercept_give_the_predictions(cohort: Path, finished: Path) -> None:
    run, opened = open_run(finished), open_cohort(cohort)
    assert run.weights is not None
    assert run.intercepts is not None
    key = ["chrom", "position", "effect_allele", "other_allele"]
    for gene_id in opened.genes["gene_id"]:
        gene = gene_data(opened, gene_id, 2)
        for model in QUICK.models:
            here = (pl.col("gene_id") == gene_id) & (pl.col("model") == model) & (pl.col("fold") == 2)
            weights = gene.variants.join(run.weights.filter(here), on=key, how="left", maintain_order="left")["weight"]
            intercept = run.intercepts.filter(here)["intercept"][0]
            mine = run.predictions.filter(here & (pl.col("part") == "test"))["prediction"].to_numpy()
            value = gene.X[gene.fold.test].astype(float) @ weights.fill_null(0).to_numpy() + intercept
            np.testing.assert_allclose(mine, value, rtol=1e-5, atol=1e-6)
    h2 = run.intercepts.filter(pl.col("model") == "blup")["h2"]
    assert h2.is_between(0, 1).all()
    assert run.intercepts.filter(pl.col("model") == "top1")["h2"].is_nan().all()


def test_top1_finds_the_causal_variant(cohort: Path, finished: Path) -> None:
    run, opened = open_run(finished), open_cohort(cohort)
    assert run.weights is not None
    found = 0
    for gene_id in opened.genes["gene_id"]:
        position = opened.window_variants(gene_id)[0]["position"][causal_variant(opened, gene_id)]
        mine = run.weights.filter((pl.col("gene_id") == gene_id) & (pl.col("model") == "top1"))["position"]
        found += (mine == position).sum()
    assert found >= 15  # of 6 genes in 3 folds


def test_the_models_predict(finished: Path) -> None:
    result = evaluate([finished], EvaluationConfig(num_samples=50, heritability=False))
    means = {entry["model"]: entry["mean_r2"] for entry in result.models if entry["gene_set"] == "training"}
    assert all(value > 0.2 for value in means.values())


def test_the_informed_prior_is_recorded(finished: Path) -> None:
    record = open_run(finished).record["informed"]
    assert set(record) == {"0", "1", "2"}
    for prior in record.values():
        assert set(prior["coefficients"]) >= {"tss_500", "tss_32000", "upstream"}
        assert prior["gain_heldout_genes"]["genes"] + prior["gain_training_genes"]["genes"] == 6
        assert prior["num_genes"] == prior["gain_training_genes"]["genes"]


def same(first: Path, second: Path) -> bool:
    one, other = open_run(first), open_run(second)
    tables = ((getattr(one, name), getattr(other, name)) for name in ("predictions", "weights", "intercepts"))
    drop = ("provenance",)
    records = [{k: v for k, v in run.record.items() if k not in drop} for run in (one, other)]
    return all(a.equals(b, null_equal=True) for a, b in tables) and records[0] == records[1]


@pytest.mark.usefixtures("forked_workers")
def test_workers_change_nothing(cohort: Path, tmp_path: Path) -> None:
    config = BaselineConfig(models=("lasso", "blup"), folds=(0,))
    for workers in (1, 2):
        fit_baselines(cohort, tmp_path / f"RUN{workers}", config, workers=workers)
    assert same(tmp_path / "RUN1", tmp_path / "RUN2")


def test_workers_of_the_paper_models_load_no_torch() -> None:
    code = "import sys, varfx.expression.linear.gene; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_interrupted_run_goes_on(
    cohort: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, original = tmp_path / "RUN", baseline.fit_and_write
    fitted: list[str] = []

    def stops(worker: object, gene_id: str) -> str:
        if len(fitted) == 3:
            raise KeyboardInterrupt
        fitted.append(gene_id)
        return original(worker, gene_id)

    monkeypatch.setattr(baseline, "fit_and_write", stops)
    with pytest.raises(KeyboardInterrupt):
        fit_baselines(cohort, out, QUICK, workers=1)
    with pytest.raises(StoreError, match="unfinished run"):
        open_run(out)
    monkeypatch.setattr(
        baseline, "fit_and_write", lambda worker, gene: (fitted.append(gene), original(worker, gene))[1]
    )
    with pytest.raises(StoreError, match=r"option models\), so it cannot be resumed"):
        fit_baselines(cohort, out, replace(QUICK, models=("blup",)), workers=1, resume=True)
    fit_baselines(cohort, out, QUICK, workers=1, resume=True)
    assert len(fitted) == 6 + 6  # each gene once for its linear models, and once for the informed one
    assert same(out, finished)


def test_a_finished_run_is_replaced_only_when_told(cohort: Path, tmp_path: Path) -> None:
    small = BaselineConfig(models=("top1",), genes=("ENSG00000000000",), folds=(0,), keep_weights=False)
    fit_baselines(cohort, tmp_path / "RUN", small, workers=1)
    assert open_run(tmp_path / "RUN").weights is None
    with pytest.raises(StoreError, match="finished run"):
        fit_baselines(cohort, tmp_path / "RUN", small, workers=1)
    fit_baselines(cohort, tmp_path / "RUN", replace(small, folds=(1,)), workers=1, overwrite=True)
    assert open_run(tmp_path / "RUN").record["folds"] == [1]


def test_training_and_tuning_people_together(cohort: Path, tmp_path: Path) -> None:
    config = BaselineConfig(models=("blup",), folds=(0,), fit_on="train+tune", genes=("ENSG00000000001.7",))
    run = fit_baselines(cohort, tmp_path / "RUN", config, workers=1)
    gene = gene_data(open_cohort(cohort), "ENSG00000000001", 0)
    rows = np.concatenate([gene.fold.train, gene.fold.tune])
    expected = fit_blup(gene.X[rows], gene.y[rows]).predict(gene.X[gene.fold.test])
    mine = run.predictions.filter(pl.col("part") == "test")["prediction"].to_numpy()
    np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)


def test_the_test_peoples_expression_is_not_looked_at(tmp_path: Path) -> None:
    """Two cohorts that differ in the test individuals' expression only have the same models."""
    first = small_cohort(tmp_path, people=60, genes=3, name="first")
    opened = open_cohort(first)
    original = opened.expression()
    changed = original.copy()
    changed[:, opened.fold(0).test] += np.random.default_rng(0).standard_normal((3, opened.fold(0).test.size)) * 3
    runs = []
    for number, values in enumerate((original, changed)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("varfx.expression.cohort.store.Cohort.expression", lambda self, v=values: v)
            config = replace(QUICK, folds=(0,))
            runs.append(fit_baselines(first, tmp_path / f"RUN{number}", config, workers=1))
    assert runs[0].predictions.equals(runs[1].predictions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ("svm",)}, "`models` must be some of elastic-net, .* got 'svm'"),
        ({"models": ()}, "got 'none'"),
        ({"models": ("blup", "blup")}, "names a model more than once"),
        ({"fit_on": "test"}, "`fit_on` must be train or train"),
        ({"models": ("zero-shot",)}, "needs the published Enformer as a local file: give --checkpoint"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BaselineConfig(**options)  # type: ignore[arg-type]


def test_the_default_is_every_linear_model() -> None:
    assert BaselineConfig().models == LINEAR
    assert "zero-shot" not in LINEAR


def test_genes_and_folds_that_are_not_there(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no gene ENSG404"):
        fit_baselines(cohort, tmp_path / "RUN", replace(QUICK, genes=("ENSG404",)))
    with pytest.raises(ConfigError, match="the cohort's are 0 to 2, got 3"):
        fit_baselines(cohort, tmp_path / "RUN", replace(QUICK, folds=(3,)))
    heldout = open_cohort(cohort).genes_heldout
    with pytest.raises(DataError, match="none of the genes is a training gene"):
        fit_baselines(cohort, tmp_path / "OTHER", replace(QUICK, models=("informed-blup",), genes=heldout), workers=1)
    assert not (tmp_path / "RUN").exists()


def test_lists_of_genes(tmp_path: Path) -> None:
    (tmp_path / "genes.txt").write_text("ENSG1\nENSG2.4\n")
    assert gene_ids(("all",)) == ()
    assert gene_ids((str(tmp_path / "genes.txt"),)) == ("ENSG1", "ENSG2.4")
    assert gene_ids(("ENSG1", "ENSG2")) == ("ENSG1", "ENSG2")
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(FormatError, match="is empty: it should list genes"):
        gene_ids((str(tmp_path / "none.txt"),))


def small_network(tracks: int = 5) -> EnformerConfig:
    return EnformerConfig(
        width=24, depth=1, heads=2, key_width=4, num_downsamples=4, output_heads={"human": tracks}, target_length=None
    )


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[[EnformerConfig], Path]:
    def write(config: EnformerConfig) -> Path:
        model = Enformer(config, generator=torch.Generator().manual_seed(1))
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, tmp_path / "e.safetensors")
        return tmp_path / "e.safetensors"

    return write


def test_zero_shot_reads_the_three_centre_bins(
    cohort: Path, tmp_path: Path, checkpoint: Callable[[EnformerConfig], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_network()
    config = BaselineConfig(
        models=("top1", "zero-shot"),
        genes=("ENSG00000000000", "ENSG00000000001", *open_cohort(cohort).genes_heldout[:1]),
        folds=(0,),
        zero_shot=ZeroShotConfig(checkpoint=checkpoint(network), track=3, network=network, people_per_batch=7),
    )
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen: list[bool] = []
    embed = Enformer.embed
    monkeypatch.setattr(Enformer, "embed", lambda *words: seen.append(torch.backends.cudnn.allow_tf32) or embed(*words))
    run = fit_baselines(cohort, tmp_path / "RUN", config, workers=1)
    assert set(seen) == {False}  # individuals differ in digits that TF32 does not have
    opened = open_cohort(cohort)
    model = Enformer(network, generator=torch.Generator().manual_seed(1)).eval()
    for gene_id in config.genes:
        here = run.predictions.filter((pl.col("gene_id") == gene_id) & (pl.col("model") == "zero-shot"))
        assert set(here["split"]) == {"hogp" if gene_id in opened.genes_heldout else "hop"}
        gene = opened.gene(gene_id)
        variants, _ = opened.window_variants(gene_id)
        for name, part, value in here.select("person", "part", "prediction").rows()[:3]:
            dosage = opened.dosages(gene_id)[:, opened.people.index(name)]
            x = np.zeros((opened.window, 4))  # written base by base
            for base, code in enumerate(opened.reference(gene_id)):
                if code < 4:
                    x[base, code] = 1
            for (position, alt, ref), count in zip(
                variants.select("position", "effect_allele", "other_allele").rows(), dosage, strict=True
            ):
                if count > 0:
                    x[position - 1 - gene.start, "ACGT".index(ref)] -= count / 2
                    x[position - 1 - gene.start, "ACGT".index(alt)] += count / 2
            if gene.strand == "-":
                x = x[::-1, ::-1].copy()
            with torch.no_grad():
                tracks = model(torch.from_numpy(x).float()[None])["human"][0]
            middle = opened.window // 16 // 2
            assert value == pytest.approx(float(tracks[middle - 1 : middle + 2, 3].sum()), rel=1e-4), part
    evaluated = evaluate([tmp_path / "RUN"], EvaluationConfig(num_samples=20, heritability=False))
    assert {(e["model"], e["split"]) for e in evaluated.models} == {
        ("top1", "hop"), ("zero-shot", "hop"), ("zero-shot", "hogp")
    }  # fmt: skip


def test_zero_shot_without_its_file(cohort: Path, tmp_path: Path) -> None:
    absent = ZeroShotConfig(checkpoint=tmp_path / "none.safetensors", network=small_network(), track=0)
    with pytest.raises(FormatError, match="does not exist or is no file"):
        fit_baselines(cohort, tmp_path / "RUN", BaselineConfig(models=("zero-shot",), zero_shot=absent))
    assert not (tmp_path / "RUN").exists()
    with pytest.raises(ConfigError, match="`track` must be from 0 to 5312"):
        ZeroShotConfig(checkpoint=tmp_path, track=5313)


def test_a_learning_curve_is_of_nested_sets_and_nobody_else(cohort: Path, finished: Path, tmp_path: Path) -> None:
    opened = open_cohort(cohort)
    config = replace(QUICK, train_size=(20, 40), folds=(1,), genes=tuple(opened.genes["gene_id"][:3]))
    run = fit_baselines(cohort, tmp_path / "RUN", config, workers=1)
    assert run.record["models"] == [*QUICK.models, *(f"{name}@{size}" for name in QUICK.models for size in (20, 40))]
    assert set(run.predictions["model"]) == set(run.record["models"])
    assert set(run.record["informed"]) == {"1", "1@20", "1@40"}

    gene_id = opened.genes["gene_id"][2]
    full, small, larger = (gene_data(opened, gene_id, 1, train_size=size).fold for size in (None, 20, 40))
    assert set(small.train) < set(larger.train) < set(full.train)
    assert (small.train.size, larger.train.size) == (20, 40)
    for part in ("tune", "test"):
        np.testing.assert_array_equal(getattr(small, part), getattr(full, part))
    data = gene_data(opened, gene_id, 1, train_size=20)
    fit = fit_blup(data.X[data.fold.train], data.y[data.fold.train])
    here = (pl.col("gene_id") == gene_id) & (pl.col("part") == "test") & (pl.col("fold") == 1)
    mine = run.predictions.filter(here & (pl.col("model") == "blup@20"))["prediction"].to_numpy()
    np.testing.assert_allclose(mine, fit.predict(data.X[data.fold.test]), rtol=1e-5, atol=1e-6)
    theirs, whole = (each.predictions.filter(here & (pl.col("model") == "blup")) for each in (open_run(finished), run))
    assert whole.equals(theirs)  # of all individuals: as without a curve

    scores = evaluate([run.path], EvaluationConfig(num_samples=20, heritability=False))
    curves = [entry for entry in scores.learning_curves if entry["model"] == "blup" and entry["gene_set"] == "training"]
    assert [entry["train_size"] for entry in curves] == [20, 40, full.train.size]
    means = {entry["model"]: entry["mean_r2"] for entry in scores.models if entry["gene_set"] == "training"}
    assert [entry["mean_r2"] for entry in curves] == [means["blup@20"], means["blup@40"], means["blup"]]


def test_sizes_that_cannot_be_are_refused_before_anything_is_fitted(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`train_size` 70 is above the 64 training individuals"):
        fit_baselines(cohort, tmp_path / "RUN", replace(QUICK, train_size=(20, 70)), workers=1)
    assert not (tmp_path / "RUN").exists()
    with pytest.raises(ConfigError, match="`train_size` must be different numbers of at least 5, got 4"):
        BaselineConfig(train_size=(4,))
