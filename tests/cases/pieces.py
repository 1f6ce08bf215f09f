"""Pieces of work for the tests of workers, importable by worker processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from varfx.errors import DataError


def start(factor: int, folder: Path) -> tuple[int, Path]:
    (folder / f"started.{os.getpid()}").touch()
    return factor, folder


def multiply(state: tuple[int, Path], piece: int) -> tuple[int, int, str]:
    """Notes each call in a file, so that repeated work shows."""
    factor, folder = state
    with open(folder / f"piece.{piece}", "a") as file:
        file.write(f"{os.getpid()}\n")
    return factor * piece, os.getpid(), os.environ.get("OMP_NUM_THREADS", "")


def lose_one_worker(state: tuple[int, Path], piece: int) -> tuple[int, int, str]:
    """The fourth piece ends its process, once."""
    lost = state[1] / "lost"
    if piece == 3 and not lost.exists():
        lost.touch()
        time.sleep(0.5)  # what this process finished before is gathered by now
        os.kill(os.getpid(), signal.SIGKILL)
    return multiply(state, piece)


def lose_every_worker(state: tuple[int, Path], piece: int) -> None:
    os._exit(9)


def refuse(state: tuple[int, Path], piece: int) -> None:
    raise DataError("`z` is NaN in 3 of 9 rows, first row 2.")


def sleep(state: tuple[int, Path], piece: int) -> int:
    (state[1] / f"sleeping.{os.getpid()}").touch()
    time.sleep(600)
    return piece


def slowly(state: tuple[int, Path], piece: int) -> int:
    time.sleep(0.2)
    return multiply(state, piece)[0]
