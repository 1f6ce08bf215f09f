"""Windows of several panels, one per ancestry, as the windows of one fit: `log p = sum over ancestries of sum over their windows`.

Individuals of one ancestry's GWAS are in no other's, so that given f the ancestries are independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from varfx.training.gwas.windows import PriorWindow, TraitData, WindowData


class JointWindows:
    """Windows of several ancestries, numbered one ancestry after the other.

    Each window has the associations of its own ancestry; those of the others' traits are None in it.
    """

    def __init__(self, members: Sequence[WindowData]) -> None:
        """Sets up; nothing is read.

        Args:
            members: data of each ancestry on its own panel, with equal features.
        """
        self.members = tuple(members)
        self.traits: tuple[TraitData, ...] = tuple(trait for member in members for trait in member.traits)
        self._first_window = np.cumsum([0, *(len(member.panel.cores) for member in members)])
        self._first_trait = np.cumsum([0, *(len(member.traits) for member in members)])

    def numbers(self, parts: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """Numbers here of windows given by their numbers in each member's panel."""
        pairs = zip(self._first_window, parts, strict=False)
        return tuple(int(first) + index for first, windows in pairs for index in windows)

    def __getitem__(self, index: int) -> PriorWindow:
        member, number = self._member(index)
        return self._among_all(index, member, self.members[member][number])

    def plain(self, index: int) -> PriorWindow:
        """The window without its tracks."""
        member, number = self._member(index)
        return self._among_all(index, member, self.members[member].plain(number))

    def mean_terms(self, windows: Sequence[int], column: str) -> float:
        """Associations per window, over its replicates; `column` of the panels' windows counts those of one trait."""
        owners = [self._member(index) for index in windows]
        parts = [
            sum(1 for owner, _ in owners if owner == number)
            * data.mean_terms([index for owner, index in owners if owner == number], column)
            for number, data in enumerate(self.members)
            if any(owner == number for owner, _ in owners)
        ]
        return sum(parts) / len(owners)

    def _member(self, index: int) -> tuple[int, int]:
        """The ancestry of a window, and its number in that panel."""
        member = int(np.searchsorted(self._first_window, index, side="right")) - 1
        return member, index - int(self._first_window[member])

    def _among_all(self, index: int, member: int, window: PriorWindow) -> PriorWindow:
        """A member's window with a place per trait of every ancestry."""
        before = int(self._first_trait[member])
        after = len(self.traits) - before - len(window.traits)
        return replace(
            window,
            index=index,
            traits=(None,) * before + window.traits + (None,) * after,
            num_observed=(0,) * before + window.num_observed + (0,) * after,
            chi2=((None,) * before + window.chi2 + (None,) * after) if window.chi2 else (),
        )
