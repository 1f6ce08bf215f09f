"""LD in formats that varfx recognises and does not read: refused by name, with what to do."""

from __future__ import annotations

import os
from pathlib import Path

from varfx.errors import ConfigError
from varfx.io.remote import is_remote

BCOR, HAIL = (".bcor", ".bcor1"), ".bm"
_HAIL_FILES = ("metadata.json", "parts")  # of a block matrix


def refuse_unread(path: str | os.PathLike[str]) -> None:
    """Refuses matrices of LDstore and Hail, by the ending of a path or address, or by what a folder here holds.

    Raises:
        ConfigError: it is one.
    """
    text = os.fspath(path).rstrip("/")
    if text.endswith(BCOR):
        raise ConfigError(
            f"`{text}` is of LDstore (.bcor), which varfx does not read. Let LDstore write the square as text (--bcor-to-text), and give "
            "that as X.ld with its variants by --variants X.z."
        )
    if text.endswith(HAIL) or (not is_remote(text) and all((Path(text) / name).exists() for name in _HAIL_FILES)):
        raise ConfigError(
            f"`{text}` is a block matrix of Hail, which varfx does not read. Let Hail write each region as a square "
            "(BlockMatrix.read(...)[i:j, i:j].to_numpy(), both triangles, saved as X.npy), and give these with their variants by --variants."
        )
