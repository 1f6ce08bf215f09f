"""Lists of individuals as PLINK, KING, cohorts and spreadsheets write them: names, pairs of names, and names with a property.

Columns are found by a header (`#FID IID`, `ID1 ID2`, `sample pop`, ...), with or without "#". Without one, the columns are those
whose fields are known names. A file in which two readings name different individuals is refused: add a header. Names in VCF
may be PLINK's `FID_IID`, which is tried as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from varfx.errors import DataError, FormatError
from varfx.io.text_lines import BLANKS, as_text, numbered_lines, split_fields

FAMILY = ("fid", "family_id", "family", "famid")
SAMPLE = ("sample_id", "sampleid", "sampid", "sample", "samples", "s")
INDIVIDUAL = (
    *("iid", "individual_id", "individualid", "individual", "participant_id", "participant", "subject_id", "subjid"),
    *("subject", "donor_id", "donor", "person_id", "person", *SAMPLE, "indv", "eid", "id", "name"),
)
POPULATION = (
    *("population", "pop", "population_code", "superpopulation", "super_population", "superpop", "super_pop"),
    *("ancestry", "group", "cluster"),
)
_PAIR = re.compile(r"(?:iid|id|indv|ind|individual|sample|person|name)[_. ]?(1|2|a|b|i|j)|(i)|(j)")
_FAMILY_PAIR = re.compile(r"(?:fid|family|famid)[_. ]?(1|2|a|b|i|j)")
_SECOND = ("2", "b", "j")
Entry = TypeVar("Entry", str, tuple[str, str])  # a name or a pair of names


@dataclass(frozen=True)
class NameTable:
    """A list split into fields.

    Attributes:
        path: the file.
        what: its lines in words.
        header: names of the columns in lower case; empty without a header.
        rows: line number and fields, in file order; never empty.
    """

    path: Path
    what: str
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def column(self, number: int) -> list[str]:
        """A column; "" where a row is shorter."""
        return [fields[number] if number < len(fields) else "" for _, fields in self.rows]

    def found(self, words: Sequence[str]) -> int | None:
        """The column that the header calls by the first of these words that it has."""
        return next((self.header.index(word) for word in words if word in self.header), None)

    def require_columns(self, count: int) -> None:
        """Refuses rows of fewer fields.

        Raises:
            FormatError: with the count and the first line.
        """
        bad = [number for number, fields in self.rows if len(fields) < count]
        if bad:
            raise FormatError(
                f"`{self.path}`: {len(bad)} of {len(self.rows)} lines have fewer than two columns, first line {bad[0]}. It "
                f"should list {self.what}, two names a line."
            )


def read_name_table(
    path: str | os.PathLike[str], what: str, *, words: Sequence[str] = (*INDIVIDUAL, *FAMILY)
) -> NameTable:
    """The lines of a list, split at tabs, commas or blanks; comments (`# ...`) and blank lines are left out.

    Args:
        path: the file, plain, gzip or zstd.
        what: the lines in words, for messages.
        words: names of columns in lower case; a first line with one of them as first or second field is a header.

    Raises:
        FormatError: no such file, damaged, not text, or without any line.
    """
    header: tuple[str, ...] = ()
    rows: list[tuple[int, tuple[str, ...]]] = []
    for number, line in numbered_lines(path):
        text = as_text(line).strip()
        fields = split_fields(text, "\t" if "\t" in text else "," if "," in text else BLANKS)
        fields_lower = tuple(field.lstrip("#").strip().lower() for field in fields)
        if not any(fields):
            continue
        if not rows and not header and _is_header(fields_lower, words):
            header = fields_lower
        elif not text.startswith("#"):
            rows.append((number, tuple(fields)))
    if not rows:
        raise FormatError(f"`{path}` is empty: it should list {what}.")
    return NameTable(Path(path), what, header, tuple(rows))


@dataclass(frozen=True)
class Individuals:
    """Individuals named by a list.

    Attributes:
        names: known ones, each once, in file order.
        unknown: the others.
    """

    names: tuple[str, ...]
    unknown: tuple[str, ...]


def read_individuals(path: str | os.PathLike[str], what: str, known: Collection[str]) -> Individuals:
    """The individuals of a list: IIDs, FID and IID (as for PLINK's `--keep` and `--remove`), a .psam, or names in a table.

    Args:
        path: the file.
        what: the lines in words, for messages.
        known: names that may stand there.

    Raises:
        DataError: none of the names is known, or two columns name different individuals.
        FormatError: as `read_name_table`.
    """
    table = read_name_table(path, what)
    readings = [list(dict.fromkeys(reading)) for reading in _name_readings(table)]
    chosen = _choose(table, readings, lambda reading: {name for name in reading if name in set(known)})
    names = tuple(name for name in chosen if name in set(known))
    unknown = tuple(name for name in chosen if name not in set(known))
    if not names:
        raise DataError(f"`{path}`: none of its {len(chosen)} {what} is known{_compared(chosen, known)}.")
    return Individuals(names, unknown)


def read_keys(path: str | os.PathLike[str], what: str) -> list[tuple[str | None, str]]:
    """FID (None where the list has none) and IID of each line, for files that know families.

    Raises:
        FormatError: as `read_name_table`.
    """
    table = read_name_table(path, what)
    family, individual = table.found(FAMILY), table.found(INDIVIDUAL)
    if individual is not None:
        families = [None] * len(table.rows) if family is None else [name or None for name in table.column(family)]
        return list(zip(families, table.column(individual), strict=True))
    return [(fields[0], fields[1]) if len(fields) > 1 else (None, fields[0]) for _, fields in table.rows]


@dataclass(frozen=True)
class Pairs:
    """Pairs of individuals.

    Attributes:
        pairs: those of whom both are known.
        unknown: how many others there are.
        first_unknown: the first of them; None without any.
    """

    pairs: tuple[tuple[str, str], ...]
    unknown: int = 0
    first_unknown: tuple[str, str] | None = None


def read_pairs(path: str | os.PathLike[str], what: str, known: Collection[str]) -> Pairs:
    """Pairs of a table such as KING's .kin0, PLINK's .genome, or of two columns without header.

    Raises:
        DataError: none of the pairs is of known individuals, or two readings name different pairs.
        FormatError: as `read_name_table`; a line with fewer than two fields, or a pair of a name with itself.
    """
    table = read_name_table(path, what)
    table.require_columns(2)
    names = set(known)
    readings = _pair_readings(table)
    chosen = _choose(
        table, readings, lambda reading: {pair for pair in reading if set(pair) <= names and len(set(pair)) > 1}
    )
    selves = [number for number, (first, second) in enumerate(chosen) if first == second]
    if selves:
        line, name = table.rows[selves[0]][0], chosen[selves[0]][0]
        raise FormatError(
            f"`{path}`: {len(selves)} of {len(chosen)} pairs are of a name with itself, first in line {line} ({name}). Name "
            "the columns of the two individuals in a header line, such as IID1 and IID2."
        )
    unknown = [pair for pair in chosen if not set(pair) <= names]
    pairs = tuple(dict.fromkeys(pair for pair in chosen if set(pair) <= names))
    if not pairs:
        raise DataError(
            f"`{path}`: none of its {len(chosen)} pairs (first {chosen[0][0]} {chosen[0][1]}) is of individuals with genotypes"
            f"{_compared([name for pair in chosen for name in pair], known)}. Its columns must be names of individuals."
        )
    return Pairs(pairs, len(unknown), unknown[0] if unknown else None)


def read_mapping(
    path: str | os.PathLike[str],
    what: str,
    known: Collection[str] | None = None,
    *,
    keys: Sequence[str] = INDIVIDUAL,
    values: Sequence[str] = POPULATION,
) -> dict[str, str]:
    """A property by name, e.g. the population of each individual, or the individual of each sample.

    Args:
        path: the file.
        what: the lines in words, for messages.
        known: names that may stand there; by default the first column holds the names.
        keys: words for the column of names in a header.
        values: words for the column of the property.

    Raises:
        FormatError: as `read_name_table`, a line with fewer than two fields, or a name with two different values.
    """
    table = read_name_table(path, what)
    table.require_columns(2)
    key = table.found(keys)
    if key is None:
        key = _column_of_names(table, known)
    value = table.found([word for word in values if word in table.header and table.header.index(word) != key])
    value = key + 1 if value is None else value
    mapping: dict[str, str] = {}
    for name, cell in zip(table.column(key), table.column(value), strict=True):
        if mapping.setdefault(name, cell) != cell:
            raise FormatError(f"`{path}`: {name} stands there twice, with {mapping[name]} and {cell}. Keep one line.")
    return mapping


def alike(names: Collection[str], known: Collection[str]) -> str:
    """A hint where names differ from known ones in upper and lower case only; else empty."""
    lower = {name.lower(): name for name in known}
    same = next((name for name in names if name not in known and name.lower() in lower), None)
    return "" if same is None else f" {same} and {lower[same.lower()]} differ in upper and lower case."


def _is_header(fields: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the first line names columns: one of the first two does so, or two of all are a pair's."""
    pairs = [field for field in fields if _PAIR.fullmatch(field) and len(field) > 1]
    return len(pairs) > 1 or tuple(fields[:2]) == ("i", "j") or any(field in words for field in fields[:2])


def _name_readings(table: NameTable) -> list[list[str]]:
    """The names by each column that may hold them, the likeliest first."""
    family, individual = table.found(FAMILY), table.found(INDIVIDUAL)
    if individual is not None:
        columns = [table.column(individual)]
        return columns if family is None else [*columns, _joined(table, family, individual)]
    if min(len(fields) for _, fields in table.rows) < 2:
        return [table.column(0)]
    return [table.column(1), table.column(0), _joined(table, 0, 1)]


def _pair_readings(table: NameTable) -> list[list[tuple[str, str]]]:
    """The pairs by each two columns that may hold them, the likeliest first."""
    names, families = (_pair_columns(table.header, pattern) for pattern in (_PAIR, _FAMILY_PAIR))
    width = min(len(fields) for _, fields in table.rows)
    if names is not None:
        readings = [_paired(table.column(names[0]), table.column(names[1]))]
        shared = table.found(FAMILY)
        fid = families or ((shared, shared) if shared is not None else None)
        if fid is not None:
            readings.append(_paired(_joined(table, fid[0], names[0]), _joined(table, fid[1], names[1])))
        return readings
    readings = [_paired(table.column(0), table.column(1))]
    if width >= 4:  # FID1 IID1 FID2 IID2
        readings += [
            _paired(table.column(1), table.column(3)),
            _paired(_joined(table, 0, 1), _joined(table, 2, 3)),
        ]
    return readings


def _pair_columns(header: Sequence[str], pattern: re.Pattern[str]) -> tuple[int, int] | None:
    found: dict[bool, int] = {}
    for number, word in enumerate(header):
        match = pattern.fullmatch(word)
        if match is not None:
            ending = next(group for group in match.groups() if group)
            found.setdefault(ending in _SECOND, number)
    return (found[False], found[True]) if len(found) == 2 else None


def _choose(
    table: NameTable, readings: Sequence[list[Entry]], recognised: Callable[[list[Entry]], set[Entry]]
) -> list[Entry]:
    """The reading with the most recognised entries, the first of equals.

    Raises:
        DataError: another reading recognises entries that the chosen one lacks.
    """
    found = [recognised(reading) for reading in readings]
    best = max(range(len(readings)), key=lambda number: (len(found[number]), -number))
    other = next((number for number, entries in enumerate(found) if entries - found[best]), None)
    if other is not None and not table.header:
        extra = next(iter(sorted(map(str, found[other] - found[best]))))
        raise DataError(
            f"`{table.path}` can be read in two ways: more than one column holds known names (e.g. {extra}). Name its columns "
            "in a header line, such as #FID IID or #IID."
        )
    return readings[best]


def _column_of_names(table: NameTable, known: Collection[str] | None) -> int:
    """The first or second column: the one with more known names, the second if they are equal and a third follows."""
    width = min(len(fields) for _, fields in table.rows)
    if known is None or width < 3:
        return 0
    names = set(known)
    first, second = (sum(name in names for name in table.column(number)) for number in (0, 1))
    return 1 if second >= first and second else 0


def _joined(table: NameTable, family: int, individual: int) -> list[str]:
    """`FID_IID`, as PLINK names samples in VCF."""
    return [f"{fid}_{iid}" for fid, iid in _paired(table.column(family), table.column(individual))]


def _paired(first: Sequence[str], second: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(first, second, strict=True))


def _compared(names: Sequence[str], known: Collection[str]) -> str:
    """Both sides' first names, for a message."""
    some = next(iter(known), None)
    other = "" if some is None else f"; known are {len(known)} ({some}{', ...' if len(known) > 1 else ''})"
    return f" (first {names[0]}{other}).{alike(names, known)}".rstrip(".")
