"""`ScoreConfig`: how weights are matched to genotypes, and how missing genotypes count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from varfx.errors import ConfigError
from varfx.genome.matching import Matching, Palindromes

Missing = Literal["sample", "weights", "zero"]


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """How weights are matched to genotypes, and how missing genotypes count."""

    missing: Missing = "sample"
    """Missing genotypes count as the mean of the individuals scored (sample), twice the frequency in the weights' file (weights), or
    no copy of the effect allele (zero)."""
    palindromes: Palindromes = "infer"
    """A/T and C/G variants: infer (by the frequencies in weights and genotypes, where other variants confirm these; else dropped),
    drop, or keep (both files are on one strand)."""
    min_overlap: float = 0.2
    """Smallest share of variants of weights and genotypes found in each other, where both have variants."""

    def __post_init__(self) -> None:
        if self.missing not in get_args(Missing):
            raise ConfigError(f"`--missing` must be sample, weights or zero, but is {str(self.missing)[:40]!r}.")
        _ = self.matching

    @property
    def matching(self) -> Matching:
        """The rules of harmonisation."""
        return Matching(palindromes=self.palindromes, min_overlap=self.min_overlap)
