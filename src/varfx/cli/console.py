"""Parts shared by commands: console and progress bars.

Names of variants, traits, samples, channels and files come from strangers: `PlainConsole` shows them letter by letter.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from varfx.io.visible import visible
from varfx.progress import Progress as Report

if TYPE_CHECKING:
    from rich.progress import TaskID

PLAIN_SECONDS = 10.0  # between two lines of progress where there is no terminal
PLAIN_WIDTH = 160  # of tables in logs and files, where rich would cut them at 80 columns


class PlainConsole(Console):
    """A console that takes no text for markup or emoji, and spells out control characters instead of sending them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text for the layout of tables and lines, where its width counts."""
        return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces that go to the terminal: also those of renderables that were made elsewhere."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(visible(text), style)


console = PlainConsole()
if not console.is_terminal and "COLUMNS" not in os.environ:
    console.width = PLAIN_WIDTH


def print_files(folder: Path, files: Mapping[str, str]) -> None:
    """Prints what a command has written, a line per file or folder."""
    console.print(f"written to {folder}:", soft_wrap=True)
    for name, what in files.items():
        console.print(f"  {name:<24}{what}", soft_wrap=True)


def print_notes(notes: Iterable[str]) -> None:
    """Prints what the reader should know, a line per note."""
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False)


def print_ledger(rows: Iterable[Mapping[str, Any]], before: str = "") -> None:
    """Prints what became of the rows of a table, a line per step that concerned any; `before` stands before each line."""
    for row in rows:
        if row["count"]:
            note = f" ({row['note']})" if row["note"] else ""
            console.print(f"{before}ledger: {row['step']}: {row['count']:,}{note}", soft_wrap=True)


@contextlib.contextmanager
def progress_bar() -> Iterator[Report]:
    """A bar with the time left on a terminal; elsewhere a plain line now and then. On stderr."""
    screen = PlainConsole(stderr=True)
    if not screen.is_terminal:
        yield _PlainLines(screen)
        return
    from rich.progress import (  # slow to import: not for help pages
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(done: int, total: int, what: str) -> None:
            parts = what.partition(" (")[0]
            if parts not in tasks:
                tasks[parts] = bar.add_task(what, total=total)
            bar.update(tasks[parts], completed=done, total=total, description=what)

        yield report


class _PlainLines:
    """Progress for logs."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._last = time.monotonic()

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if now - self._last >= PLAIN_SECONDS:
            self._last = now
            self._screen.print(f"{what}: {done} of {total}", soft_wrap=True)
