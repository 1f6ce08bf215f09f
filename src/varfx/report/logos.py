"""Figures of sequence attributions: letters whose height is how much each base matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from varfx.errors import DataError
from varfx.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, panels, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOUR = {"A": GREEN, "C": BLUE, "G": ORANGE, "T": PURPLE, "N": GREY}
LETTER_WIDTH = 0.9  # of a base's place


def logos(
    rows: Sequence[tuple[str, str, Float64[ndarray, " base"]]], *, first: int, marked: int, title: str, below: str = ""
) -> Figure:
    """A figure with a row of letters per attribution, the variant's base marked.

    Args:
        rows: name of each row, its bases, and their heights; negative ones hang down.
        first: number of the first base for the axis.
        marked: place of the variant's base in the rows.
        title: of the figure.
        below: a line under the axis.

    Raises:
        DataError: nothing to draw, or heights that are not finite or not one per base.
    """
    if not rows or any(len(bases) != values.size or not np.isfinite(values).all() for _, bases, values in rows):
        raise DataError("`rows` must have a finite height for every base, and at least one row.")
    count = len(rows[0][1])
    with styled():
        figure, axes = panels(max(6.0, 0.2 * count), 1.5 * len(rows) + 0.7, rows=len(rows))
        scales: dict[str, float] = {}
        for name, _, values in rows:  # rows of one kind share their scale
            kind = name.partition(",")[0]
            scales[kind] = max(scales.get(kind, 0.0), float(np.abs(values).max(initial=0.0)))
        for axis, (name, bases, values) in zip(axes, rows, strict=True):
            limit = scales[name.partition(",")[0]] or 1.0
            axis.axvspan(marked - 0.5, marked + 0.5, color=GREY, alpha=0.15, linewidth=0)
            axis.axhline(0, color=GREY, linewidth=0.6)
            for place, (base, height) in enumerate(zip(bases, values, strict=True)):
                _letter(axis, base, place, float(height))
            axis.set(xlim=(-0.6, count - 0.4), ylim=(-1.08 * limit, 1.08 * limit), ylabel=name.replace(", ", "\n"))
            ticks = [place for place in range(count) if (first + place) % 10 == 0]
            axis.set_xticks(ticks, [f"{first + place:+d}" if first + place else "0" for place in ticks])
        axes[0].set_title(title)
        axes[-1].set_xlabel(f"bases from the variant along the gene's strand{f'; {below}' if below else ''}")
    return figure


def _letter(axis: Axes, base: str, place: int, height: float) -> None:
    """One letter from 0 to its height, upside down if that is negative."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    if not height:
        return
    path = TextPath((0, 0), base, size=1, prop=FontProperties(weight="bold"))
    box = path.get_extents()
    scale = Affine2D().translate(-box.x0, -box.y0).scale(LETTER_WIDTH / box.width, height / box.height)
    shape = path.transformed(scale.translate(place - LETTER_WIDTH / 2, 0))
    axis.add_patch(PathPatch(shape, facecolor=COLOUR[base], linewidth=0))
