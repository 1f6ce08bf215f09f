"""Figures of the variants that models single out: spectra of allele frequencies, and distances to the TSS."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from varfx.errors import DataError, StoreError
from varfx.report.style import COLOURS, name_rows, save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def maf_spectrum(comparison: Mapping[str, Any]) -> Figure:
    """A figure with a panel per set of variants: the share of each model's variants per range of minor-allele frequency.

    Args:
        comparison: `pairs` and `sets` of `varfx.expression.variants.compare.ScoreComparison`, or the JSON of `varfx expr compare`.

    Raises:
        DataError: there is no variant to draw.
    """
    sets = [entry for entry in comparison["sets"] if entry["variants"]]
    if not sets:
        raise DataError("the comparison holds no variants: there is nothing to draw.")
    names = list(dict.fromkeys(entry["set"] for entry in sets))
    models = list(dict.fromkeys(entry["model"] for entry in sets))
    bounds = sets[0]["maf_bounds"]
    labels = [f"{100 * low:g}\u2013{100 * high:g} %" for low, high in itertools.pairwise(bounds)]
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(3.4 * len(names) + 1.2, 3.2), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False, sharey=True)[0], names, strict=True):
            for number, model in enumerate(models):
                entry = next((each for each in sets if (each["set"], each["model"]) == (name, model)), None)
                if entry is None:
                    continue
                width = 0.8 / len(models)
                place = np.arange(len(labels)) + width * (number - (len(models) - 1) / 2)
                counts = np.array(entry["maf_counts"], dtype=float)
                axes.bar(place, counts / max(counts.sum(), 1), width, color=COLOURS[number % len(COLOURS)], label=model)
            axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
            axes.set(title=name if name == "drivers" else f"{name} variants", xlabel="minor-allele frequency")
        figure.axes[0].set_ylabel("share of the variants")
        figure.axes[-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def tss_distances(comparison: Mapping[str, Any]) -> Figure:
    """A figure with a row per model and set of variants: quartiles of the distance to the TSS.

    Args:
        comparison: see `maf_spectrum`.

    Raises:
        DataError: there is no variant to draw.
    """
    sets = [entry for entry in comparison["sets"] if entry["tss_distance_quartiles"]]
    if not sets:
        raise DataError("the comparison holds no variants: there is nothing to draw.")
    models = list(dict.fromkeys(entry["model"] for entry in sets))
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 1.2 + 0.3 * len(sets)), layout="constrained")
        axes = figure.subplots()
        for row, entry in enumerate(sets):
            low, middle, high = (value / 1000 for value in entry["tss_distance_quartiles"])
            colour = COLOURS[models.index(entry["model"]) % len(COLOURS)]
            axes.plot([low, high], [row, row], color=colour, linewidth=2, solid_capstyle="round")
            axes.plot(middle, row, "o", color=colour, markersize=6)
        ticks = [(row, f"{entry['model']}, {entry['set']}") for row, entry in enumerate(sets)]
        name_rows(axes, ticks, len(sets) - 0.5, -0.6)
        axes.set(xlabel="distance to the TSS (kb): median and quartiles", title="Where the variants lie")
    return figure


def draw_comparison(comparison: Mapping[str, Any], folder: str | os.PathLike[str]) -> list[str]:
    """Writes both pictures into a folder, which is made if it is not there; returns their names.

    Raises:
        StoreError: the folder cannot be made.
    """
    root = Path(folder)
    try:
        root.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"`{root}` cannot be made: {error.strerror or error}.") from error
    figures = {"maf_spectrum.png": maf_spectrum(comparison), "tss_distances.png": tss_distances(comparison)}
    for name, figure in figures.items():
        save(figure, root / name)
    return list(figures)
