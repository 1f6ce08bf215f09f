"""Loops as machine code, compiled by numba when first called."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def compiled(function: Callable[..., Any], *, reordered: bool = False) -> Callable[..., Any]:
    """The function as machine code, kept on disk for later processes where a folder for it can be written.

    Args:
        function: to compile.
        reordered: whether the terms of sums may be added in any order, several at a time; its arguments must be finite.
    """
    import numba  # loads slowly

    try:
        return numba.njit(cache=True, nogil=True, fastmath=reordered)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no such folder: once per process
        return numba.njit(nogil=True, fastmath=reordered)(function)  # type: ignore[no-any-return]
