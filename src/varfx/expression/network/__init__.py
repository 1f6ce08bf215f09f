"""Sequence models of expression: personal sequences, batches, fine-tuning, zero-shot predictions.

Start with `fit` (the command `expr fit`), then `sequences` (bases of each individual around a gene). Training itself is in
`training/people`. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.expression.network.batches import CohortBatches
    from varfx.expression.network.config import FitConfig, ZeroShotConfig
    from varfx.expression.network.fit import fit_network
    from varfx.expression.network.opened import open_network
    from varfx.expression.network.sequences import WindowSequences, WindowVariants
    from varfx.expression.network.zero_shot import predict_zero_shot

__all__ = [
    "CohortBatches",
    "FitConfig",
    "WindowSequences",
    "WindowVariants",
    "ZeroShotConfig",
    "fit_network",
    "open_network",
    "predict_zero_shot",
]

export(
    __name__,
    {
        "batches": "CohortBatches",
        "config": "FitConfig ZeroShotConfig",
        "fit": "fit_network",
        "opened": "open_network",
        "sequences": "WindowSequences WindowVariants",
        "zero_shot": "predict_zero_shot",
    },
)
