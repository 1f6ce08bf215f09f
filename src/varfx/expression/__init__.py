"""Expression from personal genomes: cohorts, sequence models, and the linear models they are judged by.

`cohort` holds individuals, `linear` and `network` predict, `variants` scores, `explain` says what variants do, `transfer` goes to another cohort, `twas` to traits; `evaluate` compares
runs on held-out individuals and genes. Start with `cohort`, then `evaluate`. Imports every room above; names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.expression.cohort.store import Cohort, open_cohort
    from varfx.expression.evaluate import ExpressionEvaluation, evaluate
    from varfx.expression.evaluation_config import EvaluationConfig
    from varfx.expression.explain.config import ExplainConfig
    from varfx.expression.explain.explain import explain_variants
    from varfx.expression.linear.config import BaselineConfig
    from varfx.expression.linear.run import fit_baselines
    from varfx.expression.network.config import FitConfig
    from varfx.expression.network.fit import fit_network
    from varfx.expression.run import ExpressionRun, open_run
    from varfx.expression.selection import SelectedGenes, select_genes
    from varfx.expression.selection_config import SelectionConfig
    from varfx.expression.transfer.config import TransferConfig
    from varfx.expression.transfer.predict import predict_elsewhere
    from varfx.expression.twas.export import export_weights
    from varfx.expression.twas.twas import twas
    from varfx.expression.variants.config import VariantConfig
    from varfx.expression.variants.score import score_variants

__all__ = [
    "BaselineConfig",
    "Cohort",
    "EvaluationConfig",
    "ExplainConfig",
    "ExpressionEvaluation",
    "ExpressionRun",
    "FitConfig",
    "SelectedGenes",
    "SelectionConfig",
    "TransferConfig",
    "VariantConfig",
    "evaluate",
    "explain_variants",
    "export_weights",
    "fit_baselines",
    "fit_network",
    "open_cohort",
    "open_run",
    "predict_elsewhere",
    "score_variants",
    "select_genes",
    "twas",
]

export(
    __name__,
    {
        "cohort.store": "Cohort open_cohort",
        "evaluate": "ExpressionEvaluation evaluate",
        "evaluation_config": "EvaluationConfig",
        "explain.config": "ExplainConfig",
        "explain.explain": "explain_variants",
        "linear.config": "BaselineConfig",
        "linear.run": "fit_baselines",
        "network.config": "FitConfig",
        "network.fit": "fit_network",
        "run": "ExpressionRun open_run",
        "selection": "SelectedGenes select_genes",
        "selection_config": "SelectionConfig",
        "transfer.config": "TransferConfig",
        "transfer.predict": "predict_elsewhere",
        "twas.export": "export_weights",
        "twas.twas": "twas",
        "variants.config": "VariantConfig",
        "variants.score": "score_variants",
    },
)
