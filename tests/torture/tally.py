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
    """The first try of each finding, with its seed; the first mishap."""
    mishaps: int = 0
    """Times that the campaign itself failed here, before any try."""

    def note(self, seed: int, verdict: str, words: str = "", *, good: bool) -> None:
        """Counts one try."""
        self.tries += 1
        (self.good if good else self.findings)[verdict] += 1
        if not good:
            self.first.setdefault(verdict, f"seed {seed}: {words}")

    def pass_over(self, words: str) -> None:
        """Counts a mishap of the campaign."""
        self.mishaps += 1
        self.first.setdefault("mishap", words)

    @property
    def is_good(self) -> bool:
        """Whether there is neither a finding nor a mishap."""
        return not self.findings and not self.mishaps

    def __str__(self) -> str:
        found = "".join(f"; {count} x {name} ({self.first[name]})" for name, count in self.findings.items())
        found += f"; {self.mishaps} x passed over ({self.first['mishap']})" if self.mishaps else ""
        return f"{self.tries} tries, {', '.join(f'{count} {name}' for name, count in self.good.items())}{found}"


class Record:
    """The JSON file with all tallies, by campaign and by reader or command."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.about: dict[str, Any] = {"python": platform.python_version(), "system": platform.system()}
        self._tallies: dict[str, dict[str, Tally]] = {}
        if path.is_file():
            content = json.loads(path.read_text())
            for campaign, parts in content.pop("campaigns").items():
                self._tallies[campaign] = {name: _tally(part) for name, part in parts.items()}
            self.about = {name: value for name, value in content.items() if name != "sums"} | self.about

    def tally(self, campaign: str, name: str) -> Tally:
        """That of one reader or command; new if there is none."""
        return self._tallies.setdefault(campaign, {}).setdefault(name, Tally())

    def forget_findings(self) -> None:
        """Lets parts with a finding or a mishap begin anew: the same seeds, after what they found is mended."""
        for campaign, parts in self._tallies.items():
            self._tallies[campaign] = {name: each for name, each in parts.items() if each.is_good}

    def merge(self, other: Record) -> None:
        """Takes over the tallies of another record.

        Seeds begin at 0 in every record, so that two tallies of one part are tries of the same damage: the longer stays, they
        are not added. One with a finding or a mishap stays before any without: what was mended must be tried again.
        """
        for campaign, parts in other._tallies.items():
            ours = self._tallies.setdefault(campaign, {})
            for name, each in parts.items():
                if not each.tries and not each.mishaps:  # its turn did not come
                    continue
                ours[name] = max(ours.get(name, Tally()), each, key=lambda tally: (not tally.is_good, tally.tries))

    @property
    def sums(self) -> dict[str, dict[str, int]]:
        """Numbers of parts, tries, findings and mishaps per campaign."""
        return {
            campaign: {
                "parts": len(parts),
                "tries": sum(each.tries for each in parts.values()),
                "fewest": min((each.tries for each in parts.values()), default=0),
                "findings": sum(sum(each.findings.values()) for each in parts.values()),
                "mishaps": sum(each.mishaps for each in parts.values()),
            }
            for campaign, parts in self._tallies.items()
        }

    def write(self) -> None:
        """Writes all tallies with their sums."""
        content = {**self.about, "sums": self.sums, "campaigns": self._tallies}
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=1, default=vars) + "\n")
        os.replace(partial, self.path)

    @property
    def is_good(self) -> bool:
        """Whether there is neither a finding nor a mishap."""
        return all(each.is_good for parts in self._tallies.values() for each in parts.values())


def _tally(part: dict[str, Any]) -> Tally:
    return Tally(part["tries"], Counter(part["good"]), Counter(part["findings"]), part["first"], part.get("mishaps", 0))
