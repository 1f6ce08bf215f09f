"""A trait with three causal variants on the panel of `simulated_panel`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cases.simulated_panel import Simulated, associations, sumstats

N = 100_000.0
CAUSAL = (35, 44)  # on both sides of the first core's edge
OTHER = 250  # on chromosome 2


def write_sparse_trait(simulated: Simulated, path: Path, *, n: np.ndarray | None = None) -> Path:
    """Summary statistics; every ninth variant has no association."""
    rng = np.random.default_rng(3)
    panel = simulated.open()
    beta = np.zeros(panel.variants.height)
    beta[list(CAUSAL)] = [14.0, -13.0]
    beta[OTHER] = 12.0
    z = np.hstack([associations(rng, simulated.X[:, i : i + 160], beta[i : i + 160]) for i in (0, 160, 320)])
    z[4::9] = np.nan
    assert np.isfinite(z[[*CAUSAL, OTHER]]).all()
    sumstats(panel, z, np.full(z.size, N) if n is None else n, "sparse").write(path)
    return path
