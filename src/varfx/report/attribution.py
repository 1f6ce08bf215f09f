"""Figures of importance by channel group, contributions by channel and position, and single variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from varfx.errors import DataError
from varfx.report.style import BLUE, GREY, ORANGE, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 30  # channels or groups in one picture
MOST_TRACKS = 12  # in the picture of a variant
SHADES = "RdBu_r"  # of signed numbers: blue lowers, red raises
COLUMN = "channel."


def importance_bars(entries: Sequence[Mapping[str, Any]], *, trait: str) -> Figure:
    """A figure with a bar per group, the most important on top, and its interval.

    Args:
        entries: from `Importance.entries`, or `importance.json`.
        trait: which of its traits.

    Raises:
        DataError: there are no entries of the trait.
    """
    chosen = sorted((entry for entry in entries if entry["trait"] == trait), key=lambda entry: -entry["importance"])
    if not chosen:
        raise DataError(f"`entries` has none of trait {trait!r}: there is nothing to draw.")
    shown = chosen[:MOST_ROWS]
    with styled():
        figure, (axes,) = panels(6.8, 1.2 + 0.24 * len(shown))
        for row, entry in enumerate(shown):
            axes.barh(row, entry["importance"], 0.7, color=BLUE)
            bounds = entry["importance_ci95"]
            if bounds is not None:
                axes.plot(bounds, [row, row], color="black", linewidth=1.2, solid_capstyle="butt")
        axes.axvline(0, color=GREY, linewidth=0.8)
        _label_rows(axes, [entry["group"] for entry in shown])
        axes.set_xlabel("nats lost on held-out windows (95 % interval over windows)")
        axes.set_title(f"Importance of channels for {trait}{_of_all(len(shown), len(chosen))}")
    return figure


def channel_bars(channels: pl.DataFrame) -> Figure:
    """A figure with the mean size of each channel's contribution to log f as a bar, and its mean as a point.

    Args:
        channels: `Attributions.channels`.

    Raises:
        DataError: there are no channels.
    """
    if channels.is_empty():
        raise DataError("`channels` is empty: there is nothing to draw.")
    shown = channels.head(MOST_ROWS)
    with styled():
        figure, (axes,) = panels(6.8, 1.4 + 0.24 * shown.height)
        rows = np.arange(shown.height)
        axes.barh(rows, shown["mean_abs"].to_numpy(), 0.7, color="#BFD7EA", label="mean size")
        axes.plot(shown["mean"].to_numpy(), rows, "o", color=ORANGE, markersize=4, label="mean")
        axes.axvline(0, color=GREY, linewidth=0.8)
        _label_rows(axes, shown["channel"].to_list())
        axes.set_xlabel("contribution to log f")
        axes.set_title(f"Contributions by channel{_of_all(shown.height, channels.height)}")
        axes.legend(loc="lower right")
    return figure


def channel_profile(profile: pl.DataFrame) -> Figure:
    """A figure with two maps, track by position relative to the variant: the mean size of contributions, and their mean.

    Args:
        profile: `Attributions.profile`.

    Raises:
        DataError: there are no tracks.
    """
    if profile.is_empty():
        raise DataError("`profile` is empty: the model has no tracks.")
    totals = profile.group_by("channel", maintain_order=True).agg(pl.col("mean_abs").sum())
    names = totals.sort("mean_abs", descending=True, maintain_order=True)["channel"].to_list()
    shown = names[:MOST_ROWS]
    size, mean = (_matrix(profile, shown, column) for column in ("mean_abs", "mean"))
    offset = profile.filter(pl.col("channel") == names[0])["offset"].to_numpy()
    extent = (offset[0] - 0.5, offset[-1] + 0.5, len(shown) - 0.5, -0.5)
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11.0, 1.6 + 0.2 * len(shown)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        bound = float(np.abs(mean).max()) or 1.0
        maps = (
            left.imshow(size, aspect="auto", extent=extent, cmap="Blues", vmin=0, interpolation="nearest"),
            right.imshow(mean, aspect="auto", extent=extent, cmap=SHADES, vmin=-bound, vmax=bound, interpolation="nearest"),
        )  # fmt: skip
        titles = ("Mean size of a base's contribution to log f", "Mean contribution (red raises f)")
        for axes, drawn, title in zip((left, right), maps, titles, strict=True):
            axes.axvline(0, color=GREY, linewidth=0.6, linestyle=":")
            axes.set(title=title, xlabel="position relative to the variant (bases)")
            figure.colorbar(drawn, ax=axes, shrink=0.9, pad=0.01)
        _label_rows(left, shown)
        left.set_ylim(len(shown) - 0.5, -0.5)
        if len(shown) < len(names):
            left.set_ylabel(_of_all(len(shown), len(names)).strip(" ,"))
    return figure


def variant_view(variants: pl.DataFrame, bases: pl.DataFrame, *, count: int = 6) -> Figure:
    """A figure of the variants of highest f: contributions of their tracks base by base, or of their features.

    Args:
        variants: `Attributions.variants`.
        bases: `Attributions.bases`; where it is empty, the contributions of whole channels are drawn.
        count: variants at most.

    Raises:
        DataError: there are no variants.
    """
    if variants.is_empty():
        raise DataError("`variants` is empty: there is nothing to draw.")
    highest = variants.sort("log_f", descending=True, maintain_order=True).head(count)
    with styled():
        return _by_channel(highest) if bases.is_empty() else _by_base(highest, bases)


def _by_channel(highest: pl.DataFrame) -> Figure:
    from matplotlib.figure import Figure

    columns = [name for name in highest.columns if name.startswith(COLUMN)]
    values = highest.select(columns).to_numpy()
    order = np.argsort(-np.abs(values).max(axis=0), kind="stable")[:MOST_ROWS]
    figure = Figure(figsize=(2.6 + 0.9 * highest.height, 1.8 + 0.24 * order.size), layout="constrained")
    axes = figure.subplots()
    bound = float(np.abs(values).max()) or 1.0
    drawn = axes.imshow(values[:, order].T, aspect="auto", cmap=SHADES, vmin=-bound, vmax=bound)
    _label_rows(axes, [columns[number].removeprefix(COLUMN) for number in order])
    axes.set_xticks(
        range(highest.height), [_name(row) for row in highest.iter_rows(named=True)], rotation=45, ha="right"
    )
    axes.set_title("Contributions to log f: variants of highest f")
    figure.colorbar(drawn, ax=axes, shrink=0.9)
    return figure


def _by_base(highest: pl.DataFrame, bases: pl.DataFrame) -> Figure:
    from matplotlib.figure import Figure

    key = ["chrom", "position", "effect_allele", "other_allele"]
    found = [bases.join(highest[row].select(key), on=key, how="semi") for row in range(highest.height)]
    found = [table for table in found if table.height]
    columns = 2 if len(found) > 1 else 1
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(5.6 * columns, 0.6 + 2.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(found) :]:
        axes.set_axis_off()
    for axes, table, row in zip(grid.flat, found, highest.iter_rows(named=True), strict=False):
        sizes = table.group_by("channel", maintain_order=True).agg(pl.col("contribution").abs().sum())
        names = sizes.sort("contribution", descending=True, maintain_order=True)["channel"].to_list()[:MOST_TRACKS]
        values = _matrix(table, names, "contribution")
        offset = table.filter(pl.col("channel") == names[0])["offset"].to_numpy()
        bound = float(np.abs(values).max()) or 1.0
        extent = (offset[0] - 0.5, offset[-1] + 0.5, len(names) - 0.5, -0.5)
        drawn = axes.imshow(
            values, aspect="auto", extent=extent, cmap=SHADES, vmin=-bound, vmax=bound, interpolation="nearest"
        )
        axes.axvline(0, color=GREY, linewidth=0.6, linestyle=":")
        _label_rows(axes, names)
        title = f"{_name(row)}: log f {row['log_f']:.2f} (at the mean input {row['log_f_baseline']:.2f})"
        axes.set_title(title.replace("-", "\N{MINUS SIGN}") if not _name(row).count("-") else title)
        figure.colorbar(drawn, ax=axes, shrink=0.9, pad=0.01)
    for axes in grid[-1]:
        axes.set_xlabel("position relative to the variant (bases)")
    return figure


def _matrix(table: pl.DataFrame, names: Sequence[str], column: str) -> np.ndarray:
    """A row a track, a column a position."""
    return np.stack([table.filter(pl.col("channel") == name)[column].to_numpy() for name in names])


def _label_rows(axes: Any, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _name(row: Mapping[str, Any]) -> str:
    """The variant's rsID, or its place."""
    named = row["variant_id"] not in (None, "", ".")
    return str(row["variant_id"]) if named else f"{row['chrom']}:{row['position']}"


def _of_all(shown: int, every: int) -> str:
    return "" if shown == every else f", {shown} of {every}"
