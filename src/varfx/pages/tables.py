"""Text tables of other commands, with their columns as numbers and text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from varfx.errors import FormatError
from varfx.io.text_numbers import decimals, missing_as_null, whole_numbers
from varfx.io.text_table import open_table


def read_columns(
    path: Path,
    *,
    text: Sequence[str] = (),
    whole: Sequence[str] = (),
    real: Sequence[str] = (),
    optional: Sequence[str] = (),
    made_by: str,
) -> pl.DataFrame:
    """Some columns of a table with a header.

    Args:
        path: the file.
        text: columns of words.
        whole: of whole numbers, none missing.
        real: of numbers, null where a word such as NA stands.
        optional: columns of these kinds that an older file may lack; they are left out then.
        made_by: the command, for messages.

    Raises:
        FormatError: no such file, a missing column, or words where numbers belong.
    """
    try:
        raw = open_table(path).read()
    except FormatError as error:
        raise FormatError(f"{error} Give the --out of `{made_by}`.") from error
    wanted = [*text, *whole, *real]
    absent = [name for name in wanted if name not in raw.columns and name not in optional]
    if absent:
        raise FormatError(
            f"`{path}`: {len(absent)} columns are missing, first `{absent[0]}`. Give the --out of `{made_by}`."
        )
    found = [_words(raw[name]) for name in text if name in raw.columns]
    found += [whole_numbers(raw, name, path) for name in whole if name in raw.columns]
    found += [_numbers(raw, name, path) for name in real if name in raw.columns]
    return pl.DataFrame(found)


def _words(column: pl.Series) -> pl.Series:
    """Words, null where there is none; some writers quote an empty field."""
    known = missing_as_null(column)
    return known.set(known.is_in(['""', "''"]).fill_null(False), None)


def _numbers(raw: pl.DataFrame, name: str, path: Path) -> pl.Series:
    column = missing_as_null(raw[name])
    known = column.is_not_null()
    out = pl.Series(name, [None] * raw.height, dtype=pl.Float64)
    if known.any():
        values = decimals(pl.DataFrame([column.filter(known)]), name, path)
        out = out.scatter(known.arg_true(), values)
    return out
