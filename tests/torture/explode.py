"""Reads each bomb in a child with bounded time and memory."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from torture.bombs import BOMBS
from torture.children import in_child
from torture.fuzz import GOOD, attempt, be_quiet, begin_clock, end_clock, limit_memory
from torture.readers import Reader
from torture.tally import Tally


def explode(name: str, samples: Path, folder: Path, tally: Tally) -> None:
    """Reads one bomb."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    try:
        verdict, words = in_child(_read, name, samples, folder)
    except RuntimeError as error:
        verdict, words = "killed", str(error)
    tally.note(0, verdict, f"{words[:300]} ({time.monotonic() - began:.1f} s)", good=verdict in GOOD)
    shutil.rmtree(folder)


def _read(name: str, samples: Path, folder: Path) -> tuple[str, str]:
    be_quiet()
    os.environ["TMPDIR"] = str(folder)
    read = BOMBS[name](samples, folder)
    limit_memory()
    begin_clock()
    verdict, value = attempt(Reader(name, "", (), lambda _: read()), folder)
    end_clock()
    return verdict, str(value) if verdict != "read" else ""
