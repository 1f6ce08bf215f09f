"""Text tables that describe LD references (.bim, .fam, .pvar, .psam, .snplist, ...) as columns of strings."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from varfx.errors import FormatError
from varfx.io.stream import read_bytes


def read_headerless(path: Path, names: Sequence[str], what: str, *, separator: str = "\t") -> pl.DataFrame:
    """The columns of a table without a header, as strings.

    Args:
        path: the file.
        names: a name per column; each row must have as many fields.
        what: the rows in words, e.g. "variants".
        separator: one character; runs of blanks count as a tab.

    Raises:
        FormatError: no such file, empty, rows with another number of fields, or an empty field.
    """
    content = read_bytes(path)
    first = content.partition(b"\n")[0]
    if separator == "\t" and (b" " in first or b"\r" in first):
        content = re.sub(rb"[ \t\r]+", b"\t", content)
        content = re.sub(rb"(?m)^\t|\t$", b"", content)
    frame = _parse(path, content, list(names), has_header=False, separator=separator) if content.strip() else None
    if frame is None or not frame.height:
        raise FormatError(f"`{path}` is empty: it should list {what}, one per row. Check that it was written whole.")
    _require_filled(frame, names, path)
    return frame


def read_with_header(
    path: Path, columns: Sequence[str], what: str, *, separator: str = "\t", may_be_empty: str | None = None
) -> pl.DataFrame:
    """Some columns of a table whose first line names them, as strings; lines that begin with "##" are passed over.

    Args:
        path: the file, plain, gzip or zstd.
        columns: the names needed; a "#" before the first name of the header is ignored.
        what: the rows in words, e.g. "variants".
        separator: one character.
        may_be_empty: a column whose empty fields become null; elsewhere they are errors.

    Raises:
        FormatError: no such file, empty, damaged compression, a missing column, an empty field, or rows of another
            length.
    """
    content = read_bytes(path)
    lines = itertools.dropwhile(lambda line: line.startswith(b"##"), io.BytesIO(content))
    header = next(lines, b"").decode(errors="replace").strip("\r\n")
    if not header:
        raise FormatError(f"`{path}` is empty: it should list {what}, one per row. Check that it was written whole.")
    names = header.removeprefix("#").split(separator)
    absent = [name for name in columns if name not in names]
    if absent:
        raise FormatError(
            f"`{path}`: {len(absent)} columns are missing from its header, first `{absent[0]}`. It needs "
            f"{', '.join(columns)}, split by {'tabs' if separator == chr(9) else repr(separator)}."
        )
    if len(set(names)) < len(names):
        raise FormatError(f"`{path}`: its header names a column twice. Rename one of them.")
    frame = _parse(path, content, names, has_header=True, separator=separator).select(columns)
    if not frame.height:
        raise FormatError(f"`{path}` lists no {what}: there is nothing after its header.")
    _require_filled(frame, [name for name in columns if name != may_be_empty], path)
    return frame


def whole_numbers(frame: pl.DataFrame, column: str, path: Path) -> pl.Series:
    """A column of text as integers.

    Raises:
        FormatError: some are no integers; the message has the count and the first.
    """
    return _numbers(frame, column, path, pl.Int64(), "a whole number")


def decimals(frame: pl.DataFrame, column: str, path: Path) -> pl.Series:
    """A column of text as finite floats.

    Raises:
        FormatError: some are no finite numbers; the message has the count and the first.
    """
    return _numbers(frame, column, path, pl.Float64(), "a number")


def _numbers(frame: pl.DataFrame, column: str, path: Path, kind: pl.DataType, word: str) -> pl.Series:
    numbers = frame[column].str.strip_chars().cast(kind, strict=False)
    bad = numbers.is_null() if kind == pl.Int64 else ~numbers.is_finite().fill_null(False)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise FormatError(
            f"`{path}`: `{column}` is not {word} in {bad.sum()} of {frame.height} rows, first row {row + 1} "
            f"({frame[column][row]!r}). Check the file."
        )
    return numbers


def _parse(path: Path, content: bytes, names: list[str], *, has_header: bool, separator: str) -> pl.DataFrame:
    try:
        frame = pl.read_csv(
            content,
            has_header=has_header,
            new_columns=names,
            separator=separator,
            schema=None if has_header else dict.fromkeys(names, pl.String()),
            infer_schema=False,
            quote_char=None if separator == "\t" else '"',
            comment_prefix="##",
        )
    except pl.exceptions.PolarsError as error:
        fault = _fault(path, content, len(names), has_header, separator)
        raise fault or FormatError(
            f"`{path}` is not a table of UTF-8 text. Check that it was written whole."
        ) from error
    if frame[names[-1]].has_nulls():
        # Short rows are filled up with nulls.
        fault = _fault(path, content, len(names), has_header, separator)
        if fault is not None:
            raise fault
    return frame


def _require_filled(frame: pl.DataFrame, columns: Sequence[str], path: Path) -> None:
    for column in columns:
        empty = frame[column].is_null()
        if empty.any():
            raise FormatError(
                f"`{path}`: `{column}` is empty in {empty.sum()} of {frame.height} rows, first row "
                f"{int(empty.arg_max() or 0) + 1}. Check that the file was written whole."
            )


def _fault(path: Path, content: bytes, expected: int, has_header: bool, separator: str) -> FormatError | None:
    """The error that names the rows with another number of fields, if there are any."""
    lines = [line for line in content.split(b"\n") if line.strip(b"\r") and not line.startswith(b"##")]
    rows = lines[1:] if has_header else lines
    fields = [row.count(separator.encode()) + 1 for row in rows]
    bad = [number for number, count in enumerate(fields) if count != expected]
    if bad:
        return FormatError(
            f"`{path}`: {expected} columns are expected, but {len(bad)} of {len(rows)} rows have another number, "
            f"first row {bad[0] + 1} with {fields[bad[0]]}. Check the file."
        )
    return None
