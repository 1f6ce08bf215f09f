"""Seconds of the commands after a fit, by their arithmetic at measured rates of matrix products on the CPU.

Per window of rank r, m core and M panel variants (multiplications; large windows take `B F B'` in float32, all else is in float64):

    whitening     r^2 m + r^3                          without the few associations that a GWAS lacks
    scoring       r^2 M | 5/3 r^3                      log p and spectrum of one prior
    information   3/2 r^2 M + r M K | r^3              scores of K directions and their information
    pair          60 x 4 r M | 2 r^2 m + 6 r^3         posterior means of two neighbouring cores, by conjugate gradients
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from varfx.prior.plan.job import Job

ROUNDS = 6.0  # Newton steps of `h2`, of which those on a sixth of the windows count a sixth
PAIR_STEPS = 60
NOT_PLANNED = "finemap, rg and mixtures of effects depend on what the associations hold, and are not planned"


@dataclass(frozen=True)
class Products:
    """Multiplications (with an addition each) per second of large matrix products on the CPU."""

    single: float
    double: float

    def seconds(self, single: float, double: float) -> float:
        """Of so many in float32 and float64."""
        return single / self.single + double / self.double


UNMEASURED = Products(math.inf, math.inf)


def command_seconds(
    job: Job, products: Products, *, read_panel: float, forward: float, holdout_share: float
) -> dict[str, float]:
    """Seconds of each command on one machine.

    Args:
        job: the windows, features and traits.
        products: rates of the CPU.
        read_panel: bytes of B read per second.
        forward: variants per second through the network.
        holdout_share: share of windows that no fit has seen.
    """
    r, m, M = (sizes.astype(np.float64) for sizes in (job.sizes.rank, job.sizes.num_core, job.sizes.num_panel))
    directions = job.num_features + 1

    def total(single: np.ndarray | float, double: np.ndarray, *, reads: float = 1.0) -> float:
        return (
            products.seconds(float(np.sum(single)), float(double.sum()))
            + reads * float(job.window_bytes.sum()) / read_panel
        )

    network = float(m.sum()) / forward
    whitening = r**2 * m + r**3
    once = total(1.5 * r**2 * M + r * M * directions, r**3)
    traits = job.num_traits
    return {
        "evaluate": traits * holdout_share * 2 * total(r**2 * M, whitening + 5 / 3 * r**3),
        "predict": network,
        "weights --effects normal": network
        + traits * total(PAIR_STEPS * 4 * r * M, whitening + 2 * r**2 * m + 6 * r**3),
        "h2": network + holdout_share * (total(0.0, whitening, reads=0) + 2 * ROUNDS * once),
        "score-test": network + holdout_share * (total(0.0, whitening, reads=0) + (ROUNDS + 1) * once),
        "qc": total(0.0, r**2 * m + 9 * r**3, reads=float((m / M).mean())),
        "ld export": total(0.0, m**2 * r, reads=float((m / M).mean())),
    }
