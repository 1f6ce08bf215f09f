"""Seconds that the steps of a demonstration take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """A block whose wall-clock time is kept under a name."""
    started = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - started
