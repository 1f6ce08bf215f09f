"""A panel of 24 windows and sources of variances on it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy import ndarray

from cases.heritability import Draw, drawn, kept_in_memory, source
from cases.simulated_panel import N, Simulated, simulate
from varfx.annotations import Annotations, read_annotations
from varfx.prior.heritability.source import PriorSource

SIZE = 40 * 24


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """The simulated study with 24 windows."""
    return simulate(tmp_path_factory.mktemp("wide"), chroms=3, cores=8)


@pytest.fixture(scope="session")
def truth(wide: Simulated) -> ndarray:
    """True N f, weaker than `wide.F`."""
    return wide.F * 0.4


@pytest.fixture(scope="session")
def draw(wide: Simulated, truth: ndarray) -> Draw:
    """A trait drawn with the truth, and a black box that knows neither level nor annotation."""
    panel = kept_in_memory(wide.open())
    shape = np.exp(0.5 * np.random.default_rng(5).standard_normal(SIZE))

    def one(seed: int) -> PriorSource:
        rng = np.random.default_rng([seed, 3])
        beta = rng.standard_normal(SIZE) * np.sqrt(truth * shape)
        return source(panel, drawn(panel, rng, beta), 0.05 * shape / N)

    return one


@pytest.fixture(scope="session")
def expected(truth: ndarray) -> ndarray:
    """True F of each variant in `draw`."""
    return np.asarray(truth * np.exp(0.5 * np.random.default_rng(5).standard_normal(SIZE)))


@pytest.fixture(scope="session")
def active(wide: Simulated) -> Annotations:
    """The annotation `active` alone."""
    table = read_annotations(wide.annot).table
    return Annotations(table=table.select(*table.columns[:5], "active"))
