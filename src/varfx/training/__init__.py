"""Training of priors (`gwas`) and of expression networks on individuals (`people`): the only room that knows Lightning.

`gwas` and `people` hold what is fitted: data of a step, loss, configuration. Start with `gwas/fit` or `people/fit`. Names load
when first used: the data of a window, for example, without Lightning.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.training.gwas.config import Objective, TrainConfig
    from varfx.training.gwas.fit import TrainOutcome, train
    from varfx.training.gwas.objective import prepare_objective
    from varfx.training.gwas.score import total_log_p, total_score
    from varfx.training.gwas.start import start_at_constant
    from varfx.training.gwas.windows import PriorWindow, TraitData, WindowData
    from varfx.training.history import History

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

export(
    __name__,
    {
        "gwas.config": "Objective TrainConfig",
        "gwas.fit": "TrainOutcome train",
        "gwas.objective": "prepare_objective",
        "gwas.score": "total_log_p total_score",
        "gwas.start": "start_at_constant",
        "gwas.windows": "PriorWindow TraitData WindowData",
        "history": "History",
    },
)
