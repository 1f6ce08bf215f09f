"""A folder that a command fills under its own name, because files in it know each other by path: an experiment, a demonstration.

`run_folder.py` has the folders that are filled under another name and appear when they are whole.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from varfx.errors import StoreError
from varfx.io import sealed
from varfx.io.run_folder import check_parent


@dataclass(frozen=True, kw_only=True)
class WorkingFolder:
    """A folder of work in steps, of which a later call keeps the finished ones."""

    out: Path
    """Its name."""
    holds: str
    """Its name in messages, e.g. experiment."""
    begun: str
    """Its file of the options on which finished steps depend, written first."""
    results: str
    """The file that is written last."""

    def begin(self, options: Mapping[str, str], *, resume: bool, overwrite: bool) -> None:
        """Makes the folder, or accepts that of earlier work with the same options.

        Args:
            options: those on which finished steps depend.
            resume: earlier work goes on.
            overwrite: earlier work is removed.

        Raises:
            StoreError: it is something else, was not to be resumed, or was begun with other options; the disk is full.
        """
        check_parent(self.out)
        begun = self.out / self.begun
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            if not begun.is_file():
                raise StoreError(f"`{self.out}` exists and is no {self.holds}. Choose another --out.")
            if overwrite:
                sealed.remove(self.out)
            elif not resume:
                state = "finished" if (self.out / self.results).is_file() else "unfinished"
                raise StoreError(
                    f"`{self.out}` holds an {self.holds}, {state}. Go on with --resume, choose another --out, or start anew with "
                    "--overwrite."
                )
        if begun.is_file():
            earlier = sealed.read_json(begun)
            changed = [name for name, value in options.items() if earlier.get(name) != value]
            if changed:
                raise StoreError(
                    f"`{self.out}` was begun with another `{changed[0]}`, so that its data cannot be kept. Choose another --out, or "
                    "start anew with --overwrite."
                )
        make_folder(self.out)
        sealed.write_json(begun, options)


def make_folder(out: str | os.PathLike[str]) -> Path:
    """The folder, made if it is not there; what is in it stays.

    Raises:
        StoreError: its parent does not exist, the disk is full, or writing is not allowed.
    """
    folder = Path(out)
    check_parent(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise sealed.write_error(folder, error) from error
    return folder
