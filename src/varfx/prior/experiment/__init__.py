"""Experiments written as YAML: which data, which models, which objectives; run cell by cell, resumable."""

from varfx.prior.experiment.config import Experiment, read_experiment
from varfx.prior.experiment.run import Outcome, run_experiment

__all__ = ["Experiment", "Outcome", "read_experiment", "run_experiment"]
