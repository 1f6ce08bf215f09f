"""p-values given as logarithms: natural or decimal, with either sign, to -log10 p."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from varfx.errors import DataError
from varfx.io.ledger import Ledger

_ROUNDED = 1e-6  # the logarithm of p = 1 may be printed with a rounding error of this size


def with_neg_log10_p(raw: pl.DataFrame, ledger: Ledger, names: Mapping[str, str], *, source: str) -> pl.DataFrame:
    """The table with `neg_log10_p` in place of `log10_p` and `ln_p`.

    The sign of a column called log10 p is that of its values, which are all of one sign because p is at most 1.

    Args:
        raw: table of roles from `read_gwas`.
        ledger: what was converted is noted here.
        names: the file's own column name of each role.
        source: the file, for messages.

    Raises:
        DataError: values of both signs, or ln p above 0.
    """
    for role, base in (("log10_p", 1.0), ("ln_p", float(np.log(10.0)))):
        if role not in raw.columns:
            continue
        column, values = names.get(role, role), raw[role]
        above, below = int((values > _ROUNDED).sum()), int((values < -_ROUNDED).sum())
        if above and (below or role == "ln_p"):
            first = values.filter(values > _ROUNDED)[0]
            raise DataError(
                f"`{source}`: `{column}` is called {role.replace('_', ' ')}, but {above} of {values.count()} values are "
                f"above 0, first {first:g}, and {below} below. Name what it is with --columns, e.g. p={column} or "
                f"neg_log10_p={column}."
            )
        what = f"-{column}" if below else column
        ledger.add("-log10 p", values.count(), what if base == 1.0 else f"{what} / ln 10")
        value = (-pl.col(role) if below else pl.col(role)) / base
        others = ["neg_log10_p"] if "neg_log10_p" in raw.columns else []
        raw = raw.with_columns(neg_log10_p=pl.coalesce(*others, value)).drop(role)
    return raw
