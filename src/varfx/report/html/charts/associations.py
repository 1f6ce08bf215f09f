"""A Manhattan plot whose peaks link to their loci, and a quantile plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from varfx.report.html.blocks import Chart, Columns
from varfx.report.html.charts.layout import ZOOM, spec, tooltip, zooming
from varfx.report.html.theme import BLUE, GREY, SKY, VERMILION
from varfx.report.style import panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GENOME_WIDE = 7.30103  # -log10 of 5e-8


@dataclass(frozen=True, kw_only=True)
class Chromosomes:
    """Where chromosomes lie on the x axis.

    Attributes:
        names: in order.
        middles: x of each one's label.
        ends: x of each one's end.
    """

    names: tuple[str, ...]
    middles: tuple[float, ...]
    ends: tuple[float, ...]

    def axis(self) -> dict[str, Any]:
        """The x axis: Mb of one chromosome, names of several."""
        if len(self.names) == 1:
            return {"title": f"position on chromosome {self.names[0]} (Mb)"}
        label = "''"
        for name, end in reversed(list(zip(self.names, self.ends, strict=True))):
            label = f"datum.value < {end:.6g} ? '{name}' : ({label})"
        return {
            "title": "chromosome",
            "values": list(self.middles),
            "labelExpr": label,
            "ticks": False,
            "labelOverlap": True,
        }


def manhattan(
    points: Columns,
    peaks: Columns,
    chromosomes: Chromosomes,
    *,
    domain: Sequence[float],
    alternative: str,
    caption: str,
) -> Chart:
    """-log10 p along the genome.

    Args:
        points: `x` (Mb), `y` (-log10 p), `shade` ("even" or "odd" chromosome).
        peaks: `x`, `y`, `name` and `anchor` of the leads of loci.
        chromosomes: on the x axis.
        domain: of the x axis.
        alternative: the picture in words.
        caption: below it.
    """
    x = {
        "field": "x",
        "type": "quantitative",
        "axis": chromosomes.axis(),
        "scale": {"domain": list(domain), "nice": False},
    }
    y = {"field": "y", "type": "quantitative", "title": "−log10 p"}
    shade = {
        "field": "shade",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": ["even", "odd"], "range": [BLUE, SKY]},
    }
    layers = [
        {
            "data": {"name": "points"},
            "params": [zooming()],
            "mark": {"type": "square", "size": 9, "opacity": 0.8, "clip": True},
            "encoding": {"x": x, "y": y, "color": shade},
        },
        {
            "data": {"values": [{"y": GENOME_WIDE}]},
            "mark": {"type": "rule", "color": VERMILION, "strokeDash": [5, 4]},
            "encoding": {"y": y},
        },
        {
            "data": {"name": "peaks"},
            "mark": {
                "type": "point",
                "shape": "diamond",
                "size": 90,
                "filled": True,
                "color": VERMILION,
                "cursor": "pointer",
                "clip": True,
            },
            "encoding": {"x": x, "y": y, "tooltip": tooltip({"locus": "name", "−log10 p": "y"}, {"y": ".2f"})},
        },
    ]
    return Chart(
        name="manhattan",
        title="Associations along the genome",
        alternative=alternative,
        caption=caption,
        spec=spec(layer=layers, height=300, domain=domain),
        data={"points": points, "peaks": peaks},
        figure=lambda: _manhattan_figure(points, peaks, chromosomes),
        zoom=f"{ZOOM}.x",
    )


def quantiles(observed: Columns, *, lambda_gc: float, alternative: str) -> Chart:
    """Observed against expected -log10 p.

    Args:
        observed: `expected`, `observed`, and `low`, `high` of the 95 % band under no association.
        lambda_gc: median of chi2 over that expected under no association.
        alternative: the picture in words.
    """
    x = {"field": "expected", "type": "quantitative", "title": "expected −log10 p"}
    y: dict[str, Any] = {"field": "observed", "type": "quantitative", "title": "observed −log10 p"}
    layers = [
        {
            "mark": {"type": "area", "color": GREY, "opacity": 0.25},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "line", "color": GREY, "strokeWidth": 1},
            "encoding": {"x": x, "y": {**y, "field": "expected"}},
        },
        {
            "mark": {"type": "circle", "size": 18, "color": BLUE, "opacity": 0.9},
            "encoding": {
                "x": x,
                "y": y,
                "tooltip": tooltip(
                    {"expected": "expected", "observed": "observed"}, dict.fromkeys(("expected", "observed"), ".2f")
                ),
            },
        },
    ]
    return Chart(
        name="quantiles",
        title=f"Quantiles of p (lambda GC {lambda_gc:.3f})",
        alternative=alternative,
        caption="Grey: 95 % band for independent tests without association. A polygenic trait lies above it everywhere.",
        spec=spec(layer=layers, height=320, data={"name": "quantiles"}),
        data={"quantiles": observed},
        figure=lambda: _quantile_figure(observed),
        width=480,
    )


def _manhattan_figure(points: Columns, peaks: Columns, chromosomes: Chromosomes) -> Figure:
    with styled():
        figure, (axes,) = panels(9.0, 3.4)
        colour = [BLUE if shade == "even" else SKY for shade in points["shade"]]
        axes.scatter(points["x"], points["y"], s=4, c=colour, linewidth=0)
        axes.plot(peaks["x"], peaks["y"], "D", color=VERMILION, markersize=5)
        axes.axhline(GENOME_WIDE, color=VERMILION, linewidth=1, linestyle="--")
        axes.margins(x=0.01)
        axes.set(ylabel="−log10 p", ylim=(0, None))
        if len(chromosomes.names) == 1:
            axes.set_xlabel(chromosomes.axis()["title"])
        else:
            axes.set_xticks(chromosomes.middles, chromosomes.names)
            axes.set_xlabel("chromosome")
    return figure


def _quantile_figure(observed: Columns) -> Figure:
    with styled():
        figure, (axes,) = panels(4.4, 3.6)
        axes.fill_between(observed["expected"], observed["low"], observed["high"], color=GREY, alpha=0.25, linewidth=0)
        axes.plot(observed["expected"], observed["expected"], color=GREY, linewidth=1)
        axes.plot(observed["expected"], observed["observed"], "o", color=BLUE, markersize=3)
        axes.set(xlabel="expected −log10 p", ylabel="observed −log10 p")
    return figure
