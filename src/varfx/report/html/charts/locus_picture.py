"""One locus, and what its prior changed, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from varfx.report.html.blocks import Columns
from varfx.report.html.charts.associations import GENOME_WIDE
from varfx.report.html.charts.locus_data import NEUTRAL, NO_SET, LocusData, gene_labels, set_colours
from varfx.report.html.theme import BLUE, GREY, R2_BINS, R2_COLOURS, VERMILION
from varfx.report.style import panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def locus_figure(data: LocusData, rows: Sequence[int]) -> Figure:
    """The panels of a locus; `rows` are those of its genes."""
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
    for start, end, label, row in zip(g["start"], g["end"], gene_labels(g), rows, strict=True):
        axes.plot([start, end], [row, row], color=BLUE, linewidth=1.2)
        axes.annotate(
            label, (max(start, data.view[0]), row - 0.2), fontsize=8, fontstyle="italic", annotation_clip=True
        )
    for start, end, gene in zip(data.exons["start"], data.exons["end"], data.exons["gene"], strict=True):
        axes.plot([start, end], [rows[gene]] * 2, color=BLUE, linewidth=4, solid_capstyle="butt")
    axes.set_ylim(max(rows) + 0.5, -0.9)
    axes.set_yticks([])


def scatter_figure(shown: Columns) -> Figure:
    """PIP under the learned against the uniform prior."""
    with styled():
        figure, (axes,) = panels(4.2, 3.8)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        axes.plot(shown["uniform"], shown["pip"], "o", color=VERMILION, markersize=4)
        axes.set(xlabel="PIP, uniform prior", ylabel="PIP, learned prior", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure
