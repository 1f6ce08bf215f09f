"""Association of predicted expression with a trait: weights for other tools, and the test from summary statistics.

`models` holds linear models of genes, `from_run` takes them from a run, `predictdb`, `fusion` and `prs` are their files (`r_data`
writes those of R), `associate` tests one gene. Start with `export` and `twas` (the commands). Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.expression.twas.config import ExportConfig, TwasConfig
    from varfx.expression.twas.export import export_weights
    from varfx.expression.twas.models import GeneModels
    from varfx.expression.twas.twas import TwasResult, twas

__all__ = ["ExportConfig", "GeneModels", "TwasConfig", "TwasResult", "export_weights", "twas"]

export(
    __name__,
    {
        "config": "ExportConfig TwasConfig",
        "export": "export_weights",
        "models": "GeneModels",
        "twas": "TwasResult twas",
    },
)
