"""Pictures show the numbers they are given: what is read here are the drawn objects, not pixels."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import polars as pl
import pytest

from varfx import report
from varfx.errors import DataError, StoreError
from varfx.ld import Core

HEADER = "step,train_log_p_per_association,validation_log_p_per_association\n"


def evaluation(gains: dict[str, float], *, trait: str = "height", total: float = 5.0) -> dict[str, Any]:
    return {
        "traits": [{"name": trait, "gain": total, "gain_ci95": [-1.0, 11.0]}],
        "windows": [{"window": name, "trait": trait, "gain": gain} for name, gain in gains.items()],
        "notes": [],
    }


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def tick_labels(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_training_curve_draws_each_run_and_marks_the_best_check(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(HEADER + "0,nan,-2.0\n50,-1.5,-1.8\n100,-1.4,-1.9\n")
    figure = report.training_curve({"mlp": tmp_path, "again": tmp_path / "history.csv"})
    above, below = figure.axes
    line, best, *_ = above.lines
    assert line.get_xydata().tolist() == [[0, -2.0], [50, -1.8], [100, -1.9]]
    assert best.get_xydata().tolist() == [[50, -1.8]]
    assert below.lines[0].get_xydata().tolist() == [[50, -1.5], [100, -1.4]]  # no training value before the first step
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["mlp", "again"]


def test_the_axis_says_which_objective_it_is(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(HEADER.replace("log_p", "quasi_nats") + "0,nan,-2.0\n50,-1.5,-1.8\n")
    figure = report.training_curve({"ldsr": tmp_path})
    assert figure.axes[0].get_ylabel() == "LD score regression, quasi-nats per association"


@pytest.mark.parametrize("content", [None, "", "step\n1\n", HEADER, HEADER + "x,y,z\n"])
def test_training_curve_names_a_history_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "history.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StoreError, match=r"history\.csv. (is missing or is no training history|holds no checks)"):
        report.training_curve({"mlp": path})


def test_manhattan_of_one_chromosome_is_in_megabases() -> None:
    z = pl.DataFrame({"chrom": ["22"] * 3, "position": [17_000_000, 20_000_000, 30_000_000], "z": [-6.0, 1.0, 0.5]})
    f = pl.DataFrame({"chrom": ["22"] * 2, "position": [17_000_000, 30_000_000], "f": [1e-7, 2e-8]})
    held_out = [Core("22", 19_000_000, 21_000_000)]
    figure = report.manhattan(z, f, trait="height", held_out=held_out)
    above, below = figure.axes
    (points,) = above.collections
    assert np.asarray(points.get_offsets()).tolist() == [[17e6, 6.0], [20e6, 1.0], [30e6, 0.5]]
    assert np.asarray(below.collections[0].get_offsets()).tolist() == [[17e6, 1e-7], [30e6, 2e-8]]
    assert below.get_yscale() == "log"
    assert below.get_xlabel() == "position on chromosome 22 (Mb)"
    assert below.xaxis.get_major_formatter()(20e6, 0) == "20"
    for axes in (above, below):
        (shade,) = axes.patches
        assert (shade.get_x(), shade.get_width()) == (19e6, 2e6)
    assert above.get_title(loc="left") == "Associations: height"
    assert texts(above) == ["dashed: p = 5e-8; shaded: held out"]


def test_manhattan_puts_chromosomes_in_order_without_overlap() -> None:
    places = [("X", 10), ("X", 90), ("2", 500), ("2", 600), ("10", 5), ("10", 105)]
    table = pl.DataFrame(
        {"chrom": [c for c, _ in places], "position": [p for _, p in places], "z": np.arange(6.0), "g": 1e-6}
    )
    figure = report.manhattan(table, table, column="g", held_out=[Core("10", 0, 50)])
    above, below = figure.axes
    x = [np.asarray(points.get_offsets())[:, 0] for points in above.collections]
    heights = [np.asarray(points.get_offsets())[:, 1].tolist() for points in above.collections]
    assert heights == [[2, 3], [4, 5], [0, 1]]  # chromosome 2, then 10, then X
    assert all(left.max() < right.min() for left, right in itertools.pairwise(x))
    np.testing.assert_allclose([each[1] - each[0] for each in x], [100, 100, 80])
    assert tick_labels(below.xaxis) == ["2", "10", "X"]
    np.testing.assert_allclose(below.get_xticks(), [each.mean() for each in x])
    np.testing.assert_allclose(above.patches[0].get_x(), x[1][0] - 5)  # the window begins 5 bases before the variant
    assert len({tuple(points.get_facecolor()[0]) for points in above.collections}) == 2


def test_manhattan_of_nothing_is_refused() -> None:
    empty = pl.DataFrame(
        {"chrom": [], "position": [], "z": []}, schema={"chrom": pl.String, "position": pl.Int64, "z": pl.Float64}
    )
    with pytest.raises(DataError, match="`associations` holds no variants"):
        report.manhattan(empty, empty)


def test_gain_by_window_draws_a_bar_per_window_and_model() -> None:
    one = evaluation({"chr22_39000000_40000000": 3.0, "chr22_40000000_41000000": -1.0})
    two = evaluation({"chr22_39000000_40000000": 4.0, "chr22_40000000_41000000": 0.5}, total=-4.5)
    figure = report.gain_by_window({"constant": one, "mlp": two})
    (axes,) = figure.axes
    bars = [[bar.get_height() for bar in container] for container in axes.containers]
    assert bars == [[3.0, -1.0], [4.0, 0.5]]
    first, second = axes.containers
    assert all(a.get_x() + a.get_width() <= b.get_x() + 1e-9 for a, b in zip(first, second, strict=True))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "constant: +5.0 (−1.0 to +11.0)",
        "mlp: −4.5 (−1.0 to +11.0)",
    ]
    assert tick_labels(axes.xaxis) == ["39", "40"]
    assert axes.get_xlabel() == "window (start on chromosome 22, Mb)"


def test_gain_by_window_labels_several_chromosomes() -> None:
    few = report.gain_by_window({"a": evaluation({"chr1_0_1000000": 1.0, "chrX_2500000_3500000": 2.0})}).axes[0]
    assert tick_labels(few.xaxis) == ["1:0", "X:2.5"]
    windows = {f"chr{chrom}_{start}000000_{start + 1}000000": 1.0 for chrom in (20, 21) for start in range(20)}
    many = report.gain_by_window({"a": evaluation(windows)}).axes[0]
    assert tick_labels(many.xaxis) == ["20", "21"]
    assert many.get_xticks().tolist() == [9.5, 29.5]


def test_gain_by_window_chooses_the_trait() -> None:
    both = evaluation({"chr1_0_9": 1.0}, trait="height")
    bmi = evaluation({"chr1_0_9": 7.0}, trait="bmi")
    both = {key: both[key] + bmi[key] for key in ("traits", "windows")}
    (bar,) = report.gain_by_window({"a": both}, trait="bmi").axes[0].containers[0]
    assert bar.get_height() == 7.0
    with pytest.raises(DataError, match=r"`a` has no trait 'asthma'\. It has height, bmi"):
        report.gain_by_window({"a": both}, trait="asthma")


def test_gain_by_window_refuses_what_it_cannot_compare() -> None:
    with pytest.raises(DataError, match="`evaluations` is empty"):
        report.gain_by_window({})
    one, two = evaluation({"chr1_0_9": 1.0}), evaluation({"chr1_9_18": 1.0})
    with pytest.raises(DataError, match="`b` was evaluated on other windows than `a`"):
        report.gain_by_window({"a": one, "b": two})
    with pytest.raises(DataError, match="1 of 1 windows have names other than"):
        report.gain_by_window({"a": evaluation({"somewhere": 1.0})})


def test_gain_table_draws_dots_with_intervals_and_their_text() -> None:
    entries = [("constant", 32.56, (-6.4, 74.1)), ("mlp", 40.0, None)]
    figure = report.gain_table(entries, title="Gain", xlabel="nats")
    (axes,) = figure.axes
    interval, dot, other, zero = axes.lines
    assert interval.get_xydata().tolist() == [[-6.4, 0], [74.1, 0]]
    assert dot.get_xydata().tolist() == [[32.56, 0]]
    assert other.get_xydata().tolist() == [[40.0, 1]]
    assert list(zero.get_xdata()) == [0, 0]
    assert texts(axes) == ["+32.6 (−6.4 to +74.1)", "+40.0"]
    assert tick_labels(axes.yaxis) == ["constant", "mlp"]
    assert axes.yaxis_inverted()
    with pytest.raises(DataError, match="`entries` is empty"):
        report.gain_table([], title="Gain", xlabel="nats")


def test_save_writes_a_whole_png_or_nothing(tmp_path: Path) -> None:
    figure = report.gain_table([("constant", 1.0, (0.0, 2.0))], title="Gain", xlabel="nats")
    report.save(figure, tmp_path / "gain.png")
    height, width, _ = matplotlib.image.imread(tmp_path / "gain.png").shape
    assert (width, height) == tuple((figure.get_size_inches() * 120).astype(int))
    assert [path.name for path in tmp_path.iterdir()] == ["gain.png"]
    with pytest.raises(StoreError, match="does not exist"):
        report.save(figure, tmp_path / "none" / "gain.png")


def test_pictures_are_the_same_whatever_the_users_settings(tmp_path: Path) -> None:
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        axes = report.gain_table([("a", 1.0, None)], title="Gain", xlabel="nats").axes[0]
        assert matplotlib.rcParams["font.size"] == 30
    assert axes.xaxis.label.get_size() == 9
    assert axes.get_facecolor() == (1, 1, 1, 1)


def test_importing_report_loads_no_matplotlib() -> None:
    code = "import sys, varfx.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
