"""What all tests share: where the real data is, and a fixed seed per test."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from simulated_panel import Simulated, simulate

SHARED_DATA = Path(os.environ.get("VARFX_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not SHARED_DATA.is_dir():
        for item in items:
            if item.get_closest_marker("shared_data"):
                item.add_marker(pytest.mark.skip(reason=f"real data absent: set VARFX_DATA (looked in {SHARED_DATA})"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; use together with `@pytest.mark.shared_data`."""
    return SHARED_DATA


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """A small panel with traits and annotations, as files; do not change them."""
    return simulate(tmp_path_factory.mktemp("simulated"))
