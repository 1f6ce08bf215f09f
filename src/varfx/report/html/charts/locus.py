"""One locus: associations coloured by LD with the lead, posterior inclusion probabilities, the learned prior, annotations, genes."""

from __future__ import annotations

from typing import Any

import numpy as np

from varfx.report.html.blocks import Chart, Legend
from varfx.report.html.charts.associations import GENOME_WIDE
from varfx.report.html.charts.layout import SHARED_X, ZOOM, colours, spec, tooltip, zooming
from varfx.report.html.charts.locus_data import NEUTRAL, NO_SET, LocusData, gene_labels, gene_rows, set_colours
from varfx.report.html.charts.locus_picture import locus_figure, scatter_figure
from varfx.report.html.theme import BLUE, GREY, R2_BINS, R2_COLOURS

_BIN = (
    "datum.lead ? 'lead' : datum.r2 == null ? 'missing' : datum.r2 < 0.2 ? '0 to 0.2' : datum.r2 < 0.4 ? '0.2 to 0.4' : "
    "datum.r2 < 0.6 ? '0.4 to 0.6' : datum.r2 < 0.8 ? '0.6 to 0.8' : '0.8 to 1'"
)


def locus_chart(data: LocusData, *, name: str, alternative: str, caption: str) -> Chart:
    """All panels of a locus, on one x axis."""
    rows = gene_rows(data.genes, data.view)
    count = max(rows, default=-1) + 1
    genes = {**data.genes, "row": rows, "label": gene_labels(data.genes)}
    exons = {"start": data.exons["start"], "end": data.exons["end"], "row": [rows[gene] for gene in data.exons["gene"]]}
    views = [_associations(data)]
    if "pip" in data.variants:
        views.append(_pips(data))
    if "f" in data.variants:
        views.append(_prior(data))
    if data.ticks["name"]:
        views.append(_annotations(data))
    if count:
        views.append(_genes(data, count))
    for layer in views[-1].get("layer", [views[-1]]):
        if "x" in layer["encoding"]:
            layer["encoding"]["x"]["axis"] = {"title": f"position on chromosome {data.chrom} (Mb)", "tickCount": 8}
    return Chart(
        name=name,
        title=data.name,
        alternative=alternative,
        caption=caption,
        spec=spec(
            vconcat=views,
            spacing=14,
            resolve=SHARED_X,
            reserved=175 if data.ticks["name"] else 80,
            domain=data.domain,
            view=data.view,
            fit=False,
        ),
        data={"variants": data.variants, "ticks": data.ticks, "genes": genes, "exons": exons},
        figure=lambda: locus_figure(data, rows),
        zoom=f"{ZOOM}.mb",
        legends=_legends(data),
    )


def _legends(data: LocusData) -> tuple[Legend, ...]:
    r2 = tuple(reversed(list(zip(R2_BINS, R2_COLOURS, strict=True))))
    found = [Legend(title="r² to the lead", entries=r2)]
    if "pip" in data.variants:
        sets = tuple(set_colours(data.sets).items())
        found.append(
            Legend(
                title="credible set", entries=(*sets, (NO_SET, NEUTRAL), ("PIP under the uniform prior (ring)", GREY))
            )
        )
    return tuple(found)


def _x(data: LocusData, field: str = "mb") -> dict[str, Any]:
    scale = {"domain": list(data.view), "nice": False, "zero": False}
    return {
        "field": field,
        "type": "quantitative",
        "scale": scale,
        "axis": {"title": None, "labels": False, "ticks": False},
    }


def _hover(data: LocusData) -> list[dict[str, Any]]:
    fields = {
        "variant": "id",
        "alleles": "alleles",
        "position (Mb)": "mb",
        "z": "z",
        "−log10 p": "p",
        "r² to the lead": "r2",
    }
    formats = {"mb": ".6f", "z": ".2f", "p": ".2f", "r2": ".2f"}
    if "pip" in data.variants:
        fields |= {"PIP": "pip", "PIP, uniform prior": "uniform", "credible set": "set"}
        formats |= {"pip": ".4f", "uniform": ".4f"}
    if "f" in data.variants:
        fields |= {"learned f": "f"}
        formats |= {"f": ".3~e"}
    return tooltip(fields, formats)


def _associations(data: LocusData) -> dict[str, Any]:
    highest = 1.08 * max(data.variants["p"])
    y = {"field": "p", "type": "quantitative", "title": "−log10 p", "scale": {"domain": [0, highest], "nice": False}}
    ld = [{"calculate": _BIN, "as": "ld"}]
    points = {
        "data": {"name": "variants"},
        "params": [zooming()],
        "transform": ld,
        "mark": {"type": "circle", "size": 28, "clip": True, "opacity": 0.85},
        "encoding": {
            "x": _x(data),
            "y": y,
            "color": {"field": "ld", "type": "nominal", "scale": colours(R2_BINS, R2_COLOURS), "legend": None},
            "order": {"field": "r2", "type": "quantitative"},
            "tooltip": _hover(data),
        },
    }
    lead = {
        "data": {"name": "variants"},
        "transform": [{"filter": "datum.lead"}],
        "mark": {
            "type": "point",
            "shape": "diamond",
            "filled": True,
            "size": 150,
            "color": R2_COLOURS[-1],
            "stroke": "black",
            "strokeWidth": 1,
            "opacity": 1,
            "clip": True,
        },
        "encoding": {"x": _x(data), "y": y, "tooltip": _hover(data)},
    }
    line = {
        "data": {"values": [{"p": GENOME_WIDE}]},
        "mark": {"type": "rule", "color": GREY, "strokeDash": [5, 4], "clip": True},
        "encoding": {"y": y},
    }
    return {"width": "fill", "height": 210, "layer": [points, lead, line]}


def _pips(data: LocusData) -> dict[str, Any]:
    names = (*data.sets, NO_SET)
    shades = [*set_colours(data.sets).values(), NEUTRAL]
    y: dict[str, Any] = {
        "field": "pip",
        "type": "quantitative",
        "title": "PIP",
        "scale": {"domain": [0, 1]},
        "axis": {"tickCount": 4},
    }
    colour = {"field": "set", "type": "nominal", "scale": {"domain": list(names), "range": shades}, "legend": None}
    hollow = {
        "type": "point",
        "filled": False,
        "size": 34,
        "strokeWidth": 1,
        "color": GREY,
        "opacity": 0.6,
        "clip": True,
    }
    layers = [
        {
            "transform": [{"filter": "datum.uniform >= 0.01"}],
            "mark": hollow,
            "encoding": {"x": _x(data), "y": {**y, "field": "uniform"}, "tooltip": _hover(data)},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 38, "opacity": 0.95, "clip": True},
            "encoding": {
                "x": _x(data),
                "y": y,
                "color": colour,
                "tooltip": _hover(data),
                "order": {"field": "pip", "type": "quantitative"},
            },
        },
    ]
    return {"width": "fill", "height": 130, "data": {"name": "variants"}, "layer": layers}


def _prior(data: LocusData) -> dict[str, Any]:
    y = {
        "field": "f",
        "type": "quantitative",
        "title": "learned f",
        "scale": {"type": "log", "nice": False, "padding": 6},
        "axis": {"format": ".0e", "values": _decades(data)},
    }
    return {
        "width": "fill",
        "height": 90,
        "data": {"name": "variants"},
        "mark": {"type": "circle", "size": 16, "color": BLUE, "opacity": 0.7, "clip": True},
        "encoding": {"x": _x(data), "y": y, "tooltip": _hover(data)},
    }


def _decades(data: LocusData) -> list[float]:
    """Powers of ten within the range of f, or its ends where there are none."""
    positive = [value for value in data.variants["f"] if value > 0] or [1.0]
    low, high = np.log10(min(positive)), np.log10(max(positive))
    powers = np.arange(np.ceil(low), np.floor(high) + 1)
    step = max(1, -(-powers.size // 4))
    return [float(f"1e{int(power)}") for power in powers[::step]] or [min(positive), max(positive)]


def _annotations(data: LocusData) -> dict[str, Any]:
    names = list(dict.fromkeys(data.ticks["name"]))
    y = {
        "field": "name",
        "type": "nominal",
        "title": None,
        "sort": names,
        "axis": {"ticks": False, "domain": False, "labelLimit": 140},
    }
    return {
        "width": "fill",
        "height": {"step": 18},
        "data": {"name": "ticks"},
        "mark": {"type": "tick", "thickness": 2, "size": 12, "color": BLUE, "clip": True},
        "encoding": {
            "x": _x(data),
            "y": y,
            "tooltip": tooltip({"annotation": "name", "position (Mb)": "mb"}, {"mb": ".6f"}),
        },
    }


def _genes(data: LocusData, count: int) -> dict[str, Any]:
    y: dict[str, Any] = {
        "field": "row",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [count - 0.3, -0.8], "nice": False, "zero": False},
    }
    x = _x(data, "start")
    hover = tooltip(
        {"gene": "name", "strand": "strand", "from (Mb)": "start", "to (Mb)": "end"}, {"start": ".3f", "end": ".3f"}
    )
    layers = [
        {
            "data": {"name": "genes"},
            "mark": {"type": "rule", "color": BLUE, "clip": True, "strokeWidth": 2},
            "encoding": {"x": x, "x2": {"field": "end"}, "y": y, "tooltip": hover},
        },
        {
            "data": {"name": "exons"},
            "mark": {"type": "bar", "color": BLUE, "height": 8, "minBandSize": 1, "clip": True},
            "encoding": {"x": x, "x2": {"field": "end"}, "y": y},
        },
        {
            "data": {"name": "genes"},
            "transform": [{"filter": _near(data)}],
            "mark": {
                "type": "text",
                "align": "left",
                "baseline": "bottom",
                "dy": -5,
                "fontSize": 12,
                "fontStyle": "italic",
                "clip": True,
            },
            "encoding": {"x": x, "y": y, "text": {"field": "label"}, "tooltip": hover},
        },
    ]
    return {"width": "fill", "height": 28 * count + 8, "layer": layers}


def _near(data: LocusData) -> str:
    """Whether the view is so near that names of genes do not meet; `pixels` is the picture's width, set by the page."""
    size = data.view[1] - data.view[0]
    return f"({ZOOM}.mb ? {ZOOM}.mb[1] - {ZOOM}.mb[0] : {size:.4g}) / pixels < {size / 600:.4g}"


def scatter(data: LocusData, *, name: str) -> Chart:
    """PIP under the learned against the uniform prior, a point per variant."""
    line = {
        "data": {"values": [{"a": 0, "b": 0}, {"a": 1, "b": 1}]},
        "mark": {"type": "line", "color": GREY, "strokeWidth": 1},
    }
    axes = {"scale": {"domain": [0, 1]}}
    points = {
        "data": {"name": "variants"},
        "mark": {"type": "point", "filled": True, "size": 45, "color": BLUE, "opacity": 0.7},
        "encoding": {
            "x": {"field": "uniform", "type": "quantitative", "title": "PIP, uniform prior", **axes},
            "y": {"field": "pip", "type": "quantitative", "title": "PIP, learned prior", **axes},
            "tooltip": _hover(data),
        },
    }
    line["encoding"] = {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b", "type": "quantitative"}}
    kept = [
        n
        for n, (a, b) in enumerate(zip(data.variants["uniform"], data.variants["pip"], strict=True))
        if a is not None and max(a, b) >= 0.001
    ]
    shown = {key: [values[n] for n in kept] for key, values in data.variants.items()}
    return Chart(
        name=name,
        title="What the prior changed: PIP under the learned against the uniform prior",
        alternative=f"{len(kept)} variants with a PIP of at least 0.001 under either prior.",
        spec=spec(layer=[line, points], height=320),
        data={"variants": shown},
        figure=lambda: scatter_figure(shown),
        width=480,
    )
