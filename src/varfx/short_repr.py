"""`short_repr`: an object in one or a few lines, without the contents of arrays and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import fields
from typing import Any

LONGEST = 60  # letters of a value
LINES = 3


def short_repr(self: Any) -> str:
    """The class and fields of a dataclass; arrays, tables and collections by their sizes alone."""
    parts = [f"{each.name}={_shown(getattr(self, each.name, None))}" for each in fields(self) if each.repr]
    text = f"{type(self).__name__}({', '.join(parts)})"
    return text if len(text) <= LINES * 120 else f"{text[: LINES * 120 - 4]}...)"


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool | int | float):
        return f"{value:.6g}" if isinstance(value, float) else repr(value)
    shape = getattr(value, "shape", None)
    if shape is not None:
        if hasattr(value, "columns"):
            return f"table of {shape[0]:,} x {shape[1]}"
        return f"{str(getattr(value, 'dtype', '')).rpartition('.')[2]}[{', '.join(map(str, shape))}]"
    if isinstance(value, Mapping):
        return f"{{{len(value)} entries}}"
    if isinstance(value, tuple | list | set | frozenset) and (len(value) > LINES or not _plain(value)):
        return f"{len(value)} entries"
    text = " ".join(repr(value).split()) if not isinstance(value, Sized) or isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _plain(values: Any) -> bool:
    return all(value is None or isinstance(value, str | int | float | bool) for value in values)
