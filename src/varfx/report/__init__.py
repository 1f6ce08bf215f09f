"""Pictures of fits and priors. This package draws and computes nothing; each function returns a matplotlib figure."""

from varfx.report.gain import gain_by_window, gain_table
from varfx.report.manhattan import manhattan
from varfx.report.style import save
from varfx.report.training import training_curve

__all__ = ["gain_by_window", "gain_table", "manhattan", "save", "training_curve"]
