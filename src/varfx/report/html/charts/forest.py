"""Values with intervals under each other: enrichments of annotations, means of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from varfx.report.html.blocks import Chart, Columns
from varfx.report.html.charts.layout import spec, tooltip, with_intervals
from varfx.report.html.theme import BLUE, GREY
from varfx.report.style import panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 60


def forest(
    rows: Columns,
    *,
    name: str,
    title: str,
    label: str,
    alternative: str,
    reference: float,
    caption: str = "",
    detail: str = "detail",
) -> Chart:
    """A dot and an interval per row, against a reference line.

    Args:
        rows: `name`, `value`, `low`, `high` (null where there is no interval), `detail` (a sentence).
        name: of the chart.
        title: above it.
        label: of the x axis.
        alternative: the picture in words.
        reference: where nothing is special.
        caption: below it.
        detail: heading of `detail` on hovering.
    """
    shown: Columns = {key: list(values)[:MOST_ROWS] for key, values in rows.items()}
    low, high, cut = _range(shown, reference)
    y = {
        "field": "name",
        "type": "nominal",
        "title": None,
        "sort": None,
        "axis": {"ticks": False, "domain": False, "grid": True},
    }
    x: dict[str, Any] = {
        "field": "value",
        "type": "quantitative",
        "title": label,
        "scale": {"domain": [low, high], "nice": False},
    }
    hovering = tooltip(
        {"": "name", "value": "value", "from": "low", "to": "high", detail: "detail"},
        {"value": ".3f", "low": ".3f", "high": ".3f"},
    )
    layers = [
        {"mark": {"type": "rule", "color": GREY}, "encoding": {"x": {"datum": reference, "type": "quantitative"}}},
        *with_intervals(y, x, "x", hovering, BLUE, clip=True),
    ]
    every = len(rows["name"])
    more = f" The first {MOST_ROWS} of {every} rows." if every > MOST_ROWS else ""
    return Chart(
        name=name,
        title=title,
        alternative=alternative,
        caption=caption + more + cut,
        spec=spec(layer=layers, data={"name": "rows"}, height=24 * len(shown["name"]) + 10),
        data={"rows": shown},
        figure=lambda: _figure(shown, label, reference, (low, high)),
        width=820,
    )


def _range(rows: Columns, reference: float) -> tuple[float, float, str]:
    """The x axis: all values, and intervals but for those that are so wide that nothing else could be seen; what to say of these."""
    values = [reference, *rows["value"]]
    ends = [end for key in ("low", "high") for end in rows[key] if end is not None]
    spread = 3 * (max(values) - min(values)) or 1.0
    low = max(min([*values, *ends]), min(values) - spread)
    high = min(max([*values, *ends]), max(values) + spread)
    margin = 0.03 * (high - low) or 1.0
    wide = sum(end < low or end > high for end in ends)
    return low - margin, high + margin, f" {wide} interval ends lie outside the picture." if wide else ""


def _figure(rows: Columns, label: str, reference: float, limits: tuple[float, float]) -> Figure:
    with styled():
        figure, (axes,) = panels(7.2, 1.0 + 0.24 * len(rows["name"]))
        for place, (low, high) in enumerate(zip(rows["low"], rows["high"], strict=True)):
            if low is not None:
                axes.plot([low, high], [place, place], color=BLUE, linewidth=2)
        axes.plot(rows["value"], range(len(rows["name"])), "o", color=BLUE)
        axes.axvline(reference, color=GREY, linewidth=0.8)
        axes.set_yticks(range(len(rows["name"])), rows["name"])
        axes.set_ylim(len(rows["name"]) - 0.5, -0.5)
        axes.set(xlabel=label, xlim=limits)
    return figure
