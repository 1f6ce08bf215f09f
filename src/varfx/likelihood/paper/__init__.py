"""The paper's own four ways (its Figure 2): ridged marginal likelihood by Cholesky and by CG with three preconditioners.

Baselines for comparison; `prior fit` never uses them. Start with `ridged`, then `published` (the published trainer's step).
Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.likelihood.paper.nystrom import Nystrom, nystrom
    from varfx.likelihood.paper.published import published_step
    from varfx.likelihood.paper.ridged import PaperWindow, cholesky, iterative

__all__ = [
    "Nystrom",
    "PaperWindow",
    "cholesky",
    "iterative",
    "nystrom",
    "published_step",
]

export(
    __name__,
    {
        "nystrom": "Nystrom nystrom",
        "published": "published_step",
        "ridged": "PaperWindow cholesky iterative",
    },
)
