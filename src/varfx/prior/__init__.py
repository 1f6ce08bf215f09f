"""Priors from GWAS: what the command line calls; the Python API has the same words."""

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
