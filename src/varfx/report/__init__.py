"""Figures of fits, priors and expression. Draws and computes nothing; each function returns a matplotlib figure.

Imports `io` and errors only: what is drawn arrives as tables and mappings. Start with `manhattan` and `gain`; `style` has the
colours and `save`. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.report.expression import draw_evaluation, model_means, model_scatter
    from varfx.report.gain import gain_by_window, gain_table
    from varfx.report.manhattan import manhattan
    from varfx.report.style import save, save_all
    from varfx.report.training import training_curve

__all__ = [
    "draw_evaluation",
    "gain_by_window",
    "gain_table",
    "manhattan",
    "model_means",
    "model_scatter",
    "save",
    "save_all",
    "training_curve",
]

export(
    __name__,
    {
        "expression": "draw_evaluation model_means model_scatter",
        "gain": "gain_by_window gain_table",
        "manhattan": "manhattan",
        "style": "save save_all",
        "training": "training_curve",
    },
)
