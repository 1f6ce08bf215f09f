"""What specifications share: the place they take, the x scale that zooms, names of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Views below each other have one position axis, and all else of their own.
SHARED_X = {"scale": {"x": "shared"} | dict.fromkeys(("y", "color", "shape", "size"), "independent")}
ZOOM = "zoom"
ONLY_WITH_KEY = "wheel![event.ctrlKey || event.metaKey]"  # the wheel alone scrolls the page


def spec(
    *,
    reserved: int = 0,
    domain: Sequence[float] | None = None,
    view: Sequence[float] | None = None,
    unit: str = "Mb",
    height: int | None = None,
    fit: bool = True,
    **parts: Any,
) -> dict[str, Any]:
    """A specification as wide as the page.

    Args:
        reserved: pixels of the width that axes and legends need, where `fit` does not find out.
        domain: of the x axis when all is seen, for zooming.
        view: of the x axis at first; by default all.
        unit: of the x axis.
        height: of a single view.
        fit: let Vega count axes and legends into the width, which it can for single and layered views.
        parts: of Vega-Lite.
    """
    meta: dict[str, Any] = {"reserved": reserved}
    if domain is not None:
        meta |= {"domain": list(domain), "view": list(view or domain), "unit": unit}
    out: dict[str, Any] = {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", "usermeta": meta, **parts}
    if fit:
        out |= {"width": "fill", "autosize": {"type": "fit-x", "contains": "padding"}}
    if height is not None:
        out["height"] = height
    return out


def zooming() -> dict[str, Any]:
    """A parameter that moves and stretches the x axis: by dragging, the wheel with Ctrl, and the page's buttons and keys."""
    return {
        "name": ZOOM,
        "select": {"type": "interval", "encodings": ["x"], "zoom": ONLY_WITH_KEY},
        "bind": "scales",
    }


def colours(domain: Sequence[str], shades: Sequence[str]) -> dict[str, Any]:
    """A scale that gives each name its colour."""
    return {"domain": list(domain), "range": list(shades[: len(domain)])}


def with_intervals(
    along: dict[str, Any], values: dict[str, Any], axis: str, shown: list[dict[str, Any]], colour: str, **rule: Any
) -> list[dict[str, Any]]:
    """Layers with a point per row and its interval, of the fields `low` and `high`.

    Args:
        along: encoding of the rows, on the other axis.
        values: encoding of the values.
        axis: of the values, x or y.
        shown: on hovering.
        colour: of both.
        rule: further properties of the intervals.
    """
    other = "y" if axis == "x" else "x"
    interval = {other: along, axis: {**values, "field": "low"}, f"{axis}2": {"field": "high"}}
    return [
        {"mark": {"type": "rule", "color": colour, "strokeWidth": 2, **rule}, "encoding": interval},
        {
            "mark": {"type": "circle", "size": 80, "color": colour, "opacity": 1},
            "encoding": {other: along, axis: values, "tooltip": shown},
        },
    ]


def tooltip(fields: Mapping[str, str], formats: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """What is said on hovering: title and field of each line; fields with a format are numbers."""
    formats = formats or {}
    return [
        {
            "field": field,
            "title": title,
            **({"format": formats[field], "type": "quantitative"} if field in formats else {"type": "nominal"}),
        }
        for title, field in fields.items()
    ]
