"""Columns without a role, in messages about a role without a column."""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN = 12


def or_named(unused: Sequence[str], role: str) -> str:
    """The end of a sentence on what to do where a role has no column: the columns that may be it; empty if there are none."""
    if not unused:
        return ""
    shown = ", ".join(name[:40] for name in unused[:_SHOWN]) + (", ..." if len(unused) > _SHOWN else "")
    return f", or name a column with --columns {role}=NAME (not used are {shown})"
