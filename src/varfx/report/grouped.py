"""Values with intervals, in groups under each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from varfx.errors import DataError
from varfx.report.style import BLUE, GREY, ORANGE, name_rows, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = tuple[str, float, Sequence[float] | None]  # name, value, lower and upper bound


def grouped_intervals(groups: Mapping[str, Sequence[Row]], *, title: str, xlabel: str, highlight: str = "") -> Figure:
    """A figure with a row per value under the name of its group: a dot, its interval, and the value as text.

    Args:
        groups: rows by group.
        title: of the figure.
        xlabel: the values and their unit.
        highlight: rows of this name have another colour.

    Raises:
        DataError: there is no row.
    """
    if not any(groups.values()):
        raise DataError("`groups` holds no rows: there is nothing to draw.")
    height = 1.1 + 0.2 * (len(groups) + sum(map(len, groups.values())))
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, height), layout="constrained")
        axes = figure.subplots()
        ticks: list[tuple[int, str]] = []
        place = 0
        for group, rows in groups.items():
            axes.annotate(group, (0, place), xycoords=("axes fraction", "data"), va="center", color=GREY)
            for name, value, bounds in rows:
                place += 1
                colour = ORANGE if name == highlight else BLUE
                if bounds is not None:
                    axes.plot(bounds, [place, place], color=colour, linewidth=1.6, solid_capstyle="round")
                axes.plot(value, place, "o", color=colour, markersize=5)
                text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
                axes.annotate(
                    text, (1.02, place), xycoords=("axes fraction", "data"), va="center", annotation_clip=False
                )
                ticks.append((place, name))
            place += 1
        name_rows(axes, ticks, place - 0.4, -0.7)
        axes.set(xlabel=xlabel, title=title)
    return figure
