"""Annotations as columns whose heritability is asked: 0/1 or continuous, on the panel's rows, and as directions of calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from numpy import ndarray

from varfx.annotations.file import AnyAnnotations
from varfx.annotations.places import EFFECT_FREQUENCY
from varfx.errors import ConfigError, DataError

LIMIT = (
    5.0  # standard deviations to which a continuous annotation is limited as a direction: exp(delta a) must stay finite
)
INDEPENDENT = 1e-6  # share of a direction's square that must lie outside the others


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotationColumns:
    """Annotations on the panel's rows.

    Attributes:
        names: of the annotations.
        values: float64, without gaps.
        binary: which hold 0 and 1 only.
        notes: what was left out or filled, in words.
    """

    names: tuple[str, ...]
    values: Float[ndarray, "variant annotation"]
    binary: Bool[ndarray, " annotation"]
    notes: tuple[str, ...]

    def directions(self) -> Float[ndarray, "variant annotation"]:
        """0/1 as they are, continuous ones standardised and limited to 5 standard deviations."""
        found = self.values.copy()
        for column in np.flatnonzero(~self.binary):
            centred = found[:, column] - found[:, column].mean()
            found[:, column] = np.clip(centred / (centred.std() or 1.0), -LIMIT, LIMIT)
        return found


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
        return AnnotationColumns(
            names=(), values=np.zeros((variants.height, 0)), binary=np.zeros(0, dtype=bool), notes=()
        )
    values, missing = annotations.select(variants)
    names = list(annotations.channels)
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ConfigError(
            f"`channels`: {len(unknown)} are not in `{source}`, first `{unknown[0]}`. It has {', '.join(names[:10])}."
        )
    notes = [f"all {variants.height:,} panel variants are in {source} ({annotations.height:,} rows)"]
    kept, columns, binary = [], [], []
    for name in chosen or names:
        if name == EFFECT_FREQUENCY:
            continue
        column, gap = values[:, names.index(name)].astype(np.float64), missing[:, names.index(name)]
        present = column[~gap]
        is_binary = bool(np.isin(present, (0.0, 1.0)).all())
        if not present.size or np.ptp(np.r_[present, 0.0] if is_binary and gap.any() else present) == 0:
            notes.append(f"`{name}` has one value for all variants and is left out")
            continue
        column[gap] = 0.0 if is_binary else present.mean()
        if gap.any():
            filled = "outside" if is_binary else "its mean"
            notes.append(f"`{name}` is missing for {gap.sum():,} of {gap.size:,} variants: counted as {filled}")
        kept.append(name)
        columns.append(column)
        binary.append(is_binary)
    if not kept:
        raise DataError(f"`{source}` has no annotation that differs between the panel's {variants.height:,} variants.")
    return AnnotationColumns(
        names=tuple(kept), values=np.column_stack(columns), binary=np.array(binary), notes=tuple(notes)
    )


def independent(directions: Float[ndarray, "variant direction"]) -> list[int]:
    """Directions that are no sum of earlier ones: pivots of the Gram matrix, in order."""
    norms = np.linalg.norm(directions, axis=0)
    scaled = directions / np.where(norms > 0, norms, 1.0)
    gram: ndarray = scaled.T @ scaled
    kept: list[int] = []
    for column in range(len(gram)):
        cross = gram[kept][:, [column]]
        rest = gram[column, column] - float((cross.T @ np.linalg.solve(gram[kept][:, kept], cross)).sum())
        if rest > INDEPENDENT:
            kept.append(column)
    return kept
