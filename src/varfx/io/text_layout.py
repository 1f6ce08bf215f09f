"""Layout of a text table, found from its first lines: comments, header, separator, separators at line ends.

The separator of the header serves where all rows agree with it; else any run of blanks, as PLINK, METAL and LDSC split,
where header and rows agree then; else that of the rows, if they have as many fields as the header by its own.

R's `write.table` names every column but that of the row names: its rows are one field longer than its header. They are read so where
the first fields are running numbers or header and first fields are quoted, or where the caller knows that rows have names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from varfx.errors import FormatError
from varfx.io.text_lines import BLANKS, as_text, count_fields, line_blocks, split_fields

_SAMPLE_BYTES = 1 << 20
_SEPARATORS = ("\t", ",", BLANKS)
_RARE = (";", "|")  # of tables whose header has no tab and no comma
ROW_NAMES = "row.names"  # R's word for the column that its header does not name


@dataclass(frozen=True)
class TextLayout:
    """The layout of one file."""

    names: tuple[str, ...]
    """Column names, without a leading "#"; numbers from 0 for a table without header."""
    preamble: tuple[str, ...]
    """The comment lines above the header, or above the first row."""
    separator: str
    """Of the rows: tab, comma, or `BLANKS`."""
    trailing: int = 0
    """Number of empty fields at the end of every row, which are no columns."""
    skip: int = 0
    """Number of lines above the first row."""
    has_header: bool = True
    """The line above the first row names the columns."""
    blanks_fit: bool = False
    """The header has as many fields when split at runs of blanks: later rows may be split so too."""


def find_layout(
    path: Path, widths: Sequence[int] | None = None, skip: int = 0, *, named_rows: bool = False
) -> TextLayout:
    """The layout of a text file.

    Args:
        path: the file, plain or compressed.
        widths: the numbers of columns that a table without header may have, the likeliest first; None for a header.
        skip: the number of lines above the table.
        named_rows: the first column holds names of rows, so that a header one field shorter than the rows is R's.

    Raises:
        FormatError: no such file, empty, damaged, or not text.
    """
    lines = _first_lines(path)
    above = skip
    while above < len(lines) and (not lines[above].strip() or lines[above].startswith(b"#")):
        above += 1
    comments = [number for number in range(skip, above) if lines[number].strip()]
    if widths is not None:
        rows = [line for line in lines[above:] if line.strip()]
        if not rows:
            raise FormatError(f"`{path}` is empty: it holds no row. Check that it was written whole.")
        separator, trailing, width = _without_header(rows, widths)
        names = tuple(map(str, range(width)))
        return TextLayout(names, _texts(lines, comments), separator, trailing, above, has_header=False)
    header = above
    if comments and _is_header(lines, comments[-1], above):
        header = comments.pop()
    if header >= len(lines):
        if comments:
            raise FormatError(
                f"`{path}` is empty below its {len(comments)} comment lines: it has no header. Is it whole?"
            )
        raise FormatError(f"`{path}` is empty. Check that it was written whole.")
    line = as_text(lines[header]).removeprefix("#")
    if not line.replace("\t", " ").isprintable():
        raise FormatError(
            f"`{path}`: the header holds control characters, as a binary file does. Give a table of text."
        )
    rows = [row for row in lines[header + 1 :] if row.strip() and not row.startswith(b"#")]
    names, separator, trailing = _with_header(line, rows, named_rows=named_rows)
    if len(names) > 1 and not names[0] and all(names[1:]) and ROW_NAMES not in names:
        names = (ROW_NAMES, *names[1:])  # R's write.csv, pandas' to_csv
    fits = len(split_fields(line, BLANKS)) == len(names)
    return TextLayout(names, _texts(lines, comments), separator, trailing, header + 1, blanks_fit=fits)


def _first_lines(path: Path) -> list[bytes]:
    """The lines of the first MiB below the comments at the top, and those comments; the last line is whole."""
    text = b""
    for block in line_blocks(path):
        text += block
        if len(text) >= _SAMPLE_BYTES and any(
            line.strip() and not line.startswith(b"#") for line in text.rsplit(b"\n", 3)[1:]
        ):
            break
    if len(text) > 2 * _SAMPLE_BYTES:
        begin = _end_of_comments(text)
        end = text.find(b"\n", begin + _SAMPLE_BYTES)
        text = text if end < 0 else text[: end + 1]
    return text[:-1].split(b"\n") if text else []


def _end_of_comments(text: bytes) -> int:
    place = 0
    while text[place : place + 1] in (b"#", b"\n"):
        place = text.index(b"\n", place) + 1
    return place


def _is_header(lines: list[bytes], comment: int, first: int) -> bool:
    """Whether the last comment line names the columns: the line below it has as many fields."""
    if lines[comment].startswith(b"##"):
        return False
    text = as_text(lines[comment]).removeprefix("#")
    if not text.strip():
        return False
    if first >= len(lines):
        return True
    below = lines[first]
    if text.startswith(" ") and b"\t" in below.strip() and "\t" not in text:
        return False  # a sentence above a table split by tabs
    separators = [separator for separator in _SEPARATORS if _has(text, separator)] or [BLANKS]
    counts = {separator: _trimmed(split_fields(text, separator)) for separator in separators}
    return any(
        _agrees([below], separator, len(names)) is not None for names in counts.values() for separator in _SEPARATORS
    )


def _with_header(line: str, rows: list[bytes], *, named_rows: bool) -> tuple[tuple[str, ...], str, int]:
    """Column names, the rows' separator, and the number of empty fields at the rows' ends."""
    candidates = [separator for separator in _SEPARATORS if _has(line, separator)] or [BLANKS]
    if not {"\t", ","} & set(candidates):
        candidates = [*(separator for separator in _RARE if separator in line), *candidates]
    if BLANKS not in candidates:
        candidates.append(BLANKS)
    split = {separator: split_fields(line, separator) for separator in candidates}
    fitting = []
    for separator in candidates:
        for names in (_trimmed(split[separator]), split[separator]):
            trailing = _agrees(rows, separator, len(names))
            if trailing is not None and (len(names) > 1 or candidates == [BLANKS]):
                fitting.append((separator, names, trailing))
                break
    if fitting:
        # Tabs are never part of a name; between commas and blanks, the finer split is the table's.
        separator, names, trailing = max(fitting, key=lambda found: (found[0] == "\t", len(found[1])))
        return tuple(names), separator, trailing
    for names in split.values():
        for separator in _SEPARATORS:
            trailing = _agrees(rows, separator, len(names))
            if len(names) > 2 and trailing is not None:
                return tuple(names), separator, trailing
    named = _with_row_names(line, split, rows, named_rows=named_rows)
    if named is not None:
        return named
    main = candidates[0] if candidates[0] != "," or " " not in line.strip() else BLANKS
    return tuple(_trimmed(split[main])), main, 0


def _with_row_names(
    line: str, split: dict[str, list[str]], rows: list[bytes], *, named_rows: bool
) -> tuple[tuple[str, ...], str, int] | None:
    """Column names with that of the row names, if the header lacks it as R's does, and the separator; else None."""
    for separator in split if len(split) > 1 or _has(line, next(iter(split))) else _SEPARATORS:
        names = split_fields(line, separator)
        if not rows or not all(names) or ROW_NAMES in names or _agrees(rows, separator, len(names) + 1) != 0:
            continue
        first = [split_fields(as_text(row), separator)[0] for row in rows]
        numbered = first == [str(number) for number in range(1, len(first) + 1)]
        quoted = line.count('"') == 2 * len(names) and all(row.lstrip().startswith(b'"') for row in rows)
        if len(set(first)) == len(first) and (numbered or quoted or named_rows):
            return (ROW_NAMES, *names), separator, 0
    return None


def _without_header(rows: list[bytes], widths: Sequence[int]) -> tuple[str, int, int]:
    """The separator, the number of empty fields at the rows' ends, and the number of columns."""
    for width in widths:
        for separator in ("\t", BLANKS, ","):
            trailing = _agrees(rows, separator, width)
            if trailing is not None:
                return separator, trailing, width
    best = max(
        ("\t", BLANKS, ","), key=lambda separator: count_fields(rows[0], separator) if separator != BLANKS else 1
    )
    if b"\t" not in rows[0] and count_fields(rows[0], BLANKS) > 1:
        best = BLANKS
    return best, 0, widths[0]


def _agrees(rows: list[bytes], separator: str, width: int) -> int | None:
    """The number of empty fields at the end of every row, if all rows have `width` fields before them; else None."""
    if not rows:
        return 0
    counts = {count_fields(row, separator) for row in rows}
    if counts == {width}:
        return 0
    if len(counts) > 1 or separator == BLANKS:
        return None
    extra = counts.pop() - width
    if extra < 0 or not width:
        return None
    empty = all(not any(split_fields(as_text(row), separator)[width:]) for row in rows)
    return extra if empty else None


def _trimmed(names: list[str]) -> list[str]:
    """The names without empty ones at the end."""
    end = len(names)
    while end > 1 and not names[end - 1]:
        end -= 1
    return names[:end]


def _has(text: str, separator: str) -> bool:
    return separator in text.strip(" ") if separator != BLANKS else len(text.split()) > 1


def _texts(lines: list[bytes], numbers: list[int]) -> tuple[str, ...]:
    return tuple(as_text(lines[number]) for number in numbers)
