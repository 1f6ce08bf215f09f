"""Effects of variants around a gene: by frequency or model, drivers and fine-mapped eQTLs marked, states and genes below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from varfx.report.html.blocks import Chart, Columns, Legend
from varfx.report.html.charts.layout import SHARED_X, ZOOM, spec, tooltip, zooming
from varfx.report.html.charts.locus_data import gene_labels, gene_rows
from varfx.report.html.theme import BLUE, GREEN, GREY, ORANGE, SERIES, SKY, VERMILION
from varfx.report.style import panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("fine-mapped eQTL", "driver", "high-scoring", "other")
SHAPES = ("triangle-up", "diamond", "square", "circle")
SIZES = (130, 110, 45, 26)
SIGNS = ("▲", "◆", "■", "●")  # of the shapes, in words
_MARKERS = ("^", "D", "s", "o")
FREQUENCIES = ("rarer than 1 %", "1 to 5 %", "5 to 20 %", "above 20 %", "unknown")
SHADES = (VERMILION, ORANGE, SKY, BLUE, "#A8B0B8")


@dataclass(frozen=True, kw_only=True, eq=False)
class EffectsData:
    """What is drawn of a gene; places in kb.

    Attributes:
        variants: `kb`, `weight`, `kind` (of `KINDS`), `model`, `maf` (of `FREQUENCIES`), `id`, `alleles`, `frequency`, `states`.
        models: in the order of their colours.
        label: of the x axis.
        domain: of the x axis.
        unit: of the effect.
        states: `start`, `end`, `name` of intervals along the x axis; empty without BED files.
        ticks: `kb`, `name` of variants within states.
        genes: `start`, `end`, `name`, `strand` along the x axis; empty without a GTF file.
        exons: `start`, `end`, `gene` (place in `genes`).
    """

    variants: Columns
    models: tuple[str, ...]
    label: str
    domain: tuple[float, float]
    unit: str
    states: Columns
    ticks: Columns
    genes: Columns
    exons: Columns


def gene_effects(data: EffectsData, *, name: str, title: str, caption: str, alternative: str) -> Chart:
    """A stick per variant and model, and what lies below them."""
    rows = gene_rows(data.genes, data.domain)
    genes = {**data.genes, "row": rows, "label": gene_labels(data.genes)}
    exons = {"start": data.exons["start"], "end": data.exons["end"], "row": [rows[gene] for gene in data.exons["gene"]]}
    views = [_effects(data)]
    if data.states["name"]:
        views.append(_states(data))
    if rows:
        views.append(_genes(data, max(rows) + 1))
    for layer in views[-1].get("layer", [views[-1]]):
        if "x" in layer["encoding"]:
            layer["encoding"]["x"]["axis"] = {"title": data.label, "tickCount": 8}
    switch = []
    if len(data.models) > 1:
        ways = {"input": "radio", "options": ["frequency", "model"], "name": "colours by "}
        switch = [{"name": "by", "value": "frequency", "bind": ways}]
    return Chart(
        name=name,
        title=title,
        alternative=alternative,
        caption=caption,
        spec=spec(
            params=switch,
            vconcat=views,
            spacing=14,
            resolve=SHARED_X,
            reserved=175 if data.states["name"] else 80,
            domain=data.domain,
            unit="kb",
            fit=False,
        ),
        data={"variants": data.variants, "states": data.states, "ticks": data.ticks, "genes": genes, "exons": exons},
        figure=lambda: _figure(data, rows),
        zoom=f"{ZOOM}.kb",
        legends=_legends(data),
    )


def _model_colours(data: EffectsData) -> list[str]:
    return [SERIES[k % len(SERIES)] for k in range(len(data.models))]


def _legends(data: EffectsData) -> tuple[Legend, ...]:
    seen = set(data.variants["maf"])
    frequency = tuple(pair for pair in zip(FREQUENCIES, SHADES, strict=True) if pair[0] in seen)
    found = [Legend(title="frequency of the rarer allele", entries=frequency)]
    if len(data.models) > 1:
        found.append(Legend(title="model", entries=tuple(zip(data.models, _model_colours(data), strict=True))))
    return tuple(found)


def _x(data: EffectsData, field: str = "kb") -> dict[str, Any]:
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"domain": list(data.domain), "nice": False, "zero": False},
        "axis": {"title": None, "labels": False, "ticks": False},
    }


def _effects(data: EffectsData) -> dict[str, Any]:
    low, high = min(0.0, *data.variants["weight"]), max(0.0, *data.variants["weight"])
    margin = 0.08 * (high - low)
    scale = {"domain": [low - margin, high + margin], "nice": False}
    y: dict[str, Any] = {"field": "weight", "type": "quantitative", "title": data.unit, "scale": scale}
    shade = {
        "field": "shade",
        "type": "nominal",
        "scale": {"domain": [*FREQUENCIES, *data.models], "range": [*SHADES, *_model_colours(data)]},
        "legend": None,
    }
    kinds = list(dict.fromkeys(kind for kind in KINDS if kind in set(data.variants["kind"])))
    order = [KINDS.index(kind) for kind in kinds]
    shape = {
        "field": "kind",
        "type": "nominal",
        "title": None,
        "scale": {"domain": kinds, "range": [SHAPES[k] for k in order]},
        "legend": None,
    }
    size = {"field": "size", "type": "quantitative", "scale": None, "legend": None}
    fields = {"variant": "id", "alleles": "alleles", "effect": "weight", "model": "model", "frequency": "frequency", "": "kind"}  # fmt: skip
    if any(data.variants["states"]):
        fields["states"] = "states"
    hover = tooltip(fields, {"weight": "+.3g", "frequency": ".3f"})
    colour = "by == 'model' ? datum.model : datum.maf" if len(data.models) > 1 else "datum.maf"
    layers = [
        {
            "params": [zooming()],
            "mark": {"type": "rule", "clip": True, "strokeWidth": 1.5, "opacity": 0.8},
            "encoding": {"x": _x(data), "y": y, "y2": {"datum": 0}, "color": shade, "tooltip": hover},
        },
        {
            "mark": {"type": "point", "filled": True, "clip": True, "opacity": 1},
            "encoding": {"x": _x(data), "y": y, "color": shade, "shape": shape, "size": size, "tooltip": hover},
        },
    ]
    sizes = "".join(f"datum.kind == '{kind}' ? {area} : " for kind, area in zip(KINDS[:-1], SIZES[:-1], strict=True))
    shades = [{"calculate": colour, "as": "shade"}, {"calculate": f"{sizes}{SIZES[-1]}", "as": "size"}]
    return {"width": "fill", "height": 240, "data": {"name": "variants"}, "transform": shades, "layer": layers}


def _states(data: EffectsData) -> dict[str, Any]:
    y = {
        "field": "name",
        "type": "nominal",
        "title": None,
        "sort": list(dict.fromkeys(data.states["name"])),
        "axis": {"ticks": False, "domain": False, "labelLimit": 140},
    }
    interval = tooltip({"state": "name", "from (kb)": "start", "to (kb)": "end"}, {"start": ".3f", "end": ".3f"})
    layers = [
        {
            "data": {"name": "states"},
            "mark": {"type": "bar", "color": GREEN, "opacity": 0.35, "height": 12, "minBandSize": 1, "clip": True},
            "encoding": {"x": _x(data, "start"), "x2": {"field": "end"}, "y": y, "tooltip": interval},
        },
        {
            "data": {"name": "ticks"},
            "mark": {"type": "tick", "thickness": 2, "size": 12, "color": GREEN, "clip": True},
            "encoding": {"x": _x(data), "y": y, "tooltip": tooltip({"state": "name", "kb": "kb"}, {"kb": ".3f"})},
        },
    ]
    return {"width": "fill", "height": {"step": 18}, "layer": layers}


def _genes(data: EffectsData, count: int) -> dict[str, Any]:
    y: dict[str, Any] = {
        "field": "row",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [count - 0.3, -0.8], "nice": False, "zero": False},
    }
    x = _x(data, "start")
    words = {"type": "text", "align": "left", "baseline": "bottom", "dy": -5, "fontSize": 12, "fontStyle": "italic", "clip": True}  # fmt: skip
    layers = [
        {
            "data": {"name": "genes"},
            "mark": {"type": "rule", "color": BLUE, "clip": True, "strokeWidth": 2},
            "encoding": {"x": x, "x2": {"field": "end"}, "y": y},
        },
        {
            "data": {"name": "exons"},
            "mark": {"type": "bar", "color": BLUE, "height": 8, "minBandSize": 1, "clip": True},
            "encoding": {"x": x, "x2": {"field": "end"}, "y": y},
        },
        {
            "data": {"name": "genes"},
            "transform": [{"calculate": f"max(datum.start, {data.domain[0]})", "as": "seen"}],
            "mark": words,
            "encoding": {"x": {**x, "field": "seen"}, "y": y, "text": {"field": "label"}},
        },
    ]
    return {"width": "fill", "height": 28 * count + 8, "layer": layers}


def _figure(data: EffectsData, rows: list[int]) -> Figure:
    names = list(dict.fromkeys(data.states["name"]))
    heights = [2.6, *([0.3 * len(names)] if names else []), *([0.35 * (max(rows) + 1)] if rows else [])]
    with styled():
        figure, axes = panels(9.0, 0.6 + sum(heights), rows=len(heights), heights=heights)
        v = data.variants
        shade = dict(zip(FREQUENCIES, SHADES, strict=True))
        for kind, marker in reversed(list(zip(KINDS, _MARKERS, strict=True))):
            chosen = [n for n, each in enumerate(v["kind"]) if each == kind]
            x, y = ([v[key][n] for n in chosen] for key in ("kb", "weight"))
            colours = [shade[v["maf"][n]] for n in chosen]
            axes[0].vlines(x, 0, y, colors=colours, linewidth=1.2)
            if chosen:
                axes[0].scatter(x, y, c=colours, marker=marker, s=18, label=kind)
        axes[0].axhline(0, color=GREY, linewidth=0.8)
        axes[0].set(ylabel=data.unit, xlim=data.domain)
        axes[0].legend()
        if names:
            places = [names.index(each) for each in data.states["name"]]
            axes[1].hlines(places, data.states["start"], data.states["end"], color=GREEN, alpha=0.35, linewidth=6)
            axes[1].plot(data.ticks["kb"], [names.index(each) for each in data.ticks["name"]], "|", color=GREEN)
            axes[1].set_yticks(range(len(names)), names)
        if rows:
            axes[-1].hlines(rows, data.genes["start"], data.genes["end"], color=BLUE)
            exon_rows = [rows[gene] for gene in data.exons["gene"]]
            axes[-1].hlines(exon_rows, data.exons["start"], data.exons["end"], color=BLUE, linewidth=6)
            for row, start, label in zip(rows, data.genes["start"], gene_labels(data.genes), strict=True):
                axes[-1].text(max(start, data.domain[0]), row - 0.2, label, style="italic", clip_on=True)
            axes[-1].set(ylim=(max(rows) + 0.6, -1.0), yticks=[])
        axes[-1].set(xlabel=data.label)
    return figure
