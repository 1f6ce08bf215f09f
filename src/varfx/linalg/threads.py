"""One thread for linear algebra of small matrices: several would wait for each other, on a busy machine a hundred times as long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _openblas() -> Any:
    """The libraries behind NumPy and SciPy; that of torch keeps its threads, as a network may be trained meanwhile."""
    return ThreadpoolController().select(internal_api="openblas")


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread in NumPy's and SciPy's products inside the block.

    Their number of threads is that of the process. Where blocks of two threads overlap, the first to enter decides for both.
    """
    with _openblas().limit(limits=1):
        yield
