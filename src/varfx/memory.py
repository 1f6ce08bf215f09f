"""Memory of this process that the allocator holds without need."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


@cache
def _trim() -> Callable[[int], int] | None:
    """`malloc_trim` of the C library; None where it has none."""
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return None
    return found


def return_freed_memory() -> None:
    """Gives freed memory back to the system, where the C library can.

    A small array that stays may otherwise keep a large freed block beside it: a third more per window that is kept in memory.
    """
    trim = _trim()
    if trim is not None:
        trim(0)
