"""Directions in which a prior is calibrated: its level, annotations, and those in which it may itself be off."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from varfx.prior.heritability.columns import LIMIT, AnnotationColumns, independent
from varfx.prior.heritability.source import PriorSource


def calibration_directions(
    source: PriorSource, columns: AnnotationColumns
) -> tuple[Float[ndarray, "variant direction"], list[str]]:
    """1, the annotations, and the prior's own directions, without those that others span on the calibrating windows; and notes."""
    slope = np.ones(source.f.size) if source.own is None else source.own.slope
    parts = [np.ones((source.f.size, 1)), slope[:, None] * columns.directions(), own_directions(source)]
    names = ["level", *columns.names]
    stacked = np.hstack(parts)
    seen = stacked[source.seen]
    kept = independent(seen)
    notes = []
    absent = [names[k] for k in range(1, len(columns.names) + 1) if not seen[:, k].any()]
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
    return np.ascontiguousarray(stacked[:, kept]), notes


def own_directions(source: PriorSource) -> Float[ndarray, "variant direction"]:
    """Directions in which the prior itself may be off: coefficients of a constant or linear model, whose sampling error is counted so.

    For others log f, standardised over variants of positive f and limited to 5 standard deviations: a network may be too sure or not sure enough
    of its differences, and enrichments would inherit that.
    """
    if source.own is not None:
        return source.own.values
    some = source.f > 0
    log_f = np.zeros(source.f.size)
    log_f[some] = np.log(source.f[some])
    log_f[some] -= log_f[some].mean()
    spread = float(log_f[some].std())
    return np.clip(log_f / (spread or 1.0), -LIMIT, LIMIT)[:, None]
