"""Models of expression against each other, gene by gene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from varfx.report.html.blocks import Chart, Columns
from varfx.report.html.charts.layout import colours, spec, tooltip
from varfx.report.html.theme import GREY, SERIES
from varfx.report.style import panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def model_scatter(
    genes: Columns, *, name: str, base: str, models: Sequence[str], metric: str, alternative: str, note: str = ""
) -> Chart:
    """A point per gene and model: how well it predicts, against another model.

    Args:
        genes: `gene`, `model`, `value`, `base`, `anchor` of the gene's page ("" for none).
        name: of the chart.
        base: the model on the x axis.
        models: the others.
        metric: in words.
        alternative: the picture in words.
        note: what was left out.
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
        "mark": {"type": "circle", "size": 45, "opacity": 0.75, "cursor": "pointer"},
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
        caption=f"Above the dashed line a model predicts a gene better. {note}".strip(),
        spec=spec(layer=[line, points], height=380),
        data={"genes": genes},
        figure=lambda: _scatter_figure(genes, base, models, metric),
        width=560,
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
