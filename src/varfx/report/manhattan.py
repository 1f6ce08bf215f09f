"""Manhattan plots: what the GWAS saw along the genome, and the prior variance learned there, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray

from varfx.errors import DataError
from varfx.genome.chromosomes import CHROMOSOMES
from varfx.ld.windows import Core
from varfx.report.style import BLUE, GREY, ORANGE, PALE, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GENOME_WIDE_Z = 5.4513  # two-sided p = 5e-8
SHADES = (BLUE, "#74A9CF")  # of neighbouring chromosomes
GAP = 0.01  # between chromosomes, as a share of all


def manhattan(
    associations: pl.DataFrame,
    prior: pl.DataFrame,
    *,
    trait: str = "trait",
    column: str = "f",
    held_out: Sequence[Core] = (),
) -> Figure:
    """A figure with |z| above and f below along the genome.

    Args:
        associations: columns `chrom, position, z`.
        prior: columns `chrom, position` and `column`.
        trait: its name, for the title.
        column: the prior's column with the variance of a variant's effect on standardised genotypes.
        held_out: windows to shade, which the fit did not see.

    Raises:
        DataError: a table without variants.
    """
    for name, table in (("associations", associations), ("prior", prior)):
        if not table.height:
            raise DataError(f"`{name}` holds no variants: there is nothing to draw.")
    chroms = [name for name in CHROMOSOMES if name in {*associations["chrom"].unique(), *prior["chrom"].unique()}]
    both = pl.concat([associations.select("chrom", "position"), prior.select("chrom", "position")])
    starts = _starts(both, chroms)
    with styled():
        figure, (above, below) = panels(8.0, 5.0, rows=2)
        _points(above, associations, np.abs(associations["z"].to_numpy()), chroms, starts)
        _points(below, prior, prior[column].to_numpy(), chroms, starts)
        above.axhline(GENOME_WIDE_Z, color=ORANGE, linewidth=1.0, linestyle="--", zorder=1)
        above.set(ylabel="|z|", title=f"Associations: {trait}")
        above.set_ylim(bottom=0)
        below.set(yscale="log", ylabel="prior variance f", title="Learned prior: variance of each variant's effect")
        for axes in (above, below):
            for core in held_out:
                axes.axvspan(
                    starts[core.chrom] + core.start, starts[core.chrom] + core.end, color=PALE, linewidth=0, zorder=0
                )
            axes.margins(x=0.01)
        note = "dashed: p = 5e-8" + ("; shaded: held out" if held_out else "")
        above.annotate(note, (1.0, 1.02), xycoords="axes fraction", ha="right", color=GREY)
        _label_chromosomes(below, both, chroms, starts)
    return figure


def _starts(variants: pl.DataFrame, chroms: Sequence[str]) -> dict[str, float]:
    """Offset of a chromosome's positions on the x axis; 0 if there is only one chromosome."""
    if len(chroms) == 1:
        return {chroms[0]: 0.0}
    spans = variants.group_by("chrom").agg(first=pl.col("position").min(), last=pl.col("position").max())
    bounds = {name: (first, last) for name, first, last in spans.iter_rows()}
    gap = GAP * sum(last - first for first, last in bounds.values())
    starts, x = {}, 0.0
    for name in chroms:
        first, last = bounds[name]
        starts[name] = x - first
        x += last - first + gap
    return starts


def _points(
    axes: Any, table: pl.DataFrame, heights: Float[ndarray, " variant"], chroms: Sequence[str], starts: dict[str, float]
) -> None:
    for number, name in enumerate(chroms):
        rows = np.flatnonzero((table["chrom"] == name).to_numpy())
        x = starts[name] + table["position"].to_numpy()[rows]
        axes.scatter(x, heights[rows], s=5, color=SHADES[number % 2], linewidth=0, alpha=0.7, zorder=2)


def _label_chromosomes(axes: Any, variants: pl.DataFrame, chroms: Sequence[str], starts: dict[str, float]) -> None:
    if len(chroms) == 1:
        axes.set_xlabel(f"position on chromosome {chroms[0]} (Mb)")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g}")
        return
    spans = variants.group_by("chrom").agg(middle=(pl.col("position").min() + pl.col("position").max()) / 2)
    middles = dict(spans.iter_rows())
    axes.set_xticks([starts[name] + middles[name] for name in chroms], chroms)
    axes.set_xlabel("chromosome")
