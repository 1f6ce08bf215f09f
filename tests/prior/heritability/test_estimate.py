"""Heritability and enrichment of a black box against the truth, real refits and closed forms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy import ndarray

from cases.heritability import Draw, drawn, source, with_channel
from cases.simulated_panel import N, Simulated
from varfx.annotations import Annotations
from varfx.errors import ConfigError, DataError
from varfx.likelihood.maximise import deleted_steps
from varfx.prior.heritability import HeritabilityConfig, heritability, variant_scores, write_heritability
from varfx.prior.heritability.calibrate import calibrate, pieces_at
from varfx.prior.heritability.columns import annotation_columns, pivots
from varfx.prior.heritability.quantities import liability_factor, quantile_groups, sums_of, top_groups


def test_known_truth_in_replicates(draw: Draw, active: Annotations, expected: ndarray, wide: Simulated) -> None:
    """z of h2 and of enrichment have RMS near 1, though the prior's own level is a quarter and it knows no annotation."""
    h2 = expected.sum() / N
    enrichment = (expected * wide.active).sum() / expected.sum() / wide.active.mean()
    z, within = [], []
    for seed in range(40):
        found = heritability(draw(seed), active, HeritabilityConfig(top=()))
        (annotation,) = found.annotations
        assert found.h2.se is not None
        assert annotation.enrichment is not None
        assert annotation.enrichment.se is not None
        assert found.h2.ci95 is not None
        assert annotation.enrichment.ci95 is not None
        assert annotation.plug_in_enrichment == pytest.approx(1, abs=0.15)
        assert found.plug_in["h2"] < 0.5 * h2
        z.append(
            [(found.h2.value - h2) / found.h2.se, (annotation.enrichment.value - enrichment) / annotation.enrichment.se]
        )
        within.append(
            [
                found.h2.ci95[0] < h2 < found.h2.ci95[1],
                annotation.enrichment.ci95[0] < enrichment < annotation.enrichment.ci95[1],
            ]
        )
    rms = np.sqrt(np.mean(np.square(z), axis=0))
    assert (rms > 0.75).all(), rms
    assert (rms < 1.2).all(), rms
    assert (np.mean(within, axis=0) >= 0.9).all(), within


def test_one_step_jackknife_is_the_refit(draw: Draw, active: Annotations, expected: ndarray) -> None:
    """Heritability without a window, by one step and by a fit anew, in units of its standard error; of a strong trait."""
    panel, rng = draw(1).panel, np.random.default_rng(2)
    F = 3 * expected
    prior = source(panel, drawn(panel, rng, rng.standard_normal(F.size) * np.sqrt(F)), 0.3 * F / N)
    inside = active.table["active"].to_numpy().astype(np.float64)
    directions = np.c_[np.ones(prior.f.size), inside]
    whole = calibrate(prior, directions)
    assert whole.steps is not None
    steps = replace(whole.steps, values=deleted_steps(whole.maximum.pieces, np.arange(25)))
    sums = sums_of(directions, prior.f, whole.factor, directions, steps)
    se = sums.jackknife.standard_error
    for window in range(0, 24, 4):
        refit = calibrate(replace(prior, windows=tuple(np.delete(prior.windows, window))), directions)
        difference = directions.T @ (prior.f * refit.factor) - sums.jackknife.delete_values[window]
        assert (np.abs(difference) < 0.1 * se).all(), (window, difference / se)


def test_sandwich_and_jackknife_agree(draw: Draw, active: Annotations) -> None:
    one = heritability(draw(2), active)
    other = heritability(draw(2), active, HeritabilityConfig(se="sandwich"))
    assert one.h2.value == other.h2.value
    assert one.h2.se == pytest.approx(other.h2.se, rel=0.3)


def test_sums_add_up(draw: Draw, active: Annotations, wide: Simulated) -> None:
    inside = active.table["active"].to_numpy()
    both = with_channel(active, "inactive", 1 - inside)
    found = heritability(draw(3), both)
    first, second = found.annotations
    assert first.h2.value + second.h2.value == pytest.approx(found.h2.value)
    assert first.coefficient is not None
    assert second.coefficient is not None
    assert first.coefficient.value == pytest.approx(-second.coefficient.value)
    assert first.enrichment_p == pytest.approx(second.enrichment_p)
    assert any("`inactive`: they are reported, not calibrated" in note for note in found.notes)
    alone = heritability(draw(3), active)
    assert alone.annotations[0].tau.value == pytest.approx(alone.annotations[0].coefficient.value)  # type: ignore[union-attr]
    sd = inside.std()
    star = sd * alone.annotations[0].tau.value * inside.size / alone.h2.value
    assert alone.annotations[0].tau_star.value == pytest.approx(star, rel=1e-6)


def test_a_prior_scaled_gives_the_same_estimate(draw: Draw, active: Annotations) -> None:
    prior = draw(4)
    one, other = (heritability(replace(prior, f=factor * prior.f), active) for factor in (1, 7.3))
    assert other.h2.value == pytest.approx(one.h2.value, rel=5e-3)
    assert other.h2.se == pytest.approx(one.h2.se, rel=2e-2)
    assert other.plug_in["h2"] == pytest.approx(7.3 * one.plug_in["h2"])


def test_too_few_windows_have_no_errors(draw: Draw, active: Annotations, tmp_path: Path) -> None:
    found = heritability(replace(draw(5), windows=tuple(range(19))), active)
    assert found.h2.se is None
    assert found.annotations[0].enrichment_p is None
    assert any("only 19 windows" in note and "NA" in note for note in found.notes)
    write_heritability(found, tmp_path / "H")
    assert "\tNA\t" in (tmp_path / "H.results").read_text()


def test_min_maf_liability_and_exclusions(draw: Draw, active: Annotations) -> None:
    prior = draw(6)
    config = HeritabilityConfig(min_maf=0.3, population_prev=0.01, sample_prev=0.5)
    found = heritability(prior, active, config)
    maf = prior.variants.select(pl.min_horizontal("eaf", 1 - pl.col("eaf")))["eaf"].to_numpy()
    assert found.record["n_variants"] == (maf >= 0.3).sum() < maf.size
    assert found.record["maf_range"][0] >= 0.3
    whole = heritability(prior, active)
    assert found.h2.value < whole.h2.value
    assert found.h2_liability is not None
    assert found.h2_liability.value == pytest.approx(found.h2.value * liability_factor(0.01, 0.5))
    # Lee et al. 2011, American Journal of Human Genetics 88:294: K = 1 %, P = 1/2 gives 0.5519
    assert liability_factor(0.01, 0.5) == pytest.approx(0.5519, abs=1e-4)
    unknown = replace(prior, variants=prior.variants.with_columns(eaf=pl.lit(None, pl.Float64)))
    with pytest.raises(DataError, match=r"none of the 960 variants has a known frequency of at least `min-maf` 0\.01"):
        heritability(unknown, active, HeritabilityConfig(min_maf=0.01))


def test_scores_sum_to_the_parameters_scores(draw: Draw, active: Annotations) -> None:
    prior = draw(7)
    found = heritability(prior, active)
    table = variant_scores(prior, found.calibration)
    assert table["score"].sum() == pytest.approx(found.calibration.maximum.pieces.score.sum(0)[0], abs=1e-8)
    assert sorted(table["block"].unique()) == list(range(24))
    assert table["f"].sum() == pytest.approx(found.h2.value)
    ones = np.ones((prior.f.size, 1))
    again = pieces_at(replace(prior, f=table["f"].to_numpy()), ones, np.r_[0, found.calibration.maximum.theta[-1]])
    assert again is not None
    np.testing.assert_allclose(again.score[:, 0], found.calibration.maximum.pieces.score[:, 0], atol=1e-9)


def test_files_are_read_as_users_of_ldsc_read_them(draw: Draw, active: Annotations, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    found = heritability(draw(8), with_channel(active, "distance", rng.standard_normal(960)))
    endings = write_heritability(found, tmp_path / "H", provenance={"made": "here"})
    assert {path.name for path in tmp_path.iterdir()} == {f"H.{ending}" for ending in endings}
    results = pl.read_csv(tmp_path / "H.results", separator="\t", null_values="NA")
    assert results.columns == [
        "Category", "Prop._SNPs", "Prop._h2", "Prop._h2_std_error", "Enrichment", "Enrichment_std_error", "Enrichment_p",
        "Coefficient", "Coefficient_std_error", "Coefficient_z-score",
    ]  # fmt: skip
    assert results["Category"].to_list() == ["baseL2_0", "activeL2_0", "distanceL2_0"]
    base, row, continuous = results.iter_rows(named=True)
    assert (base["Prop._SNPs"], base["Enrichment"], base["Enrichment_p"]) == (1, 1, None)
    annotation = found.annotations[0]
    assert row["Prop._h2"] / row["Prop._SNPs"] == pytest.approx(row["Enrichment"], rel=1e-8)
    assert row["Coefficient_z-score"] == pytest.approx(row["Coefficient"] / row["Coefficient_std_error"], rel=1e-8)
    assert row["Enrichment_p"] == pytest.approx(annotation.enrichment_p, rel=1e-8)
    assert continuous["Enrichment"] is None  # negative values have no enrichment
    tall = pl.read_csv(tmp_path / "H.tall.csv", null_values="NA")
    assert tall["heritability"][0] == pytest.approx(found.h2.value)
    assert tall.columns[0] == "name"
    assert tall.columns[-1] == "parameter_log10pval"
    quantiles = pl.read_csv(tmp_path / "H.quantiles.tsv", separator="\t")
    assert quantiles["h2g"].sum() == pytest.approx(found.h2.value)
    assert quantiles["quantile"].to_list() == [1, 2, 3, 4, 5]
    cells = pl.read_csv(tmp_path / "H.cell_type_results.txt", separator="\t")
    assert cells["Coefficient_P_value"].is_sorted()
    lines = (tmp_path / "H.convergence.csv").read_text().splitlines()
    assert lines[:2][0] == "converged,num_iterations,final_likelihood"
    assert lines[1].startswith("True,")
    assert lines[3] == "iteration,likelihood_change,trust_region_lambda"


def test_annotations_are_matched_whatever_their_order_and_gaps_are_said(draw: Draw, active: Annotations) -> None:
    prior = draw(9)
    shuffled = replace(active, table=active.table.sample(fraction=1, shuffle=True, seed=3))
    assert heritability(prior, shuffled).h2.value == heritability(prior, active).h2.value
    gaps = active.table["active"].to_numpy().copy()
    gaps[:7] = np.nan
    columns = annotation_columns(
        replace(active, table=active.table.with_columns(active=pl.Series(gaps).fill_nan(None))), prior.variants
    )
    assert columns.values[:7, 0].sum() == 0
    assert any("`active` is missing for 7 of 960 variants: counted as outside" in note for note in columns.notes)
    with pytest.raises(DataError, match="no annotations"):
        annotation_columns(replace(active, table=active.table[5:]), prior.variants)
    with pytest.raises(ConfigError, match="`channels`: 1 are not in `annotations`, first `nothing`"):
        annotation_columns(active, prior.variants, ["nothing"])
    flat = replace(active, table=active.table.with_columns(active=pl.lit(1, pl.Float32)))
    with pytest.raises(DataError, match="has no annotation that differs"):
        annotation_columns(flat, prior.variants)


def test_groups() -> None:
    f = np.array([0.1, 0.5, 0.3, 0.2])
    assert top_groups(f, (0.25, 0.3, 1.0)).T.tolist() == [[0, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]]
    groups = quantile_groups(np.array([1.0, 1, 1, 2, 3, 9]), 3)
    assert groups.sum(1).tolist() == [1] * 6
    assert groups[:3, 0].tolist() == [1, 1, 1]


def test_independent_directions(rng: np.random.Generator) -> None:
    x = rng.standard_normal((50, 3))
    stacked = np.c_[x[:, 0], 1e-8 * x[:, 1], x[:, 0] - 2e-8 * x[:, 1], np.zeros(50), x[:, 2]]
    assert pivots(stacked.T @ stacked) == [0, 1, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population_prev": 0.1}, "belong together"),
        ({"min_maf": 0.6}, "below 0.5"),
        ({"top": (0.1, 2.0)}, "got 2.0"),
        ({"device": "mps"}, "no float64"),
        ({"blocks": 1}, "at least 2"),
        ({"population_prev": 1.5, "sample_prev": 0.5}, "between 0 and 1"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HeritabilityConfig(**options)  # type: ignore[arg-type]
