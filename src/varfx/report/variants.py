"""Figures of variant effects in a gene's window: along the window with drivers, and against an elastic net."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from varfx.errors import DataError
from varfx.report.style import BLUE, GREY, ORANGE, PALE, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNIT = "per copy of ALT (sd)"


def effects_along_window(table: pl.DataFrame, *, title: str, rule: str = "variformer") -> Figure:
    """A figure with a stick per variant over its distance to the TSS, drivers marked; the elastic net below, if there is one.

    Args:
        table: rows of one gene of the table of `varfx expr variants --long`.
        title: of the gene.
        rule: whose drivers.

    Raises:
        DataError: there is nothing to draw, or several genes.
    """
    table = table.filter(pl.col("weight").is_not_null())
    if table.is_empty():
        raise DataError("`table` has no variant with a score: there is nothing to draw.")
    if table["gene_id"].n_unique() > 1:
        raise DataError(f"`table` holds {table['gene_id'].n_unique()} genes: give the rows of one.")
    model = table["model"][0]
    compared = _compared(table)
    with styled():
        figure, axes = panels(8.0, 4.4 if compared else 2.6, rows=2 if compared else 1)
        x = table["tss_distance"].to_numpy() / 1000
        _sticks(axes[0], x, table["weight"].to_numpy(), table["high_scoring"].to_numpy())
        drivers = table[f"driver_{rule}"].fill_null(False).to_numpy()
        axes[0].plot(
            x[drivers], table["weight"].to_numpy()[drivers], "o", color=ORANGE, markersize=6, label="driver", zorder=3
        )
        axes[0].set(title=title, ylabel=f"{model}\n{UNIT}")
        if compared:
            weights = table["elastic_net"].to_numpy()
            _sticks(axes[1], x, weights, weights != 0)
            axes[1].set_ylabel(f"elastic-net\n{UNIT}")
        axes[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes[-1].set_xlabel("distance to the TSS along the gene's strand (kb)")
    return figure


def effects_against_elastic_net(table: pl.DataFrame) -> Figure:
    """A figure with a point per variant and gene that the elastic net gives a weight; colour says whether signs agree.

    Args:
        table: of `varfx expr variants --long`, with the elastic net beside another model.

    Raises:
        DataError: there is no elastic net beside, or it gives no variant a weight.
    """
    if not _compared(table):
        raise DataError("`table` has no elastic net beside another model. Score variants with --baseline.")
    table = table.filter((pl.col("elastic_net") != 0) & pl.col("weight").is_not_null())
    if table.is_empty():
        raise DataError("`table`: the elastic net gives no variant a weight: there is nothing to draw.")
    x, y = table["elastic_net"].to_numpy(), table["weight"].to_numpy()
    agree = np.sign(x) == np.sign(y)
    with styled():
        figure, (axes,) = panels(4.6, 4.2)
        for same, colour, word in ((True, BLUE, "same sign"), (False, ORANGE, "other sign")):
            chosen = agree == same
            label = f"{word}: {chosen.sum():,}"
            axes.scatter(x[chosen], y[chosen], s=12, color=colour, alpha=0.6, linewidth=0, label=label)
        for line in (axes.axhline, axes.axvline):
            line(0, color=GREY, linewidth=0.8, zorder=0)
        axes.legend(loc="best")
        axes.set(
            xlabel=f"elastic-net, {UNIT}",
            ylabel=f"{table['model'][0]}, {UNIT}",
            title=f"{table.height:,} variants with a weight, {table['gene_id'].n_unique()} genes",
        )
    return figure


def _compared(table: pl.DataFrame) -> bool:
    return table["elastic_net"].null_count() < table.height and "elastic-net" not in set(table["model"])


def _sticks(axes: Any, x: np.ndarray, heights: np.ndarray, marked: np.ndarray) -> None:
    for chosen, colour, label in ((~marked, GREY, "other"), (marked, BLUE, "high-scoring")):
        axes.vlines(x[chosen], 0, heights[chosen], color=colour, linewidth=1.2, label=label, zorder=2)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.axvline(0, color=PALE, linewidth=4, zorder=0)
