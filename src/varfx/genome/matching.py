"""`Matching`: how a table of variants is brought to a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from varfx.errors import ConfigError

Palindromes = Literal["infer", "drop", "keep"]


@dataclass(frozen=True, kw_only=True)
class Matching:
    """Rules for matching summary statistics to a panel's variants."""

    palindromes: Palindromes = "infer"
    """A/T and C/G variants, whose strand cannot be seen: infer (by the two allele frequencies, where the other variants show that
    these can be trusted; else dropped), drop, or keep (both files are on one strand)."""
    min_overlap: float = 0.2
    """Smallest share of variants found, of those that could be, where both files have variants."""
    max_frequency_difference: float | None = None
    """Drop variants whose two allele frequencies differ by more."""

    def __post_init__(self) -> None:
        if self.palindromes not in ("infer", "drop", "keep"):
            raise ConfigError(f"`--palindromes` must be infer, drop or keep, but is {str(self.palindromes)[:40]!r}.")
        if not 0 <= self.min_overlap <= 1:
            raise ConfigError(f"`--min-overlap` must be between 0 and 1, but is {self.min_overlap}.")
        if self.max_frequency_difference is not None and not 0 < self.max_frequency_difference <= 1:
            raise ConfigError(
                f"`--max-frequency-difference` must be in (0, 1], but is {self.max_frequency_difference}."
            )
