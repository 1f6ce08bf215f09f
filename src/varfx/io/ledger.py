"""`Ledger`: what happened to the rows of a file, step by step, so that nothing is changed or dropped unseen."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Ledger:
    """Ordered counts. A step met again (in the next block of a file) adds to its count."""

    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, step: str, variants: int, note: str = "") -> None:
        """Counts `variants` rows under `step`; `note` says why, or how."""
        self._counts[step, note] = self._counts.get((step, note), 0) + int(variants)

    def include(self, other: Ledger, *, without: str = "\0") -> None:
        """Adds another ledger's entries, but those whose step begins with a word."""
        for (step, note), count in other._counts.items():
            if not step.startswith(without):
                self.add(step, count, note)

    def drop(self, variants: int, note: str) -> None:
        """Counts dropped rows; no entry where there are none."""
        if variants:
            self.add("dropped", variants, note)

    def rows(self) -> list[dict[str, str | int]]:
        """The entries in order, each `{"step", "variants", "note"}`; JSON-able."""
        return [{"step": step, "variants": count, "note": note} for (step, note), count in self._counts.items()]

    def largest_drop(self) -> str:
        """The rule that dropped most, in words for a message."""
        drops = {note: count for (step, note), count in self._counts.items() if step == "dropped"}
        if not drops:
            return "the file has no rows"
        note = max(drops, key=lambda name: drops[name])
        return f"{drops[note]} were dropped: {note}"
