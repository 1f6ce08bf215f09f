"""Comparisons of scores against counting by hand, LD against numpy, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.stats

from cases.cohort import small_cohort
from varfx.cli.app import run as command
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.variants.compare import compare_scores, described, overlap
from varfx.expression.variants.table import LONG_KIND, LONG_SCHEMA
from varfx.io import sealed


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return open_cohort(small_cohort(tmp_path_factory.mktemp("compare"), people=60, genes=4, variants_per_gene=20))


def scores(cohort: Cohort, model: str, chosen: np.random.Generator, share: float = 0.3) -> pl.DataFrame:
    rows = []
    for gene in cohort.genes["gene_id"]:
        variants, _ = cohort.window_variants(gene)
        size = variants.height
        train = cohort.fold(0).train
        rows.append(
            variants.with_columns(
                gene_id=pl.lit(gene),
                model=pl.lit(model),
                fold=pl.lit(0),
                tss_distance=pl.col("position") - cohort.gene(gene).tss,
                eaf=pl.Series(cohort.dosages(gene)[:, train].mean(axis=1) / 2),
                weight=pl.Series(chosen.standard_normal(size)),
                high_scoring=pl.Series(chosen.random(size) < share),
                driver_variformer=pl.Series(chosen.random(size) < share / 3),
            )
        )
    table = pl.concat(rows)
    absent = [pl.lit(None).alias(name) for name in LONG_SCHEMA if name not in table.columns]
    return table.with_columns(absent).select(*LONG_SCHEMA).cast(pl.Schema(LONG_SCHEMA))


def write(table: pl.DataFrame, path: Path) -> Path:
    sealed.write_table(table, path, kind=LONG_KIND, metadata={})
    return path


@pytest.fixture
def tables(cohort: Cohort, rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    return scores(cohort, "enformer", rng), scores(cohort, "elastic-net", rng)


def test_overlap_is_that_of_counting(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    first, second = tables
    second = second.sample(fraction=0.9, shuffle=True, seed=1)  # some variants have one score
    a, b = (each["high_scoring"].to_numpy() for each in (first, second))
    found = overlap(first, second, a, b)
    assert found is not None

    def named(table: pl.DataFrame) -> dict[tuple[str, str], dict[str, object]]:
        return {
            (row["gene_id"], f"{row['position']}{row['effect_allele']}"): row for row in table.iter_rows(named=True)
        }

    one, other = named(first), named(second)
    cells = {gene: np.zeros((2, 2)) for gene in first["gene_id"].unique()}
    same = shared = 0
    for key in one.keys() & other.keys():
        x, y = one[key], other[key]
        cells[key[0]][int(not x["high_scoring"]), int(not y["high_scoring"])] += 1
        if x["high_scoring"] and y["high_scoring"]:
            shared += 1
            same += np.sign(x["weight"]) == np.sign(y["weight"])
    total = sum(cells.values())
    assert [found[name] for name in ("both", "first_only", "second_only", "neither")] == total.ravel().tolist()
    jaccard = [t[0, 0] / (t.sum() - t[1, 1]) for t in cells.values() if t.sum() > t[1, 1]]
    assert found["mean_jaccard"] == pytest.approx(np.mean(jaccard))
    expected = sum(t[0].sum() * t[:, 0].sum() / t.sum() for t in cells.values())
    assert found["expected_both"] == pytest.approx(expected)
    down = sum(t[0, 1] * t[1, 0] / t.sum() for t in cells.values())
    assert found["odds_ratio_by_gene"] == pytest.approx(sum(t[0, 0] * t[1, 1] / t.sum() for t in cells.values()) / down)
    assert found["fisher_p"] == pytest.approx(scipy.stats.fisher_exact(total, alternative="greater")[1])
    assert (found["shared_with_signs"], found["same_sign"]) == (shared, same)


def test_equal_scores_overlap_wholly_and_others_by_chance(
    cohort: Cohort, tables: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    first, _ = tables
    mask = first["high_scoring"].to_numpy()
    found = overlap(first, first, mask, mask)
    assert found is not None
    assert (found["mean_jaccard"], found["same_sign_share"]) == (1.0, 1.0)
    assert found["odds_ratio_by_gene"] is None  # nothing off the diagonal
    ratios = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        a, b = (scores(cohort, "m", rng) for _ in range(2))
        found = overlap(a, b, a["high_scoring"].to_numpy(), b["high_scoring"].to_numpy())
        assert found is not None
        ratios.append(np.log(found["odds_ratio_by_gene"]))
    assert abs(np.mean(ratios)) < 3 * np.std(ratios) / 40**0.5


def test_spectrum_and_distances(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    table = tables[0].with_columns(eaf=pl.lit(0.97), tss_distance=pl.lit(-2000)).head(8)
    found = described(table)
    assert found["maf_counts"] == [0, 8, 0, 0, 0]
    assert found["median_maf"] == pytest.approx(0.03)
    assert found["tss_distance_quartiles"] == [2000, 2000, 2000]
    empty = described(table.head(0))
    assert (empty["variants"], empty["median_maf"], empty["tss_distance_quartiles"]) == (0, None, None)


def test_ld_is_that_of_training_individuals(
    cohort: Cohort, tables: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path
) -> None:
    path = write(tables[0], tmp_path / "a.parquet")
    found = compare_scores([path], cohort=cohort.path)
    entry = next(each for each in found.sets if each["set"] == "high-scoring")
    means, count = [], 0
    for gene in cohort.genes["gene_id"]:
        mask = tables[0].filter(pl.col("gene_id") == gene)["high_scoring"].to_numpy()
        X = cohort.dosages(gene)[mask][:, cohort.fold(0).train].astype(float)
        if len(X) > 1:
            r2 = (np.corrcoef(X) ** 2)[np.triu_indices(len(X), 1)]
            means.append(r2.mean())
            count += r2.size
    assert entry["ld"]["mean_r2"] == pytest.approx(np.mean(means))
    assert entry["ld"]["pairs"] == count
    other = small_cohort(tmp_path, people=60, genes=4, variants_per_gene=20, seed=5)
    with pytest.raises(DataError, match="the scores are of another cohort"):
        compare_scores([path], cohort=other)


def test_the_command(
    cohort: Cohort, tables: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [write(table, tmp_path / f"{name}.parquet") for name, table in zip("ab", tables, strict=True)]
    words = ["expr", "compare", *map(str, paths), "--cohort", str(cohort.path), "--json", str(tmp_path / "c.json")]
    assert command([*words, "--figures", str(tmp_path / "figures")]) == 0
    content = json.loads((tmp_path / "c.json").read_text())
    assert {(entry["first"], entry["second"]) for entry in content["pairs"]} == {("enformer", "elastic-net")}
    assert len(content["sets"]) == 6
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"maf_spectrum.png", "tss_distances.png"}
    assert "same sign" in capsys.readouterr().out


def test_what_cannot_be_compared(tables: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path) -> None:
    path = write(tables[0], tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match="enformer:a is given twice"):
        compare_scores([path, path])
    apart = write(tables[1].with_columns(gene_id=pl.lit("ENSGX")), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="no gene in common"):
        compare_scores([path, apart])
    with pytest.raises(DataError, match=r"no variant with a score and MAF of 0.6"):
        compare_scores([path], min_maf=0.6)
    with pytest.raises(ConfigError, match="no table is given"):
        compare_scores([])
