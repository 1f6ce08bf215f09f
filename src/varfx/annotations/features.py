"""`Features`: what a model reads of some variants, for some rows at a time, whether they lie in memory or are read from a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from varfx.annotations.channels import Channels, Rows, blocks


class Features(Protocol):
    """Features of some variants."""

    @property
    def height(self) -> int:
        """Number of variants."""
        ...

    @property
    def width(self) -> int:
        """Number of features."""
        ...

    def rows(self, rows: Rows) -> Float[ndarray, "row feature"]:
        """Those of some variants."""
        ...


@dataclass(frozen=True, eq=False)
class HeldFeatures:
    """Features in memory."""

    values: Float[ndarray, "variant feature"]

    @property
    def height(self) -> int:
        """Number of variants."""
        return len(self.values)

    @property
    def width(self) -> int:
        """Number of features."""
        return int(self.values.shape[1])

    def rows(self, rows: Rows) -> Float[ndarray, "row feature"]:
        """Those of some variants."""
        return self.values[rows]


@dataclass(frozen=True, eq=False)
class ReadFeatures:
    """Features of channels that are read when asked for.

    Attributes:
        channels: in the order that `standardise` takes.
        width: number of features.
        standardise: from channels to features.
    """

    channels: Channels
    width: int
    standardise: Callable[[Float32[ndarray, "row channel"]], Float32[ndarray, "row feature"]]

    @property
    def height(self) -> int:
        """Number of variants."""
        return self.channels.height

    def rows(self, rows: Rows) -> Float32[ndarray, "row feature"]:
        """Those of some variants."""
        return self.standardise(self.channels.read(rows))

    def held(self) -> HeldFeatures:
        """The same features in memory."""
        values = np.empty((self.height, self.width), dtype=np.float32)
        for rows, part in blocks(self.channels):
            values[rows] = self.standardise(part)
        return HeldFeatures(values)


def no_features(height: int) -> HeldFeatures:
    """Of a model that reads none."""
    return HeldFeatures(np.zeros((height, 0), dtype=np.float32))
