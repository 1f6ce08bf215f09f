"""Effects of variants on expression: in-silico mutagenesis, gradients, drivers.

Start with `score` (the command `expr variants`), then `ism` (effects by exchanged bases) and `drivers` (variants that
explain a prediction); `effects` joins networks and linear models. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.expression.variants.compare import ScoreComparison, compare_scores
    from varfx.expression.variants.config import VariantConfig
    from varfx.expression.variants.drivers import Drivers, DriverScore, driver_score, find_drivers
    from varfx.expression.variants.gradients import people_attribution, reference_attribution
    from varfx.expression.variants.ism import Mutagenesis, mutagenesis
    from varfx.expression.variants.score import VariantScores, score_variants
    from varfx.expression.variants.table import as_annotations

__all__ = [
    "DriverScore",
    "Drivers",
    "Mutagenesis",
    "ScoreComparison",
    "VariantConfig",
    "VariantScores",
    "as_annotations",
    "compare_scores",
    "driver_score",
    "find_drivers",
    "mutagenesis",
    "people_attribution",
    "reference_attribution",
    "score_variants",
]

export(
    __name__,
    {
        "drivers": "DriverScore Drivers driver_score find_drivers",
        "gradients": "people_attribution reference_attribution",
        "ism": "Mutagenesis mutagenesis",
        "compare": "ScoreComparison compare_scores",
        "config": "VariantConfig",
        "score": "VariantScores score_variants",
        "table": "as_annotations",
    },
)
