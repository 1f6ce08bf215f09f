"""The figure of an experiment: a row per model, a colour per objective; the error of log f, or the gain with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from varfx.errors import DataError
from varfx.report.style import COLOURS, GREY, MARKERS, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(results: Sequence[dict[str, Any]], summary: Sequence[dict[str, Any]], *, title: str, error: bool) -> Figure:
    """Large marks are means over traits and seeds, small ones the fits; lines are 95 % intervals of one fit's gain.

    Args:
        results: one entry a fit.
        summary: one entry a model and objective.
        title: above it.
        error: whether the error of log f is drawn, else the gain.

    Raises:
        DataError: there is nothing to draw.
    """
    if not summary:
        raise DataError("`summary` is empty: there is nothing to draw.")
    value = "rmse_log_f" if error else "gain"
    models = list(dict.fromkeys(entry["model"] for entry in summary))
    objectives = list(dict.fromkeys(entry["objective"] for entry in summary))
    with styled():
        drawn, (axes,) = panels(6.4, 1.3 + 0.55 * len(models))
        for number, objective in enumerate(objectives):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            offset = (number - (len(objectives) - 1) / 2) * 0.26
            labelled = False
            for entry in summary:
                if entry["objective"] != objective or entry[value] is None:
                    continue
                row = models.index(entry["model"]) + offset
                fits = [each for each in results if (each["model"], each["objective"]) == (entry["model"], objective)]
                if entry["gain_ci95"] is not None and not error:
                    axes.plot(entry["gain_ci95"], [row, row], color=colour, linewidth=2, solid_capstyle="round")
                if len(fits) > 1:
                    axes.plot(
                        [each[value] for each in fits],
                        [row] * len(fits),
                        marker,
                        color=colour,
                        markersize=3.5,
                        alpha=0.5,
                    )
                axes.plot(entry[value], row, marker, color=colour, markersize=7, label=None if labelled else objective)
                labelled = True
        axes.set_yticks(range(len(models)), models)
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        if error:
            axes.set_xlim(left=0)
        else:
            axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        xlabel = "RMSE of log f on held-out windows" if error else "held-out gain over no heritability (nats)"
        axes.set(xlabel=xlabel, title=title)
        if len(objectives) > 1:
            drawn.legend(loc="outside right upper", title="trained by", alignment="left")
    return drawn
