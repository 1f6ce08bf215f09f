"""Folds that others published: a list of individuals per part and fold, or one table of individuals, folds and parts."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from varfx.errors import DataError, FormatError
from varfx.expression.cohort.splits import LEAST_TEST, LEAST_TUNE, PeopleSplit
from varfx.genotypes.name_lists import INDIVIDUAL, alike, read_individuals, read_name_table
from varfx.io.text_numbers import whole_of

LEAST_TRAIN = 5  # individuals that a model can be fitted on
PART_WORDS = {
    "train": ("train", "training"),
    "tune": ("tune", "tuning", "val", "valid", "validation", "dev"),
    "test": ("test", "testing", "heldout", "held-out"),
}
PART_OF = {word: part for part, words in PART_WORDS.items() for word in words}
_FOLD_COLUMNS, _PART_COLUMNS = ("fold", "fold_number", "split_number"), ("part", "set", "split", "partition", "subset")
_WORD = re.compile(r"(?<![a-z])(" + "|".join(sorted(PART_OF, key=len, reverse=True)) + r")(?![a-z])")
_NUMBER = re.compile(r"(?:fold|split|cv)[-_. ]?(\d+)")
Lists = dict[int, dict[str, list[str]]]  # fold, part: names


@dataclass(frozen=True)
class ListedFolds:
    """Folds read from lists.

    Attributes:
        folds: in the order of their numbers, names in the order of the cohort.
        notes: what the user should know.
    """

    folds: tuple[PeopleSplit, ...]
    notes: tuple[str, ...]


def list_files(path: str | os.PathLike[str]) -> dict[tuple[int, str], Path]:
    """The lists of a folder by fold and part, as their names say (`person_ids-train-fold0.txt`); others are passed over.

    Raises:
        FormatError: no such folder, no list in it, or two lists of one part and fold.
    """
    found: dict[tuple[int, str], Path] = {}
    for each in sorted(Path(path).iterdir()):
        name = each.name.lower()
        number, word = _NUMBER.search(name), _WORD.search(_NUMBER.sub("", name))
        if not each.is_file() or each.name.startswith(".") or number is None or word is None:
            continue
        key = int(number[1]), PART_OF[word[1]]
        if key in found:
            raise FormatError(
                f"`{path}`: {found[key].name} and {each.name} both list the {key[1]} individuals of fold {key[0]}. Leave one."
            )
        found[key] = each
    if not found:
        raise FormatError(
            f"`{path}` holds no lists of folds. Each should be called by part and fold, such as person_ids-train-fold0.txt."
        )
    return found


def read_folds(path: str | os.PathLike[str], people: Sequence[str], known: Collection[str]) -> ListedFolds:
    """The folds of a cohort's individuals.

    Args:
        path: a folder of lists, see `list_files`, or a table with columns for individual, fold and part (train, tune or val, test).
        people: the cohort's individuals.
        known: all names of the files that the cohort is made from.

    Raises:
        FormatError: no such path, or another layout.
        DataError: an individual in two parts of a fold, a part without enough individuals, or names that nobody has.
    """
    if not Path(path).exists():
        raise FormatError(f"`{path}`, given as --folds, does not exist. Give a number, a table or a folder of lists.")
    lists = _of_folder(path, known) if Path(path).is_dir() else _of_table(path)
    listed = {name for parts in lists.values() for names in parts.values() for name in names}
    if not listed & set(people):
        raise DataError(
            f"`{path}`: none of its {len(listed)} individuals is in the cohort (first {min(listed)}; the cohort's {people[0]})."
            f"{alike(sorted(listed), people)} Names must be those of the genotypes."
        )
    folds = tuple(_fold(path, number, lists[number], people) for number in sorted(lists))
    notes = []
    absent = sorted(listed - set(people))
    if absent:
        notes.append(f"--folds: {len(absent)} of {len(listed)} individuals are not in the cohort, first {absent[0]}.")
    for number, fold in enumerate(folds):
        unused = len(people) - len(fold.train) - len(fold.tune) - len(fold.test)
        if unused:
            notes.append(
                f"--folds: {unused} of {len(people)} individuals are in no part of fold {number}: not used there."
            )
    if sorted(lists) != list(range(len(lists))):
        notes.append(f"--folds: folds {', '.join(map(str, sorted(lists)))} are called 0 to {len(lists) - 1}.")
    return ListedFolds(folds, tuple(notes))


def related_across(folds: Sequence[PeopleSplit], pairs: Sequence[tuple[str, str]]) -> int:
    """Number of pairs that stand in different parts of some fold."""
    across = set()
    for fold in folds:
        part = {name: number for number, names in enumerate((fold.train, fold.tune, fold.test)) for name in names}
        across |= {pair for pair in pairs if all(name in part for name in pair) and part[pair[0]] != part[pair[1]]}
    return len(across)


def _of_folder(path: str | os.PathLike[str], known: Collection[str]) -> Lists:
    lists: Lists = {}
    for (number, part), file in list_files(path).items():
        found = read_individuals(file, "individuals", known)
        lists.setdefault(number, {})[part] = [*found.names, *found.unknown]
    return lists


def _of_table(path: str | os.PathLike[str]) -> Lists:
    table = read_name_table(path, "individuals with fold and part", words=(*INDIVIDUAL, *_FOLD_COLUMNS, *_PART_COLUMNS))
    columns = {
        what: table.found(words)
        for what, words in (("individual", INDIVIDUAL), ("fold", _FOLD_COLUMNS), ("part", _PART_COLUMNS))
    }
    missing = [what for what, column in columns.items() if column is None]
    if missing:
        raise FormatError(
            f"`{path}` has no column {missing[0]}: a table of folds has columns individual, fold and part (train, tune or val, "
            "test) with a header. Or give a folder with a list per part and fold."
        )
    individual, fold, part = (column for column in columns.values() if column is not None)
    lists: Lists = {}
    rows = zip(table.rows, table.column(individual), table.column(fold), table.column(part), strict=True)
    for (line, _), name, cell, word in rows:
        number = whole_of(cell)
        if not name or number is None or number < 0 or word.lower() not in PART_OF:
            raise FormatError(
                f"`{path}`, line {line}: individual {name!r}, fold {cell!r}, part {word!r}. A fold is a number, a part train, tune "
                "(or val) or test."
            )
        lists.setdefault(number, {}).setdefault(PART_OF[word.lower()], []).append(name)
    return lists


def _fold(
    path: str | os.PathLike[str], number: int, parts: Mapping[str, Sequence[str]], people: Sequence[str]
) -> PeopleSplit:
    """One fold, of the cohort's individuals in their order."""
    members: dict[str, str] = {}
    for part, names in parts.items():
        for name in names:
            if members.setdefault(name, part) != part:
                raise DataError(
                    f"`{path}`: {name} stands in {members[name]} and in {part} of fold {number}. Parts must be apart."
                )
    fold = PeopleSplit(*(tuple(name for name in people if members.get(name) == part) for part in PART_WORDS))
    for part, least in (("train", LEAST_TRAIN), ("tune", LEAST_TUNE), ("test", LEAST_TEST)):
        count = len(getattr(fold, part))
        if count < least:
            raise DataError(
                f"`{path}`: {count} of the cohort's {len(people)} individuals are in part {part} of fold {number}; at least {least} "
                f"are needed ({len(parts.get(part, ()))} are listed). Add individuals, or leave the fold out."
            )
    return fold
