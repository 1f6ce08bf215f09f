"""Individuals of another cohort get the predictions that the run's own cohort would give them, whatever their file looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from cases.cohort import small_cohort
from cases.transfer import as_other_cohort, as_vcf
from cases.variants import linear_run, network_run, random_network, some_weights
from varfx.errors import ConfigError, DataError, StoreError
from varfx.expression.cohort.gene_data import imputed
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.linear.config import BaselineConfig
from varfx.expression.linear.run import fit_baselines
from varfx.expression.network.opened import open_network
from varfx.expression.network.sequences import WindowSequences, WindowVariants
from varfx.expression.run import open_run, training_fold
from varfx.expression.transfer.config import TransferConfig
from varfx.expression.transfer.predict import KIND, predict_elsewhere, write_predictions
from varfx.genome.fasta import CODE_OF
from varfx.io import sealed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return open_cohort(small_cohort(tmp_path_factory.mktemp("home"), window=256, people=60, missing=0.05, phased=True))


@pytest.fixture(scope="module")
def weights(home: Cohort) -> dict[str, np.ndarray]:
    return some_weights(home, 8)


@pytest.fixture(scope="module")
def linear(home: Cohort, weights: dict[str, np.ndarray]) -> Path:
    return linear_run(home.path.parent / "B", home, {"blup": weights, "elastic-net": some_weights(home, 3, 1)})


@pytest.fixture(scope="module")
def network(home: Cohort) -> Path:
    return network_run(home.path.parent / "N", home, random_network())


def assert_as_at_home(run: Path, table: pl.DataFrame, model: str, prefix: str, names: set[str]) -> None:
    """Tuning and test individuals have at home what `table` says."""
    own = open_run(run).predictions.filter((pl.col("model") == model) & (pl.col("fold") == 0))
    assert own.height
    joined = own.with_columns(person=pl.lit(prefix) + pl.col("person")).join(
        table.select("gene_id", "person", other="prediction"), on=["gene_id", "person"], how="left"
    )
    assert joined["other"].null_count() == 0
    np.testing.assert_allclose(joined["other"], joined["prediction"], rtol=1e-6, atol=1e-6)
    assert set(table["person"]) == names


@pytest.mark.parametrize("kind", ["blup", "elastic-net", "enformer"])
def test_the_same_people_in_another_cohort(
    home: Cohort, linear: Path, network: Path, tmp_path: Path, kind: str
) -> None:
    """Another order, other names, and every third variant with its alleles exchanged, where gaps are 5 %."""
    turned = range(0, home.variants.height, 3)
    other = as_other_cohort(home, tmp_path / "O", prefix="X", exchanged=turned)
    run = network if kind == "enformer" else linear
    found = predict_elsewhere(run, [other.path], model=kind, fold=0)
    assert_as_at_home(run, found.table, kind, "X", {f"X{name}" for name in home.people})
    counts = found.ledger.counts
    windows = [home.window_variants(gene)[1] for gene in home.genes["gene_id"]]
    assert counts["found, alleles exchanged"] == sum(len(set(turned) & set(range(w.start, w.stop))) for w in windows)
    assert counts["absent"] == counts["only in the other genotypes"] == 0
    assert counts["found"] == sum(w.stop - w.start for w in windows) - counts["found, alleles exchanged"]


def test_models_of_fewer_individuals_fill_gaps_with_their_mean(home: Cohort, tmp_path: Path) -> None:
    config = BaselineConfig(models=("blup",), folds=(0,), train_size=(10,))
    run = fit_baselines(home.path, tmp_path / "RUN", config, workers=1)
    other = as_other_cohort(home, tmp_path / "O", prefix="X", exchanged=range(0, home.variants.height, 3))
    for model in ("blup", "blup@10"):
        found = predict_elsewhere(run.path, [other.path], model=model, fold=0)
        assert_as_at_home(run.path, found.table, model, "X", {f"X{name}" for name in home.people})
    fold = training_fold(run, home, 0, "blup@10")
    assert fold.train.size == 10
    assert set(fold.train) < set(home.fold(0).train)


def test_genotypes_of_a_file(home: Cohort, linear: Path, network: Path, tmp_path: Path) -> None:
    """A VCF with a record that the cohort lacks, which linear models do not need and nobody carries."""
    gene = home.gene(home.genes["gene_id"][0])
    taken = set(home.variants["position"])
    position = next(p for p in range(gene.start + 1, gene.end) if p not in taken)
    ref = "ACGT"[home.reference(gene.gene_id)[position - 1 - gene.start]]
    alt = "C" if ref != "C" else "G"
    extra = f"{gene.chrom} {position} extra {ref} {alt} GT " + " ".join(["0/0"] * len(home.people))
    path = as_vcf(home, tmp_path / "o.vcf.gz", [extra])
    for run, model in ((linear, "blup"), (network, "enformer")):
        found = predict_elsewhere(run, [path], model=model)
        assert_as_at_home(run, found.table, model, "", set(home.people))
        assert found.ledger.counts["only in the other genotypes"] >= 1


def test_variants_that_the_other_cohort_lacks(
    home: Cohort, linear: Path, weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    lost = list(range(0, home.variants.height, 4))
    other = as_other_cohort(home, tmp_path / "O", lost=lost)
    fold = home.fold(0)
    for absent in ("mean", "reference"):
        found = predict_elsewhere(linear, [other.path], TransferConfig(absent=absent), model="blup", fold=0)
        assert found.ledger.counts["absent"] > 0
        for gene in home.genes["gene_id"]:
            _, rows = home.window_variants(gene)
            gone = np.isin(np.arange(rows.start, rows.stop), lost)
            X = imputed(home.dosages(gene), fold).astype(float)
            X[:, gone] = X[fold.train][:, gone].mean(axis=0) if absent == "mean" else 0
            expected = (0.5 + X @ weights[gene])[other.rows]
            mine = found.table.filter(pl.col("gene_id") == gene)
            assert mine["person"].to_list() == [home.people[row] for row in other.rows]
            np.testing.assert_allclose(mine["prediction"], expected, atol=1e-5)


def test_a_network_sees_variants_that_its_cohort_lacks(home: Cohort, network: Path, tmp_path: Path) -> None:
    """Everybody carries one copy of a new variant, spelled from the alternative allele; oracle: its bases put in by hand."""
    gene = home.gene(home.genes["gene_id"][1])
    taken = set(home.variants["position"])
    position = next(p for p in range(gene.tss - 20, gene.end) if p not in taken)
    ref = "ACGT"[home.reference(gene.gene_id)[position - 1 - gene.start]]
    alt = "C" if ref != "C" else "G"
    path = as_vcf(
        home,
        tmp_path / "o.vcf.gz",
        [f"{gene.chrom} {position} extra {alt} {ref} GT " + " ".join(["0/1"] * len(home.people))],
    )
    found = predict_elsewhere(network, [path], genes=[gene.gene_id]).table
    variants, _ = home.window_variants(gene.gene_id)
    offsets = [*(variants["position"] - 1 - gene.start), position - 1 - gene.start]
    ones = np.ones((1, len(home.people)), np.int8)
    codes = lambda letters: torch.from_numpy(CODE_OF[np.frombuffer("".join(letters).encode(), np.uint8)].copy())  # noqa: E731
    order = np.argsort(offsets)
    sequences = WindowSequences(
        WindowVariants(
            torch.from_numpy(home.reference(gene.gene_id).copy()),
            torch.tensor(offsets)[order],
            codes([*variants["other_allele"], ref])[order],
            codes([*variants["effect_allele"], alt])[order],
            gene.strand,
        ),
        torch.from_numpy(np.concatenate([home.dosages(gene.gene_id), ones])[order].T.copy()),
        missing="mean",
        mean_of=home.fold(0).train.tolist(),
    )
    with torch.no_grad():
        expected = open_network(open_run(network), 0)(sequences.encode()).numpy()
    np.testing.assert_allclose(found["prediction"], expected, atol=1e-5)
    plain = predict_elsewhere(network, [home.path], genes=[gene.gene_id]).table
    assert np.abs(plain["prediction"].to_numpy() - expected).max() > 1e-4


def test_the_file(home: Cohort, linear: Path, tmp_path: Path) -> None:
    found = predict_elsewhere(linear, [home.path])
    write_predictions(found, tmp_path / "P.parquet", run=linear, others=[home.path])
    table = pl.read_parquet(tmp_path / "P.parquet")
    assert table.columns == ["person", "gene", "prediction"]
    assert table.height == len(home.people) * home.genes.height
    metadata = sealed.read_table(tmp_path / "P.parquet", kind=KIND)[1]
    assert (metadata["model"], metadata["fold"], metadata["normalise"]) == ("elastic-net", 0, "inverse-normal")
    assert set(metadata["provenance"]["inputs"]) == {"run", "cohort"}
    assert "60 individuals stand in the run's own cohort too (by name, as fewer than" in metadata["notes"][0]


def test_mistakes(home: Cohort, linear: Path, network: Path, tmp_path: Path) -> None:
    far = open_cohort(small_cohort(tmp_path, window=256, people=20, seed=8, name="far"))
    with pytest.raises(DataError, match=r"only \d+ of \d+ variants in the genes' windows .* --min-overlap"):
        predict_elsewhere(linear, [far.path])
    with pytest.raises(ConfigError, match="`model` must be one of blup, elastic-net"):
        predict_elsewhere(linear, [home.path], model="ridge")
    with pytest.raises(ConfigError, match="has models of 0, got 1"):
        predict_elsewhere(network, [home.path], fold=1)
    with pytest.raises(StoreError, match="is not the cohort that"):
        predict_elsewhere(linear, [home.path], home=far.path)
    with pytest.raises(ConfigError, match="is a folder beside 1 others"):
        predict_elsewhere(linear, [home.path, tmp_path / "x.vcf.gz"])
    keep = home.window_variants(home.genes["gene_id"][0])[1]
    lost = [row for row in range(home.variants.height) if not keep.start <= row < keep.stop]
    one = as_other_cohort(home, tmp_path / "one", lost=lost)
    found = predict_elsewhere(linear, [one.path], TransferConfig(min_overlap=0), model="blup")
    assert "genes are left out: none of their variants with a weight is there" in found.notes[-1]
