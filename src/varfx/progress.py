"""Progress of long work, reported to the caller; the command line draws the bar."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called after each finished part with how many are done, how many there are, and what they are.

    `what` may end in a remark in brackets that changes from call to call: "steps (score -1.41)".
    """

    def __call__(self, done: int, total: int, what: str) -> None:
        """Takes note of the progress."""
        ...


def silent(done: int, total: int, what: str) -> None:
    """Ignores the progress."""
