"""What a page is made of: sections of text, facts, tables, charts and downloads. Plain data, drawn by `render`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Columns = Mapping[str, Sequence[Any]]  # a table for a chart: equally long columns of JSON-able values


@dataclass(frozen=True, kw_only=True)
class Prose:
    """A paragraph; `emphasis` marks it as a note or a warning."""

    text: str
    emphasis: str = ""


@dataclass(frozen=True, kw_only=True)
class Formula:
    """Lines of mathematics, in plain characters."""

    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Names and values under each other."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table: its heading, whether it is of numbers, and what is said of it on hovering."""

    heading: str
    numeric: bool = False
    about: str = ""
    wide: bool = False  # of several words, which shall not stand one below the other


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A value as it is shown, the value that it sorts by, and an anchor of the page that it links to."""

    shown: str
    sort: float | str | None = None
    anchor: str = ""
    emphasis: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose columns can be sorted; long ones are folded to `visible_rows` first."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sortable: bool = True
    visible_rows: int = 0  # 0: all


@dataclass(frozen=True, kw_only=True)
class Legend:
    """Names and their colours."""

    title: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A picture.

    Attributes:
        name: unique in the page.
        title: above it.
        alternative: in words, for those who do not see it.
        spec: a Vega-Lite specification, whose data are named.
        data: each data set of `spec`.
        figure: the same as a matplotlib figure.
        zoom: a parameter of `spec` bound to the x scale, and its field, for the buttons and keys that zoom; "" for none.
        caption: below it.
        width: of the picture in pixels where it shall not fill the page.
        legends: between title and picture; a matplotlib figure has its own.
    """

    name: str
    title: str
    alternative: str
    spec: Mapping[str, Any]
    data: Mapping[str, Columns]
    figure: Callable[[], Figure]
    zoom: str = ""
    caption: str = ""
    width: int = 0
    legends: tuple[Legend, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A part that was not given, the command that makes it, and the option that names it."""

    command: str
    option: str = ""
    what: str = "Not given."


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file inside the page."""

    file_name: str
    about: str
    content: bytes
    kind: str = "text/csv"


@dataclass(frozen=True, kw_only=True)
class Downloads:
    """Links to files inside the page."""

    files: tuple[Download, ...]


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Blocks behind a summary that opens on a click or key."""

    summary: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Links:
    """Links in one line: text and anchor of each."""

    about: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a section with a heading and anchor of its own.

    Attributes:
        anchor: unique in the page.
        heading: above it.
        blocks: what it shows.
        routes: names after `#` that open it. A part with routes is seen only when one of them is the address; without scripts always.
    """

    anchor: str
    heading: str
    blocks: tuple[Block, ...]
    routes: tuple[str, ...] = ()


Block = Prose | Formula | Facts | Table | Chart | Absent | Downloads | Folded | Links | Part


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section with an entry in the page's contents."""

    anchor: str
    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole report."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    footer: str = ""
    language: str = field(default="en")


def charts_of(blocks: Sequence[Block]) -> list[Chart]:
    """All charts among blocks, also within others, in order."""
    found: list[Chart] = []
    for block in blocks:
        if isinstance(block, Chart):
            found.append(block)
        elif isinstance(block, Folded | Part):
            found += charts_of(block.blocks)
    return found
