"""The ledgers of a file or folder on the screen: how many variants, individuals or genes each step left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

Row = Mapping[str, Any]


def ledger_tables(metadata: Mapping[str, Any]) -> Iterator[Table]:
    """A table per ledger that the metadata hold: the file's own, or one per trait or per kind of thing counted."""
    yield from _tables("ledger", metadata.get("ledger"))
    for trait in metadata.get("traits", ()):
        if isinstance(trait, Mapping):
            yield from _tables(f"ledger of {trait.get('name')}", trait.get("ledger"))
    yield from _tables("ledger of frequencies", metadata.get("frequency_ledger"))


def _tables(title: str, ledger: Any) -> Iterator[Table]:
    if not ledger:
        return
    if isinstance(ledger, Mapping):
        counts = {name: value for name, value in ledger.items() if not isinstance(value, Mapping | list | tuple)}
        if counts:
            yield _table(title, [{"what": name, "count": value} for name, value in counts.items()])
        for name in [name for name in ledger if name not in counts]:
            yield from _tables(f"{title}: {name}", ledger[name])
    elif isinstance(ledger[0], Mapping):
        yield _table(title, ledger)


def _table(title: str, rows: Sequence[Row]) -> Table:
    headings = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*headings, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(_shown(row.get(name)) for name in headings))
    return table


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
