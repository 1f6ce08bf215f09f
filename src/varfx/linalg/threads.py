"""One thread for linear algebra of small matrices: several would wait for each other, on a busy machine a hundred times as long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside = 0
_limit: Any = None


@cache
def _openblas() -> Any:
    """The libraries behind NumPy and SciPy; that of torch keeps its threads, as a network may be trained meanwhile."""
    return ThreadpoolController().select(internal_api="openblas")


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread in NumPy's and SciPy's products inside the block, in all threads of this process; blocks may overlap."""
    global _inside, _limit
    with _lock:
        if _inside == 0:
            _limit = _openblas().limit(limits=1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.restore_original_limits()
