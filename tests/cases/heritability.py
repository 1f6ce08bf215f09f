"""Sources of variances on a simulated panel, and annotations with further channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import torch
from numpy import ndarray

from cases.simulated_panel import window_data
from varfx.annotations import Annotations
from varfx.ld import LDPanel
from varfx.prior.heritability.source import PriorSource

Draw = Callable[[int], PriorSource]


def source(panel: LDPanel, z: ndarray, f: ndarray, sigma2: float = 1.0) -> PriorSource:
    return PriorSource(
        name="prior",
        trait="trait0",
        panel=panel,
        data=window_data(panel, z, dtype=torch.float64),
        variants=panel.variants,
        f=f,
        sigma2=sigma2,
        own=None,
        windows=tuple(range(len(panel.cores))),
        counted=np.ones(panel.variants.height, dtype=bool),
        notes=(),
    )


def with_channel(annotations: Annotations, name: str, values: ndarray) -> Annotations:
    column = pl.Series(name, values.astype(np.float32))
    return replace(annotations, table=annotations.table.with_columns(column))


def kept_in_memory(panel: LDPanel) -> LDPanel:
    """The panel with windows that are read from disk once, for many traits."""
    for name in ("window", "rows"):
        object.__setattr__(panel, name, cache(getattr(panel, name)))
    return panel
