"""Figures of the gain on held-out associations: per window, and in total with intervals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from varfx.errors import DataError
from varfx.report.style import BLUE, COLOURS, GREY, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_LABELS = 24  # more windows than this are labelled by chromosome
_WINDOW = re.compile(r"chr(\w+)_(\d+)_(\d+)")


def gain_by_window(evaluations: Mapping[str, Mapping[str, Any]], *, trait: str | None = None) -> Figure:
    """A figure with a bar per window and prior; the legend gives each prior's total and its 95 % interval.

    Args:
        evaluations: a name and an evaluation each (`Evaluation.to_dict()`, or the JSON of `varfx prior evaluate`), all of
            the same windows.
        trait: which one; by default the first.

    Raises:
        DataError: there is nothing to draw, the windows differ, or the trait is unknown.
    """
    if not evaluations:
        raise DataError("`evaluations` is empty: there is nothing to draw.")
    totals = {name: _entry(name, evaluation, trait) for name, evaluation in evaluations.items()}
    rows = {
        name: [row for row in evaluation["windows"] if row["trait"] == totals[name]["name"]]
        for name, evaluation in evaluations.items()
    }
    first, *others = rows
    windows = [row["window"] for row in rows[first]]
    for name in others:
        if [row["window"] for row in rows[name]] != windows:
            raise DataError(f"`{name}` was evaluated on other windows than `{first}`: evaluate both on the same ones.")
    with styled():
        figure, (axes,) = panels(min(14.0, max(8.0, 4.5 + 0.3 * len(windows))), 3.6)
        width = 0.8 / len(rows)
        for number, (name, entries) in enumerate(rows.items()):
            x = np.arange(len(entries)) + (number - (len(rows) - 1) / 2) * width
            axes.bar(
                x,
                [entry["gain"] for entry in entries],
                width,
                color=COLOURS[number % len(COLOURS)],
                label=f"{name}: {_with_interval(totals[name])}",
            )
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set(ylabel="gain (nats)", title="Gain over no heritability, by held-out window")
        figure.legend(title="total (95 % interval)", loc="outside right upper", alignment="left")
        _label_windows(axes, windows)
    return figure


def gain_table(entries: Sequence[tuple[str, float, Sequence[float] | None]], *, title: str, xlabel: str) -> Figure:
    """A figure with a row per prior: a dot, its interval, and both as text.

    Args:
        entries: a name, a value in nats, and the bounds of its interval (None where there is none) each.
        title: what was compared.
        xlabel: what the value is.

    Raises:
        DataError: there is nothing to draw.
    """
    if not entries:
        raise DataError("`entries` is empty: there is nothing to draw.")
    with styled():
        figure, (axes,) = panels(6.4, 1.1 + 0.35 * len(entries))
        for row, (_name, value, bounds) in enumerate(entries):
            if bounds is not None:
                axes.plot(bounds, [row, row], color=BLUE, linewidth=2, solid_capstyle="round")
            axes.plot(value, row, "o", color=BLUE, markersize=7)
            text = _with_interval({"gain": value, "gain_ci95": bounds})
            axes.annotate(text, (1.02, row), xycoords=("axes fraction", "data"), va="center", annotation_clip=False)
        axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        axes.set_yticks(range(len(entries)), [name for name, *_ in entries])
        axes.set_ylim(len(entries) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set(xlabel=xlabel, title=title)
    return figure


def _entry(name: str, evaluation: Mapping[str, Any], trait: str | None) -> Mapping[str, Any]:
    found = [entry for entry in evaluation["traits"] if trait is None or entry["name"] == trait]
    if not found:
        known = ", ".join(entry["name"] for entry in evaluation["traits"])
        raise DataError(f"`{name}` has no trait {trait!r}. It has {known}.")
    return dict(found[0])


def _with_interval(entry: Mapping[str, Any]) -> str:
    bounds = entry["gain_ci95"]
    text = f"{entry['gain']:+.1f}"
    text = text if bounds is None else f"{text} ({bounds[0]:+.1f} to {bounds[1]:+.1f})"
    return text.replace("-", "\N{MINUS SIGN}")


def _label_windows(axes: Any, windows: Sequence[str]) -> None:
    """Labels bars by position, or by chromosome where there are many."""
    places = [_WINDOW.fullmatch(name) for name in windows]
    known = [place for place in places if place is not None]
    if len(known) < len(windows):
        raise DataError(f"{len(windows) - len(known)} of {len(windows)} windows have names other than chrC_START_END.")
    chroms = [place[1] for place in known]
    if len(windows) <= MAX_LABELS:
        labels = [f"{int(place[2]) / 1e6:g}" for place in known]
        several = len(set(chroms)) > 1
        if several:
            labels = [f"{chrom}:{label}" for chrom, label in zip(chroms, labels, strict=True)]
        axes.set_xticks(range(len(windows)), labels, rotation=90 if several else 0)
        axes.set_xlabel(
            "window (chromosome:start in Mb)" if several else f"window (start on chromosome {chroms[0]}, Mb)"
        )
        return
    names = list(dict.fromkeys(chroms))
    middles = [np.flatnonzero([chrom == name for chrom in chroms]).mean() for name in names]
    axes.set_xticks(middles, names)
    axes.set_xlabel("windows, by chromosome")
