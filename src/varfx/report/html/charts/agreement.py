"""Predicted against observed expression of a gene, in groups of individuals: means and their intervals, never single values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from varfx.report.html.blocks import Chart, Columns
from varfx.report.html.charts.layout import colours, spec, tooltip
from varfx.report.html.theme import GREY, SERIES
from varfx.report.style import panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def agreement(groups: Columns, *, name: str, models: Sequence[str], caption: str, alternative: str) -> Chart:
    """A point per group of individuals and model: mean observed against mean predicted expression.

    Args:
        groups: `model`, `predicted`, `observed`, `low`, `high` (95 % interval of the observed mean), `individuals`.
        name: of the chart.
        models: in the order of their colours.
        caption: below it.
        alternative: the picture in words.
    """
    domain, limits = _span(groups["predicted"]), _span([*groups["low"], *groups["high"]])
    x: dict[str, Any] = {
        "field": "predicted",
        "type": "quantitative",
        "title": "predicted expression, mean of a group (sd)",
        "scale": {"domain": domain, "nice": False, "zero": False},
    }
    y: dict[str, Any] = {
        "field": "observed",
        "type": "quantitative",
        "title": "observed expression, mean of the group (sd)",
        "scale": {"domain": limits, "nice": False, "zero": False},
    }
    shade = {
        "field": "model",
        "type": "nominal",
        "title": None,
        "scale": colours(models, [SERIES[k % len(SERIES)] for k in range(len(models))]),
        "legend": {"orient": "top"} if len(models) > 1 else None,
    }
    shown = tooltip(
        {"model": "model", "predicted": "predicted", "observed": "observed", "from": "low", "to": "high", "individuals": "individuals"},
        {"predicted": ".3f", "observed": ".3f", "low": ".3f", "high": ".3f"},
    )  # fmt: skip
    low, high = max(domain[0], limits[0]), min(domain[1], limits[1])
    line = {
        "data": {"values": [{"a": low}, {"a": high}] if high > low else []},
        "mark": {"type": "line", "color": GREY, "strokeDash": [5, 4], "clip": True},
        "encoding": {"x": {**x, "field": "a"}, "y": {**y, "field": "a"}},
    }
    layers = [
        line,
        {
            "data": {"name": "groups"},
            "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.6},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": shade},
        },
        {
            "data": {"name": "groups"},
            "mark": {"type": "circle", "size": 70, "opacity": 1},
            "encoding": {"x": x, "y": y, "color": shade, "tooltip": shown},
        },
    ]
    return Chart(
        name=name,
        title="Predicted against observed expression, in groups of individuals",
        alternative=alternative,
        caption=caption,
        spec=spec(layer=layers, height=300),
        data={"groups": groups},
        figure=lambda: _figure(groups, models, domain, limits),
        width=560,
    )


def _span(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.5
    return [low - margin, high + margin]


def _figure(groups: Columns, models: Sequence[str], domain: Sequence[float], limits: Sequence[float]) -> Figure:
    with styled():
        figure, (axes,) = panels(5.0, 3.8)
        for number, model in enumerate(models):
            rows = [n for n, each in enumerate(groups["model"]) if each == model]
            x, y, low, high = ([groups[key][n] for n in rows] for key in ("predicted", "observed", "low", "high"))
            shade = SERIES[number % len(SERIES)]
            axes.vlines(x, low, high, color=shade, alpha=0.6)
            axes.plot(x, y, "o", color=shade, markersize=5, label=model)
        axes.axline((0, 0), slope=1, color=GREY, linestyle="--", linewidth=0.8)
        axes.set(
            xlabel="predicted expression, mean of a group (sd)",
            ylabel="observed, mean of the group (sd)",
            xlim=domain,
            ylim=limits,
        )
        axes.legend()
    return figure
