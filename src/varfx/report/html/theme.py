"""Colours and type of the charts: Okabe and Ito's palette (2008), at least 12 pixels."""

from __future__ import annotations

from typing import Any

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, PALE = "#7A7A7A", "#D8DEE4"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)  # of models and traits
SETS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY, BLACK)  # of credible sets
R2_BINS = ("missing", "0 to 0.2", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 to 1", "lead")
R2_COLOURS = ("#A8B0B8", BLUE, SKY, GREEN, ORANGE, VERMILION, PURPLE)
QUALITY = {"pass": GREEN, "warn": ORANGE, "fail": VERMILION}
SMALLEST = 12  # pixels of type

CONFIG: dict[str, Any] = {
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif",
    "background": "white",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": SMALLEST,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "labelColor": "#1b1f24",
        "titleColor": "#1b1f24",
        "domainColor": GREY,
        "tickColor": GREY,
        "gridColor": "#ECEFF2",
        "labelLimit": 260,
    },
    "axisX": {"grid": False},
    "legend": {"labelFontSize": SMALLEST, "titleFontSize": SMALLEST, "titleFontWeight": "normal", "labelLimit": 260},
    "title": {"fontSize": 13, "fontWeight": "normal", "anchor": "start", "color": "#1b1f24"},
    "header": {"labelFontSize": SMALLEST, "titleFontSize": 13},
    "text": {"fontSize": SMALLEST},
}
