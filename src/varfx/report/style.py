"""Style shared by all figures: colours, type size, saving. matplotlib loads with the first figure."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varfx.io import sealed
from varfx.io.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
    "text.parse_math": False,  # names of channels and traits may hold "$"
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


def name_rows(axes: Axes, rows: Sequence[tuple[int, str]], bottom: float, top: float) -> None:
    """Names of rows in place of the y axis, and a line at 0.

    Args:
        axes: to be changed.
        rows: place and name of each.
        bottom: of the y axis.
        top: of the y axis.
    """
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.set_yticks([place for place, _ in rows], [name for _, name in rows])
    axes.set_ylim(bottom, top)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure as PNG, complete or not at all.

    Raises:
        StoreError: it cannot be written.
    """
    with sealed.atomic_path(path) as partial:
        partial.write_bytes(png(figure))


def save_all(figures: Mapping[str, Figure], folder: Path) -> None:
    """Writes figures by their files' names, each complete or not at all.

    Raises:
        StoreError: one cannot be written.
    """
    for name, figure in figures.items():
        save(figure, folder / name)


def png(figure: Figure, *, dpi: int = DPI) -> bytes:
    """A figure as the bytes of a PNG file."""
    _show_names(figure)
    content = io.BytesIO()
    with styled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a name in a script that the font lacks
        figure.savefig(content, format="png", dpi=dpi)
    return content.getvalue()


def _show_names(figure: Figure) -> None:
    """Spells out control characters of names, and writes the numbers of logarithmic axes without mathematical markup."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter, FuncFormatter, LogFormatter

    for text in figure.findobj(Text):
        text.set_text(visible(text.get_text()))
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FuncFormatter):
            axis.set_major_formatter(FuncFormatter(_shown_by(formatter.func)))
        elif isinstance(formatter, FixedFormatter):
            formatter.seq = [visible(name) for name in formatter.seq]
        elif isinstance(formatter, LogFormatter):
            axis.set_major_formatter(FuncFormatter(_plain_number))


def _shown_by(label: Callable[[float, int | None], str]) -> Callable[[float, int | None], str]:
    def show(value: float, place: int | None = None) -> str:
        return visible(label(value, place))

    return show


def _plain_number(value: float, _: int | None) -> str:
    return f"{value:g}"
