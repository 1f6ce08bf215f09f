"""Training of priors on windows of GWAS associations.

Start with `fit` (the loop), then `module` (a step), `windows` (its data) and `start` (the constant model's optimum). Names load when
first used: data and objective need no Lightning.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.training.gwas.config import Objective, TrainConfig
    from varfx.training.gwas.fit import TrainOutcome, train
    from varfx.training.gwas.module import PriorModule
    from varfx.training.gwas.windows import PriorWindow, TraitData, WindowData

__all__ = [
    "Objective",
    "PriorModule",
    "PriorWindow",
    "TrainConfig",
    "TrainOutcome",
    "TraitData",
    "WindowData",
    "train",
]

export(
    __name__,
    {
        "config": "Objective TrainConfig",
        "fit": "TrainOutcome train",
        "module": "PriorModule",
        "windows": "PriorWindow TraitData WindowData",
    },
)
