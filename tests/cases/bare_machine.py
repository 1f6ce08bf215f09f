"""A machine without some of the packages that varfx installs, in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What a machine with a GPU has not: readers of file formats, the command line, worker processes, checks of types.
READERS = ("bed_reader", "beartype", "cryptography", "cyclopts", "cyvcf2", "dask", "distributed", "pgenlib", "pysam")
STORES = ("polars", "pybigtools", "zarr")


def environment_without(packages: Iterable[str], folder: Path) -> dict[str, str]:
    """Variables of a Python process to which importing any of the packages is impossible.

    Args:
        packages: names of modules.
        folder: an existing folder, for the file that hides them.
    """
    hide = f"import sys\nsys.modules.update(dict.fromkeys({tuple(packages)!r}))\n"
    (folder / "sitecustomize.py").write_text(hide)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "src")]), "OMP_NUM_THREADS": "1"}
