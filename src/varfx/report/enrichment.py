"""A forest plot of enrichments: a row per annotation, its interval, and the plug-in beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from varfx.errors import DataError
from varfx.report.style import BLUE, GREY, ORANGE, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS = 60


def enrichment_forest(rows: Sequence[Mapping[str, Any]], *, title: str) -> Figure:
    """A figure of enrichments with 95 % intervals.

    Args:
        rows: `name, enrichment, enrichment_ci95, plug_in_enrichment` and, if known, `enrichment_p`; those without an enrichment are left out.
            At most 60, the first ones.
        title: what was estimated.

    Raises:
        DataError: there is nothing to draw.
    """
    shown = [row for row in rows if row["enrichment"] is not None][:MAX_ROWS]
    if not shown:
        raise DataError("no annotation has an enrichment: there is nothing to draw.")
    with styled():
        figure, (axes,) = panels(7.0, 1.3 + 0.3 * len(shown))
        for place, row in enumerate(shown):
            if row["enrichment_ci95"] is not None:
                axes.plot(row["enrichment_ci95"], [place, place], color=BLUE, linewidth=2, solid_capstyle="round")
            axes.plot(row["enrichment"], place, "o", color=BLUE, markersize=6, label="estimate" if place == 0 else None)
            axes.plot(
                row["plug_in_enrichment"], place, "|", color=ORANGE, markersize=10, markeredgewidth=2,
                label="plug-in" if place == 0 else None,
            )  # fmt: skip
            axes.annotate(
                _text(row), (1.02, place), xycoords=("axes fraction", "data"), va="center", annotation_clip=False
            )
        axes.axvline(1, color=GREY, linewidth=0.8, zorder=0)
        axes.set_yticks(range(len(shown)), [str(row["name"]) for row in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set(xlabel="enrichment of heritability (95 % interval)", title=title)
        figure.legend(loc="outside lower right", ncols=2)
    return figure


def _text(row: Mapping[str, Any]) -> str:
    text = f"{row['enrichment']:.2f}"
    if row["enrichment_ci95"] is not None:
        low, high = row["enrichment_ci95"]
        text += f" ({low:.2f} to {high:.2f})"
    p = row.get("enrichment_p")
    return text if p is None else f"{text}, p = {p:.2g}"
