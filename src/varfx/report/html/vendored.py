"""The JavaScript libraries of others that a page carries: their text, checked against the recorded checksums."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from typing import Any

from varfx.errors import StoreError

SCRIPTS = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")  # in this order


def manifest() -> dict[str, dict[str, Any]]:
    """Package, version, licence and SHA-256 of each file."""
    found: dict[str, dict[str, Any]] = json.loads(_folder().joinpath("manifest.json").read_text(encoding="utf-8"))
    return found


def script(name: str) -> str:
    """The text of a library, without the link to its source map.

    Raises:
        StoreError: the installed file is not the one that was recorded.
    """
    content = _folder().joinpath(name).read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest()[name]["sha256"]:
        raise StoreError(f"`{name}` of the installed varfx is damaged: its checksum differs. Install varfx anew.")
    lines = content.decode("utf-8").split("\n")
    return "\n".join(line for line in lines if not line.startswith("//# sourceMappingURL="))


def _folder() -> Any:
    return files("varfx.report").joinpath("vendor")
