"""Annotations as columns whose heritability is asked: 0/1 or continuous, on the panel's rows, and as directions of calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Float64
from numpy import ndarray

from varfx.annotations.channels import Channels, HeldChannels, Rows, blocks
from varfx.annotations.file import AnyAnnotations
from varfx.annotations.moments import Moments
from varfx.annotations.places import EFFECT_FREQUENCY
from varfx.errors import ConfigError, DataError

LIMIT = (
    5.0  # standard deviations to which a continuous annotation is limited as a direction: exp(delta a) must stay finite
)
INDEPENDENT = 1e-6  # share of a direction's square that must lie outside the others


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotationColumns:
    """Annotations on the panel's rows, read for some variants at a time.

    Attributes:
        channels: the annotations, NaN where missing.
        fill: value of each in its gaps.
        centre: of each as a direction: its mean, 0 for 0/1.
        scale: of each as a direction: its standard deviation, 1 for 0/1.
        binary: which hold 0 and 1 only.
        notes: what was left out or filled, in words.
    """

    channels: Channels
    fill: Float[ndarray, " annotation"]
    centre: Float[ndarray, " annotation"]
    scale: Float[ndarray, " annotation"]
    binary: Bool[ndarray, " annotation"]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the annotations."""
        return self.channels.names

    @property
    def height(self) -> int:
        """Number of variants."""
        return self.channels.height

    @property
    def width(self) -> int:
        """Number of annotations."""
        return len(self.channels.names)

    @property
    def values(self) -> Float64[ndarray, "variant annotation"]:
        """Those of all variants, in memory."""
        return self.rows(slice(None))

    def rows(self, rows: Rows) -> Float64[ndarray, "row annotation"]:
        """Those of some variants, without gaps."""
        values = self.channels.read(rows).astype(np.float64)
        return np.where(np.isnan(values), self.fill, values)

    def take(self, numbers: Sequence[int]) -> AnnotationColumns:
        """Some of the annotations, in this order; the others are not read."""
        some = list(numbers)
        parts = {name: getattr(self, name)[some] for name in ("fill", "centre", "scale", "binary")}
        return replace(self, channels=self.channels.take([self.names[number] for number in some]), **parts)

    def directions(self) -> AnnotationDirections:
        """0/1 as they are, continuous ones standardised and limited to 5 standard deviations."""
        return AnnotationDirections(self)


@dataclass(frozen=True, eq=False)
class AnnotationDirections:
    """Annotations as directions of calibration."""

    columns: AnnotationColumns

    @property
    def height(self) -> int:
        """Number of variants."""
        return self.columns.height

    @property
    def width(self) -> int:
        """Number of annotations."""
        return self.columns.width

    def rows(self, rows: Rows) -> Float64[ndarray, "row annotation"]:
        """Those of some variants."""
        standardised = (self.columns.rows(rows) - self.columns.centre) / self.columns.scale
        return np.asarray(np.clip(standardised, -LIMIT, LIMIT))


def annotation_columns(
    annotations: AnyAnnotations | None,
    variants: pl.DataFrame,
    chosen: Sequence[str] = (),
    *,
    source: str = "annotations",
) -> AnnotationColumns:
    """The annotations of the panel's variants, matched by position and alleles.

    A gap of a 0/1 annotation counts as outside, one of a continuous annotation as its mean; both are noted. The channel `eaf` is left
    out, since it refers to the effect allele, and so is an annotation of one value.

    Args:
        annotations: None for none.
        variants: the panel's.
        chosen: names of the annotations to take; by default all.
        source: the file, for messages.

    Raises:
        DataError: a variant of the panel has no row.
        ConfigError: an unknown name.
    """
    if annotations is None:
        empty = HeldChannels((), np.zeros((variants.height, 0), dtype=np.float32))
        none = np.zeros(0)
        return AnnotationColumns(
            channels=empty, fill=none, centre=none, scale=none, binary=np.zeros(0, dtype=bool), notes=()
        )
    channels = annotations.on(variants)
    names = list(annotations.channels)
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ConfigError(
            f"`channels`: {len(unknown)} are not in `{source}`, first `{unknown[0]}`. It has {', '.join(names[:10])}."
        )
    notes = [f"all {variants.height:,} panel variants are in {source} ({annotations.height:,} rows)"]
    asked = channels.take([name for name in chosen or names if name != EFFECT_FREQUENCY])
    kept, fill, centre, scale, binary = [], [], [], [], []
    for name, found, is_binary in zip(asked.names, *_scanned(asked), strict=True):
        outside = is_binary and found.missing > 0
        low, high = (min(found.low, 0.0), max(found.high, 0.0)) if outside else (found.low, found.high)
        if not high > low:
            notes.append(f"`{name}` has one value for all variants and is left out")
            continue
        if found.missing:
            filled = "outside" if is_binary else "its mean"
            notes.append(f"`{name}` is missing for {found.missing:,} of {asked.height:,} variants: counted as {filled}")
        kept.append(name)
        fill.append(0.0 if is_binary else found.mean)
        centre.append(0.0 if is_binary else found.mean)
        scale.append(1.0 if is_binary else sqrt(found.square / asked.height) or 1.0)
        binary.append(bool(is_binary))
    if not kept:
        raise DataError(f"`{source}` has no annotation that differs between the panel's {variants.height:,} variants.")
    return AnnotationColumns(
        channels=asked.take(kept),
        fill=np.array(fill),
        centre=np.array(centre),
        scale=np.array(scale),
        binary=np.array(binary),
        notes=tuple(notes),
    )


def _scanned(channels: Channels) -> tuple[list[Moments], Bool[ndarray, " annotation"]]:
    """Moments of each channel, and whether it holds 0 and 1 only."""
    found = [Moments() for _ in channels.names]
    binary = np.ones(len(found), dtype=bool)
    for _, values in blocks(channels) if found else ():
        binary &= ((values == 0) | (values == 1) | np.isnan(values)).all(0)
        for number, each in enumerate(found):
            each.add(values[:, number])
    return found, binary


def pivots(squares: Float[ndarray, "direction direction"]) -> list[int]:
    """Pivots of the Gram matrix of directions: those that are no sum of earlier ones, in order."""
    norms = np.sqrt(np.diag(squares))
    scale = np.where(norms > 0, norms, 1.0)
    gram: ndarray = squares / scale[:, None] / scale
    kept: list[int] = []
    for column in range(len(gram)):
        cross = gram[kept][:, [column]]
        rest = gram[column, column] - float((cross.T @ np.linalg.solve(gram[kept][:, kept], cross)).sum())
        if rest > INDEPENDENT:
            kept.append(column)
    return kept
