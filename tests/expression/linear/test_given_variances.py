"""prior-blup: BLUP with prior variances from a file; equal ones are BLUP, true ones help, and the gain is that of the likelihoods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.cohort import causal_variant, small_cohort
from varfx.errors import ConfigError
from varfx.expression.cohort.gene_data import gene_data
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.linear.blup import fit_blup, likelihood_gain, prior_root
from varfx.expression.linear.config import BaselineConfig
from varfx.expression.linear.fit import standardise
from varfx.expression.linear.gene import filled
from varfx.expression.linear.run import fit_baselines
from varfx.expression.run import ExpressionRun
from varfx.expression.twas.config import ExportConfig
from varfx.expression.twas.export import export_weights
from varfx.expression.twas.predictdb import read_predictdb


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return open_cohort(small_cohort(tmp_path_factory.mktemp("given"), window=256, people=120, folds=2))


def variances_file(cohort: Cohort, path: Path, f: np.ndarray, *, swap: bool = False) -> Path:
    """A table as PolyFun has it; alleles may stand in the other order, as f has no sign."""
    first, second = ("other_allele", "effect_allele") if swap else ("effect_allele", "other_allele")
    known = cohort.variants.with_columns(f=pl.Series(f)).filter(pl.col("f").is_not_nan())
    known.select(
        CHR="chrom", SNP="variant_id", BP="position", A1=first, A2=second, SNPVAR="f"
    ).write_csv(path, separator="\t")  # fmt: skip
    return path


def fitted(cohort: Cohort, out: Path, path: Path) -> ExpressionRun:
    config = BaselineConfig(models=("blup", "prior-blup"), folds=(0,))
    return fit_baselines(cohort.path, out, config, variances=path, workers=1)


def test_equal_variances_are_blup(cohort: Cohort, tmp_path: Path) -> None:
    path = variances_file(cohort, tmp_path / "f.tsv", np.full(cohort.variants.height, 0.3))
    made = fitted(cohort, tmp_path / "R", path)
    assert made.weights is not None
    one, other = (made.weights.filter(pl.col("model") == name).drop("model") for name in ("blup", "prior-blup"))
    assert one.drop("weight").equals(other.drop("weight"))
    np.testing.assert_allclose(one["weight"], other["weight"], rtol=1e-8)
    record = made.record["prior_variances"]
    assert (record["variants"], record["known"]) == (cohort.variants.height,) * 2
    assert record["gains"]["0"]["gain_training_genes"]["nats"] == pytest.approx(0, abs=1e-9)


def test_true_variances_help_and_can_be_exported(cohort: Cohort, tmp_path: Path) -> None:
    f = np.full(cohort.variants.height, 0.01)
    for gene in cohort.genes["gene_id"]:
        f[cohort.window_variants(gene)[1].start + causal_variant(cohort, gene)] = 1.0
    f[::7] = np.where(f[::7] < 1, np.nan, 1.0)  # unknown: the mean of the window's
    path = variances_file(cohort, tmp_path / "f.tsv", f, swap=True)
    made = fitted(cohort, tmp_path / "R", path)
    total = 0.0
    for gene in cohort.genes["gene_id"]:
        data = gene_data(cohort, gene, 0)
        train = data.fold.train
        mine = filled(f[cohort.window_variants(gene)[1]])
        assert mine is not None
        fit = fit_blup(data.X[train], data.y[train], variances=mine)
        assert made.weights is not None
        stored = made.weights.filter((pl.col("gene_id") == gene) & (pl.col("model") == "prior-blup"))
        np.testing.assert_allclose(stored["weight"], fit.weights[fit.weights != 0], rtol=1e-10)
        genotypes = standardise(data.X[train])
        if gene in cohort.genes_train:
            total += likelihood_gain(genotypes, data.y[train], prior_root(mine, genotypes))
    gain = made.record["prior_variances"]["gains"]["0"]
    assert gain["gain_training_genes"]["nats"] == pytest.approx(total)
    assert total > 1
    assert gain["gain_heldout_genes"]["genes"] == len(cohort.genes_heldout)
    export_weights(made.path, tmp_path / "W.db", ExportConfig(model="prior-blup"))
    assert read_predictdb(tmp_path / "W.db").genes["model"].unique().to_list() == ["prior-blup"]


def test_filled() -> None:
    found = filled(np.array([1.0, np.nan, 0.0, 3.0]))
    assert found is not None
    np.testing.assert_allclose(found, [1, 4 / 3, 1e-6 * 4 / 3, 3])
    assert filled(np.array([np.nan, np.nan])) is None
    assert filled(np.array([0.0, 0.0])) is None
    assert filled(np.zeros(0)) is None


def test_a_gene_without_known_variances_is_left_out(cohort: Cohort, tmp_path: Path) -> None:
    f = np.full(cohort.variants.height, 1.0)
    f[cohort.variants["chrom"] == "22"] = np.nan
    path = variances_file(cohort, tmp_path / "f.tsv", f)
    made = fitted(cohort, tmp_path / "R", path)
    left = [entry["gene"] for entry in made.record["skipped"]]
    assert left == cohort.genes.filter(pl.col("chrom") == "22")["gene_id"].to_list()
    assert made.record["skipped"][0]["reason"] == "no variant of the window has a prior variance"
    assert set(made.predictions.filter(pl.col("model") == "blup")["gene_id"]) == set(cohort.genes["gene_id"])


def test_model_and_file_belong_together(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="belong together"):
        fit_baselines(cohort.path, tmp_path / "R", BaselineConfig(models=("prior-blup",)))
    with pytest.raises(ConfigError, match="belong together"):
        fit_baselines(cohort.path, tmp_path / "R", BaselineConfig(models=("blup",)), variances=tmp_path / "f.tsv")
    assert not (tmp_path / "R").exists()
