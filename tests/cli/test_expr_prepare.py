"""`varfx expr prepare` as typed: the tables it shows, `varfx info`, and errors of one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.command_line import varfx
from cases.prepare import Study, make_study

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))


def words(study: Study, out: Path, **changes: object) -> list[object]:
    options = {name: value for name, value in study.options(**changes).items() if value is not None}
    flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    return ["expr", "prepare", *flags, "--out", out]


def rows(text: str) -> list[str]:
    """Lines of tables as their cells, joined by blanks."""
    return [" ".join(line.replace("│", " ").split()) for line in text.splitlines()]


def test_prepare_says_what_was_left_out(study: Study, tmp_path: Path, capsys: Capture) -> None:
    result = varfx(capsys, *words(study, tmp_path / "cohort"))
    assert result.code == 0, result.err
    shown = rows(result.out)
    for line in (
        "with genotypes 30",
        "without expression 3 27",
        "in the expression file 16",
        "another TSS within 64 bases 2 12",
        "no variant that varies in the window 1 5",
        "0 21 3 3",
    ):
        assert line in shown, (line, shown)
    assert f"{tmp_path}/cohort: 27 individuals, 5 genes (1 held out), " in result.out
    assert "variants, phased" in result.out
    info = varfx(capsys, "info", tmp_path / "cohort")
    shown = rows(info.out)
    for line in (
        "kind expression cohort",
        "individuals 27",
        "folds 21 + 3 + 3, 21 + 3 + 3, 21 + 3 + 3",
        "genes 4 for training, 1 held out",
        "window 1,024 bases",
        "expression inverse-normal, 2 covariates",
    ):
        assert line in shown, (line, shown)
    assert "whole: every checksum is right" in info.out
    (tmp_path / "cohort" / "splits" / "genes-train.txt").write_text("ENSG00000000001\n")
    assert "`splits/genes-train.txt` is not as it was written" in varfx(capsys, "info", tmp_path / "cohort").error


def test_options_reach_the_cohort(study: Study, tmp_path: Path, capsys: Capture) -> None:
    changes = {
        "gene_type": "protein_coding,lincRNA",
        "tss_distance": -1,
        "folds": 2,
        "phased": "no",
        "normalise": "none",
    }
    result = varfx(capsys, *words(study, tmp_path / "cohort", **changes, covariates=None, heldout_fraction=0))
    assert "27 individuals, 8 genes (0 held out)" in result.out
    assert "not phased" in result.out
    assert {"0 21 3 3", "1 21 3 3"} <= set(rows(result.out))
    assert "2 21 3 3" not in rows(result.out)
    result = varfx(capsys, *words(study, tmp_path / "cohort", gene_type="all"), "--overwrite")
    assert "27 individuals, 6 genes (1 held out)" in result.out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": "c.gct"}, "either as --expression BED, or as both --counts GCT and --tpm GCT"),
        ({"expression": "absent.bed"}, "`absent.bed` cannot be read"),
        ({"genotypes": "absent.vcf.gz"}, "absent.vcf.gz"),
        ({"window": 0}, "`window` must be at least 2"),
        ({"folds": 0}, "`folds` must be at least 1"),
        ({"folds": 13}, "Lower --folds"),
        ({"window": 60_000}, "No gene is left"),
        (
            {"gene_type": "tRNA"},
            "No gene is left (in the expression file: 16, not in the GTF: 1, another gene type: 15)",
        ),
        ({"people": "absent.txt"}, "`absent.txt` cannot be read"),
        ({"heldout_populations": "YRI"}, "needs --populations FILE"),
        ({"on_mismatch": "guess"}, "Invalid value"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    study: Study, tmp_path: Path, capsys: Capture, changes: dict[str, object], message: str
) -> None:
    error = varfx(capsys, *words(study, tmp_path / "cohort", **changes)).error
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_an_existing_cohort_is_not_replaced(study: Study, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "cohort").write_text("mine")
    assert "exists and is no cohort" in varfx(capsys, *words(study, tmp_path / "cohort")).error
    assert "exists and is no cohort" in varfx(capsys, *words(study, tmp_path / "cohort"), "--overwrite").error
    assert (tmp_path / "cohort").read_text() == "mine"
    assert "does not exist" in varfx(capsys, *words(study, tmp_path / "no" / "cohort")).error
