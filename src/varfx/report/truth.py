"""A fitted prior against the f that a simulation was drawn from, by tenths of predicted f."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from varfx.report.style import BLUE, GREY, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def calibration(truth: Mapping[str, Any]) -> Figure:
    """A figure: left mean true f against mean predicted f, right the observed over the expected squared scores.

    Args:
        truth: the entry `truth` of an evaluation.
    """
    from matplotlib.figure import Figure

    groups = truth["calibration"]
    known = [(each["mean_f"], each["mean_true_f"]) for each in groups if each["mean_true_f"] is not None]
    with styled():
        figure = Figure(figsize=(7.2, 3.3), layout="constrained")
        left, right = figure.subplots(1, 2)
        if known:
            low, high = min(map(min, known)), max(map(max, known))
            left.plot([low, high], [low, high], color=GREY, linewidth=0.8)
            left.loglog(*zip(*known, strict=True), "o", color=BLUE, markersize=5)
        left.set(xlabel="mean predicted f", ylabel="mean true f", title=f"RMSE of log f {truth['rmse_log_f']:.2f}")
        right.axhline(1, color=GREY, linewidth=0.8)
        for each in groups:
            if each["ratio_ci95"] is not None:
                right.plot([each["group"]] * 2, each["ratio_ci95"], color=BLUE, linewidth=1.5)
            right.plot(each["group"], each["ratio"], "o", color=BLUE, markersize=5)
        right.set_xticks([each["group"] for each in groups])
        right.set(xlabel="tenth by predicted f", ylabel="observed / expected", title="Squared scores of held-out data")
    return figure
