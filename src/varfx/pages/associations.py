"""Associations along the genome and their quantiles, thinned so that a page of 12 million variants opens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from varfx.errors import DataError
from varfx.genome.chromosomes import CHROMOSOMES
from varfx.pages.study import Study, neg_log10_p
from varfx.pages.words import decimals, fixed, interval, number, p_value
from varfx.report.html.blocks import Block, Columns, Facts, Section
from varfx.report.html.charts.associations import GENOME_WIDE, Chromosomes, manhattan, quantiles

STRONG = 3.0  # -log10 p from which points are drawn one by one
MOST_STRONG, MOST_TILES = 15_000, 20_000
NUM_QUANTILES = 400
GAP_MB = 15.0  # between chromosomes
MEDIAN_CHI2 = float(scipy.stats.chi2.ppf(0.5, 1))


def associations_section(study: Study, peaks: Sequence[tuple[str, int, float, str, str]]) -> Section:
    """The Manhattan plot with its peaks, the quantile plot, and measures of inflation.

    Args:
        study: the study.
        peaks: chromosome, position, -log10 p, name and anchor of each locus.
    """
    table = study.sumstats.table
    placed = table.filter(table["position"].is_not_null() & table["chrom"].is_not_null())
    if not placed.height:  # named by rsID alone: placed by the panel
        rows = np.flatnonzero(np.isfinite(_first(study.aligned.data.z)))
        placed = study.panel.variants[rows]
        y = neg_log10_p(_first(study.aligned.data.z)[rows])
    else:
        y = neg_log10_p(placed["z"].to_numpy())
    names = [name for name in CHROMOSOMES if name in set(placed["chrom"].unique())]
    chrom = placed["chrom"].replace_strict({name: k for k, name in enumerate(names)}, default=-1).to_numpy()
    known = chrom >= 0
    chrom, y, mb = chrom[known], y[known], placed["position"].to_numpy()[known] / 1e6
    scale, starts = chromosome_axis(names, chrom, mb)
    x = mb + starts[chrom]
    kept = thinned(chrom, mb, y)
    drawn: Columns = {
        "x": decimals(x[kept], 4),
        "y": decimals(y[kept], 3),
        "shade": ["even" if k % 2 == 0 else "odd" for k in chrom[kept]],
    }
    place = {name: k for k, name in enumerate(names)}
    shown = [
        (starts[place[c]] + position / 1e6, height, name, anchor)
        for c, position, height, name, anchor in peaks
        if c in place
    ]
    tops: Columns = {key: [row[i] for row in shown] for i, key in enumerate(("x", "y", "name", "anchor"))}
    significant = int((y >= GENOME_WIDE).sum())
    top = f"The strongest is at chromosome {names[chrom[y.argmax()]]}, {mb[y.argmax()]:.3f} Mb, with p = {p_value(float(y.max()))}."
    words = f"{y.size:,} associations on {len(names)} chromosome{'s' if len(names) > 1 else ''}; {significant:,} have p below 5e-8. {top}"
    caption = f"{words} Dashed: p = 5e-8. Diamonds are loci and lead to them. Drawn: {kept.sum():,} points, all with p < 0.001 that can be told apart. Zoom by the buttons, by + − ← → 0 when the chart has the focus, or by dragging and Ctrl + wheel."
    domain = (float(x.min()) - 0.005 * float(np.ptp(x)) - 0.01, float(x.max()) + 0.005 * float(np.ptp(x)) + 0.01)
    z = study.sumstats.table["z"].to_numpy()
    lambda_gc = float(np.median(np.square(z)) / MEDIAN_CHI2)
    chart = manhattan(drawn, tops, scale, domain=domain, alternative=words, caption=caption)
    spread = quantiles(
        quantile_columns(neg_log10_p(z)),
        lambda_gc=lambda_gc,
        alternative=f"Observed against expected quantiles of -log10 p of {z.size:,} associations. Lambda GC is {lambda_gc:.3f}.",
    )
    blocks: tuple[Block, ...] = (chart, _inflation(study, z, lambda_gc), spread)
    return Section(anchor="associations", heading="Associations", blocks=blocks)


def _first(z: ndarray) -> Float[ndarray, " variant"]:
    """The first replicate of a simulated trait."""
    return z if z.ndim == 1 else z[:, 0]


def _inflation(study: Study, z: ndarray, lambda_gc: float) -> Facts:
    rows = [("lambda GC", fixed(lambda_gc)), ("mean chi²", fixed(float(np.mean(np.square(z)))))]
    return Facts(rows=(*rows, *_intercept(study)))


def _intercept(study: Study) -> list[tuple[str, str]]:
    """LD score regression's intercept, by the panel's LD scores."""
    from varfx.prior.ldsc import regress_chi2

    ld = study.panel.variants["ld_score"].to_numpy()
    z, n = _first(study.aligned.data.z), study.aligned.data.n
    rows = np.flatnonzero(np.isfinite(z) & np.isfinite(ld) & np.isfinite(n))
    try:
        found = regress_chi2(
            np.square(z[rows]), n[rows], ld[rows, None], ld[rows], np.array([float(ld.size)]), names=("LD score",)
        )
    except DataError:
        return []
    bounds = (
        None
        if found.intercept_se is None
        else (found.intercept - 1.96 * found.intercept_se, found.intercept + 1.96 * found.intercept_se)
    )
    text = f"{fixed(found.intercept)} (95 % interval {interval(bounds, 3)}), by the panel's LD scores, {number(float(rows.size), 5)} variants"
    return [("LD score regression, intercept", text)]


def chromosome_axis(
    names: Sequence[str], chrom: Int[ndarray, " variant"], mb: Float[ndarray, " variant"]
) -> tuple[Chromosomes, Float[ndarray, " chromosome"]]:
    """Where chromosomes lie on the x axis, and what to add to the positions of each."""
    if len(names) == 1:
        return Chromosomes(names=tuple(names), middles=(float(mb.mean()),), ends=(float(mb.max()),)), np.zeros(1)
    starts, middles, ends, x = [], [], [], 0.0
    for k in range(len(names)):
        first, last = float(mb[chrom == k].min()), float(mb[chrom == k].max())
        starts.append(x - first)
        middles.append(round(x + (last - first) / 2, 3))
        x += last - first + GAP_MB
        ends.append(round(x - GAP_MB / 2, 3))
    return Chromosomes(names=tuple(names), middles=tuple(middles), ends=tuple(ends)), np.array(starts)


def thinned(
    chrom: Int[ndarray, " variant"], mb: Float[ndarray, " variant"], y: Float[ndarray, " variant"]
) -> Bool[ndarray, " variant"]:
    """Variants to draw: of each tile of the picture the strongest. Tiles are so fine that strong associations stay apart."""
    kept = np.zeros(y.size, dtype=bool)
    extent = sum(float(np.ptp(mb[chrom == k])) + 1 for k in np.unique(chrom))
    for rows, most in ((np.flatnonzero(y < STRONG), MOST_TILES), (np.flatnonzero(y >= STRONG), MOST_STRONG)):
        if rows.size <= most:
            kept[rows] = True
            continue
        height = float(np.ptp(y[rows])) or 1.0
        width, step = max(extent / 2000, 0.001), height / 300
        order = rows[np.argsort(-y[rows], kind="stable")]
        while True:
            column = np.floor(mb[order] / width).astype(np.int64)
            level = np.floor(y[order] / step).astype(np.int64)
            tile = (chrom[order] * (column.max() + 1) + column) * (level.max() + 1) + level
            _, first = np.unique(tile, return_index=True)
            if first.size <= most:
                kept[order[first]] = True
                break
            width, step = width * 1.2, step * 1.2
    return kept


def quantile_columns(y: Float[ndarray, " variant"]) -> Columns:
    """Expected and observed -log10 p at ranks spaced evenly on the log scale, with the 95 % band of independent tests."""
    n = y.size
    ordered = np.sort(y)[::-1]
    rank = np.unique(np.round(np.geomspace(1, n, min(n, NUM_QUANTILES))).astype(np.int64))
    expected = -np.log10((rank - 0.5) / n)
    low, high = (-np.log10(scipy.stats.beta.ppf(q, rank, n - rank + 1)) for q in (0.975, 0.025))
    return {
        "expected": decimals(expected, 4),
        "observed": decimals(ordered[rank - 1], 3),
        "low": decimals(low, 4),
        "high": decimals(high, 4),
    }
