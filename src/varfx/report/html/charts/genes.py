"""Models of expression against each other, gene by gene, and variant effects around a gene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from varfx.report.html.blocks import Chart, Columns
from varfx.report.html.charts.layout import ZOOM, colours, spec, tooltip, zooming
from varfx.report.html.theme import BLUE, GREY, SERIES, VERMILION
from varfx.report.style import panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("driver", "high-scoring", "other")
SHADES = (VERMILION, BLUE, "#A8B0B8")


def model_scatter(
    genes: Columns, *, name: str, base: str, models: Sequence[str], metric: str, alternative: str
) -> Chart:
    """A point per gene and model: how well it predicts, against another model.

    Args:
        genes: `gene`, `model`, `value`, `base`.
        name: of the chart.
        base: the model on the x axis.
        models: the others.
        metric: in words.
        alternative: the picture in words.
    """
    ends = [*genes["value"], *genes["base"]]
    domain = [min(0.0, *ends), max(ends)]
    axis = {"type": "quantitative", "scale": {"domain": domain}}
    line = {
        "data": {"values": [{"a": domain[0]}, {"a": domain[1]}]},
        "mark": {"type": "line", "color": GREY, "strokeDash": [5, 4]},
        "encoding": {"x": {"field": "a", **axis}, "y": {"field": "a", **axis}},
    }
    points = {
        "data": {"name": "genes"},
        "mark": {"type": "circle", "size": 45, "opacity": 0.75},
        "encoding": {
            "x": {"field": "base", "title": f"{metric}, {base}", **axis},
            "y": {"field": "value", "title": f"{metric}, others", **axis},
            "color": {
                "field": "model",
                "type": "nominal",
                "title": None,
                "scale": colours(models, SERIES),
                "legend": {"orient": "top"},
            },
            "tooltip": tooltip(
                {"gene": "gene", "model": "model", metric: "value", f"{metric}, {base}": "base"},
                {"value": ".3f", "base": ".3f"},
            ),
        },
    }
    return Chart(
        name=name,
        title=f"Models against {base}, gene by gene",
        alternative=alternative,
        caption="Above the dashed line a model predicts a gene better.",
        spec=spec(layer=[line, points], height=380),
        data={"genes": genes},
        figure=lambda: _scatter_figure(genes, base, models, metric),
        width=560,
    )


def effects(
    variants: Columns, *, name: str, title: str, label: str, domain: Sequence[float], alternative: str, unit: str
) -> Chart:
    """A stick per variant around a gene.

    Args:
        variants: `kb`, `weight`, `kind` (of `KINDS`), `id`, `alleles`, `frequency`.
        name: of the chart.
        title: of the gene.
        label: of the x axis.
        domain: of the x axis.
        alternative: the picture in words.
        unit: of the effect.
    """
    x = {"field": "kb", "type": "quantitative", "title": label, "scale": {"domain": list(domain), "nice": False}}
    y: dict[str, Any] = {"field": "weight", "type": "quantitative", "title": unit}
    shade = {
        "field": "kind",
        "type": "nominal",
        "title": None,
        "scale": colours(KINDS, SHADES),
        "legend": {"orient": "top"},
    }
    hover = tooltip(
        {"variant": "id", "alleles": "alleles", "effect": "weight", "frequency": "frequency", "": "kind"},
        {"weight": ".4f", "frequency": ".3f"},
    )
    layers = [
        {
            "params": [zooming()],
            "mark": {"type": "rule", "clip": True, "strokeWidth": 1.5},
            "encoding": {"x": x, "y": y, "y2": {"datum": 0}, "color": shade, "tooltip": hover},
        },
        {
            "mark": {"type": "circle", "size": 40, "clip": True, "opacity": 1},
            "encoding": {"x": x, "y": y, "color": shade, "tooltip": hover},
        },
    ]
    return Chart(
        name=name,
        title=title,
        alternative=alternative,
        caption=alternative,
        spec=spec(layer=layers, data={"name": "variants"}, height=220, domain=domain, unit="kb"),
        data={"variants": variants},
        figure=lambda: _effects_figure(variants, label, unit),
        zoom=f"{ZOOM}.kb",
    )


def _scatter_figure(genes: Columns, base: str, models: Sequence[str], metric: str) -> Figure:
    with styled():
        figure, (axes,) = panels(5.0, 4.4)
        for number, model in enumerate(models):
            rows = [n for n, each in enumerate(genes["model"]) if each == model]
            axes.plot(
                [genes["base"][n] for n in rows],
                [genes["value"][n] for n in rows],
                "o",
                color=SERIES[number % len(SERIES)],
                markersize=4,
                label=model,
            )
        axes.axline((0, 0), slope=1, color=GREY, linestyle="--", linewidth=0.8)
        axes.set(xlabel=f"{metric}, {base}", ylabel=f"{metric}, others")
        axes.legend()
    return figure


def _effects_figure(variants: Columns, label: str, unit: str) -> Figure:
    with styled():
        figure, (axes,) = panels(9.0, 2.8)
        for kind, shade in zip(reversed(KINDS), reversed(SHADES), strict=True):
            rows = [n for n, each in enumerate(variants["kind"]) if each == kind]
            axes.vlines(
                [variants["kb"][n] for n in rows],
                0,
                [variants["weight"][n] for n in rows],
                color=shade,
                linewidth=1.2,
                label=kind,
            )
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set(xlabel=label, ylabel=unit)
        axes.legend()
    return figure
