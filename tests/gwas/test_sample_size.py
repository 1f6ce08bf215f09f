"""n: what the user names wins, cases, controls, totals and effective sizes are cross-checked, and one file has one kind."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from varfx.errors import ConfigError, DataError
from varfx.gwas import clean
from varfx.gwas.sample_size import effective_n
from varfx.gwas.sumstats import SumStats

KEYS = "CHR BP SNP EA NEA BETA SE"


def read(folder: Path, header: str, *sizes: str, effect: str = "BETA", **options: Any) -> SumStats:
    """A file with the columns of `header`, one row per word group of `sizes`."""
    value = "1.02" if effect == "OR" else "0.02"
    rows = [f"1 {1000 * k} rs{k} A G {value} 0.01 {words}" for k, words in enumerate(sizes, start=1)]
    path = folder / "gwas.txt"
    path.write_text("\n".join([f"{KEYS.replace('BETA', effect)} {header}", *rows]).replace(" ", "\t"))
    return clean(path, **options)


def sizes_of(found: SumStats) -> list[float]:
    return [round(value, 3) for value in found.table["n"]]


def warnings_of(found: SumStats) -> list[str]:
    return [str(entry["note"]) for entry in found.metadata["ledger"] if entry["step"] == "warning"]


@pytest.mark.parametrize(
    ("header", "row", "n"),
    [
        ("N", "1000", 1000),
        ("n_cases n_controls", "100 900", 360),
        ("N n_cases", "1000 100", 360),
        ("N n_controls", "1000 900", 360),
        ("N n_cases n_controls Neff", "1000 100 900 350", 350),  # smaller by the design: the file's own
        ("N n_cases n_controls Neff", "1000 100 900 180", 360),  # half
        ("N n_cases n_controls Neff", "1000 100 900 1000", 360),  # the total
        ("NCAS NCON NEFFDIV2", "100 900 180", 360),
        ("NCAS NCON NEFFDIV2", "100 900 160", 320),
        ("Neff_half", "180", 360),
        ("Neff", "300", 300),
        ("N Neff", "1000 300", 300),
        ("N cases controls", "1000 100 900", 360),
        ("N TotalCases TotalControls", "1000 100 900", 360),
        ("N case_n ctrl_n", "1000 100 900", 360),
        ("N number_of_cases n_ctl", "1000 100 900", 360),
        ("N Neff n_cases n_controls", "1000 NA NA NA", 1000),
    ],
)
def test_the_effective_size_of_a_file(header: str, row: str, n: float, tmp_path: Path) -> None:
    assert sizes_of(read(tmp_path, header, row)) == [n]


def test_what_the_user_names_wins_over_synonyms(tmp_path: Path) -> None:
    header, row = "N n_cases n_controls Neff other", "1000 100 900 350 500"
    for columns, n in (
        ({"n": "N"}, 1000),
        ({"n": "other"}, 500),
        ({"n_eff": "Neff"}, 350),
        ({"n_eff_half": "Neff"}, 700),
        ({"n_case": "n_cases", "n_control": "n_controls"}, 360),
        ({"n_case": "n_cases"}, 360),
        ({"n_case": "n_cases", "n_control": "other"}, effective_n(100, 500)),
    ):
        assert sizes_of(read(tmp_path, header, row, columns=columns)) == [round(n, 3)]
    assert sizes_of(read(tmp_path, header, row, n="400")) == [400]
    assert sizes_of(read(tmp_path, header, row, n="200,800")) == [640]
    with pytest.raises(DataError, match=r"n_case alone is no sample size"):
        read(tmp_path, "cases", "100", columns={"n_case": "cases"})


def test_an_effective_size_that_cannot_be_or_is_doubtful(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DataError, match=r"`Neff` is 1.67 times 4 / \(1 / cases \+ 1 / controls\), above which"):
        read(tmp_path, "n_cases n_controls Neff", "100 900 600")
    with caplog.at_level(logging.WARNING, "varfx"):
        found = read(tmp_path, "n_cases n_controls Neff", "100 900 162")
    assert sizes_of(found) == [162]
    assert "`Neff` is 0.45 times 4 / (1 / cases + 1 / controls): if it is half the effective size" in caplog.text
    assert "--columns n_eff_half=Neff" in warnings_of(found)[0]


def test_one_file_has_one_kind_of_n(tmp_path: Path) -> None:
    found = read(tmp_path, "N n_cases", "1000 100", "900 NA", "800 80")
    assert sizes_of(found) == [360, 288]
    assert {entry["note"]: entry["count"] for entry in found.metadata["ledger"]}["missing n"] == 1
    assert "total and effective sizes are not mixed" in warnings_of(found)[0]
    quantitative = read(tmp_path, "N n_cases n_controls", "1000 NA NA", "900 NA NA")
    assert sizes_of(quantitative) == [1000, 900]


def test_odds_ratios_with_a_total_get_a_warning_with_the_remedy(tmp_path: Path) -> None:
    found = read(tmp_path, "N", "1000", effect="OR")
    assert "give --n CASES,CONTROLS for the effective size" in warnings_of(found)[0]
    assert not warnings_of(read(tmp_path, "N", "1000", effect="OR", n="100,900"))
    assert not warnings_of(read(tmp_path, "N", "1000"))


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("CASE_ALLELE_CT CTRL_ALLELE_CT", "200 1800"),
        ("A1_CASE_CT A1_CTRL_CT", "50 450"),
        ("A1_CASE_CT A1_CTRL_CT A1_CASE_FREQ A1_CTRL_FREQ", "60 450 0.3 0.25"),
        ("CASE_NON_A1_CT CASE_HET_A1_CT CASE_HOM_A1_CT CTRL_NON_A1_CT CTRL_HET_A1_CT CTRL_HOM_A1_CT", "50 40 10 600 250 50"),
    ],
)  # fmt: skip
def test_cases_and_controls_of_plink2_by_its_counts(header: str, row: str, tmp_path: Path) -> None:
    path = tmp_path / "gwas.glm.logistic"
    text = f"#CHROM POS ID REF ALT A1 {header} TEST OBS_CT OR LOG(OR)_SE Z_STAT P ERRCODE\n"
    text += f"1 1000 rs1 G A A {row} ADD 1000 0.98019867 0.01 -2 0.0455 .\n"
    path.write_text(text.replace(" ", "\t"))
    found = clean(path)
    assert sizes_of(found) == [360]
    assert not warnings_of(found)


def test_a_sample_size_of_the_user_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be a positive number N, or two: CASES,CONTROLS"):
        read(tmp_path, "N", "1000", n="a")
    with pytest.raises(DataError, match=r"has no sample size. Give it with --n N, or --n CASES,CONTROLS"):
        read(tmp_path, "x", "1000")


def test_an_effective_size_in_the_column_n_is_not_reduced_again(tmp_path: Path) -> None:
    found = read(tmp_path, "N", "360", "355", n="100,900")
    assert sizes_of(found) == [360, 355]
    assert (
        "`N` is 4 / (1 / cases + 1 / controls) of the 100 cases and 900 controls given with --n already"
        in warnings_of(found)[0]
    )


@pytest.mark.parametrize(
    ("size", "given", "message"),
    [
        ("1000", "10,90", r"`N` is up to 1000, more than the 10 cases and 90 controls given with --n"),
        (
            "300",
            "100,900",
            r"`N` is 300 at most, less than .*: if it is an effective size, .* n_eff=N and leave out --n",
        ),
        ("1000", "100,900", None),
        ("700", "100,900", None),
    ],
)
def test_cases_and_controls_are_compared_with_the_column_n(
    size: str, given: str, message: str | None, tmp_path: Path
) -> None:
    found = warnings_of(read(tmp_path, "N", size, n=given))
    assert bool(found) == (message is not None)
    assert message is None or re.search(message, found[0])


@pytest.mark.parametrize(
    ("header", "row", "options"),
    [("N EAF_cases EAF_controls", "1000 0.2 0.3", {}), ("EAF_cases EAF_controls", "0.2 0.3", {"n": 1000})],
)
def test_frequencies_of_cases_get_the_warning_of_odds_ratios(
    header: str, row: str, options: dict[str, Any], tmp_path: Path
) -> None:
    found = read(tmp_path, header, row, **options)
    assert sizes_of(found) == [1000]
    assert "frequencies of cases and of controls, but n is" in warnings_of(found)[0]
    assert "give --n CASES,CONTROLS for the effective size" in warnings_of(found)[0]
    assert not warnings_of(read(tmp_path, header, row, n="100,900"))


def test_one_n_for_odds_ratios_gets_the_warning_too(tmp_path: Path) -> None:
    assert "odds ratios, but n is given as one number" in warnings_of(read(tmp_path, "x", "0", effect="OR", n=1000))[0]
    assert not warnings_of(read(tmp_path, "x", "0", effect="OR", n="100,900"))


def test_a_number_of_studies_is_no_n(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for options in ({}, {"columns": {"n": "N"}}):
        with pytest.raises(
            DataError, match=r"n is 4 at most by `N`: a number of studies, or a share\? Some z .* Give the individuals"
        ):
            read(tmp_path, "N", "3", "4", **options)
    assert sizes_of(read(tmp_path, "N", "3", "4", n=1000)) == [1000, 1000]
    with caplog.at_level(logging.WARNING, "varfx"):
        assert sizes_of(read(tmp_path, "N", "12", "14")) == [12, 14]
    assert "n is 14 at most by `N`: a number of studies, or a share?" in caplog.text
