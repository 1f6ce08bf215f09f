"""The folder for downloads and measurements that are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Folder of downloads: `VARFX_CACHE`, else `XDG_CACHE_HOME`/varfx, else `~/.cache/varfx`."""
    if chosen := os.environ.get("VARFX_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "varfx"
