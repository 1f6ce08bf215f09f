"""Quality control of the windows of a panel: one core at a time, and what is usual for the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.ld import LDPanel
from varfx.ld.gaps import LEAST_RANK
from varfx.qc.marks import Baseline
from varfx.qc.variants import VariantChecks, check_variants
from varfx.qc.window import WindowCheck, check_window, directions_of

MOST_WINDOWS, MOST_LARGE = (
    64,
    24,
)  # looked at for a baseline; of those of rank 512 and more, of which each takes seconds


def check_core(panel: LDPanel, index: int, z: Float[ndarray, " variant"]) -> WindowCheck | None:
    """How well the LD of one core fits its associations; None if it has none.

    Args:
        panel: the LD panel.
        index: number of the core.
        z: associations on the panel's rows, NaN for none.

    Raises:
        StoreError: the panel is damaged.
    """
    window = panel.own(index)
    values = z[window.core_rows]
    observed = np.flatnonzero(np.isfinite(values))
    if not observed.size:
        return None
    square_norm = panel.windows["square_norm"][index]
    return check_window(values[observed], directions_of(window.factors.lam, window.factors.V, observed, square_norm))


def check_core_variants(
    panel: LDPanel, index: int, z: Float[ndarray, " variant"], s: float
) -> tuple[Int[ndarray, " observed"], VariantChecks]:
    """Panel rows of a core's associations, and how each fits the others.

    Args:
        panel: the LD panel.
        index: number of the core.
        z: associations on the panel's rows, NaN for none.
        s: the core's `estimate_s`.
    """
    window = panel.own(index)
    rows = window.core_rows
    observed = np.isfinite(z[rows])
    U = window.factors.V[observed].astype(np.float64) * np.sqrt(window.factors.lam)
    lacking = np.maximum(0.0, 1 - np.einsum("jr,jr->j", U, U))
    return rows[observed], check_variants(z[rows[observed]], U, lacking, s)


def spread_of(n: Float[ndarray, " variant"], rows: Int[ndarray, " observed"]) -> float:
    """Standard deviation of the sample sizes over their mean."""
    sizes = n[rows]
    sizes = sizes[np.isfinite(sizes)]
    return float(sizes.std() / sizes.mean()) if sizes.size else 0.0


def baseline_of(panel: LDPanel, z: Float[ndarray, " variant"], indexes: Sequence[int] | None = None) -> Baseline | None:
    """What is usual for the panel: medians over some of its windows; None for fewer than 10.

    Args:
        panel: the LD panel.
        z: associations on the panel's rows, NaN for none.
        indexes: numbers of the cores to choose from; by default all.
    """
    chosen = evenly_spaced(panel, indexes)
    checks = [check_core(panel, int(index), z) for index in chosen]
    return Baseline.of([check for check in checks if check is not None])


def evenly_spaced(panel: LDPanel, indexes: Sequence[int] | None = None) -> Int[ndarray, " window"]:
    """Up to 64 of a panel's windows, 24 of those of a mean rank of 512 and more.

    Args:
        panel: the LD panel.
        indexes: numbers of the cores to choose from; by default all.
    """
    chosen = np.arange(len(panel.cores)) if indexes is None else np.asarray(indexes)
    large = float(panel.windows["rank"].to_numpy()[chosen].mean()) >= LEAST_RANK if chosen.size else False
    most = MOST_LARGE if large else MOST_WINDOWS
    return chosen if chosen.size <= most else chosen[np.linspace(0, chosen.size - 1, most).astype(int)]


def lacks_square_norm(panel: LDPanel) -> bool:
    """Whether the panel was built before it kept |R|^2 per window, which the p-value of the energy needs."""
    return panel.windows["square_norm"].null_count() > 0
