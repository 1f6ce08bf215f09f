"""Priors from GWAS: the commands as functions; the Python API has the words of the command line.

Imports every room above. Start with `fit`, then `evaluate`, `predict` and `weights`; `run` is a fitted prior on disk. Names load
when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.ancestries.fit import fit_ancestries
    from varfx.prior.ancestries.run import AncestryRun, open_ancestries
    from varfx.prior.config import SplitConfig
    from varfx.prior.evaluate import Evaluation, evaluate
    from varfx.prior.fit import fit
    from varfx.prior.foreign import evaluate_variances
    from varfx.prior.predict import predict, write_prediction
    from varfx.prior.run import Run, open_run
    from varfx.prior.simulation.config import SimulateConfig, TruthConfig
    from varfx.prior.simulation.simulate import Simulation, simulate
    from varfx.prior.weights import weights, write_weights

__all__ = [
    "AncestryRun",
    "Evaluation",
    "Run",
    "SimulateConfig",
    "Simulation",
    "SplitConfig",
    "TruthConfig",
    "evaluate",
    "evaluate_variances",
    "fit",
    "fit_ancestries",
    "open_ancestries",
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
        "ancestries.fit": "fit_ancestries",
        "ancestries.run": "AncestryRun open_ancestries",
        "config": "SplitConfig",
        "evaluate": "Evaluation evaluate",
        "fit": "fit",
        "foreign": "evaluate_variances",
        "predict": "predict write_prediction",
        "run": "Run open_run",
        "simulation.config": "SimulateConfig TruthConfig",
        "simulation.simulate": "Simulation simulate",
        "weights": "weights write_weights",
    },
)
