"""The strand of palindromic variants (A/T, C/G) by frequencies, where the other variants show that these can be trusted.

A palindrome looks the same swapped and flipped, so its letters say nothing. Two frequencies on one side of 0.5 mean one
allele. That needs frequencies of the effect allele: minor-allele frequencies put every allele on one side. Variants
that are not palindromic, whose allele is known, tell how often the rule is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from varfx.genome.overlap import PLENTY, frequency_correlation

AMBIGUOUS = (0.4, 0.6)  # strictly between, frequencies do not tell the two alleles apart
_FEW = 10  # of variants on one side of 0.5, that cannot judge the rule there
_RIGHT = 0.95  # share of variants for which the rule must be right
_CORRELATED = 0.5  # frequencies of one allele in two samples of an ancestry


@dataclass(frozen=True)
class FrequencyCheck:
    """Agreement of two sets of allele frequencies.

    Attributes:
        count: variants that are not palindromic and have both frequencies.
        correlation: of their frequencies, NaN where it is not defined.
        trust_low: whether the rule is right where the reference's frequency is below 0.5.
        trust_high: the same above.
    """

    count: int
    correlation: float
    trust_low: bool
    trust_high: bool

    @property
    def exchanged(self) -> bool:
        """The frequencies are those of the other allele."""
        return self.count >= PLENTY and self.correlation < -_CORRELATED

    @property
    def doubtful(self) -> bool:
        """The frequencies do not follow the reference's."""
        return self.count >= PLENTY and not self.correlation >= _CORRELATED


def check_frequencies(
    plain: Bool[ndarray, " row"], oriented: Float64[ndarray, " row"], target: Float64[ndarray, " row"]
) -> FrequencyCheck:
    """Whether frequencies tell alleles apart, by the variants whose alleles are known.

    Args:
        plain: matched rows that are not palindromic.
        oriented: the table's frequency of the reference's effect allele.
        target: the reference's.
    """
    correlation, count = frequency_correlation(oriented[plain], target[plain])
    sure = plain & clear(oriented) & clear(target)
    right = (oriented < 0.5) == (target < 0.5)
    followed = count >= PLENTY and correlation >= _CORRELATED
    trusted = []
    for side in (sure & (target < 0.5), sure & (target >= 0.5)):
        number = int(side.sum())
        trusted.append(followed and number >= _FEW and bool(right[side].mean() >= _RIGHT))
    return FrequencyCheck(count, correlation, *trusted)


def signs_by_frequency(
    check: FrequencyCheck, frequency: Float64[ndarray, " row"], target: Float64[ndarray, " row"]
) -> tuple[Int64[ndarray, " row"], Bool[ndarray, " row"]]:
    """Sign of each row if it is palindromic, and whether its frequencies say it."""
    trusted = np.where(target < 0.5, check.trust_low, check.trust_high)
    known = clear(frequency) & clear(target) & trusted
    return np.where((frequency < 0.5) == (target < 0.5), 1, -1), known


def clear(frequency: Float64[ndarray, " row"]) -> Bool[ndarray, " row"]:
    """Whether a frequency is known and far enough from 0.5 to tell the alleles apart."""
    low, high = AMBIGUOUS
    return np.asarray((frequency <= low) | (frequency >= high))
