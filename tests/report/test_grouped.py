"""Grouped intervals: every row is drawn where its value is, under its group."""

from __future__ import annotations

import numpy as np
import pytest

from varfx.errors import DataError
from varfx.report.grouped import grouped_intervals
from varfx.report.style import BLUE, ORANGE

ROWS = {"COMT": [("ridge", 0.25, [0.1, 0.4]), ("network", -0.125, None)], "GENE2": [("network", 0.5, [0.4, 0.7])]}


def test_every_row_has_a_dot_an_interval_a_name_and_a_number() -> None:
    figure = grouped_intervals(ROWS, title="R² of models", xlabel="R²", highlight="network")
    (axes,) = figure.axes
    dots = {line.get_xdata()[0]: line for line in axes.lines if line.get_marker() == "o"}
    assert sorted(dots) == [-0.125, 0.25, 0.5]
    assert [dots[value].get_color() for value in (0.25, -0.125, 0.5)] == [BLUE, ORANGE, ORANGE]
    bars = {
        tuple(line.get_xdata()): line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() != "o"
    }
    assert {(0.1, 0.4), (0.4, 0.7)} <= bars.keys()
    assert bars[0.1, 0.4].get_ydata()[0] == dots[0.25].get_ydata()[0]
    places = axes.get_yticks()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ridge", "network", "network"]
    np.testing.assert_array_equal(places, [dots[value].get_ydata()[0] for value in (0.25, -0.125, 0.5)])
    texts = {text.get_text(): text.xy[1] for text in axes.texts}
    assert texts["\N{MINUS SIGN}0.12"] == places[1]
    assert texts["0.50"] == places[2]
    assert texts["COMT"] < places[0]
    assert places[1] < texts["GENE2"] < places[2]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is at the top
    assert axes.get_title("left") == "R² of models"


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(DataError, match="`groups` holds no rows"):
        grouped_intervals({"COMT": []}, title="", xlabel="")
