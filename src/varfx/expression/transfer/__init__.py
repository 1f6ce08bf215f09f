"""Models of one cohort on the individuals of another: variants matched, predictions, and who is in both cohorts.

`others` reads foreign genotypes, `window` brings them to a gene's window, `linear` and `network` predict (`indels` with insertions and deletions), `same_people` finds who is in
both cohorts, `judged` prepares an evaluation. Start with `predict` (the command `expr predict`). Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.expression.transfer.config import TransferConfig
    from varfx.expression.transfer.others import Others, open_others
    from varfx.expression.transfer.predict import TransferPredictions, predict_elsewhere, predict_others

__all__ = ["Others", "TransferConfig", "TransferPredictions", "open_others", "predict_elsewhere", "predict_others"]

export(
    __name__,
    {
        "config": "TransferConfig",
        "others": "Others open_others",
        "predict": "TransferPredictions predict_elsewhere predict_others",
    },
)
