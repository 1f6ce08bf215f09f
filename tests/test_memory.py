"""Freed memory that small arrays keep from the system, and how much is kept for windows."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from varfx.memory import return_freed_memory
from varfx.prior.inputs import FEW_WINDOWS_BYTES, cache_bytes

BLOCKS, BLOCK = 12, 30 << 20
HOLES = f"""
import psutil
import numpy as np
from varfx.memory import return_freed_memory

def resident():
    return psutil.Process().memory_info().rss

np.ones({BLOCK}, np.uint8)  # from now on blocks of this size come from the heap
before, kept = resident(), []
for _ in range({BLOCKS}):
    block = np.ones({BLOCK}, np.uint8)
    kept.append(np.ones(100_000, np.uint8))
    blocks = (globals().get("blocks") or []) + [block]
del block, blocks
held = resident() - before
return_freed_memory()
print(held, resident() - before)
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="other C libraries give memory back by themselves or never"
)
def test_blocks_freed_between_small_arrays_go_back_to_the_system() -> None:
    found = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True, timeout=120)
    held, left = (int(number) for number in found.stdout.split())
    if held < BLOCKS * BLOCK / 2:
        pytest.skip("this C library keeps no freed memory")
    assert left < BLOCKS * BLOCK / 5


def test_without_such_a_library_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("varfx.memory._trim", lambda: None)
    return_freed_memory()


def panel(windows: int) -> Any:
    """Of UK Biobank's windows, 104 MB each."""
    return SimpleNamespace(windows=pl.DataFrame({"rank": [2_000] * windows, "num_panel": [13_000] * windows}))


def test_memory_for_windows_is_a_third_of_what_is_free_if_that_holds_half_of_them() -> None:
    assert cache_bytes(panel(100), 30 * 10**9) == 10 * 10**9
    assert cache_bytes(panel(200), 30 * 10**9) == FEW_WINDOWS_BYTES  # 10 of 20.8 GB
    assert cache_bytes(panel(2763), 6 * 10**9) == 2 * 10**9
