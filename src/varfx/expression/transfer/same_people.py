"""Individuals that stand in two cohorts, by their genotypes where there are enough of them, else by name.

Names of cohorts collide (`P001`), and one individual may have two names. Genotypes of common variants apart from each other
tell: one individual's, called twice, agree in nearly all, two individuals' in about half.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int8
from numpy import ndarray

from varfx.expression.transfer.window import MatchedWindow

APART = 5_000  # bases between compared variants
COMMON = 0.1  # least frequency of either allele at home
ENOUGH, PLENTY = 60, 1_000  # variants that tell two individuals apart; more are not looked at
SAME = 0.98  # share of equal genotypes of one individual or of twins


@dataclass(frozen=True)
class SamePeople:
    """Individuals of the other cohort who stand in the run's own.

    Attributes:
        rows: of the other cohort.
        by_name: of these, how many have the same name.
        namesakes: others with a name of the run's cohort and other genotypes.
        compared: variants that were compared; 0 if there were too few.
    """

    rows: tuple[int, ...]
    by_name: int
    namesakes: int
    compared: int

    def note(self) -> str | None:
        """A sentence for the user; None where there is nothing to say."""
        how = (
            f"by {self.compared:,} genotypes"
            if self.compared
            else f"by name, as fewer than {ENOUGH} variants could be compared"
        )
        parts = []
        if self.rows:
            other = len(self.rows) - self.by_name
            under = f", {other} of them under another name" if other else ""
            parts.append(f"{len(self.rows)} individuals stand in the run's own cohort too ({how}{under})")
        if self.namesakes:
            parts.append(f"{self.namesakes} individuals only share a name with one of the run's own cohort ({how})")
        return "; ".join(parts) or None


@dataclass
class Comparison:
    """Collects genotypes of both cohorts from window after window."""

    _home: list[Int8[ndarray, " individual"]] = field(default_factory=list)
    _others: list[Int8[ndarray, " individual"]] = field(default_factory=list)
    _places: dict[str, list[int]] = field(default_factory=dict)

    def add(self, window: MatchedWindow) -> None:
        """Takes some common variants of a window."""
        if len(self._home) >= PLENTY or not window.found.any():
            return
        at_home, others = window.home.dosages(window.gene.gene_id), window.dosages
        known = np.where(at_home < 0, 0, at_home).sum(axis=1) / np.maximum(2 * (at_home >= 0).sum(axis=1), 1)
        taken = self._places.setdefault(window.gene.chrom, [])
        for row in np.flatnonzero(window.found & (np.minimum(known, 1 - known) >= COMMON)):
            position = int(window.variants["position"][int(row)])
            if all(abs(position - other) >= APART for other in taken):
                taken.append(position)
                self._home.append(at_home[row])
                self._others.append(others[row])

    def same(self, home: tuple[str, ...], others: tuple[str, ...]) -> SamePeople:
        """Who is in both.

        Args:
            home: names of the run's own individuals.
            others: names of the other individuals.
        """
        named = np.isin(np.array(others, dtype=object), np.array(home, dtype=object))
        compared = len(self._home)
        if compared < ENOUGH:
            rows = np.flatnonzero(named)
            return SamePeople(tuple(map(int, rows)), rows.size, 0, 0)
        twins = _agree(np.array(self._home), np.array(self._others))
        rows = np.flatnonzero(twins)
        return SamePeople(tuple(map(int, rows)), int(named[rows].sum()), int((named & ~twins).sum()), compared)


def _agree(home: Int8[ndarray, "variant one"], others: Int8[ndarray, "variant other"]) -> Bool[ndarray, " other"]:
    """Which of the others have nearly all genotypes in common with somebody at home."""
    equal = np.zeros((home.shape[1], others.shape[1]), dtype=np.float32)
    for copies in (0, 1, 2):
        equal += (home == copies).T.astype(np.float32) @ (others == copies).astype(np.float32)
    both = (home >= 0).T.astype(np.float32) @ (others >= 0).astype(np.float32)
    return np.asarray(((equal >= SAME * both) & (both >= ENOUGH)).any(axis=0))
