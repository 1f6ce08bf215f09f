"""Parquet tables of others, read by pyarrow, which turns damage into errors where polars aborts the process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from varfx.errors import FormatError

MAGIC = b"PAR1"
BOMB_BYTES, BOMB_RATIO = 1 << 30, 500  # a table of so many bytes that is so many times as large as its file is none


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
    _refuse_bomb(path, file.metadata.num_rows * sum(_width(schema.field(number).type) for number in columns) // 8)
    file = _with_dictionaries(path, file, schema, columns)
    before = text = 0
    try:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=names)
            table.validate(full=True)  # a flipped byte may leave text that is no UTF-8, which polars takes on trust
            text += sum(_text_bytes(table.column(name)) for name in names)
            _refuse_bomb(path, text)
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


def _width(kind: Any) -> int:
    """Bits per value; of text at least its offset."""
    try:
        return int(kind.bit_width)
    except ValueError:
        return 32


def _with_dictionaries(path: Path, file: Any, schema: Any, columns: Sequence[int]) -> Any:
    """The file opened such that repeated text stays a number per row until its size is known."""
    leaves = {leaf.path: number for number, leaf in enumerate(file.schema)}
    repeated = [
        name
        for name in (schema.names[number] for number in columns)
        if name in leaves
        and schema.field(name).type in (pa.string(), pa.large_string())
        and any(
            file.metadata.row_group(group).column(leaves[name]).has_dictionary_page
            for group in range(file.num_row_groups)
        )
    ]
    return pa.parquet.ParquetFile(path, read_dictionary=repeated) if repeated else file


def _text_bytes(column: Any) -> int:
    """Bytes of a dictionary's text once it is written out; 0 for other columns, which are as large as they are."""
    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return 0
    total = 0
    for chunk in column.chunks:
        lengths = pa.compute.binary_length(chunk.dictionary).to_numpy(zero_copy_only=False)
        used = chunk.indices.drop_null().to_numpy(zero_copy_only=False)
        total += int(lengths.astype("int64")[used].sum())
    return total


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _refuse_bomb(path: Path, size: int) -> None:
    """Refuses a table that is far larger than its file can hold."""
    if size > BOMB_BYTES and size > BOMB_RATIO * path.stat().st_size:
        raise FormatError(
            f"`{path}` holds a table of {size:,} bytes, more than {BOMB_RATIO} times its size: it is damaged, or made to fill "
            "the memory."
        )


def _series(name: str, column: Any) -> pl.Series:
    """A column of text or numbers; dictionaries as their text, nulls as text."""
    if pa.types.is_dictionary(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.string())
    return pl.Series(name, pl.from_arrow(column))
