"""Ledger of a table's rows, step by step, so that nothing is changed or dropped unseen.

One shape in every file that we write: a list of rows `{"step", "count", "note"}`, in order, with `"left"` where the rows that
remain were counted. A sentence for the user is a row of the step `note`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NotRequired, TypedDict

import numpy as np
import polars as pl
from jaxtyping import Bool
from numpy import ndarray

DROPPED, NOTE = "dropped", "note"


class LedgerRow(TypedDict):
    """One step; JSON-able."""

    step: str
    """The step, in words."""
    count: int
    """Rows that it concerned: read, changed or left out."""
    note: str
    """The reason, or how; may be empty."""
    left: NotRequired[int]
    """Rows that remained, where the step left some out of a table."""


class Ledger:
    """Ordered counts. A step met again with the same note (in the next block of a file) adds to its count."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        """An empty ledger, or one of some steps and their counts."""
        self._rows: dict[tuple[str, str], LedgerRow] = {}
        for step, count in (counts or {}).items():
            self.add(step, count)

    def add(self, step: str, count: int, note: str = "", *, left: int | None = None) -> None:
        """Counts rows under `step`; `note` says why, or how."""
        row = self._rows.setdefault((step, note), {"step": step, "count": 0, "note": note})
        row["count"] += int(count)
        if left is not None:
            row["left"] = left

    def include(self, other: Ledger, *, without: str = "\0") -> None:
        """Adds the counts of another ledger (e.g. of the next file), but not of steps that begin with `without`."""
        for row in other.rows():
            if not row["step"].startswith(without):
                self.add(row["step"], row["count"], row["note"])

    def drop(self, count: int, note: str) -> None:
        """Counts dropped rows; no entry where there are none."""
        if count:
            self.add(DROPPED, count, note)

    def note(self, text: str) -> None:
        """A sentence for the user."""
        self.add(NOTE, 0, text)

    def rows(self) -> list[LedgerRow]:
        """The entries in order."""
        return [row.copy() for row in self._rows.values()]

    @property
    def counts(self) -> dict[str, int]:
        """The count of each step, over all its notes; without sentences."""
        return counts_of(self.rows())

    @property
    def notes(self) -> tuple[str, ...]:
        """The sentences for the user."""
        return notes_of(self.rows())

    def largest_drop(self) -> str:
        """The rule that dropped most, in words for a message."""
        drops = {row["note"]: row["count"] for row in self._rows.values() if row["step"] == DROPPED}
        if not drops:
            return "the file has no rows"
        note = max(drops, key=lambda name: drops[name])
        return f"{drops[note]} were dropped: {note}"


class Sieve:
    """A table that is filtered step by step.

    Attributes:
        frame: the rows that are left.
        ledger: how many rows each step took, and how many were left.
    """

    def __init__(self, frame: pl.DataFrame, what: str | None = None) -> None:
        """Begins with all rows, counted in the ledger under `what` if that is given."""
        self.frame = frame
        self.ledger = Ledger()
        self._all, self._sides = frame.height, dict[str, str]()
        if what is not None:
            self.ledger.add(what, frame.height, left=frame.height)
        self._what = what

    def drop(self, bad: Bool[ndarray, " row"] | pl.Series, step: str, *, sides: str = "") -> None:
        """Leaves rows out.

        Args:
            bad: the rows.
            step: the reason.
            sides: what the two sides of a comparison have, for the message if nothing is left.
        """
        keep = ~np.asarray(bad, dtype=bool)
        self.frame = self.frame.filter(pl.Series(keep))
        self.ledger.add(step, int((~keep).sum()), left=self.frame.height)
        self._sides[step] = sides

    def why(self) -> str:
        """The steps that left something out, in one line."""
        counts = {step: count for step, count in self.ledger.counts.items() if count or step == self._what}
        return ", ".join(f"{step}: {count}" for step, count in counts.items())

    def largest(self) -> str:
        """The step that left out most, with what its two sides have."""
        step = max(self._sides, key=lambda each: self.ledger.counts[each])
        sides = self._sides[step]
        return f"`{step}` left out {self.ledger.counts[step]} of {self._all}{f': {sides}' if sides else ''}"


def counts_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The count of each step of a stored ledger, over all its notes; of earlier files too."""
    counts: dict[str, int] = {}
    for row in rows:
        if row["step"] != NOTE:
            count = next(int(row[key]) for key in ("count", "variants", "dropped") if key in row)
            counts[row["step"]] = counts.get(row["step"], 0) + count
    return counts


def notes_of(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The sentences of a stored ledger."""
    return tuple(str(row["note"]) for row in rows if row["step"] == NOTE)
