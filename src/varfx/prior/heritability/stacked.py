"""Columns side by side for some variants at a time, and sums over blocks of variants: no table of all variants lies in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from numpy import ndarray

from varfx.annotations import channels
from varfx.annotations.channels import Rows
from varfx.annotations.features import Features, HeldFeatures

Columns = Features | Float[ndarray, "variant column"]


def as_features(columns: Columns) -> Features:
    """Columns for some variants at a time, of an array too."""
    return HeldFeatures(columns) if isinstance(columns, ndarray) else columns


def level(height: int) -> Features:
    """A column of ones that takes no memory."""
    return HeldFeatures(np.broadcast_to(1.0, (height, 1)))


@dataclass(frozen=True, eq=False)
class Stacked:
    """Columns of several parts beside each other.

    Attributes:
        parts: of the same variants.
        kept: numbers of the columns to take, in order; None for all.
    """

    parts: Sequence[Features]
    kept: Sequence[int] | None = None

    @property
    def height(self) -> int:
        """Number of variants."""
        return self.parts[0].height

    @property
    def width(self) -> int:
        """Number of columns."""
        return sum(part.width for part in self.parts) if self.kept is None else len(self.kept)

    def rows(self, rows: Rows) -> Float64[ndarray, "row column"]:
        """Those of some variants."""
        whole = np.hstack([part.rows(rows) for part in self.parts], dtype=np.float64)
        return whole if self.kept is None else whole[:, list(self.kept)]


@dataclass(frozen=True, eq=False)
class Scaled:
    """Columns times a factor per variant.

    Attributes:
        features: the columns.
        factor: of each variant.
    """

    features: Features
    factor: Float[ndarray, " variant"]

    @property
    def height(self) -> int:
        """Number of variants."""
        return self.features.height

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.features.width

    def rows(self, rows: Rows) -> Float64[ndarray, "row column"]:
        """Those of some variants."""
        scaled: ndarray = self.factor[rows][:, None] * self.features.rows(rows)
        return scaled


def row_blocks(among: Bool[ndarray, " variant"]) -> Iterator[Int64[ndarray, " row"]]:
    """Rows of some variants in order, those of `channels.BLOCK` variants at a time."""
    for first in range(0, among.size, channels.BLOCK):
        rows = first + np.flatnonzero(among[first : first + channels.BLOCK])
        if rows.size:
            yield rows


def gram(columns: Features, among: Bool[ndarray, " variant"]) -> Float64[ndarray, "column column"]:
    """X'X over some variants."""
    found = np.zeros((columns.width, columns.width))
    for rows in row_blocks(among):
        part = columns.rows(rows)
        found += part.T @ part
    return found


def triangle(columns: Features) -> Float64[ndarray, "row column"]:
    """R of the QR decomposition of all variants' columns, from block to block: as exact as that of the whole table, unlike X'X."""
    found: ndarray = np.zeros((0, columns.width))
    for rows in row_blocks(np.ones(columns.height, dtype=bool)):
        found = np.asarray(np.linalg.qr(np.vstack([found, columns.rows(rows)]), mode="r"))
    return found


def times(columns: Features, weights: Float[ndarray, " column"]) -> Float64[ndarray, " variant"]:
    """X w of all variants."""
    found = np.empty(columns.height)
    for rows in row_blocks(np.ones(columns.height, dtype=bool)):
        found[rows] = columns.rows(rows).astype(np.float64, copy=False) @ weights
    return found
