"""`varfx expr predict`, and `expr evaluate` in another cohort: what they say, and what they leave."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from cases.cohort import small_cohort
from cases.command_line import varfx
from cases.transfer import as_other_cohort
from cases.variants import linear_run, some_weights
from varfx.expression.cohort.store import Cohort, open_cohort


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cohort]:
    folder = tmp_path_factory.mktemp("predict")
    cohort = open_cohort(small_cohort(folder, window=256, people=40))
    linear_run(folder / "RUN", cohort, {"blup": some_weights(cohort, 6)})
    as_other_cohort(cohort, folder / "OTHER", prefix="X", exchanged=range(5))
    return folder, cohort


def test_predict_and_info(study: tuple[Path, Cohort], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = study
    out = tmp_path / "P.parquet"
    result = varfx(capsys, "expr", "predict", folder / "RUN", "--cohort", folder / "OTHER", "--out", out)
    assert result.code == 0, result.err
    assert "ledger: found, alleles exchanged: " in result.out
    assert "blup of fold 0, 4 genes of 40 individuals" in result.out
    assert pl.read_parquet(out).columns == ["person", "gene", "prediction"]
    said = varfx(capsys, "info", out)
    assert "expression predictions elsewhere" in said.out
    assert "whole: every checksum is right" in said.out


def test_evaluate_elsewhere(study: tuple[Path, Cohort], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = study
    out = tmp_path / "E.json"
    words = ("--cohort", folder / "OTHER", "--json", out, "--samples", "10", "--no-heritability")
    result = varfx(capsys, "expr", "evaluate", folder / "RUN", *words)
    assert result.code == 0, result.err
    assert "note: trained in " in result.out
    assert "RUN: ledger: found: " in result.out
    content = json.loads(out.read_text())
    assert content["home"].endswith("cohort")
    assert content["cohort"].endswith("OTHER")


def test_mistakes_leave_nothing(study: tuple[Path, Cohort], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = study
    words = ("--cohort", folder / "OTHER", "--out")
    line = varfx(capsys, "expr", "predict", folder / "cohort", *words, tmp_path / "P.parquet").error
    assert "is no run" in line
    line = varfx(capsys, "expr", "predict", folder / "RUN", *words, tmp_path / "none" / "P.parquet").error
    assert "does not exist" in line
    line = varfx(capsys, "expr", "predict", folder / "RUN", "--cohort", tmp_path, "--out", tmp_path / "P").error
    assert "has no manifest.json" in line
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
