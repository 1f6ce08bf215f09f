"""Training: the only place that knows Lightning."""

from varfx.training.config import TrainConfig
from varfx.training.fit import TrainOutcome, train
from varfx.training.objective import Objective, prepare_objective
from varfx.training.score import total_log_p, total_score
from varfx.training.start import start_at_constant
from varfx.training.watch import History
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
