"""Whether a run may be written to a folder: it must destroy nothing, and an unfinished run goes on only when told."""

from __future__ import annotations

from pathlib import Path

from varfx.errors import StoreError
from varfx.io import sealed


def check_run_folder(out: Path, *, record: str, begun: str, started: bool, resume: bool, overwrite: bool) -> None:
    """Checks that a run may be written to `out`; changes nothing.

    Args:
        out: the run's folder.
        record: name of the file that a finished run holds.
        begun: name of the file that an unfinished one holds.
        started: whether an unfinished run in `out` holds work that would be lost.
        resume: whether it is to go on.
        overwrite: whether what is there is to be replaced.

    Raises:
        StoreError: it would destroy a run or something else, or its folder does not exist.
    """
    if not out.parent.is_dir():
        raise StoreError(f"`{out}` cannot be written: the folder `{out.parent}` does not exist. Create it first.")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if (out / sealed.MANIFEST).is_file() and (out / record).is_file():
        if not overwrite:
            raise StoreError(f"`{out}` holds a finished run. Choose another --out, or replace it with --overwrite.")
    elif not (out / begun).is_file():
        raise StoreError(f"`{out}` exists and is no run. Choose another --out.")
    elif started and not (resume or overwrite):
        raise StoreError(f"`{out}` holds an unfinished run. Go on with --resume, or start anew with --overwrite.")
