"""Pictures of attribution and importance show the numbers they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import polars as pl
import pytest

from varfx import report
from varfx.errors import DataError
from varfx.report.attribution import channel_bars, channel_profile, importance_bars, variant_view

OFFSETS = [-2, -1, 0, 1]


def labels(axes: Any) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def entry(group: str, value: float, bounds: list[float] | None, trait: str = "height") -> dict[str, Any]:
    return {"trait": trait, "group": group, "importance": value, "importance_ci95": bounds}


def profile(count: int) -> pl.DataFrame:
    """Track i has contributions around i, with the sign of its number."""
    rows = [
        {
            "channel": f"t{i}",
            "offset": offset,
            "mean": (-1) ** i * (i + 0.1 * offset),
            "mean_abs": i + 0.1 * abs(offset),
        }
        for i in range(count)
        for offset in OFFSETS
    ]
    return pl.DataFrame(rows)


def variants(count: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "chrom": ["1"] * count,
            "position": list(range(100, 100 + count)),
            "variant_id": [f"rs{i}" if i else None for i in range(count)],
            "effect_allele": ["A"] * count,
            "other_allele": ["C"] * count,
            "log_f": np.linspace(-9, -5, count),
            "log_f_baseline": [-8.0] * count,
            "channel.small": [0.01] * count,
            "channel.large": [0.5] * count,
        }
    )


def test_importance_is_sorted_with_its_intervals() -> None:
    entries = [entry("low", 1.0, [-1.0, 3.0]), entry("high", 5.0, None), entry("other", 9.0, None, trait="BMI")]
    (axes,) = importance_bars(entries, trait="height").axes
    assert labels(axes) == ["high", "low"]
    assert [bar.get_width() for bar in axes.patches] == [5.0, 1.0]
    interval = axes.lines[0]
    assert np.asarray(interval.get_xdata()).tolist() == [-1.0, 3.0]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first on top
    with pytest.raises(DataError, match="none of trait 'weight'"):
        importance_bars(entries, trait="weight")


def test_only_so_many_groups_are_shown() -> None:
    (axes,) = importance_bars([entry(f"g{i}", -float(i), None) for i in range(50)], trait="height").axes
    assert len(axes.patches) == 30
    assert "30 of 50" in axes.get_title(loc="left")


def test_channels_show_size_and_mean() -> None:
    table = pl.DataFrame({"channel": ["a", "b"], "kind": ["feature"] * 2, "mean": [-0.4, 0.1], "mean_abs": [0.5, 0.2]})
    (axes,) = channel_bars(table).axes
    assert labels(axes) == ["a", "b"]
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.2]
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [-0.4, 0.1]
    with pytest.raises(DataError, match="nothing to draw"):
        channel_bars(table.clear())


def test_the_profile_has_the_largest_track_first() -> None:
    left, right, *_ = channel_profile(profile(3)).axes
    assert labels(left) == ["t2", "t1", "t0"]
    size, mean = np.asarray(left.images[0].get_array()), np.asarray(right.images[0].get_array())
    np.testing.assert_allclose(size[0], [2.2, 2.1, 2.0, 2.1])
    np.testing.assert_allclose(mean[1], [-0.8, -0.9, -1.0, -1.1])
    assert left.images[0].get_extent() == [-2.5, 1.5, 2.5, -0.5]  # a base's column is centred on its offset
    low, high = right.images[0].get_clim()
    assert low == -high  # 0 is white
    with pytest.raises(DataError, match="no tracks"):
        channel_profile(profile(3).clear())


def test_variants_by_channel() -> None:
    axes, _ = variant_view(variants(4), pl.DataFrame(), count=3).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["rs3", "rs2", "rs1"]
    assert labels(axes) == ["large", "small"]


def test_variants_base_by_base() -> None:
    table = variants(3)
    key = table.select("chrom", "position", "variant_id", "effect_allele", "other_allele")
    places = profile(2).select("channel", "offset", contribution="mean")
    bases = pl.concat([key[row].join(places, how="cross") for row in (2, 1)])
    axes = [each for each in variant_view(table, bases, count=2).axes if each.get_title(loc="left")]
    assert [each.get_title(loc="left").split(":")[0] for each in axes] == ["rs2", "rs1"]
    assert labels(axes[0]) == ["t1", "t0"]
    np.testing.assert_allclose(np.asarray(axes[0].images[0].get_array())[0], [-0.8, -0.9, -1.0, -1.1])


def test_a_variant_without_a_name_goes_by_its_place() -> None:
    axes, _ = variant_view(variants(1), pl.DataFrame()).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1:100"]
    with pytest.raises(DataError, match="nothing to draw"):
        variant_view(variants(1).clear(), pl.DataFrame())


def test_pictures_are_written(tmp_path: Path) -> None:
    report.save(channel_profile(profile(40)), tmp_path / "p.png")
    pixels = matplotlib.image.imread(tmp_path / "p.png")
    assert pixels.shape[1] > 800
    assert pixels.std() > 0.01
