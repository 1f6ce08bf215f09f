"""Variant scores of runs: networks by mutagenesis, linear models by weight, drivers on the right individuals, and as annotations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sklearn.metrics import r2_score

from cases.cohort import small_cohort
from cases.motif import MotifCase
from cases.simulated_panel import standardise, sumstats, write_bed
from cases.variants import linear_run, network_run, random_network, some_weights
from varfx.annotations import Annotations, read_annotations
from varfx.errors import ConfigError, DataError, StoreError
from varfx.expression.cohort.gene_data import gene_data
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.network.batches import gene_sequences
from varfx.expression.run import ExpressionRun
from varfx.expression.variants.config import VariantConfig
from varfx.expression.variants.drivers import find_drivers
from varfx.expression.variants.gradients import people_attribution, reference_attribution
from varfx.expression.variants.ism import window_mutagenesis
from varfx.expression.variants.score import score_variants
from varfx.expression.variants.table import LONG_SCHEMA, as_annotations
from varfx.genotypes.open_ld import open_source
from varfx.ld import PanelConfig, build_panel
from varfx.models import ModelConfig
from varfx.prior import SplitConfig, fit
from varfx.training import TrainConfig

COUNT = 5


@dataclass(frozen=True)
class Runs:
    cohort: Cohort
    network: Path
    linear: Path
    elastic_net: dict[str, np.ndarray]
    blup: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("variants")
    cohort = open_cohort(small_cohort(folder, window=256, people=60, missing=0.03))
    sparse, dense = some_weights(cohort, COUNT), some_weights(cohort, 12, seed=1)
    return Runs(
        cohort,
        network_run(folder / "N", cohort, random_network()),
        linear_run(folder / "B", cohort, {"blup": dense, "elastic-net": sparse}),
        sparse,
        dense,
    )


def of_gene(table: pl.DataFrame, gene: str) -> pl.DataFrame:
    return table.filter(pl.col("gene_id") == gene)


def test_a_network_is_scored_by_mutagenesis_beside_the_elastic_net(runs: Runs) -> None:
    cohort, model = runs.cohort, random_network()
    told: list[tuple[int, int]] = []
    found = score_variants(
        runs.network,
        VariantConfig(gradients="people"),
        baseline=runs.linear,
        progress=lambda done, total, what: told.append((done, total)),
    )
    assert dict(found.table.schema) == LONG_SCHEMA
    assert told == [(n, 4) for n in range(1, 5)]
    for gene in cohort.genes["gene_id"]:
        rows, fold = of_gene(found.table, gene), cohort.fold(0)
        assert rows.select(cohort.variants.columns).equals(cohort.window_variants(gene)[0])
        sequences = gene_sequences(cohort, gene, mean_of=fold.train.tolist())
        effect = window_mutagenesis(model, sequences).effect
        np.testing.assert_array_equal(rows["ism"], effect)
        np.testing.assert_array_equal(rows["weight"], effect / 2)
        places = sequences.offsets.numpy()
        np.testing.assert_array_equal(rows["gradient"], reference_attribution(model, sequences)[places])
        people = people_attribution(model, sequences, fold.test.tolist())[places]
        np.testing.assert_array_equal(rows["people_gradient"], people)
        np.testing.assert_array_equal(rows["elastic_net"], runs.elastic_net[gene])
        largest = np.sort(np.argsort(-np.abs(effect))[:COUNT])
        assert np.flatnonzero(rows["high_scoring"]).tolist() == largest.tolist()
        strand = 1 if cohort.gene(gene).strand == "+" else -1
        assert rows["tss_distance"].to_list() == [strand * (p - cohort.gene(gene).tss) for p in rows["position"]]
        np.testing.assert_allclose(rows["eaf"], gene_data(cohort, gene, 0).X[fold.train].mean(0) / 2, rtol=1e-6)


@pytest.mark.parametrize("float64", [False, True])
def test_genes_share_passes_and_have_the_same_scores(runs: Runs, float64: bool) -> None:
    one = VariantConfig(float64=float64)
    alone = score_variants(runs.network, one)
    told: list[tuple[int, int]] = []
    together = score_variants(
        runs.network,
        replace(one, genes_per_pass=3, variants_per_pass=50),
        progress=lambda done, total, what: told.append((done, total)),
    )
    assert told == [(n, 4) for n in range(1, 5)]
    tolerance = 1e-10 if float64 else 1e-5  # of predictions of 3: effects are small differences of them
    mutagenesis = ["weight", "ism"]
    assert_frame_equal(
        together.table.select(mutagenesis), alone.table.select(mutagenesis), abs_tol=tolerance, rel_tol=0
    )
    rest = [name for name in LONG_SCHEMA if name not in (*mutagenesis, "gradient")]
    assert_frame_equal(together.table.select(rest), alone.table.select(rest))
    assert_frame_equal(together.table.select("gradient"), alone.table.select("gradient"), abs_tol=1e-4, rel_tol=0)
    assert [each["gene"] for each in together.genes] == [each["gene"] for each in alone.genes]
    if float64:  # the shared network comes back to float32 for the next gene's gradient
        plain = score_variants(runs.network).table
        np.testing.assert_array_equal(alone.table["gradient"], plain["gradient"])
        assert 0 < (alone.table["ism"] - plain["ism"]).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (VariantConfig(float64=True), "float64"),
        (VariantConfig(gradients="people"), "gradients people"),
        (VariantConfig(genes_per_pass=2), "genes-per-pass"),
    ],
)
def test_choices_of_networks_are_refused_for_linear_models(runs: Runs, config: VariantConfig, name: str) -> None:
    with pytest.raises(ConfigError, match=f"`{name}` is for networks, and `.*B` holds linear models"):
        score_variants(runs.linear, config)


def test_drivers_are_chosen_on_tuning_people_and_scored_on_test_people(runs: Runs) -> None:
    """On the scale of the model: its own predictions are reproduced by all variants of a model that adds up."""
    found = score_variants(runs.linear, VariantConfig(model="blup", rule="rastogi"))
    assert found.model == "blup"
    any_driver = False
    for record in found.genes:
        gene = record["gene"]
        data, weight = gene_data(runs.cohort, gene, 0), runs.blup[gene]
        prediction = (0.5 + data.X @ weight).astype(np.float32)
        tune, test = data.fold.tune, data.fold.test
        rows = of_gene(found.table, gene)
        for rule in ("sasse", "variformer", "rastogi"):
            expected = find_drivers(data.X[tune], weight, prediction[tune], rule=rule)
            np.testing.assert_array_equal(rows[f"driver_{rule}"], expected.chosen)
            assert record["drivers"][rule] == expected.chosen.sum()
        chosen = rows["driver_rastogi"].to_numpy()
        any_driver |= bool(chosen.any())
        linear = 0.5 + data.X[test][:, chosen] @ weight[chosen]
        assert record["drivers_r2_prediction_test"] == pytest.approx(r2_score(prediction[test], linear), rel=1e-5)
        assert record["drivers_r2_expression_test"] == pytest.approx(r2_score(data.y[test], linear), rel=1e-5)
        shift = (prediction[tune] - data.X[tune][:, chosen] @ weight[chosen]).mean()
        tuned = shift + data.X[test][:, chosen] @ weight[chosen]
        for name, target in (("prediction", prediction), ("expression", data.y)):
            expected_r2 = pytest.approx(r2_score(target[test], tuned), rel=1e-5, abs=1e-7)
            assert record[f"drivers_r2_{name}_test_tuned_intercept"] == expected_r2
        assert record["linear_r_tune"] == pytest.approx(1)
        assert record["reference"] == 0.5
    assert any_driver


def test_the_causal_variant_of_a_simulated_gene_is_first_and_the_driver(
    motif_fit: tuple[MotifCase, ExpressionRun],
) -> None:
    """One variant that breaks a motif explains half of expression: it is first, by far, with the right sign."""
    case, run = motif_fit
    found = score_variants(run.path, VariantConfig(top=1))
    ism = found.table["ism"].to_numpy()
    order = np.argsort(-np.abs(ism))
    assert order[0] == case.causal
    assert ism[case.causal] < 0
    assert abs(ism[order[1]]) < 0.3 * abs(ism[case.causal])
    # its homozygous effect: two copies of 0.7 sd of expression per sd of dosage; a short training reaches part of it
    truth = -2 * 0.5**0.5 / gene_data(open_cohort(case.path), case.gene_id, 0).X[:, case.causal].std()
    assert 0.5 < ism[case.causal] / truth < 1.2
    assert np.argmax(found.table["gradient"].to_numpy()) == case.causal
    assert np.flatnonzero(found.table["high_scoring"]).tolist() == [case.causal]
    for rule in ("sasse", "variformer", "rastogi"):
        assert found.table[f"driver_{rule}"][case.causal]
        assert found.table[f"driver_{rule}"].sum() <= 2
    (record,) = found.genes
    assert record["drivers_r2_expression_test"] > 0.35
    assert record["drivers_r_prediction_test"] > 0.9


def test_high_scoring_variants_are_as_many_as_the_elastic_net_has_or_as_asked(runs: Runs) -> None:
    own = score_variants(runs.linear)
    assert own.model == "elastic-net"
    assert [record["high_scoring"] for record in own.genes] == [COUNT] * 4
    assert own.table.select((pl.col("high_scoring") == (pl.col("weight") != 0)).all()).item()
    dense = score_variants(runs.linear, VariantConfig(model="blup"))
    assert [record["high_scoring"] for record in dense.genes] == [COUNT] * 4
    alone = score_variants(runs.network, VariantConfig(top=3, gradients="none"))
    assert [record["high_scoring"] for record in alone.genes] == [3] * 4
    assert alone.table["elastic_net"].null_count() == alone.table.height
    assert alone.table["gradient"].null_count() == alone.table.height


def test_a_shorter_window_scores_what_lies_in_it(runs: Runs, tmp_path: Path) -> None:
    path = network_run(tmp_path / "short", runs.cohort, random_network(window=128))
    found = score_variants(path, VariantConfig(gradients="none"))
    assert (found.table["tss_distance"].abs() <= 64).all()
    assert 0 < found.table.height < sum(runs.cohort.genes["num_variants"])
    annotations = as_annotations(found.table, found.variants, rule="variformer")
    assert annotations.table["scored"].to_list() == [
        float(any(key == row for row in found.table.select("chrom", "position", "effect_allele").rows()))
        for key in found.variants.select("chrom", "position", "effect_allele").rows()
    ]


def test_in_float64_the_same_to_float32(runs: Runs) -> None:
    gene = runs.cohort.genes["gene_id"][0]
    one, two = (
        score_variants(runs.network, VariantConfig(genes=(gene,), gradients="none", float64=flag)).table["ism"]
        for flag in (False, True)
    )
    assert not one.equals(two)
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-5)


def test_annotations_have_the_largest_score_of_any_gene_and_a_mask(runs: Runs) -> None:
    genes = tuple(runs.cohort.genes["gene_id"][:2])  # windows overlap by half
    found = score_variants(runs.network, VariantConfig(genes=genes), baseline=runs.linear)
    annotations = as_annotations(found.table, found.variants, rule="sasse", metadata={"model": found.model})
    expected_channels = ("ism", "abs_ism", "gradient", "abs_elastic_net", "high_scoring", "driver", "scored")
    assert annotations.channels == expected_channels
    assert annotations.metadata["model"] == "enformer"
    twice = 0
    for row in annotations.table.iter_rows(named=True):
        same = (pl.col(name) == row[name] for name in ("chrom", "position", "effect_allele", "other_allele"))
        scores = found.table.filter(*same)
        if not scores.height:
            assert row["scored"] == 0
            assert all(row[name] is None for name in expected_channels[:-1])
            continue
        twice += scores.height == 2
        best = max(scores["ism"], key=abs)
        assert (row["scored"], row["ism"], row["abs_ism"]) == (1, np.float32(best), np.float32(abs(best)))
        assert row["gradient"] == np.float32(scores["gradient"].max())
        assert row["abs_elastic_net"] == np.float32(scores["elastic_net"].abs().max())
        assert row["high_scoring"] == scores["high_scoring"].any()
        assert row["driver"] == scores["driver_sasse"].any()
    assert twice > 3
    assert 0 < annotations.table["scored"].sum() < annotations.table.height


@pytest.mark.usefixtures("forked_workers")
def test_processes_change_nothing(runs: Runs) -> None:
    options = VariantConfig(genes=tuple(runs.cohort.genes["gene_id"][:2]))
    here = score_variants(runs.network, options)
    there = score_variants(runs.network, options, workers=2)
    assert there.table.drop("weight", "ism", "gradient").equals(here.table.drop("weight", "ism", "gradient"))
    for name in ("weight", "ism", "gradient"):
        np.testing.assert_allclose(there.table[name], here.table[name], rtol=1e-5, atol=1e-7)
    assert [record["gene"] for record in there.genes] == [record["gene"] for record in here.genes]


def panel_of(folder: Path, variants: pl.DataFrame, rng: np.random.Generator) -> tuple[Path, Path, pl.DataFrame]:
    """A panel of the cohort's variants (every second one with REF as effect allele) and as many others; and a trait."""
    others = variants.with_columns(pl.col("position") + 3_000, pl.col("variant_id") + "b")
    table = pl.concat([variants, others]).unique(["chrom", "position"]).sort("chrom", "position")
    swap = np.arange(table.height) % 2 == 0
    a1 = np.where(swap, table["other_allele"], table["effect_allele"])
    a2 = np.where(swap, table["effect_allele"], table["other_allele"])
    counts = rng.integers(0, 3, (150, table.height)).astype(np.int8)
    write_bed(folder / "ref", counts, table["chrom"].to_list(), table["position"].to_numpy())
    rows = zip(table["chrom"], table["variant_id"], table["position"], a1, a2, strict=True)
    (folder / "ref.bim").write_text("".join(f"{c}\t{name}\t0\t{p}\t{x}\t{y}\n" for c, name, p, x, y in rows))
    panel = build_panel(
        open_source([folder / "ref.bed"], maf=0.0),
        folder / "P.ld.zarr",
        PanelConfig(core=2_000, flank=1_000, rank_variance=1.0),
        workers=1,
        inputs=[folder / "ref.bed"],
    )
    X = standardise(counts)
    z = X.T @ X @ rng.standard_normal(table.height) / len(X) + rng.standard_normal(table.height) * 0.1
    sumstats(panel, z, np.full(table.height, 1e4), "trait").write(folder / "T.sumstats.parquet")
    return folder / "P.ld.zarr", folder / "T.sumstats.parquet", panel.variants


def test_the_file_goes_into_prior_fit(runs: Runs, tmp_path: Path, rng: np.random.Generator) -> None:
    """The panel has the same variants, half of them the other way round, and others: these are masked, not 0."""
    genes = tuple(runs.cohort.genes["gene_id"][:3])
    found = score_variants(runs.network, VariantConfig(genes=genes))
    out = tmp_path / "V.annot.parquet"
    as_annotations(found.table, found.variants, rule="variformer").write(out)
    panel, trait, variants = panel_of(tmp_path, runs.cohort.variants, rng)
    annotations = read_annotations(out)
    values, missing = annotations.select(variants)
    mine = annotations.table.with_columns(pair=pl.concat_list("effect_allele", "other_allele").list.sort())
    theirs = variants.with_columns(pair=pl.concat_list("effect_allele", "other_allele").list.sort())
    expected = theirs.join(mine, on=["chrom", "position", "pair"], how="left", maintain_order="left")
    scored = annotations.channels.index("scored")
    np.testing.assert_array_equal(values[:, scored], expected["scored"].fill_null(0.0))
    assert not missing[:, scored].any()
    ism = annotations.channels.index("ism")
    np.testing.assert_array_equal(values[:, ism], expected["ism"].fill_null(np.nan))
    assert (expected["effect_allele"] != expected["effect_allele_right"]).any()  # exchanged alleles, same value
    np.testing.assert_array_equal(missing[:, ism], values[:, scored] == 0)
    assert 0.1 < missing[:, ism].mean() < 0.9

    fit(
        panel,
        [trait],
        tmp_path / "R",
        annotations=out,
        model=ModelConfig(kind="linear"),
        training=TrainConfig(max_steps=5, check_every=5, warmup_steps=0, engine="exact"),
        split=SplitConfig(holdout_chrom=("22",)),
    )
    stored = (tmp_path / "R").rglob("*.json")
    text = "".join(path.read_text() for path in stored)
    assert '"scored"' in text
    assert '"abs_ism"' in text


def test_a_table_of_other_variants_is_refused_not_masked(runs: Runs) -> None:
    found = score_variants(runs.linear)
    annotations = as_annotations(found.table, found.variants, rule="variformer")
    elsewhere = found.variants.with_columns(pl.col("position") + 1_000_000)
    with pytest.raises(DataError, match=r"no annotations in \d+ of \d+ rows.*one genome build"):
        annotations.select(elsewhere)
    assert annotations.select(elsewhere, absent="missing")[1].all()
    plain = Annotations(table=annotations.table)  # a table that says nothing of absent variants stays strict
    both = pl.concat([found.variants, elsewhere])
    with pytest.raises(DataError, match="no annotations"):
        plain.select(both)
    assert_frame_equal(annotations.table, plain.table)
    assert annotations.select(both)[0].shape == (both.height, len(annotations.channels))


def test_errors_say_what_to_do(runs: Runs, tmp_path: Path) -> None:
    other = open_cohort(small_cohort(tmp_path, window=256, people=60, seed=3))
    foreign = linear_run(tmp_path / "foreign", other, {"elastic-net": some_weights(other, 2)})
    with pytest.raises(DataError, match="was made on another cohort"):
        score_variants(runs.network, baseline=foreign)
    ridge = linear_run(tmp_path / "ridge", runs.cohort, {"ridge": some_weights(runs.cohort, 2)})
    with pytest.raises(DataError, match=r"has no weights of elastic-net\. Give a run of"):
        score_variants(runs.network, baseline=ridge)
    with pytest.raises(ConfigError, match=r"`fold`: .* has models of 0, got 2"):
        score_variants(runs.network, VariantConfig(fold=2))
    with pytest.raises(ConfigError, match=r"`model` must be one of blup, elastic-net .* got 'mlp'"):
        score_variants(runs.linear, VariantConfig(model="mlp"))
    with pytest.raises(DataError, match="has no gene ENSG9"):
        score_variants(runs.linear, VariantConfig(genes=("ENSG9",)))
    nothing = linear_run(tmp_path / "nothing", runs.cohort, {"blup": some_weights(runs.cohort, 0)})
    with pytest.raises(DataError, match=r"no model of .* gives any variant a weight"):
        score_variants(nothing)
    with pytest.raises(StoreError, match="does not exist"):
        score_variants(tmp_path / "gone")
    with pytest.raises(ConfigError, match="`gradients` must be none, reference or people"):
        VariantConfig(gradients="all")  # type: ignore[arg-type]
