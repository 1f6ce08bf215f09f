"""Text of others made safe to show: control characters of names and files are spelled out, never obeyed by a terminal."""

from __future__ import annotations

import reprlib
import unicodedata
from typing import Any

# Control, format (among them those that turn the direction of writing), surrogate, and the two that end lines.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_KEPT = frozenset("\n\t")
LONGEST = 2_000  # characters of a message
_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother = 3, 80, 80


def visible(text: str) -> str:
    r"""The text with every control character as its escape, such as `\x1b`; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter in _KEPT or unicodedata.category(letter) not in _UNSEEN else _escape(letter) for letter in text
    )


def shown(value: Any) -> str:
    """A value as Python writes it, shortened: for messages about a value of unknown size."""
    try:
        return _short.repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits
        return f"a value of type {type(value).__name__}"


def one_line(message: str) -> str:
    """A message as one line of bearable length: the middle of a very long one is left out."""
    line = " ".join(message.split())
    if len(line) <= LONGEST:
        return line
    return f"{line[: LONGEST - 300]} [{len(line) - LONGEST + 100:,} characters are left out here] {line[-200:]}"


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii") if ord(letter) > 127 else repr(letter)[1:-1]
