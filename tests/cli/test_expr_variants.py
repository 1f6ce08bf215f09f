"""`varfx expr variants`: the files it leaves, what it says, and that they go on into annotations of a panel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.cohort import small_cohort
from cases.command_line import varfx
from cases.variants import linear_run, network_run, random_network, some_weights
from varfx.annotations import read_annotations
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.variants.table import LONG_KIND, LONG_SCHEMA
from varfx.io import sealed


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cohort]:
    folder = tmp_path_factory.mktemp("variants")
    cohort = open_cohort(small_cohort(folder, window=256, people=60))
    network_run(folder / "N", cohort, random_network())
    linear_run(folder / "B", cohort, {"blup": some_weights(cohort, 12), "elastic-net": some_weights(cohort, 4, 1)})
    return folder, cohort


def test_a_network_beside_its_baselines(
    study: tuple[Path, Cohort], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, cohort = study
    out, long, record = (tmp_path / name for name in ("V.annot.parquet", "L.parquet", "V.json"))
    result = varfx(
        capsys, "expr", "variants", folder / "N", "--baseline", folder / "B", "--out", out,
        "--long", long, "--json", record, "--figures", tmp_path / "F",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "drivers by the rule of variformer" in result.out
    size = cohort.variants.height
    assert f"{size} variants, {size} with a score of enformer, channels ism, abs_ism, gradient" in result.out
    annotations = read_annotations(out)
    assert annotations.table.select(cohort.variants.columns).equals(cohort.variants)
    inputs = annotations.metadata["provenance"]["inputs"]
    assert [Path(inputs[name]["path"]).parent for name in ("run", "baseline")] == [folder / "N", folder / "B"]
    table, _ = sealed.read_table(long, kind=LONG_KIND)
    assert dict(table.schema) == LONG_SCHEMA
    assert table.group_by("gene_id").agg(pl.col("high_scoring").sum())["high_scoring"].to_list() == [4] * 4
    genes = json.loads(record.read_text())["genes"]
    assert [gene["gene"] for gene in genes] == cohort.genes["gene_id"].to_list()
    pictures = {path.name for path in (tmp_path / "F").iterdir()}
    assert pictures == {"against-elastic-net.png", *(f"{gene}.png" for gene in cohort.genes["gene_id"])}


def test_linear_models_some_genes_and_another_rule(
    study: tuple[Path, Cohort], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, cohort = study
    chosen = cohort.genes["gene_id"].to_list()[2:]
    (tmp_path / "genes.txt").write_text("\n".join(chosen))
    out, long = tmp_path / "W.annot.parquet", tmp_path / "L.parquet"
    options = ["--model", "blup", "--rule", "sasse", "--genes", tmp_path / "genes.txt", "--long", long]
    result = varfx(capsys, "expr", "variants", folder / "B", "--out", out, *options)
    assert result.code == 0, result.err
    annotations = read_annotations(out)
    assert annotations.channels == ("weight", "abs_weight", "high_scoring", "driver", "scored")
    scored = annotations.table["scored"] == 1
    assert scored.equals(annotations.table["chrom"] == "22")
    for name in ("weight", "driver"):
        assert annotations.table[name].is_null().equals(~scored)
    table, _ = sealed.read_table(long, kind=LONG_KIND)
    driver = table.filter("driver_sasse")["variant_id"]
    assert set(annotations.table.filter(pl.col("driver") == 1)["variant_id"]) == set(driver)


def test_annot_build_merges_the_file(
    study: tuple[Path, Cohort], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from varfx.annotations import TableSpec, build_annotations

    folder, cohort = study
    out = tmp_path / "V.annot.parquet"
    assert varfx(capsys, "expr", "variants", folder / "B", "--out", out).code == 0
    others = cohort.variants.with_columns(pl.col("position") + 3_000, pl.lit(None, pl.String).alias("variant_id"))
    panel = pl.concat([cohort.variants, others]).with_columns(eaf=pl.lit(0.3))
    built = build_annotations(panel, tables=[TableSpec(out, "expr", ("abs_weight", "scored"))])
    assert built.channels == ("eaf", "maf", "expr.abs_weight", "expr.scored")
    first = built.table.head(cohort.variants.height)
    np.testing.assert_array_equal(first["expr.abs_weight"], read_annotations(out).table["abs_weight"])
    assert built.table.tail(others.height)["expr.scored"].null_count() == others.height


def test_errors_are_one_line_and_leave_nothing(
    study: tuple[Path, Cohort], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = study
    out = tmp_path / "V.annot.parquet"
    for words, message in (
        ([folder / "cohort", "--out", out], "is no run: it has no run.json"),
        ([folder / "N", "--out", out, "--fold", "7"], "`fold`: "),
        ([folder / "N", "--out", out, "--genes", "ENSG7"], "has no gene ENSG7"),
        ([folder / "N", "--out", tmp_path / "no" / "V.annot.parquet"], "does not exist. Create it first."),
        ([folder / "N", "--out", out, "--cohort", tmp_path], "has no manifest.json"),
        ([folder / "N", "--out", out, "--variants-per-pass", "0"], "`variants-per-pass` must be at least 1, got 0"),
    ):
        assert message in varfx(capsys, "expr", "variants", *words).error
    assert not list(tmp_path.iterdir())
