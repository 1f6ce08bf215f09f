"""Polygenic scores of individuals: weights matched to genotypes, summed, and compared with a phenotype.

Start with `score` (sums per individual); `weights_file` reads weights, `dosages` genotypes, `worth` judges a score by a phenotype.
Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.polygenic.config import ScoreConfig
    from varfx.prior.polygenic.score import Scores, score, write_scores
    from varfx.prior.polygenic.weights_file import read_weights
    from varfx.prior.polygenic.worth import Worth, read_phenotype, worth

__all__ = [
    "ScoreConfig",
    "Scores",
    "Worth",
    "read_phenotype",
    "read_weights",
    "score",
    "worth",
    "write_scores",
]

export(
    __name__,
    {
        "config": "ScoreConfig",
        "score": "Scores score write_scores",
        "weights_file": "read_weights",
        "worth": "Worth read_phenotype worth",
    },
)
