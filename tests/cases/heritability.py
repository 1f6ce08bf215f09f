"""Sources of variances on a simulated panel, annotations with further channels, and those that count the rows asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy import ndarray

from cases.simulated_panel import window_data
from varfx.annotations import Annotations
from varfx.annotations.channels import HeldChannels, Rows
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


@dataclass
class Counted(HeldChannels):
    """Channels in memory that note how many rows are asked for at a time."""

    names: tuple[str, ...]
    _values: ndarray
    asked: list[int] = field(default_factory=list)

    def read(self, rows: Rows) -> ndarray:
        found = self._values[rows]
        self.asked.append(len(found))
        return found

    def take(self, names: Any) -> Counted:
        return Counted(tuple(names), self._values[:, [self.names.index(name) for name in names]], self.asked)


@dataclass(frozen=True)
class Read:
    """Annotations whose channels are `Counted`."""

    table: Annotations
    asked: list[int] = field(default_factory=list)

    @property
    def channels(self) -> tuple[str, ...]:
        return self.table.channels

    @property
    def height(self) -> int:
        return self.table.height

    def on(self, wanted: Any) -> Counted:
        held = self.table.on(wanted)
        return Counted(held.names, held.read(slice(None)), self.asked)
