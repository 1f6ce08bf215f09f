"""`varfx expr baseline` and `varfx expr evaluate` as typed: what they write and show, and errors of one line."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from cases.cohort import small_cohort
from cases.command_line import varfx
from varfx.expression.run import open_run

Capture = pytest.CaptureFixture[str]
MODELS = "ridge,blup,top1,informed-blup"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cohort(tmp_path_factory.mktemp("cli"), people=60, genes=6, heritability=0.6)


@pytest.fixture(scope="module")
def run(cohort: Path) -> Path:
    from varfx.expression.linear.config import BaselineConfig
    from varfx.expression.linear.run import fit_baselines

    out = cohort.parent / "RUN"
    fit_baselines(cohort, out, BaselineConfig(models=tuple(MODELS.split(","))), workers=1)
    return out


def test_baseline_writes_a_run_and_says_what_it_is(cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    bed = tmp_path / "open.bed"
    rows = pl.read_parquet(cohort / "genes.parquet").select("chrom", "tss").rows()
    bed.write_text("".join(f"chr{chrom}\t{tss - 100}\t{tss + 100}\n" for chrom, tss in rows))
    words = ["expr", "baseline", cohort, "--models", MODELS, "--folds", "0,2", "--bed", f"near={bed}", "--workers", "1"]
    result = varfx(capsys, *words, "--out", tmp_path / "RUN")
    assert result.code == 0, result.err
    assert f"{tmp_path}/RUN: ridge, blup, top1, informed-blup of 6 genes in 2 folds" in result.out
    assert "fold 0: informed prior from" in result.out
    assert "held-out genes are " in result.out
    record = open_run(tmp_path / "RUN").record
    assert record["folds"] == [0, 2]
    assert "near" in record["informed"]["0"]["coefficients"]
    again = varfx(capsys, *words, "--out", tmp_path / "RUN")
    assert "holds a finished run. Choose another --out, or replace it with --overwrite." in again.error
    assert varfx(capsys, *words, "--out", tmp_path / "RUN", "--overwrite").code == 0


def test_evaluate_shows_and_writes_all_numbers(run: Path, tmp_path: Path, capsys: Capture) -> None:
    files = ("--json", tmp_path / "e.json", "--tsv", tmp_path / "e.tsv", "--figures", tmp_path / "figures")
    result = varfx(capsys, "expr", "evaluate", run, *files, "--samples", "50", "--against", "blup", "--workers", "1")
    assert result.code == 0, result.err
    for word in ("training", "held-out", "hop", "informed-blup", "R2 minus blup", "cis-heritability by REML"):
        assert word in result.out
    written = json.loads((tmp_path / "e.json").read_text())
    assert {"gene", "model", "split", "fold", "pcc", "r2", "n_people"} <= written["genes"][0].keys()
    assert len(written["genes"]) == 6 * 4 * 3
    assert len(written["heritability"]) == 6
    table = pl.read_csv(tmp_path / "e.tsv", separator="\t")
    assert table.height == 72
    assert {"h2", "r2_low", "pcc_high"} <= set(table.columns)
    pictures = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"mean_r2.png", "mean_pcc.png", "r2_training_genes.png", "pcc_held-out_genes.png"} <= pictures


def test_the_screen_has_the_difference_to_the_model_named(run: Path, tmp_path: Path, capsys: Capture) -> None:
    result = varfx(
        capsys, "expr", "evaluate", run, "--json", tmp_path / "e.json", "--against", "ridge", "--no-heritability",
        "--samples", "20",
    )  # fmt: skip
    written = json.loads((tmp_path / "e.json").read_text())
    (gap,) = [
        d for d in written["differences"] if (d["gene_set"], d["first"], d["second"]) == ("training", "ridge", "blup")
    ]
    (line,) = [line for line in result.out.splitlines() if "training" in line and "│ blup " in line]
    assert f"{-gap['r2']:+.3f}" in line
    assert f"{-gap['r2_ci95'][1]:+.3f} to {-gap['r2_ci95'][0]:+.3f}" in line
    assert "cis-heritability" not in result.out
    assert written["heritability"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--models", "svm"],
            "`models` must be some of elastic-net, lasso, ridge, blup, top1, informed-blup, prior-blup, zero-shot",
        ),
        (["--models", "zero-shot"], "model zero-shot needs the published Enformer as a local file: give --checkpoint"),
        (["--models", "zero-shot", "--checkpoint", "none.bin"], "`none.bin` does not exist or is no file"),
        (["--genes", "ENSG404"], "has no gene ENSG404; it has 6"),
        (["--folds", "7"], "`folds`: the cohort's are 0 to 2, got 7"),
        (["--annot", "none.annot.parquet"], "`none.annot.parquet` does not exist or is no file"),
        (["--models", "blup", "--out", "none/RUN"], "the folder `none` does not exist. Create it first."),
    ],
)
def test_mistakes_are_one_line(
    cohort: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    out = [] if "--out" in words else ["--out", "RUN"]
    assert message in varfx(capsys, "expr", "baseline", cohort, *words, *out).error
    assert list(tmp_path.iterdir()) == []


def test_mistakes_of_evaluate(run: Path, cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    other = small_cohort(tmp_path, people=60, genes=3, seed=2)
    words = ("--models", "top1", "--workers", "1")
    assert varfx(capsys, "expr", "baseline", other, *words, "--out", tmp_path / "OTHER").code == 0
    evaluate = ("expr", "evaluate")
    assert "was made on another cohort" in varfx(capsys, *evaluate, run, tmp_path / "OTHER").error
    assert "cohort` is no run: it has no run.json" in varfx(capsys, *evaluate, cohort).error
    assert "`against` must be one of" in varfx(capsys, *evaluate, run, "--against", "x", "--samples", "5").error
    assert "none` does not exist. Give a run" in varfx(capsys, *evaluate, tmp_path / "none").error


def test_info_tells_what_a_run_is(run: Path, capsys: Capture) -> None:
    result = varfx(capsys, "info", run)
    assert result.code == 0, result.err
    assert "expression baselines" in result.out
    assert "informed-blup" in result.out
    assert "whole: every checksum is right" in result.out
