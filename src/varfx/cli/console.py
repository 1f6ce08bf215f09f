"""What commands share: the screen, progress bars, and lists given with commas."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import Annotated

import cyclopts
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from varfx.progress import Progress as Report

PLAIN_SECONDS = 10.0  # between two lines of progress where there is no terminal
PLAIN_WIDTH = 160  # of tables in logs and files, where rich would cut them at 80 columns

console = Console(highlight=False)
if not console.is_terminal and "COLUMNS" not in os.environ:
    console.width = PLAIN_WIDTH


def split_commas(type_: object, tokens: Sequence[cyclopts.Token]) -> tuple[str, ...]:
    """`20,21,22`, `20 21 22` and repeated options all mean the same list."""
    return tuple(part for token in tokens for part in token.value.replace(",", " ").split())


def split_numbers(type_: object, tokens: Sequence[cyclopts.Token]) -> tuple[int, ...]:
    """The same for whole numbers."""
    return tuple(int(part) for part in split_commas(type_, tokens))


Names = Annotated[tuple[str, ...], cyclopts.Parameter(converter=split_commas, negative=())]
Widths = Annotated[tuple[int, ...], cyclopts.Parameter(converter=split_numbers, negative=())]


@contextlib.contextmanager
def progress_bar() -> Iterator[Report]:
    """A bar with the time left on a terminal; elsewhere a plain line now and then. On stderr."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield _PlainLines(screen)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

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
