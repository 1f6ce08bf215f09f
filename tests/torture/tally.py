"""Counts of a campaign, kept in one JSON file so that a campaign goes on where it was left."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Tally:
    """Tries of one reader or command, by what came of them."""

    tries: int = 0
    good: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    """The first try of each finding, with its seed."""

    def note(self, seed: int, verdict: str, words: str = "", *, good: bool) -> None:
        """Counts one try."""
        self.tries += 1
        (self.good if good else self.findings)[verdict] += 1
        if not good:
            self.first.setdefault(verdict, f"seed {seed}: {words}")

    def __str__(self) -> str:
        found = "".join(f"; {count} x {name} ({self.first[name]})" for name, count in self.findings.items())
        return f"{self.tries} tries, {', '.join(f'{count} {name}' for name, count in self.good.items())}{found}"


class Record:
    """The JSON file with all tallies, by campaign and by reader or command."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tallies: dict[str, dict[str, Tally]] = {}
        if path.is_file():
            for campaign, parts in json.loads(path.read_text())["campaigns"].items():
                self._tallies[campaign] = {
                    name: Tally(part["tries"], Counter(part["good"]), Counter(part["findings"]), part["first"])
                    for name, part in parts.items()
                }

    def tally(self, campaign: str, name: str) -> Tally:
        """That of one reader or command; new if there is none."""
        return self._tallies.setdefault(campaign, {}).setdefault(name, Tally())

    def write(self) -> None:
        """Writes all tallies with their sums."""
        sums = {
            campaign: {
                "tries": sum(each.tries for each in parts.values()),
                "findings": sum(sum(each.findings.values()) for each in parts.values()),
            }
            for campaign, parts in self._tallies.items()
        }
        content = {
            "python": platform.python_version(),
            "system": platform.system(),
            "sums": sums,
            "campaigns": self._tallies,
        }
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=1, default=_plain) + "\n")
        os.replace(partial, self.path)

    @property
    def findings(self) -> int:
        """Number of tries with a finding."""
        return sum(sum(each.findings.values()) for parts in self._tallies.values() for each in parts.values())


def _plain(value: Any) -> Any:
    return vars(value)
