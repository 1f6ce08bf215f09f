"""Directions in which a prior is calibrated: its level, annotations, and those in which it may itself be off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from varfx.annotations.features import Features, HeldFeatures
from varfx.prior.heritability.columns import LIMIT, AnnotationColumns, pivots
from varfx.prior.heritability.source import PriorSource
from varfx.prior.heritability.stacked import Scaled, Stacked, as_features, gram, level


def calibration_directions(source: PriorSource, columns: AnnotationColumns) -> tuple[Features, list[str]]:
    """1, the annotations, and the prior's own directions, without those that others span on the calibrating windows; and notes."""
    slope = np.ones(source.f.size) if source.own is None else source.own.slope
    parts = [level(source.f.size), Scaled(columns.directions(), slope), own_directions(source)]
    names = ["level", *columns.names]
    squares = gram(Stacked(parts), source.seen)
    kept = pivots(squares)
    notes = []
    absent = [names[k] for k in range(1, len(columns.names) + 1) if not squares[k, k] > 0]
    if absent:
        notes.append(
            f"{len(absent)} annotations have no variant in the calibrating windows, first `{absent[0]}`: their numbers are the plug-in's"
        )
    dropped = [names[k] for k in range(1, len(columns.names) + 1) if k not in kept and names[k] not in absent]
    if dropped:
        notes.append(
            f"{len(dropped)} annotations are sums of others, first `{dropped[0]}`: they are reported, not calibrated"
        )
    if len(kept) + 1 > len(source.windows) / 2:
        notes.append(
            f"{len(kept) + 1} parameters are estimated from {len(source.windows)} windows: errors are rough. Name fewer annotations with "
            "--channels"
        )
    return Stacked(parts, kept), notes


def own_directions(source: PriorSource) -> Features:
    """Directions in which the prior itself may be off: coefficients of a constant or linear model, whose sampling error is counted so.

    For others log f, standardised over variants of positive f and limited to 5 standard deviations: a network may be too sure or not sure enough
    of its differences, and enrichments would inherit that.
    """
    if source.own is not None:
        return as_features(source.own.values)
    some = source.f > 0
    log_f = np.zeros(source.f.size)
    log_f[some] = np.log(source.f[some])
    log_f[some] -= log_f[some].mean()
    spread = float(log_f[some].std())
    return HeldFeatures(np.clip(log_f / (spread or 1.0), -LIMIT, LIMIT)[:, None])


def independent_of(parts: Sequence[Features], source: PriorSource) -> Features:
    """Directions side by side without those that earlier ones span on the calibrating windows."""
    return Stacked(parts, pivots(gram(Stacked(parts), source.seen)))
