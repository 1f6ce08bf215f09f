"""Enrichment: nothing where scores mean nothing, although they depend on distance and frequency; what was put in is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import kstest

from cases.scored import scored_variants
from varfx.errors import ConfigError
from varfx.expression.explain.enrichment import enrichment
from varfx.expression.explain.matching import balance, distance_bin, matched_controls, minor_frequency, strata
from varfx.expression.explain.states import states_of


def confounded(table: pl.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """A state near the TSS: variants of the state are found more often where scores are high, by distance alone."""
    return rng.random(table.height) < np.array([0.7, 0.5, 0.3, 0.1, 0.05])[distance_bin(table)]


def test_without_effect_p_is_uniform_and_enrichment_is_none() -> None:
    rng = np.random.default_rng(0)
    p, log2, inside = [], [], []
    for number in range(300):
        table = scored_variants(rng, genes=30)
        found = enrichment(
            table, confounded(table, rng)[:, None], ["s"], model="m", permutations=199, samples=50, seed=number
        ).row(0, named=True)
        p.append(found["p"])
        log2.append(found["log2_enrichment"])
        inside.append(found["ci_low"] <= 0 <= found["ci_high"])
    assert kstest(p, "uniform").pvalue > 0.01
    assert abs(np.mean(log2)) < 4 * np.std(log2) / 300**0.5
    assert np.mean(inside) > 0.88
    # Without controls it would look enriched: the state lies where scores are high.
    table = scored_variants(rng, genes=300)
    state = confounded(table, rng)
    high = table["high_scoring"].to_numpy()
    assert np.log2(state[high].mean() / state[~high].mean()) > 0.3


def test_what_was_put_in_is_found() -> None:
    rng = np.random.default_rng(1)
    table = scored_variants(rng, genes=80)
    high = table["high_scoring"].to_numpy()
    state = rng.random(table.height) < np.where(high, 0.4, 0.1)
    found = enrichment(table, state[:, None], ["s"], model="m", permutations=999, samples=300, seed=0).row(
        0, named=True
    )
    assert found["log2_enrichment"] == pytest.approx(2, abs=0.3)
    assert found["ci_low"] > 1
    assert found["p"] == pytest.approx(1e-3)
    assert found["n_hsv"] + found["n_unmatched"] == high.sum()


def test_counts_by_hand() -> None:
    """One stratum: 2 of 6 variants are high-scoring, 1 of them and 1 of the 4 others in the state; another without controls."""
    table = pl.DataFrame(
        {
            "gene_id": ["a"] * 6 + ["b"],
            "tss_distance": [100] * 7,
            "eaf": [0.31] * 7,
            "high_scoring": [True, True, False, False, False, False, True],
        }
    )
    state = np.array([1, 0, 1, 0, 0, 0, 1], bool)[:, None]
    found = enrichment(table, state, ["s"], model="m", permutations=20_000, samples=9, seed=0).row(0, named=True)
    assert (found["n_hsv"], found["n_unmatched"], found["n_genes"]) == (2, 1, 1)
    assert (found["observed"], found["expected"]) == (0.5, 0.25)
    assert found["log2_enrichment"] == pytest.approx(np.log2(1.5 / 1.0))
    assert found["p"] == pytest.approx(1 - 6 / 15, abs=0.02)  # at least 1 of 2 picked among 6 with 2 inside
    assert found["ci_low"] is None


def test_matched_controls_are_balanced_and_used_once() -> None:
    rng = np.random.default_rng(2)
    table = scored_variants(rng, genes=80, per_gene=80)
    cases = table["high_scoring"].to_numpy()
    controls = matched_controls(table, cases, ~cases, seed=0)
    rows = np.flatnonzero(cases)
    kept = controls >= 0
    assert kept.mean() > 0.7
    assert np.unique(controls[kept]).size == kept.sum()
    assert not cases[controls[kept]].any()
    assert (distance_bin(table)[rows[kept]] == distance_bin(table)[controls[kept]]).all()
    gap = np.abs(minor_frequency(table)[rows[kept]] - minor_frequency(table)[controls[kept]])
    assert gap.max() <= 0.05
    genes = table["gene_id"].to_numpy()
    assert (genes[rows[kept]] == genes[controls[kept]]).all()
    found = balance(table, rows[kept], controls[kept])
    assert (found["distance_ks_p"] or 0) > 0.05
    assert (found["maf_ks_p"] or 0) > 0.05
    unmatched = balance(table, rows, rng.choice(np.flatnonzero(~cases), rows.size, replace=False))
    assert (unmatched["distance_ks_p"] or 0) < 1e-6
    again = matched_controls(table, cases, ~cases, seed=0)
    np.testing.assert_array_equal(controls, again)


def test_strata_are_genes_distances_and_frequencies() -> None:
    table = pl.DataFrame(
        {
            "gene_id": ["a", "a", "a", "a", "b"],
            "tss_distance": [-10, 499, 500, 10, 10],
            "eaf": [0.31, 0.69, 0.31, 0.36, 0.31],
        }
    )
    number = strata(table)
    assert number[0] == number[1]
    assert len({number[0], number[2], number[3], number[4]}) == 4


def test_states_of_files(tmp_path: Path) -> None:
    variants = pl.DataFrame({"chrom": ["22"] * 4, "position": [1, 101, 201, 301]})
    (tmp_path / "states.bed").write_text(
        "chr22 0 50 1_TssA\nchr22 100 150 1_TssA\nchr22 200 250 15_Quies\nchr22 260 290 15_Quies\n"
    )
    (tmp_path / "peaks.bed").write_text("22\t100\t150\tpeak1\n22\t300\t320\tpeak2\n")
    names, inside = states_of([str(tmp_path / "states.bed")], variants)
    assert names == ["15_Quies", "1_TssA"]
    np.testing.assert_array_equal(inside, np.array([[0, 1], [0, 1], [1, 0], [0, 0]], bool))
    (tmp_path / "by_r.bed").write_text(
        "chr22 0 50 1_TssA\nchr22 1e+02 150 1_TssA\nchr22 2e+02 250.0 15_Quies\nchr22 260 290 15_Quies\n"
    )
    for other, by_r in zip((names, inside), states_of([str(tmp_path / "by_r.bed")], variants), strict=True):
        np.testing.assert_array_equal(other, by_r)  # every interval counts
    names, inside = states_of([f"s={tmp_path / 'states.bed'}", str(tmp_path / "peaks.bed")], variants)
    assert names == ["s:15_Quies", "s:1_TssA", "peaks"]
    np.testing.assert_array_equal(inside[:, 2], [False, True, False, True])
    with pytest.raises(ConfigError, match="two states are called `peaks`"):
        states_of([str(tmp_path / "peaks.bed")] * 2, variants)
    with pytest.raises(ConfigError, match="no interval on the variants' chromosomes"):
        states_of([str(tmp_path / "peaks.bed")], variants.with_columns(chrom=pl.lit("1")))
