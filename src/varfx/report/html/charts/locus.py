"""One locus: associations coloured by LD with the lead, posterior inclusion probabilities, the learned prior, annotations, genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from varfx.report.html.blocks import Chart, Columns, Legend
from varfx.report.html.charts.associations import GENOME_WIDE
from varfx.report.html.charts.layout import ZOOM, colours, spec, tooltip, zooming
from varfx.report.html.theme import BLUE, GREY, R2_BINS, R2_COLOURS, SETS, VERMILION
from varfx.report.style import panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_SET = "none"
NEUTRAL = "#A8B0B8"
CHARACTER = 0.011  # of a gene's name, as a share of the view: how much place labels need
_BIN = (
    "datum.lead ? 'lead' : datum.r2 == null ? 'missing' : datum.r2 < 0.2 ? '0 to 0.2' : datum.r2 < 0.4 ? '0.2 to 0.4' : "
    "datum.r2 < 0.6 ? '0.4 to 0.6' : datum.r2 < 0.8 ? '0.6 to 0.8' : '0.8 to 1'"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class LocusData:
    """What is drawn of a locus; positions in Mb.

    Attributes:
        name: in words.
        chrom: its chromosome.
        domain: of the x axis when all is seen.
        view: of the x axis at first.
        variants: `mb`, `id`, `alleles`, `p` (-log10), `z`, `r2` (null where unknown), `lead` (0 or 1), and where there is fine-mapping
            `pip`, `uniform` (null where unknown), `set` ("none" or a number); `f` where there is a prior.
        sets: names of the credible sets.
        ticks: `mb`, `name` of variants within annotations.
        genes: `start`, `end`, `name`, `strand`; empty without a GTF file.
        exons: `start`, `end`, `gene` (place in `genes`).
    """

    name: str
    chrom: str
    domain: tuple[float, float]
    view: tuple[float, float]
    variants: Columns
    sets: tuple[str, ...]
    ticks: Columns
    genes: Columns
    exons: Columns


def locus_chart(data: LocusData, *, name: str, alternative: str, caption: str) -> Chart:
    """All panels of a locus, on one x axis."""
    rows = gene_rows(data.genes, data.view)
    count = max(rows, default=-1) + 1
    genes = {**data.genes, "row": rows, "label": _labels(data.genes)}
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
            resolve={
                "scale": {
                    "x": "shared",
                    "color": "independent",
                    "y": "independent",
                    "size": "independent",
                    "shape": "independent",
                }
            },
            reserved=175 if data.ticks["name"] else 80,
            domain=data.domain,
            view=data.view,
            fit=False,
        ),
        data={"variants": data.variants, "ticks": data.ticks, "genes": genes, "exons": exons},
        figure=lambda: _figure(data, rows),
        zoom=f"{ZOOM}.mb",
        legends=_legends(data),
    )


def set_colours(sets: Sequence[str]) -> dict[str, str]:
    """The colour of each credible set."""
    return {name: SETS[number % len(SETS)] for number, name in enumerate(sets)}


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


def gene_rows(genes: Columns, view: tuple[float, float]) -> list[int]:
    """The row of each gene: the first in which neither body nor name meets another, at the scale of a view."""
    character = CHARACTER * (view[1] - view[0])
    ends: list[float] = []
    found = []
    for start, end, label in zip(genes["start"], genes["end"], _labels(genes), strict=True):
        right = max(end, start + character * (len(label) + 1))
        row = next((number for number, last in enumerate(ends) if last < start), len(ends))
        ends[row:] = [right, *ends[row + 1 :]]
        found.append(row)
    return found


def _labels(genes: Columns) -> list[str]:
    return [
        f"{name} →" if strand == "+" else f"← {name}"
        for name, strand in zip(genes["name"], genes["strand"], strict=True)
    ]


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
        figure=lambda: _scatter_figure(shown),
        width=480,
    )


def _figure(data: LocusData, rows: Sequence[int]) -> Figure:
    v = data.variants
    heights = [2.2, *([1.3] if "pip" in v else []), *([1.0] if "f" in v else [])]
    names = list(dict.fromkeys(data.ticks["name"]))
    heights += [0.2 * len(names) + 0.1] if names else []
    heights += [0.3 * (max(rows) + 1) + 0.1] if rows else []
    with styled():
        figure, axes = panels(9.0, 0.6 + 0.95 * sum(heights), rows=len(heights), heights=heights)
        places = iter(axes)
        _draw_associations(next(places), data)
        if "pip" in v:
            each = next(places)
            shades = {NO_SET: NEUTRAL, **set_colours(data.sets)}
            each.scatter(v["mb"], v["pip"], s=12, c=[shades[name] for name in v["set"]], linewidth=0)
            each.set(ylabel="PIP", ylim=(-0.03, 1.03))
        if "f" in v:
            each = next(places)
            each.scatter(v["mb"], v["f"], s=5, color=BLUE, linewidth=0)
            each.set(ylabel="learned f", yscale="log")
        if names:
            each = next(places)
            each.plot(
                data.ticks["mb"], [names.index(name) for name in data.ticks["name"]], "|", color=BLUE, markersize=7
            )
            each.set_yticks(range(len(names)), names, fontsize=8)
            each.set_ylim(len(names) - 0.4, -0.6)
        if rows:
            _draw_genes(next(places), data, rows)
        axes[-1].set(xlabel=f"position on chromosome {data.chrom} (Mb)", xlim=data.view)
    return figure


def _draw_associations(axes: Any, data: LocusData) -> None:
    v = data.variants
    r2 = np.array([np.nan if value is None else value for value in v["r2"]], dtype=float)
    number = np.where(np.isfinite(r2), 1 + np.minimum(4, np.floor(np.nan_to_num(r2) * 5)), 0).astype(int)
    number[np.array(v["lead"], dtype=bool)] = 6
    for shade, (name, colour) in enumerate(zip(R2_BINS, R2_COLOURS, strict=True)):
        rows = np.flatnonzero(number == shade)
        marker, size = ("D", 40) if name == "lead" else ("o", 9)
        axes.scatter(
            np.array(v["mb"])[rows],
            np.array(v["p"])[rows],
            s=size,
            color=colour,
            marker=marker,
            linewidth=0,
            label=name,
            zorder=shade,
        )
    axes.axhline(GENOME_WIDE, color=GREY, linestyle="--", linewidth=0.8)
    axes.set(ylabel="−log10 p", ylim=(0, None))
    axes.legend(title="r² to the lead", loc="upper left", bbox_to_anchor=(1, 1))


def _draw_genes(axes: Any, data: LocusData, rows: Sequence[int]) -> None:
    g = data.genes
    for start, end, label, row in zip(g["start"], g["end"], _labels(g), rows, strict=True):
        axes.plot([start, end], [row, row], color=BLUE, linewidth=1.2)
        axes.annotate(
            label, (max(start, data.view[0]), row - 0.2), fontsize=8, fontstyle="italic", annotation_clip=True
        )
    for start, end, gene in zip(data.exons["start"], data.exons["end"], data.exons["gene"], strict=True):
        axes.plot([start, end], [rows[gene]] * 2, color=BLUE, linewidth=4, solid_capstyle="butt")
    axes.set_ylim(max(rows) + 0.5, -0.9)
    axes.set_yticks([])


def _scatter_figure(shown: Columns) -> Figure:
    with styled():
        figure, (axes,) = panels(4.2, 3.8)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        axes.plot(shown["uniform"], shown["pip"], "o", color=VERMILION, markersize=4)
        axes.set(xlabel="PIP, uniform prior", ylabel="PIP, learned prior", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure
