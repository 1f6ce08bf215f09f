"""Training: the only place that knows Lightning."""

from varfx.training.fit import History, TrainConfig, TrainOutcome, total_log_p, train
from varfx.training.start import start_at_constant
from varfx.training.windows import PriorWindow, TraitData, WindowData

__all__ = [
    "History",
    "PriorWindow",
    "TrainConfig",
    "TrainOutcome",
    "TraitData",
    "WindowData",
    "start_at_constant",
    "total_log_p",
    "train",
]
