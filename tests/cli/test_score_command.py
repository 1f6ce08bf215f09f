"""`varfx score` as typed: the table, the worth of the score, and what bad input leaves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.command_line import varfx
from cases.simulated_panel import Simulated

Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def weights(simulated: Simulated, tmp_path: Path) -> Path:
    """The true effects as weights per allele."""
    variants = simulated.open().variants
    eaf = variants["eaf"].to_numpy()
    table = variants.select(
        ID="variant_id", A1="effect_allele", CHROM="chrom", POS="position", A2="other_allele", A1_FREQ="eaf"
    ).with_columns(WEIGHT=pl.Series(simulated.beta / np.sqrt(2 * eaf * (1 - eaf))))
    table.write_csv(tmp_path / "w.tsv", separator="\t")
    return tmp_path / "w.tsv"


def test_scores_and_their_worth(capsys: Capsys, simulated: Simulated, weights: Path, tmp_path: Path) -> None:
    value = simulated.X @ simulated.beta
    y = value / value.std() + np.random.default_rng(0).standard_normal(value.size)
    rows = "".join(f"f{i} i{i} {a} {int(a > 0)}\n" for i, a in enumerate(y))
    (tmp_path / "p.txt").write_text("FID IID y case\n" + rows)
    words = (
        "--weights",
        weights,
        "--genotypes",
        simulated.bed,
        "--out",
        tmp_path / "s.tsv",
        "--json",
        tmp_path / "s.json",
    )
    result = varfx(capsys, "score", *words, "--phenotype", tmp_path / "p.txt", "--phenotype-name", "y")
    assert result.code == 0, result.err
    assert "scores of 200 individuals by 480 variants on 3 chromosomes" in result.out
    stored = pl.read_csv(tmp_path / "s.tsv", separator="\t")
    assert np.corrcoef(stored["SCORE_SUM"], value)[0, 1] > 0.99  # standardised by 2 p (1 - p)
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["n_variants"] == 480
    assert found["worth"][0]["r2"] == pytest.approx(np.corrcoef(stored["SCORE_SUM"], y)[0, 1] ** 2, rel=1e-6)
    words = (*words, "--phenotype", tmp_path / "p.txt", "--phenotype-name", "case")
    assert varfx(capsys, "score", *words).code == 0
    assert 0.6 < json.loads((tmp_path / "s.json").read_text())["worth"][0]["auc"] < 1
    assert not any(f"i{number}" in result.out for number in (17, 123))  # no individual on the screen


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--genotypes", "/nonexistent.bed"), "cannot be read: No such file"),
        (("--covariates", "c.txt"), "`--covariates` and `--phenotype-name` belong to --phenotype FILE"),
        (("--missing", "mean"), "--missing"),
        (("--json", "/nonexistent/s.json"), "the folder `/nonexistent` does not exist"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: Capsys, simulated: Simulated, weights: Path, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    words = ["--weights", weights, "--out", tmp_path / "s.tsv", *change]
    words += [] if change[0] == "--genotypes" else ["--genotypes", simulated.bed]
    result = varfx(capsys, "score", *words)
    assert (result.code, message in result.error) == (2, True), result.err
    assert not (tmp_path / "s.tsv").exists()
