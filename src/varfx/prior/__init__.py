"""Priors from GWAS: what the command line calls; the Python API has the same words.

Start with `fit`, then `evaluate`, `predict` and `weights`; `run` is a fitted prior on disk. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.evaluate import Evaluation, evaluate, evaluate_variances
    from varfx.prior.fit import fit
    from varfx.prior.predict import predict, write_prediction
    from varfx.prior.run import Run, open_run
    from varfx.prior.simulation.simulate import SimulateConfig, Simulation, simulate
    from varfx.prior.simulation.truth_network import TruthConfig
    from varfx.prior.split import SplitConfig
    from varfx.prior.weights import weights, write_weights

__all__ = [
    "Evaluation",
    "Run",
    "SimulateConfig",
    "Simulation",
    "SplitConfig",
    "TruthConfig",
    "evaluate",
    "evaluate_variances",
    "fit",
    "open_run",
    "predict",
    "simulate",
    "weights",
    "write_prediction",
    "write_weights",
]

export(
    __name__,
    {
        "evaluate": "Evaluation evaluate evaluate_variances",
        "fit": "fit",
        "predict": "predict write_prediction",
        "run": "Run open_run",
        "simulation.simulate": "SimulateConfig Simulation simulate",
        "simulation.truth_network": "TruthConfig",
        "split": "SplitConfig",
        "weights": "weights write_weights",
    },
)
