"""How a prior was learned and what it is worth: training curve, gain per held-out window, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from varfx.report.html.blocks import Chart, Columns
from varfx.report.html.charts.layout import colours, spec, tooltip, with_intervals
from varfx.report.html.theme import BLUE, GREY, SERIES, VERMILION
from varfx.report.style import panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def training(history: Columns, *, best_step: int, unit: str, alternative: str) -> Chart:
    """The objective per association at each check.

    Args:
        history: `step`, `value` (null where there is none), `windows` ("validation" or "training").
        best_step: whose weights were kept.
        unit: of the objective.
        alternative: the picture in words.
    """
    x = {"field": "step", "type": "quantitative", "title": "optimiser step"}
    y = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}, "axis": {"format": ".4~f"}}
    part = {
        "mark": {"type": "line", "point": {"size": 25}, "color": BLUE},
        "encoding": {
            "x": x,
            "y": y,
            "tooltip": tooltip({"step": "step", "value": "value"}, {"step": "d", "value": ".5f"}),
        },
    }
    kept = {
        "mark": {"type": "rule", "color": VERMILION, "strokeDash": [5, 4]},
        "encoding": {"x": {"datum": best_step, "type": "quantitative"}},
    }
    views = [
        {
            "title": f"{name} windows",
            "width": "fill",
            "height": 150,
            "layer": [{"transform": [{"filter": f"datum.windows === '{name}'"}], **part}, kept],
        }
        for name in ("validation", "training")
    ]
    return Chart(
        name="training",
        title=f"Training curve: {unit} per association",
        alternative=alternative,
        caption="Dashed: the step whose weights were kept, the best on the validation windows.",
        spec=spec(vconcat=views, data={"name": "history"}, reserved=90, fit=False),
        data={"history": history},
        figure=lambda: _training_figure(history, best_step),
        width=820,
    )


def gains(windows: Columns, *, priors: Sequence[str], alternative: str, caption: str) -> Chart:
    """Gain over no heritability, a bar per held-out window and prior.

    Args:
        windows: `window` (its label), `prior`, `gain`, `rank`.
        priors: names, in order.
        alternative: the picture in words.
        caption: below it.
    """
    encoding = {
        "x": {
            "field": "window",
            "type": "nominal",
            "title": "held-out window",
            "sort": None,
            "axis": {"labelAngle": -40, "labelOverlap": True},
        },
        "xOffset": {"field": "prior", "sort": list(priors)},
        "y": {"field": "gain", "type": "quantitative", "title": "gain (nats)"},
        "color": {
            "field": "prior",
            "type": "nominal",
            "title": None,
            "scale": colours(priors, SERIES),
            "legend": {"orient": "top"},
        },
        "tooltip": tooltip(
            {"window": "window", "prior": "prior", "gain (nats)": "gain", "independent associations": "rank"},
            {"gain": "+.2f", "rank": "d"},
        ),
    }
    return Chart(
        name="gains",
        title="Gain per held-out window",
        alternative=alternative,
        caption=caption,
        spec=spec(mark={"type": "bar"}, encoding=encoding, data={"name": "windows"}, height=260),
        data={"windows": windows},
        figure=lambda: _gain_figure(windows, priors),
    )


def calibration(groups: Columns, *, alternative: str) -> Chart:
    """Observed over expected squared scores, by tenth of the variants by predicted f.

    Args:
        groups: `group`, `f`, `ratio`, `low`, `high` (null where there is no interval).
        alternative: the picture in words.
    """
    x = {"field": "group", "type": "ordinal", "title": "tenth of variants, by predicted f", "axis": {"labelAngle": 0}}
    y: dict[str, Any] = {
        "field": "ratio",
        "type": "quantitative",
        "title": "observed / expected",
        "scale": {"zero": False},
    }
    hovering = tooltip(
        {"tenth": "group", "mean f": "f", "ratio": "ratio", "from": "low", "to": "high"},
        {"f": ".3~g", "ratio": ".3f", "low": ".3f", "high": ".3f"},
    )
    layers = [
        {"mark": {"type": "rule", "color": GREY}, "encoding": {"y": {"datum": 1, "type": "quantitative"}}},
        *with_intervals(x, y, "y", hovering, BLUE),
    ]
    return Chart(
        name="calibration",
        title="Calibration on held-out windows",
        alternative=alternative,
        caption="1: the effects of these variants are as large as predicted; above 1: larger. Bars: 95 % interval over windows.",
        spec=spec(layer=layers, data={"name": "groups"}, height=260),
        data={"groups": groups},
        figure=lambda: _calibration_figure(groups),
        width=620,
    )


def _training_figure(history: Columns, best_step: int) -> Figure:
    with styled():
        figure, axes = panels(6.8, 4.2, rows=2)
        for each, name in zip(axes, ("validation", "training"), strict=True):
            rows = [
                (step, value)
                for step, value, part in zip(*(history[key] for key in ("step", "value", "windows")), strict=True)
                if part == name and value is not None
            ]
            each.plot(*(zip(*rows, strict=True) if rows else ((), ())), color=BLUE)
            each.axvline(best_step, color=VERMILION, linestyle="--", linewidth=1)
            each.set_title(f"{name} windows")
            each.ticklabel_format(axis="y", useOffset=False)
        axes[-1].set_xlabel("optimiser step")
    return figure


def _gain_figure(windows: Columns, priors: Sequence[str]) -> Figure:
    labels = list(dict.fromkeys(windows["window"]))
    with styled():
        figure, (axes,) = panels(9.0, 3.4)
        width = 0.8 / max(1, len(priors))
        for number, prior in enumerate(priors):
            values = {
                w: g for w, p, g in zip(windows["window"], windows["prior"], windows["gain"], strict=True) if p == prior
            }
            places = [labels.index(name) + (number - (len(priors) - 1) / 2) * width for name in values]
            axes.bar(places, list(values.values()), width, color=SERIES[number % len(SERIES)], label=prior)
        step = -(-len(labels) // 40)
        axes.set_xticks(range(0, len(labels), step), labels[::step], rotation=40, ha="right")
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_ylabel("gain (nats)")
        axes.legend()
    return figure


def _calibration_figure(groups: Columns) -> Figure:
    with styled():
        figure, (axes,) = panels(6.0, 3.2)
        axes.axhline(1, color=GREY, linewidth=0.8)
        for group, low, high in zip(groups["group"], groups["low"], groups["high"], strict=True):
            if low is not None:
                axes.plot([group, group], [low, high], color=BLUE, linewidth=2)
        axes.plot(groups["group"], groups["ratio"], "o", color=BLUE)
        axes.set(xlabel="tenth of variants, by predicted f", ylabel="observed / expected", xticks=list(groups["group"]))
    return figure
