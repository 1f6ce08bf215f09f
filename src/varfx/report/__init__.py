"""Pictures of fits and priors. This package draws and computes nothing; each function returns a matplotlib figure."""

from varfx.report.expression import draw_evaluation, model_means, model_scatter
from varfx.report.gain import gain_by_window, gain_table
from varfx.report.manhattan import manhattan
from varfx.report.style import save
from varfx.report.training import training_curve

__all__ = [
    "draw_evaluation",
    "gain_by_window",
    "gain_table",
    "manhattan",
    "model_means",
    "model_scatter",
    "save",
    "training_curve",
]
