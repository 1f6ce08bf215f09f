"""Text tables as other fine-mapping tools write them, complete or not at all."""

from __future__ import annotations

import gzip
import os

import polars as pl

from varfx.io import sealed


def write_table(
    table: pl.DataFrame, path: str | os.PathLike[str], *, separator: str = "\t", null: str = "NA", decimals: int = 5
) -> None:
    """Writes a text table; floats as `%0.5e`, empty text as `null`; compressed where the name ends in .gz."""
    text = table.with_columns(
        *[_scientific(table[name], decimals) for name, dtype in table.schema.items() if dtype.is_float()],
        pl.col(pl.String).replace("", None),
    ).write_csv(separator=separator, null_value=null)
    with sealed.atomic_path(path) as partial:
        partial.write_bytes(gzip.compress(text.encode(), mtime=0) if str(path).endswith(".gz") else text.encode())


def _scientific(values: pl.Series, decimals: int) -> pl.Series:
    """Numbers as C's printf writes them (`1.00000e+00`), which polars shortens to `1.00000e0`; null for NaN."""
    form = f"%.{decimals}e"
    texts = [None if value is None else form % value for value in values.fill_nan(None).to_list()]
    return pl.Series(values.name, texts, dtype=pl.String)


def numbered(prefix: str, values: object, count: int) -> list[pl.Series]:
    """`prefix1` to `prefixCOUNT`, from an array with a row per effect; 0 beyond its rows."""
    import numpy as np

    rows = np.asarray(values)
    zero = np.zeros(rows.shape[1])
    return [pl.Series(f"{prefix}{i + 1}", rows[i] if i < rows.shape[0] else zero) for i in range(count)]
