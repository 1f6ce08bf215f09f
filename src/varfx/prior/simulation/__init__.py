"""Associations simulated from a known truth, and how close a fitted prior comes to it.

Start with `simulate` (the command), then `truth_network` (the variances that are true) and `truth` (the comparison).
Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.simulation.config import SimulateConfig, TruthConfig
    from varfx.prior.simulation.simulate import Simulation, simulate
    from varfx.prior.simulation.truth import TruthComparison, compare_with_truth

__all__ = [
    "SimulateConfig",
    "Simulation",
    "TruthComparison",
    "TruthConfig",
    "compare_with_truth",
    "simulate",
]

export(
    __name__,
    {
        "config": "SimulateConfig TruthConfig",
        "simulate": "Simulation simulate",
        "truth": "TruthComparison compare_with_truth",
    },
)
