"""Training: the only place that knows Lightning."""

from varfx.training.fit import History, TrainConfig, TrainOutcome, total_log_p, total_score, train
from varfx.training.objective import Objective, prepare_objective
from varfx.training.start import start_at_constant
from varfx.training.windows import PriorWindow, TraitData, WindowData

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
