"""Linear models of expression: elastic net and ridge, BLUP, informed BLUP, the best single variant.

Start with `run` (the command `expr baseline`), then `gene` (all models of one gene). `heritability` and `informed` estimate
variances by likelihood. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.expression.linear.blup import fit_blup, fit_top1
    from varfx.expression.linear.config import BaselineConfig, InformedConfig
    from varfx.expression.linear.gene import GeneFits, fit_gene
    from varfx.expression.linear.heritability import Heritability, reml
    from varfx.expression.linear.informed import LearnedPrior, learn_prior
    from varfx.expression.linear.penalised import fit_penalised
    from varfx.expression.linear.run import fit_baselines

__all__ = [
    "BaselineConfig",
    "GeneFits",
    "Heritability",
    "InformedConfig",
    "LearnedPrior",
    "fit_baselines",
    "fit_blup",
    "fit_gene",
    "fit_penalised",
    "fit_top1",
    "learn_prior",
    "reml",
]

export(
    __name__,
    {
        "blup": "fit_blup fit_top1",
        "config": "BaselineConfig InformedConfig",
        "gene": "GeneFits fit_gene",
        "heritability": "Heritability reml",
        "informed": "LearnedPrior learn_prior",
        "penalised": "fit_penalised",
        "run": "fit_baselines",
    },
)
