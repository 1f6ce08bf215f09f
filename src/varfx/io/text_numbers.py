"""Text as numbers, by one rule for every reader: what is missing, what is a whole number, what is neither."""

from __future__ import annotations

import os

import polars as pl

from varfx.errors import FormatError

ABSENT = frozenset({"", ".", "NA", "na", "N/A", "n/a", "#N/A", "#NA", "NULL", "null", "None"})  # nothing was measured
MISSING = ABSENT | {"NaN", "nan", "NAN", "-nan"}  # or what was computed is no number
_ROUNDED = r"^\+?\d(?:\.(\d*))?[eE]\+?0*(\d+)$"  # decimals and exponent
_FEW = 2  # decimals that an exact multiple of 1,000,000 may have as R writes it: 1.23e+08, but 123400000
_OFTEN = (20, 0.01)  # so many rows, and such a share of all, are no round numbers by chance
_LARGEST_WHOLE = 2**53  # beyond it a float64 skips whole numbers


def column_of(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column under another name: polars takes names such as `*` or `^x$` for patterns, in methods of series too."""
    return frame[name].alias("column")


def whole(text: pl.Series) -> pl.Series:
    """Text or numbers as Int64, also as R writes them (1e+05, 100000.0); null where it is no whole number."""
    name, text = text.name, text.alias("column")
    if text.dtype == pl.String:
        text = text.str.strip_chars()
    values = text.cast(pl.Int64, strict=False) if text.dtype == pl.String or text.dtype.is_integer() else None
    if values is not None and values.null_count() == text.null_count():
        return values.alias(name)
    numbers = text.cast(pl.Float64, strict=False)
    is_whole = numbers.is_finite() & (numbers.floor() == numbers) & (numbers.abs() < _LARGEST_WHOLE)
    floats = pl.select(pl.when(is_whole).then(numbers)).to_series().cast(pl.Int64, strict=False)
    joined = floats if values is None else pl.select(pl.coalesce(values, floats)).to_series()
    return joined.alias(name)


def whole_of(text: str) -> int | None:
    """The whole number that a text is, also as R writes it (1e+05, 100000.0); None if it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    fits = "_" not in text and number.is_integer() and abs(number) < _LARGEST_WHOLE
    return int(number) if fits else None


def rounded(text: pl.Series) -> pl.Series:
    """True where a whole number has lost its last digits, as in `1.23457e+08`; false everywhere if only a few round ones are written so.

    R writes a round number as `1e+05` or `1.2e+07`, which is exact, and never a 0 as the last decimal. Tables of numbers that were printed
    with six digits, or with Excel's three, have more decimals, or exponents in many rows and some of them as `1.20E+06`.
    """
    none = pl.Series([False]).new_from_index(0, text.len())
    if text.dtype != pl.String or not text.str.contains("[eE]").any():
        return none
    parts = text.alias("column").str.strip_chars().str.extract_groups(_ROUNDED).struct.unnest()
    given = parts.to_series(0).fill_null("")
    decimals_given, exponent = given.str.len_chars(), parts.to_series(1).cast(pl.Int64, strict=False)
    lost = (decimals_given < exponent).fill_null(False)
    least, share = _OFTEN
    certain = (lost & (decimals_given > _FEW)).fill_null(False).any()
    padded = (lost & given.str.ends_with("0")).fill_null(False).any()
    return lost if certain or (padded and lost.sum() >= max(least, share * text.len())) else none


def whole_numbers(frame: pl.DataFrame, column: str, path: str | os.PathLike[str]) -> pl.Series:
    """A column of text as integers.

    Raises:
        FormatError: some are no integers; the message has the count and the first.
    """
    require_exact(column_of(frame, column), column, path)
    numbers = whole(column_of(frame, column))
    _require_no(numbers.is_null(), frame, column, path, "a whole number")
    return numbers.alias(column)


def require_exact(text: pl.Series, column: str, path: str | os.PathLike[str]) -> None:
    """Refuses a column of whole numbers that were printed with too few digits.

    Raises:
        FormatError: with the count and the first.
    """
    lost = rounded(text)
    if lost.any():
        row = int(lost.arg_max() or 0)
        raise FormatError(
            f"`{path}`: `{column}` has lost its last digits in {lost.sum()} of {text.len()} rows, first row {row + 1} "
            f"({str(text[row])[:40]!r}). Write the file with all digits (R: options(scipen = 999))."
        )


def decimals(frame: pl.DataFrame, column: str, path: str | os.PathLike[str]) -> pl.Series:
    """A column of text as finite floats.

    Raises:
        FormatError: some are no finite numbers; the message has the count and the first.
    """
    text = column_of(frame, column)
    numbers = (text.str.strip_chars() if text.dtype == pl.String else text).cast(pl.Float64, strict=False)
    _require_no(~numbers.is_finite().fill_null(False), frame, column, path, "a number")
    return numbers.alias(column)


def missing_as_null(text: pl.Series) -> pl.Series:
    """A column of text, stripped, null where a word of `MISSING` stands; other types as they are."""
    if text.dtype != pl.String:
        return text
    bare = text.alias("column").str.strip_chars()
    return bare.set(bare.is_in(sorted(MISSING)).fill_null(False), None).alias(text.name)


def _require_no(bad: pl.Series, frame: pl.DataFrame, column: str, path: str | os.PathLike[str], word: str) -> None:
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise FormatError(
            f"`{path}`: `{column}` is not {word} in {bad.sum()} of {frame.height} rows, first row {row + 1} "
            f"({frame[column][row]!r}). Check the file."
        )
