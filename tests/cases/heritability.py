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


def drawn(
    panel: LDPanel, rng: np.random.Generator, beta: ndarray, shared: ndarray | None = None, share: float = 0.0
) -> ndarray:
    """z of effects in units of 1 / sqrt(N), exactly as the model has it: `V lam^1/2 (B beta + e)`.

    Args:
        panel: the LD.
        rng: of the noise e.
        beta: effects.
        shared: noise on the panel's rows that another trait has too.
        share: its part of the variance of e.
    """
    z = np.zeros(beta.size)
    for index in range(len(panel.cores)):
        window = panel.window(index)
        lam, V = window.factors.lam, window.factors.V
        e = np.sqrt(1 - share) * rng.standard_normal(lam.size)
        if shared is not None:
            e = e + np.sqrt(share) * shared[window.core_rows][: lam.size]
        z[window.core_rows] = V @ (np.sqrt(lam) * (window.factors.B @ beta[window.panel_rows] + e))
    return z


def kept_in_memory(panel: LDPanel) -> LDPanel:
    """The panel with windows that are read from disk once, for many traits."""
    for name in ("window", "rows"):
        object.__setattr__(panel, name, cache(getattr(panel, name)))
    return panel
