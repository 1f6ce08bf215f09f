"""Lists of individuals as PLINK, cohorts and spreadsheets write them: names, and names with a property.

Columns are found by a header (`#FID IID`, `Sample name`, `sample pop`, ...), with or without "#". Without one, the columns are
those whose fields are known names. A file with two possible readings is refused: it needs a header. Names in VCF may be PLINK's
`FID_IID`, which is tried as well. Row names of R, which its header does not mention, are no column.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from varfx.errors import DataError, FormatError
from varfx.io.text_lines import BLANKS, as_text, numbered_lines, split_fields
from varfx.io.text_numbers import MISSING

FAMILY = ("fid", "family_id", "familyid", "family", "famid")
SAMPLE = ("sample_id", "sampleid", "sampid", "sample_name", "samplename", "sample", "samples", "s")
INDIVIDUAL = (
    *("iid", "individual_id", "individualid", "individual", "participant_id", "participant", "subject_id", "subjid"),
    *("subject", "donor_id", "donor", "person_id", "person", *SAMPLE, "indv", "eid", "id", "name"),
)
POPULATION = (
    *("population", "pop", "population_code", "pop_code", "population_name", "superpopulation", "super_population"),
    *("superpop", "super_pop", "superpopulation_code", "superpopulation_name", "ancestry", "group", "cluster"),
)
PAIR = re.compile(r"(?:iid|id|indv|ind|individual|sample|person|name)_?(1|2|a|b|i|j)|(i)|(j)")
_BETWEEN = re.compile(r"[ .\-]+")  # the words of a column's name
Entry = TypeVar("Entry", str, tuple[str, str])  # a name or a pair of names


@dataclass(frozen=True)
class NameTable:
    """A list split into fields.

    Attributes:
        path: the file.
        what: its lines in words.
        header: names of the columns in lower case, with _ for blanks, dots and hyphens; empty without a header.
        rows: line number and fields, in file order; never empty.
        lines: the text of each row.
    """

    path: Path
    what: str
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    lines: tuple[str, ...] = ()

    def column(self, number: int) -> list[str]:
        """A column; "" where a row is shorter."""
        return [fields[number] if number < len(fields) else "" for _, fields in self.rows]

    @property
    def width(self) -> int:
        """Number of fields that every row has."""
        return min(len(fields) for _, fields in self.rows)

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
    path: str | os.PathLike[str],
    what: str,
    *,
    words: Sequence[str] = (*INDIVIDUAL, *FAMILY),
    known: Collection[str] = (),
) -> NameTable:
    """The lines of a list, split at tabs, semicolons, commas or blanks; comments (`# ...`) and blank lines are left out.

    Args:
        path: the file, plain, gzip or zstd.
        what: the lines in words, for messages.
        words: names of columns in lower case; a first line with one of them as first or second field, or one that ends in "id"
            anywhere, is a header.
        known: names that may stand there; a line with one of them is no header.

    Raises:
        FormatError: no such file, damaged, not text, or without any line.
    """
    header: tuple[str, ...] = ()
    rows: list[tuple[int, tuple[str, ...]]] = []
    lines: list[str] = []
    for number, line in numbered_lines(path):
        text = as_text(line).strip()
        fields = split_fields(text, _separator(text))
        if not any(fields):
            continue
        columns = tuple(_BETWEEN.sub("_", field.lstrip("#").strip().lower()) for field in fields)
        first = not rows and not header
        if first and _is_header(columns, words) and not any(name in known for name in (text, *fields)):
            header = columns
        elif not text.startswith("#"):
            rows.append((number, tuple(fields)))
            lines.append(text)
    if not rows:
        raise FormatError(f"`{path}` is empty: it should list {what}.")
    return _without_row_names(NameTable(Path(path), what, header, tuple(rows), tuple(lines)))


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
    names = set(known)
    table = read_name_table(path, what, known=names)
    readings = [list(dict.fromkeys(reading)) for reading in _name_readings(table)]
    chosen = choose_reading(table, readings, lambda reading: {name for name in reading if name in names})
    found = tuple(name for name in chosen if name in names)
    unknown = tuple(name for name in chosen if name not in names)
    if not found:
        raise DataError(f"`{path}`: none of its {len(chosen)} {what} is known{compared(chosen, known)}.")
    return Individuals(found, unknown)


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


def read_mapping(
    path: str | os.PathLike[str],
    what: str,
    known: Collection[str] | None = None,
    *,
    keys: Sequence[str] = INDIVIDUAL,
    values: Sequence[str] = POPULATION,
) -> dict[str, str]:
    """A property by name, e.g. the population of each individual, or the individual of each sample.

    Names without a value (`NA`, `.`, nothing) are left out.

    Args:
        path: the file.
        what: the lines in words, for messages.
        known: names that may stand there; by default the first column holds the names.
        keys: words for the column of names in a header.
        values: words for the column of the property.

    Raises:
        FormatError: as `read_name_table`, a line with fewer than two fields, a name with two different values, no value at all,
            or several columns that may hold them.
    """
    table = read_name_table(path, what, words=(*keys, *INDIVIDUAL, *FAMILY), known=known or ())
    table.require_columns(2)
    key = table.found(keys)
    if key is None:
        key = _column_of_names(table, known)
    value = _column_of_values(table, key, (keys[0], values[0]), values)
    mapping: dict[str, str] = {}
    for name, cell in zip(table.column(key), table.column(value), strict=True):
        if cell in MISSING:
            continue
        if mapping.setdefault(name, cell) != cell:
            raise FormatError(f"`{path}`: {name} stands there twice, with {mapping[name]} and {cell}. Keep one line.")
    if not mapping:
        raise FormatError(f"`{path}`: the column of values is empty in all {len(table.rows)} lines. Check the file.")
    return mapping


def alike(names: Collection[str], known: Collection[str]) -> str:
    """A hint at the probable cause where a name is another form of a known one; else empty."""
    for form, says in _FORMS:
        theirs = {form(name): name for name in known}
        same = next((name for name in names if name not in known and form(name) in theirs), None)
        if same is not None:
            return f" {same} and {theirs[form(same)]} {says}."
    return ""


def choose_reading(
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


def joined(table: NameTable, family: int, individual: int) -> list[str]:
    """`FID_IID` of each row, as PLINK names samples in VCF."""
    return [f"{fid}_{iid}" for fid, iid in zip(table.column(family), table.column(individual), strict=True)]


def compared(names: Sequence[str], known: Collection[str]) -> str:
    """Both sides' first names, for a message."""
    some = next(iter(known), None)
    other = "" if some is None else f"; known are {len(known)} ({some}{', ...' if len(known) > 1 else ''})"
    return f" (first {names[0]}{other}).{alike(names, known)}".rstrip(".")


def _is_header(fields: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the first line names columns: by one of its first two words, by `...id` anywhere, or by a pair's two columns."""
    pairs = [field for field in fields if PAIR.fullmatch(field) and len(field) > 1]
    named = any(field in words for field in fields[:2])
    named |= any(field in words and len(field) > 2 and field.endswith(("id", "sample_name")) for field in fields)
    return named or len(pairs) > 1 or tuple(fields[:2]) == ("i", "j")


def _separator(text: str) -> str:
    """Tab, or whichever of semicolon and comma comes first, or blanks."""
    marks = [mark for mark in ";," if mark in text]
    return "\t" if "\t" in text else min(marks, key=text.index, default=BLANKS)


def _without_row_names(table: NameTable) -> NameTable:
    """The table without the column of row names that R writes: rows are longer by one than the line that names the columns."""
    header, rows, lines = table.header, table.rows, table.lines
    if not header and len(rows) > 1:
        header, rows, lines = tuple(field.lower() for field in rows[0][1]), rows[1:], lines[1:]
    if not header or any(len(fields) != len(header) + 1 for _, fields in rows):
        return table
    numbered = [fields[0] for _, fields in rows] == [str(number) for number in range(1, len(rows) + 1)]
    if not numbered and not all(line.startswith('"') for line in lines):
        return table
    return replace(table, header=header, rows=tuple((number, fields[1:]) for number, fields in rows), lines=lines)


def _name_readings(table: NameTable) -> list[list[str]]:
    """The names by each column that may hold them, the likeliest first; at last whole lines, as names may hold blanks."""
    family, individual = table.found(FAMILY), table.found(INDIVIDUAL)
    if individual is not None:
        columns = [table.column(individual)]
        return columns if family is None else [*columns, joined(table, family, individual)]
    whole = [line.strip('"') for line in table.lines]
    if table.width < 2:
        return [table.column(0), whole]
    return [table.column(1), table.column(0), joined(table, 0, 1), whole]


def _column_of_names(table: NameTable, known: Collection[str] | None) -> int:
    """The first or second column: the one with more known names, the second if they are equal and a third follows."""
    if known is None:
        return 0
    names = set(known)
    first, second = (sum(name in names for name in table.column(number)) for number in (0, 1))
    return 1 if second > first or (second == first > 0 and table.width > 2) else 0


def _column_of_values(table: NameTable, key: int, example: tuple[str, str], words: Sequence[str]) -> int:
    """The column that the header calls by one of `words`, or the only one beside names and families.

    Raises:
        FormatError: there are several.
    """
    named = table.found([word for word in words if word in table.header and table.header.index(word) != key])
    if named is not None:
        return named
    family = table.found(FAMILY) if table.header else (0 if key == 1 and table.width == 3 else None)
    others = [column for column in range(len(table.header) or table.width) if column not in (key, family)]
    if len(others) == 1:
        return others[0]
    columns = table.header or table.rows[0][1]
    raise FormatError(
        f"`{table.path}`: {len(others)} columns may be meant ({', '.join(columns[column] for column in others)[:80]}). Name the two that "
        f"count in a header line, such as {example[0]} and {example[1]}."
    )


def _as_r_writes(name: str) -> str:
    """A name after R's `make.names`: hyphens and blanks become dots, a digit at the beginning gets an X."""
    bare = re.sub(r"[^\w.]", ".", name)
    return f"X{bare}" if re.match(r"[\d_]|\.\d", bare) else bare


# Forms in which a name and a known one may be equal, and what then tells them apart.
_FORMS: tuple[tuple[Callable[[str], str], str], ...] = (
    (str.lower, "differ in upper and lower case"),
    (lambda name: name.lstrip("0"), "differ in leading zeros"),
    (_as_r_writes, "differ as by R's `check.names`: write the table with check.names = FALSE"),
    (
        lambda name: name.rpartition("_")[2],
        "differ as by PLINK's FID_IID: write the VCF with `--export vcf bgz id-paste=iid`",
    ),
)
