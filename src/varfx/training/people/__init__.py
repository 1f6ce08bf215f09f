"""Training of expression networks on individuals: batches of one gene, the pairwise loss, predictions.

Start with `fit` (the loop), then `module` (a step) and `pairwise` (the loss); `predict` needs no Lightning. Names load when first
used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.training.people.batches import GeneBatches
    from varfx.training.people.config import ExpressionTrainConfig
    from varfx.training.people.fit import ExpressionOutcome, train_expression
    from varfx.training.people.module import ExpressionModule
    from varfx.training.people.predict import calibrate, predict

__all__ = [
    "ExpressionModule",
    "ExpressionOutcome",
    "ExpressionTrainConfig",
    "GeneBatches",
    "calibrate",
    "predict",
    "train_expression",
]

export(
    __name__,
    {
        "batches": "GeneBatches",
        "config": "ExpressionTrainConfig",
        "fit": "ExpressionOutcome train_expression",
        "module": "ExpressionModule",
        "predict": "calibrate predict",
    },
)
