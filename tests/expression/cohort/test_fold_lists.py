"""Published folds: folders of lists as the paper's, tables, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from varfx.errors import ConfigError, DataError, FormatError
from varfx.expression.cohort.config import SplitConfig
from varfx.expression.cohort.fold_lists import list_files, read_folds, related_across
from varfx.expression.cohort.splits import PeopleSplit, split_people

PEOPLE = [f"S{number:02d}" for number in range(20)]
FOLDS = split_people(PEOPLE, SplitConfig(folds=2))


def write_lists(folder: Path, folds: tuple[PeopleSplit, ...] = FOLDS, first: int = 0, tune: str = "val") -> Path:
    folder.mkdir()
    for number, fold in enumerate(folds, start=first):
        for part, names in (("train", fold.train), (tune, fold.tune), ("test", fold.test)):
            lines = sorted(names, reverse=True)  # whatever their order
            (folder / f"person_ids-{part}-fold{number}.txt").write_text("\n".join(lines) + "\n")
    return folder


def table_of(folds: tuple[PeopleSplit, ...], header: str = "individual\tfold\tset") -> str:
    rows = [
        f"{name}\t{number}\t{part}"
        for number, fold in enumerate(folds)
        for part, names in (("train", fold.train), ("validation", fold.tune), ("test", fold.test))
        for name in names
    ]
    return "\n".join([header, *rows[::-1]]) + "\n"


@pytest.mark.parametrize("tune", ["val", "tune", "valid", "validation"])
def test_lists_of_the_paper_come_back(tmp_path: Path, tune: str) -> None:
    folder = write_lists(tmp_path / "folds", tune=tune)
    (folder / "README.md").write_text("training lists of fold 0\n")  # no list
    (folder / "genes.txt").write_text("ENSG1\n")
    listed = read_folds(folder, PEOPLE, PEOPLE)
    assert listed.folds == FOLDS
    assert listed.notes == ()
    assert len(list_files(folder)) == 6


def test_a_table_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "folds.tsv"
    path.write_text(table_of(FOLDS))
    assert read_folds(path, PEOPLE, PEOPLE) == read_folds(write_lists(tmp_path / "folds"), PEOPLE, PEOPLE)


def test_numbers_of_folds_as_a_data_frame_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    rows = [line.split("\t") for line in table_of(FOLDS).splitlines()]
    path.write_text("\n".join([",".join(rows[0]), *(f"{name},{fold}.0,{part}" for name, fold, part in rows[1:])]))
    assert read_folds(path, PEOPLE, PEOPLE).folds == FOLDS


def test_who_is_not_used_is_said(tmp_path: Path) -> None:
    folder = write_lists(tmp_path / "folds", first=1)
    with (folder / "person_ids-train-fold1.txt").open("a") as file:
        file.write("OTHER\n")
    people = [*PEOPLE, "NEW"]
    listed = read_folds(folder, people, people)
    assert listed.folds == FOLDS
    assert listed.notes == (
        "--folds: 1 of 21 individuals are not in the cohort, first OTHER.",
        "--folds: 1 of 21 individuals are in no part of fold 0: not used there.",
        "--folds: 1 of 21 individuals are in no part of fold 1: not used there.",
        "--folds: folds 1, 2 are called 0 to 1.",
    )


def test_an_individual_in_two_parts_is_refused(tmp_path: Path) -> None:
    folder = write_lists(tmp_path / "folds")
    with (folder / "person_ids-test-fold0.txt").open("a") as file:
        file.write(f"{FOLDS[0].train[0]}\n")
    with pytest.raises(DataError, match=f"{FOLDS[0].train[0]} stands in .* of fold 0. Parts must be apart"):
        read_folds(folder, PEOPLE, PEOPLE)


def test_a_fold_without_test_individuals_is_refused(tmp_path: Path) -> None:
    folder = write_lists(tmp_path / "folds")
    (folder / "person_ids-test-fold1.txt").unlink()
    with pytest.raises(DataError, match="0 of the cohort's 20 individuals are in part test of fold 1; at least 3"):
        read_folds(folder, PEOPLE, PEOPLE)


def test_two_lists_of_one_part_are_refused(tmp_path: Path) -> None:
    folder = write_lists(tmp_path / "folds")
    (folder / "person_ids-tune-fold0.txt").write_text("S01\n")
    with pytest.raises(FormatError, match="both list the tune individuals of fold 0"):
        read_folds(folder, PEOPLE, PEOPLE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("S01\nS02\n", "has no column"),
        ("individual\tfold\tset\nS01\tzero\ttrain\n", "line 2: individual 'S01', fold 'zero'"),
        ("individual\tfold\tset\nS01\t0\tlearn\n", "part 'learn'"),
        ("individual\tfold\tset\ns01\t0\ttrain\n", "s01 and S01 differ in upper and lower case"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "folds.tsv"
    path.write_text(content)
    with pytest.raises((DataError, FormatError), match=message):
        read_folds(path, PEOPLE, PEOPLE)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="does not exist"):
        read_folds(tmp_path / "absent", PEOPLE, PEOPLE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="holds no lists of folds"):
        read_folds(tmp_path / "empty", PEOPLE, PEOPLE)


def test_relatives_across_parts_are_counted_once() -> None:
    fold = FOLDS[0]
    pairs = [(fold.train[0], fold.test[0]), (fold.train[0], fold.train[1]), ("OTHER", fold.test[0])]
    assert related_across(FOLDS[:1], pairs) == 1
    assert related_across(FOLDS[:1] * 2, pairs) == 1


def test_lists_exclude_other_rules() -> None:
    with pytest.raises(ConfigError, match="both say who is tested on"):
        SplitConfig(folds="lists", heldout_populations=("GBR",))
    with pytest.raises(ConfigError, match="must be a number here"):
        split_people(PEOPLE, SplitConfig(folds="lists"))


def test_a_path_says_the_same_as_its_text(tmp_path: Path) -> None:
    config = SplitConfig(folds=tmp_path)
    assert config == SplitConfig(folds=str(tmp_path))
    assert config.folds == str(tmp_path)  # as it is kept in JSON
    with pytest.raises(ConfigError, match="`heldout_populations` and lists of `folds`"):
        SplitConfig(folds=tmp_path, heldout_populations=("GBR",))
