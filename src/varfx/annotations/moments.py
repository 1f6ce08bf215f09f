"""Mean and spread of channels in one pass over their variants, in float64, and warnings about channels that teach nothing or too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from varfx.annotations.channels import Channels, blocks

EXTREME = 50.0  # standard deviations: a 0/1 channel with 1 in fewer than 1 of 2,500 variants, or a heavy tail


@dataclass
class Moments:
    """Moments of a channel's values so far.

    Attributes:
        count: number of values.
        missing: number of variants without.
        mean: of the values.
        square: sum of squared deviations from the mean.
        low: smallest value.
        high: largest value.
    """

    count: int = 0
    missing: int = 0
    mean: float = 0.0
    square: float = 0.0
    low: float = np.inf
    high: float = -np.inf

    def add(self, column: Float32[ndarray, " row"]) -> None:
        """Counts further values in, NaN where missing (the pairwise update of Chan, Golub and LeVeque, 1983)."""
        present = column[~np.isnan(column)].astype(np.float64)
        self.missing += column.size - present.size
        if not present.size:
            return
        mean = float(present.mean())
        square = float(np.square(present - mean).sum())
        count, apart = self.count + present.size, mean - self.mean
        self.square += square + apart**2 * self.count * present.size / count
        self.mean = mean if not self.count else self.mean + apart * present.size / count
        self.count = count
        self.low, self.high = min(self.low, float(present.min())), max(self.high, float(present.max()))

    @property
    def sd(self) -> float:
        """Standard deviation (divisor: the number of values); 1 where they do not vary."""
        return sqrt(self.square / self.count) if self.high > self.low else 1.0

    @property
    def farthest(self) -> float:
        """Largest distance from the mean in standard deviations; 0 where values do not vary."""
        return max(self.high - self.mean, self.mean - self.low) / self.sd if self.high > self.low else 0.0


def moments(parts: Sequence[Channels]) -> list[Moments]:
    """Moments of each channel, over the variants of all parts; these have the same channels in the same order."""
    found = [Moments() for _ in parts[0].names]
    for part in parts:
        for _, values in blocks(part):
            for number, each in enumerate(found):
                each.add(values[:, number])
    return found


def doubts(parts: Sequence[Channels], found: Sequence[Moments]) -> list[str]:
    """Warnings, one sentence per channel; only channels of extreme values are read once more."""
    names = parts[0].names
    extreme = [name for name, each in zip(names, found, strict=True) if each.farthest > EXTREME]
    number = dict.fromkeys(extreme, 0)
    for part in parts if extreme else ():
        for _, values in blocks(part.take(extreme)):
            for k, name in enumerate(extreme):
                each = found[names.index(name)]
                away = np.abs(values[:, k].astype(np.float64) - each.mean) / each.sd
                number[name] += int((away > EXTREME).sum())
    notes = (_doubt(name, each, number.get(name, 0)) for name, each in zip(names, found, strict=True))
    return [note for note in notes if note is not None]


def _doubt(name: str, channel: Moments, extreme: int) -> str | None:
    """A warning about one channel."""
    if not channel.count:
        return f"Channel `{name}` is missing for all variants: it can teach nothing."
    if not channel.high > channel.low:
        return f"Channel `{name}` is {channel.mean:g} for all variants: it can teach nothing."
    if not extreme:
        return None
    return (
        f"Channel `{name}`: {extreme} of {channel.count} variants lie more than {EXTREME:.0f} standard deviations from the mean, up to "
        f"{channel.farthest:.0f}. So few variants decide what it teaches: leave it out, join it with another, or transform its scale."
    )
