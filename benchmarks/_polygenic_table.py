"""The table of accuracies of polygenic scores, a row per LD and cell, for the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np

Row = dict[str, Any]


def table(
    cells: Sequence[Row],
    names: Iterable[str],
    methods: Sequence[str],
    *,
    base: str,
    bare: Sequence[str] = (),
    further: Callable[[Sequence[Row]], list[str]],
) -> str:
    """Mean accuracy of each method, with the standard error of its difference to `base` over replicates in parentheses.

    Args:
        cells: results, each with `ld`, `cell`, and `accuracy` under the names of methods.
        names: of the cells, in the order of rows.
        methods: in the order of columns.
        base: the method that others are compared with.
        bare: methods without a standard error.
        further: last columns of a row.
    """
    lines = []
    for ld, name in product(("polypred", "chr22"), names):
        rows = [each for each in cells if (each["ld"], each["cell"]) == (ld, name)]
        if rows:
            shown = [_shown(rows, method, base, error=method not in (base, *bare)) for method in methods]
            lines.append("| " + " | ".join([f"{ld} {name}", str(len(rows)), *shown, *further(rows)]) + " |")
    return "\n".join(lines)


def _shown(rows: Sequence[Row], method: str, base: str, *, error: bool) -> str:
    own = [each for each in rows if method in each]
    if not own:
        return ""
    values = np.array([each[method]["accuracy"] for each in own])
    apart = values - np.array([each[base]["accuracy"] for each in own])
    beside = f" ({apart.std(ddof=1) / np.sqrt(len(own)):.3f})" if error and len(own) > 1 else ""
    return f"{values.mean():.3f}{beside}"
