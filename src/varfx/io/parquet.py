"""Parquet tables of others, read by pyarrow, which turns damage into errors where polars aborts the process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from varfx.errors import FormatError

MAGIC = b"PAR1"


def column_names(path: Path) -> tuple[str, ...]:
    """The names of a Parquet file's columns, without a leading "#".

    Raises:
        FormatError: the file is damaged.
    """
    names = tuple(name.removeprefix("#") for name in _opened(path)[1].names)
    if not "".join(names).isprintable():
        raise FormatError(f"`{path}` is a damaged Parquet file: its column names hold control characters.")
    return names


def frames(path: Path, columns: Sequence[int]) -> Iterator[pl.DataFrame]:
    """The chosen columns (by number), a row group each, named by their numbers as text, with the 1-based `row`.

    Raises:
        FormatError: the file is damaged, or a column is neither text nor numbers, or has another's name.
    """
    file, schema = _opened(path)
    names = [schema.names[number] for number in columns]
    for number, name in zip(columns, names, strict=True):
        _check(path, schema, number, name)
    before = 0
    try:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=names)
            table.validate(full=True)  # a flipped byte may leave text that is no UTF-8, which polars takes on trust
            # Column by column: the schema may hold metadata that is damaged, which polars would stumble over.
            frame = pl.DataFrame(
                [_series(str(number), table.column(name)) for number, name in zip(columns, names, strict=True)]
            )
            yield frame.with_row_index("row", offset=before + 1)
            before += frame.height
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError, pl.exceptions.PolarsError) as error:
        raise FormatError(f"`{path}` is a damaged Parquet file: {one_line(str(error))}.") from error


def one_line(text: str | os.PathLike[str]) -> str:
    """A library's message as one short line."""
    return " ".join(str(text).split()).rstrip(".")[:160]


def is_readable(path: Path, number: int) -> bool:
    """Whether a column holds text, numbers or flags (not lists, dates or records)."""
    return _is_readable(_opened(path)[1].field(number).type)


def _is_readable(kind: Any) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return bool(text or number or pa.types.is_null(kind))


def _check(path: Path, schema: Any, number: int, name: str) -> None:
    if schema.names.count(name) > 1:
        raise FormatError(f"`{path}` has {schema.names.count(name)} columns named `{name}`. Keep one.")
    kind = schema.field(number).type
    if not _is_readable(kind):
        raise FormatError(f"`{path}`: column `{name}` is of type {kind}; text or numbers are needed.")


def _opened(path: Path) -> tuple[Any, Any]:
    """The opened file and its Arrow schema."""
    try:
        file = pa.parquet.ParquetFile(path)
        return file, file.schema_arrow
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        raise FormatError(f"`{path}` is not a whole Parquet file: {one_line(str(error))}.") from error


def _series(name: str, column: Any) -> pl.Series:
    """A column of text or numbers; dictionaries as their text, nulls as text."""
    if pa.types.is_dictionary(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.string())
    return pl.Series(name, pl.from_arrow(column))
