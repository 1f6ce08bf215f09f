"""Heritability and enrichment under any variance prior: total, per annotation, of the variants of largest f; score tests of new annotations.

Start with `estimate` (the command), then `calibrate` (the prior brought to the likelihood) and `quantities` (what is computed from it);
`source` says where f comes from, `score_test` tests annotations without refitting, `files` writes. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.heritability.config import HeritabilityConfig
    from varfx.prior.heritability.estimate import Heritability, heritability, variant_scores
    from varfx.prior.heritability.files import write_heritability
    from varfx.prior.heritability.score_test import ScoreTest, ScoreTests, score_test
    from varfx.prior.heritability.source import (
        PriorSource,
        source_of_cross_fit,
        source_of_run,
        source_of_variances,
    )

__all__ = [
    "Heritability",
    "HeritabilityConfig",
    "PriorSource",
    "ScoreTest",
    "ScoreTests",
    "heritability",
    "score_test",
    "source_of_cross_fit",
    "source_of_run",
    "source_of_variances",
    "variant_scores",
    "write_heritability",
]

export(
    __name__,
    {
        "config": "HeritabilityConfig",
        "estimate": "Heritability heritability variant_scores",
        "files": "write_heritability",
        "score_test": "ScoreTest ScoreTests score_test",
        "source": "PriorSource source_of_cross_fit source_of_run source_of_variances",
    },
)
