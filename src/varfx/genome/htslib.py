"""pysam, loaded where a file is opened, and htslib without messages of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def silent_pysam() -> Iterator[Any]:
    """The module pysam; until the end of the block, htslib prints no errors, which are raised as exceptions too."""
    import pysam

    before = pysam.set_verbosity(0)
    try:
        yield pysam
    finally:
        pysam.set_verbosity(before)
