"""Experiments written as YAML: data, models and objectives, run cell by cell and resumable.

Start with `config` (what a file may say), then `run` (the command) and `cells` (one fit). `materials` prepares the data.
Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.experiment.config import Experiment, read_experiment
    from varfx.prior.experiment.run import Outcome, run_experiment

__all__ = [
    "Experiment",
    "Outcome",
    "read_experiment",
    "run_experiment",
]

export(
    __name__,
    {
        "config": "Experiment read_experiment",
        "run": "Outcome run_experiment",
    },
)
