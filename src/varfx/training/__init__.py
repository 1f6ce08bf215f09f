"""Training: the only place that knows Lightning."""

from varfx.training.gwas.config import TrainConfig
from varfx.training.gwas.fit import TrainOutcome, train
from varfx.training.gwas.objective import Objective, prepare_objective
from varfx.training.gwas.score import total_log_p, total_score
from varfx.training.gwas.start import start_at_constant
from varfx.training.gwas.windows import PriorWindow, TraitData, WindowData
from varfx.training.watch import History

__all__ = [
    "History",
    "Objective",
    "PriorWindow",
    "TrainConfig",
    "TrainOutcome",
    "TraitData",
    "WindowData",
    "prepare_objective",
    "start_at_constant",
    "total_log_p",
    "total_score",
    "train",
]
