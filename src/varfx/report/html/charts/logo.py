"""Attributions around a variant as letters whose height is how much each base matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from varfx.report.html.blocks import Chart, Columns
from varfx.report.html.charts.layout import spec, tooltip
from varfx.report.html.theme import GREY
from varfx.report.logos import COLOUR, logos

Row = tuple[str, str, Sequence[float]]  # name, bases, heights
_ARC = [(0.5 + 0.5 * np.cos(a), 0.5 + 0.5 * np.sin(a)) for a in np.radians(np.arange(45, 316, 27))]
_INNER = [(0.5 + 0.3 * np.cos(a), 0.5 + 0.34 * np.sin(a)) for a in np.radians(np.arange(315, 44, -27))]
# Outlines of letters in a box of 1 by 1; the counter of A runs the other way round, so that it stays empty.
GLYPHS: dict[str, list[tuple[float, float]]] = {
    "A": [(0, 0), (0.38, 1), (0.62, 1), (1, 0), (0.8, 0), (0.71, 0.25), (0.29, 0.25), (0.35, 0.42), (0.65, 0.42), (0.5, 0.82), (0.35, 0.42), (0.29, 0.25), (0.2, 0)],
    "C": [*_ARC, *_INNER],
    "G": [*_ARC, (1, 0.15), (1, 0.5), (0.55, 0.5), (0.55, 0.36), (0.78, 0.36), *_INNER],
    "T": [(0, 1), (1, 1), (1, 0.84), (0.6, 0.84), (0.6, 0), (0.4, 0), (0.4, 0.84), (0, 0.84)],
    "N": [(0, 0), (0, 1), (0.25, 1), (0.75, 0.35), (0.75, 1), (1, 1), (1, 0), (0.75, 0), (0.25, 0.65), (0.25, 0)],
}  # fmt: skip


def logo(rows: Sequence[Row], *, first: int, name: str, title: str, caption: str, alternative: str) -> Chart:
    """A row of letters per attribution, the variant's base marked; rows whose names begin alike share their scale.

    Args:
        rows: name of each, its bases, and their heights; negative ones hang down.
        first: place of the first base from the variant.
        name: of the chart.
        title: above it.
        caption: below it.
        alternative: the picture in words.
    """
    count = len(rows[0][1])
    letters: Columns = {
        "row": [k for k, (_, bases, _) in enumerate(rows) for _ in bases],
        "place": [first + place for _, bases, _ in rows for place in range(len(bases))],
        "base": [base for _, bases, _ in rows for base in bases],
        "height": [float(f"{height:.3g}") for _, _, heights in rows for height in heights],
    }
    scales: dict[str, float] = {}
    for words, _, heights in rows:
        kind = words.partition(",")[0]
        scales[kind] = max(scales.get(kind, 0.0), *(abs(height) for height in heights))
    views = [
        _view(k, words, scales[words.partition(",")[0]] or 1.0, (first, count), last=k == len(rows) - 1)
        for k, (words, _, _) in enumerate(rows)
    ]
    return Chart(
        name=name,
        title=title,
        alternative=alternative,
        caption=caption,
        spec=spec(
            data={"name": "letters"},
            transform=_outlines(),
            vconcat=views,
            spacing=10,
            resolve={"scale": {"x": "shared", "y": "independent"}},
            reserved=80,
            fit=False,
        ),
        data={"letters": letters},
        figure=lambda: logos(
            [(words, bases, np.asarray(heights, dtype=np.float64)) for words, bases, heights in rows],
            first=first, marked=-first, title=title,
        ),
        width=920,
    )  # fmt: skip


def _outlines() -> list[dict[str, Any]]:
    """Each letter as the corners of its outline, at its place and height."""

    def choice(axis: int) -> str:
        lists = {base: "[" + ",".join(f"{p[axis]:.3g}" for p in points) + "]" for base, points in GLYPHS.items()}
        return "".join(f"datum.base == '{base}' ? {lists[base]} : " for base in "ACGT") + lists["N"]

    return [
        {"calculate": choice(0), "as": "gx"},
        {"calculate": choice(1), "as": "gy"},
        {"calculate": "sequence(length(datum.gx))", "as": "corner"},
        {"flatten": ["gx", "gy", "corner"]},
        {"calculate": "datum.place - 0.45 + 0.9 * datum.gx", "as": "x"},
        {"calculate": "datum.height * datum.gy", "as": "y"},
    ]


def _view(row: int, words: str, limit: float, bases: tuple[int, int], *, last: bool) -> dict[str, Any]:
    first, count = bases
    title = "bases from the variant along the gene's strand" if last else None
    x = {
        "type": "quantitative",
        "scale": {"domain": [first - 0.6, first + count - 0.4], "nice": False, "zero": False},
        "axis": {"title": title, "labels": last, "ticks": last, "tickMinStep": 1},
    }
    y = {
        "type": "quantitative",
        "title": words.split(", "),
        "scale": {"domain": [-1.08 * limit, 1.08 * limit], "nice": False},
        "axis": {"tickCount": 3, "format": ".2~g"},
    }
    layers = [
        {
            "data": {"values": [{"from": -0.5, "to": 0.5}]},
            "mark": {"type": "rect", "color": GREY, "opacity": 0.15},
            "encoding": {"x": {"field": "from", **x}, "x2": {"field": "to"}},
        },
        {
            "transform": [{"filter": f"datum.row == {row}"}],
            "mark": {"type": "line", "filled": True, "interpolate": "linear-closed", "strokeWidth": 0},
            "encoding": {
                "x": {"field": "x", **x},
                "y": {"field": "y", **y},
                "detail": {"field": "place"},
                "order": {"field": "corner", "type": "quantitative"},
                "color": {
                    "field": "base",
                    "type": "nominal",
                    "scale": {"domain": list(COLOUR), "range": list(COLOUR.values())},
                    "legend": None,
                },
                "tooltip": tooltip({"base": "base", "place": "place", "attribution": "height"}, {"height": ".3g"}),
            },
        },
    ]
    return {"width": "fill", "height": 84, "layer": layers}
