"""The demo of expression: what it simulates, which genes get a network, and its numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pysam
import pytest
from bed_reader import open_bed

from cases.cohort import causal_variant, small_cohort
from cases.demo import KINDS, WINDOW, data_folder, dense_panel
from varfx.demos import study as demo_study
from varfx.demos.expression import NETWORK, TRAINING, DemoConfig, ExpressionDemo, genes_for_networks, run_demo
from varfx.demos.study import DemoStudy, find_study, holds_study, simulate_study
from varfx.errors import ConfigError, DataError, StoreError
from varfx.expression.cohort.prepare import PrepareConfig, prepare
from varfx.expression.cohort.store import open_cohort
from varfx.io.ledger import counts_of
from varfx.io.sealed import read_table

TINY = DemoConfig(
    window=WINDOW,
    network_genes=2,
    network=replace(NETWORK, window=256, width=12),
    training=replace(TRAINING, epochs=1, batch=16, micro_batch=16),
)


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_study, "KINDS", KINDS)


# --- the simulation


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dense_panel(tmp_path_factory.mktemp("panel"), people=2000)


@pytest.fixture
def study(panel: Path, tmp_path: Path) -> DemoStudy:
    return simulate_study(panel, tmp_path / "study", num_genes=9, window=WINDOW)


def test_the_genome_carries_an_allele_of_every_variant_and_no_gap_around_genes(panel: Path, study: DemoStudy) -> None:
    assert study.truth is not None
    with pysam.FastaFile(str(study.inputs.reference)) as genome:
        (length,) = genome.lengths
        first = length - 2 * WINDOW * 9
        assert set(genome.fetch("22", 0, first)) == {"N"}
        text = genome.fetch("22")
    assert set(text[first:]) == set("ACGT")
    counts = np.array([text.count(base, first) for base in "ACGT"])
    assert np.ptp(counts) < 6 * (length - first) ** 0.5  # at random
    rows = [line.split() for line in panel.with_suffix(".bim").read_text().splitlines()]
    inside = [row for row in rows if int(row[3]) > first and len(row[4]) == len(row[5]) == 1 and int(row[3]) <= length]
    assert len(inside) > 100
    assert all(text[int(row[3]) - 1] == row[5] for row in inside)
    for strand, tss in study.truth.select("strand", "tss").iter_rows():
        start = tss - 1 - WINDOW // 2 if strand == "+" else tss - WINDOW // 2
        assert first <= start
        assert start + WINDOW <= length


def test_expression_has_the_heritability_that_is_stated(panel: Path, study: DemoStudy) -> None:
    assert study.truth is not None
    assert study.inputs.expression is not None
    table = pl.read_csv(study.inputs.expression, separator="\t")
    with open_bed(panel) as bed:
        positions, copies = bed.bp_position, 2.0 - bed.read()  # of A2, which is REF; ALT is A1
        assert table.columns[4:] == bed.iid.tolist()
    for gene in study.truth.iter_rows(named=True):
        y = np.log(table.filter(pl.col("gene_id") == gene["gene_id"]).select(table.columns[4:]).to_numpy()[0])
        kind = next(kind for kind in KINDS if gene["name"].startswith(kind.name))
        assert gene["heritability"] == kind.heritability
        assert abs(y.mean() - 2) < 0.06
        if gene["position"] is None:
            assert kind.name == "none"
            r = [np.corrcoef(copies[:, column], y)[0, 1] for column in range(copies.shape[1])]
            assert np.abs(r).max() < 0.12
            continue
        assert kind.nearest <= abs(gene["tss_distance"]) < kind.farthest
        sign = 1 if gene["strand"] == "+" else -1
        assert gene["tss_distance"] == sign * (gene["position"] - gene["tss"])
        (column,) = np.flatnonzero(positions == gene["position"])
        r = np.corrcoef(2 - copies[:, column], y)[0, 1]
        np.testing.assert_allclose(r, gene["effect"], atol=0.05)
        np.testing.assert_allclose(gene["effect"] ** 2, kind.heritability)


def test_the_simulation_goes_through_prepare_and_is_the_same_for_the_same_seed(
    panel: Path, study: DemoStudy, tmp_path: Path
) -> None:
    cohort = prepare(study.inputs, tmp_path / "cohort", PrepareConfig(window=WINDOW))
    assert cohort.genes.height == 9
    assert study.truth is not None
    for gene, tss in study.truth.select("gene_id", "tss").iter_rows():
        assert cohort.gene(gene).tss == tss
    ledger = counts_of(cohort.metadata["ledger"]["genotypes"])
    assert ledger.get("mismatches", 0) == ledger.get("exchanged", 0) == 0
    assert sum(ledger.values()) > 0
    again, other = (
        simulate_study(panel, tmp_path / name, num_genes=9, window=WINDOW, seed=seed)
        for name, seed in (("again", 0), ("other", 1))
    )
    for name in ("reference.fa.gz", "genes.gtf", "expression.bed", "truth.tsv"):
        first = (tmp_path / "study" / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == first
        assert (tmp_path / "other" / name).read_bytes() != first
    assert again.truth is not None
    assert other.truth is not None
    assert again.truth.equals(study.truth)
    assert (
        pl.read_csv(tmp_path / "study" / "truth.tsv", separator="\t")["tss"].to_list() == study.truth["tss"].to_list()
    )


def test_a_panel_without_common_variants_and_a_folder_that_is_a_file_are_refused(tmp_path: Path) -> None:
    panel = dense_panel(tmp_path, variants=20)
    bed = bytearray(panel.read_bytes())
    bed[3:] = b"\xff" * len(bed[3:])  # everybody is homozygous for A2
    panel.write_bytes(bed)
    with pytest.raises(DataError, match=r"none of 1?\d variants is common"):
        simulate_study(panel, tmp_path / "study", num_genes=3, window=WINDOW)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file` is no folder"):
        simulate_study(panel, tmp_path / "file" / "study")


# --- real files


def test_a_folder_of_real_data_needs_one_file_of_each_kind(tmp_path: Path) -> None:
    data_folder(tmp_path)
    data = tmp_path / "data"
    assert holds_study(data)
    found = find_study(data)
    assert found.truth is None
    assert found.inputs.genotypes == (data / "genotypes" / "genotypes.vcf.gz",)
    assert found.inputs.covariates is None
    (data / "expression" / "pc.covariates.txt.gz").write_bytes(b"")
    assert find_study(data).inputs.covariates == data / "expression" / "pc.covariates.txt.gz"
    (data / "reference" / "second.fa.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds 2 files reference/\*\.fa\.gz, where the demo needs one \(reference\)"):
        find_study(data)
    (data / "genes" / "genes.gtf.gz").unlink()
    (data / "reference" / "second.fa.gz").unlink()
    assert not holds_study(data)
    with pytest.raises(DataError, match=r"holds 0 files genes/\*\.gtf\.gz"):
        find_study(data)


# --- which genes get a network


def test_genes_for_networks_have_the_strongest_near_variant_of_training_people(tmp_path: Path) -> None:
    path = small_cohort(tmp_path, people=300, genes=8, window=WINDOW, heritability=0.5, heldout_fraction=0.25)
    cohort = open_cohort(path)
    fold = cohort.fold(0)
    strength = {}
    for gene in cohort.genes_train:
        variants, _ = cohort.window_variants(gene)
        y = cohort.expression()[cohort.gene_row(gene)][fold.train]
        distance = np.abs(variants["position"].to_numpy() - cohort.gene(gene).tss)
        if distance[causal_variant(cohort, gene)] < 400:  # else its causal variant may be out of reach
            strength[gene] = np.corrcoef(cohort.dosages(gene)[causal_variant(cohort, gene)][fold.train], y)[0, 1] ** 2
    assert strength
    chosen = genes_for_networks(cohort, 800, len(strength))
    assert set(chosen) == set(strength)
    assert not set(chosen) & set(cohort.genes_heldout)
    assert genes_for_networks(cohort, 800, 1) == chosen[:1]
    assert genes_for_networks(cohort, WINDOW, 99) != ()
    assert len(genes_for_networks(cohort, WINDOW, 99)) == len(cohort.genes_train)
    with pytest.raises(DataError, match=r"none of 6 training genes has a variant within 0 bases of its TSS"):
        genes_for_networks(cohort, 1, 1)


def test_a_demo_without_networks_is_refused() -> None:
    with pytest.raises(ConfigError, match="`network_genes` must be at least 1, got 0"):
        DemoConfig(network_genes=0)


# --- the whole


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> ExpressionDemo:
    root = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_study, "KINDS", KINDS)
        study = simulate_study(dense_panel(root), root / "out" / "study", num_genes=6, window=WINDOW)
    return run_demo(study, root / "out", TINY, workers=1)


def test_the_numbers_of_a_demo_are_those_of_its_evaluation(demo: ExpressionDemo) -> None:
    numbers = json.loads((demo.folder / "results.json").read_text())
    assert numbers["simulated"] is True
    assert numbers["n_people"] == 60
    assert numbers["n_genes"] == 6
    assert list(numbers["seconds"]) == ["expr prepare", "expr baseline", "expr fit", "expr evaluate", "expr variants"]
    models = ["elastic-net", "lasso", "ridge", "blup", "top1", "informed-blup"]
    assert [entry["model"] for entry in numbers["linear_models"]] == models
    assert {entry["gene_set"] for entry in numbers["linear_models"]} == {"training"}
    beside = {record["model"]: record for record in numbers["side_by_side"]}
    assert list(beside) == [*models, "enformer"]
    entries = demo.evaluation.to_dict()["genes"]
    for model, record in beside.items():
        expected = [
            entry
            for gene in demo.network.record["genes"]
            for entry in entries
            if (entry["model"], entry["gene"], entry["fold"]) == (model, gene, 0)
        ]
        assert record["genes"] == expected
        assert len(expected) == TINY.network_genes
        np.testing.assert_allclose(record["r2"], np.mean([entry["r2"] for entry in expected]))
        np.testing.assert_allclose(record["pcc"], np.mean([entry["pcc"] or 0 for entry in expected]))
        np.testing.assert_allclose(record["minus_network"], record["r2"] - beside["enformer"]["r2"])
        low, high = record["minus_network_ci95"]
        assert low <= record["minus_network"] <= high
    assert beside["enformer"]["minus_network"] == 0


def test_variants_of_a_demo_are_annotations_and_causal_ones_are_ranked(demo: ExpressionDemo) -> None:
    assert demo.study.truth is not None
    for name in ("elastic-net", "network"):
        table, _ = read_table(demo.folder / f"{name}.annot.parquet", kind="annotations")
        assert table.height == demo.cohort.variants.height
        assert table["scored"].sum() > 0
    causal = dict(demo.study.truth.drop_nulls("position").select("gene_id", "position").iter_rows())
    ranks = {model: {each["gene"]: each for each in found} for model, found in demo.causal_ranks().items()}
    assert ranks["elastic-net"].keys() == causal.keys()
    assert set(ranks["network"]) <= set(demo.network.record["genes"]) & causal.keys()
    for model, table in ((name, scores.table) for name, scores in demo.scores.items()):
        for gene, record in ranks[model].items():
            rows = table.filter(pl.col("gene_id") == gene)
            own = abs(rows.filter(pl.col("position") == causal[gene])["weight"][0])
            assert record["rank"] == (rows["weight"].abs() >= own).sum()
            assert record["variants"] == rows.height
