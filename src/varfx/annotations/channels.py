"""`Channels`: named numbers on the rows of some variants, read for some rows at a time, whether they lie in memory or in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

BLOCK = 1 << 16  # variants at a time, where all are gone through

Rows = slice | Int64[ndarray, " row"]


class Channels(Protocol):
    """Channels of some variants."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels."""
        ...

    @property
    def height(self) -> int:
        """Number of variants."""
        ...

    @property
    def held(self) -> bool:
        """Whether all values lie in memory."""
        ...

    def read(self, rows: Rows) -> Float32[ndarray, "row channel"]:
        """Values of some variants, NaN where missing; not to be written to."""
        ...

    def take(self, names: Sequence[str]) -> Channels:
        """Some of the channels, in this order."""
        ...

    def complete(self, name: str) -> bool:
        """Whether it is known, without going through the variants, that a channel has no gap."""
        ...


def blocks(channels: Channels) -> Iterator[tuple[slice, Float32[ndarray, "row channel"]]]:
    """All variants in order, `BLOCK` at a time: their rows and values."""
    for first in range(0, channels.height, BLOCK):
        rows = slice(first, min(first + BLOCK, channels.height))
        yield rows, channels.read(rows)


class HeldChannels:
    """Channels in memory."""

    def __init__(self, names: Sequence[str], values: Float32[ndarray, "variant channel"]) -> None:
        """Takes values that are NaN where missing."""
        self.names, self._values = tuple(names), values

    @property
    def height(self) -> int:
        """Number of variants."""
        return len(self._values)

    @property
    def held(self) -> bool:
        """True."""
        return True

    def read(self, rows: Rows) -> Float32[ndarray, "row channel"]:
        """Values of some variants, NaN where missing."""
        return self._values[rows]

    def take(self, names: Sequence[str]) -> HeldChannels:
        """Some of the channels, in this order."""
        if tuple(names) == self.names:
            return self
        return HeldChannels(names, self._values[:, [self.names.index(name) for name in names]])

    def complete(self, name: str) -> bool:
        """Whether a channel has no gap."""
        return not np.isnan(self._values[:, self.names.index(name)]).any()


class JoinedChannels:
    """Channels of several sources on the same variants."""

    def __init__(self, parts: Sequence[Channels], names: Sequence[str] | None = None) -> None:
        """Takes channels of different names; `names` is their order, by default one source after the other."""
        self._parts = tuple(parts)
        own = [name for part in parts for name in part.names]
        self.names = tuple(own if names is None else names)
        self._order = None if self.names == tuple(own) else [own.index(name) for name in self.names]

    @property
    def height(self) -> int:
        """Number of variants."""
        return self._parts[0].height

    @property
    def held(self) -> bool:
        """Whether all parts lie in memory."""
        return all(part.held for part in self._parts)

    def read(self, rows: Rows) -> Float32[ndarray, "row channel"]:
        """Values of some variants, NaN where missing."""
        joined = np.hstack([part.read(rows) for part in self._parts])
        return joined if self._order is None else joined[:, self._order]

    def take(self, names: Sequence[str]) -> JoinedChannels:
        """Some of the channels, in this order."""
        parts = [part.take([name for name in names if name in part.names]) for part in self._parts]
        return JoinedChannels([part for part in parts if part.names], names)

    def complete(self, name: str) -> bool:
        """Whether it is known that a channel has no gap."""
        return any(part.complete(name) for part in self._parts if name in part.names)


def missing_counts(channels: Channels) -> Int64[ndarray, " channel"]:
    """Number of variants without a value, per channel."""
    counts = np.zeros(len(channels.names), dtype=np.int64)
    for _, values in blocks(channels):
        counts += np.isnan(values).sum(axis=0)
    return counts
