"""A sparse trait on the simulated panel; do not change it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.simulated_panel import Simulated
from cases.sparse_trait import write_sparse_trait


@pytest.fixture(scope="session")
def sparse_trait(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sparse_trait(simulated, tmp_path_factory.mktemp("sparse") / "sparse.sumstats.parquet")
