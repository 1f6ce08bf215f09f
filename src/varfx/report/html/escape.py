"""Text and data of others as part of an HTML file: shown literally, never obeyed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from varfx.io.visible import visible

# Within a script element only "<" can end it; the others are escaped for readers that guess.
_IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})


def escaped(value: Any) -> str:
    """A value as HTML text or attribute; control characters are spelled out."""
    return visible(str(value)).translate(_IN_TEXT)


def address(anchor: str) -> str:
    """The link to an anchor of the page, percent-encoded; to be written as an attribute."""
    return f"#{quote(visible(anchor), safe='=:~-._')}"


def embedded_json(value: Any) -> str:
    """A JSON-able value for the inside of `<script type="application/json">`; strings have their control characters spelled out.

    Raises:
        ValueError: NaN or an infinity.
    """
    text = json.dumps(_visible(value), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.translate(_IN_SCRIPT)


def data_uri(content: bytes, kind: str) -> str:
    """A file as a link, such as `data:text/csv;base64,...`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): _visible(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(each) for each in value]
    return value
