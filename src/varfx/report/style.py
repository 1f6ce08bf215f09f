"""What every picture shares: colours, type size, and how it is written. matplotlib loads when the first one is drawn."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from varfx.io import sealed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#8C5A96",
)  # told apart by colour-blind eyes, and in print
COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
GREY, PALE = "#6B6B6B", "#E9EDF2"
MARKERS = ("o", "s", "^", "D")
DPI = 120
_STYLE = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    "figure.facecolor": "white",
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Our type size and lines inside the block, whatever the user's own settings are."""
    import matplotlib

    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
        yield


def panels(
    width: float, height: float, rows: int = 1, heights: Sequence[float] | None = None
) -> tuple[Figure, list[Any]]:
    """A figure of so many inches with axes below each other that share their x. No window is opened."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=heights)
    return figure, list(axes[:, 0])


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure as PNG, complete or not at all.

    Raises:
        StoreError: it cannot be written.
    """
    with sealed.atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=DPI)
