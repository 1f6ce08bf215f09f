"""Heritability from annotations read for some variants at a time: the numbers of the whole table, and never more rows than a block or a window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy import ndarray

from cases.heritability import Draw, Read, with_channel
from varfx.annotations import Annotations, channels, file
from varfx.annotations.features import HeldFeatures
from varfx.prior.heritability import HeritabilityConfig, heritability, score_test
from varfx.prior.heritability.calibrate import calibrate, pieces_at
from varfx.prior.heritability.columns import AnnotationColumns, annotation_columns
from varfx.prior.heritability.directions import calibration_directions
from varfx.prior.heritability.estimate import coefficients
from varfx.prior.heritability.quantities import (
    QuantileColumns,
    quantile_cuts,
    quantile_groups,
    spread_of,
    sums_of,
)
from varfx.prior.heritability.random_columns import RandomColumns
from varfx.prior.heritability.source import OwnDirections, PriorSource
from varfx.prior.heritability.stacked import Scaled, Stacked, gram, level, times, triangle


@pytest.fixture
def rich(active: Annotations) -> Annotations:
    """0/1 and continuous annotations with gaps and ties, and one that is the sum of others."""
    rng = np.random.default_rng(11)
    inside = active.table["active"].to_numpy()
    distance = np.where(rng.random(960) < 0.1, np.nan, rng.normal(40, 2, 960))
    found = with_channel(active, "inactive", 1 - inside)
    column = pl.Series("distance", distance.astype(np.float32)).fill_nan(None)
    found = replace(found, table=found.table.with_columns(column))
    found = with_channel(found, "steps", rng.integers(0, 4, 960))
    return with_channel(found, "rare", rng.random(960) < 0.02)


@pytest.fixture(params=[7, 1 << 16], ids=["blocks of 7", "one block"])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(channels, "BLOCK", request.param)
    return int(request.param)


@pytest.fixture
def prior(draw: Draw, rich: Annotations) -> PriorSource:
    """A linear prior of two features, without a tenth of the variants in its sums."""
    found = draw(1)
    rng = np.random.default_rng(3)
    features = HeldFeatures(rng.standard_normal((960, 2)).astype(np.float32))
    own = OwnDirections(
        names=("alpha", "one", "two"),
        values=Stacked((HeldFeatures(rng.standard_normal((960, 1))), Scaled(features, rng.uniform(0.5, 1, 960)))),
        coefficients=np.array([-0.3, 0.1, 0.2]),
        slope=rng.uniform(0.5, 1, 960),
    )
    return replace(found, own=own, counted=rng.random(960) < 0.9, windows=tuple(range(2, 24)))


def dense(columns: AnnotationColumns, table: Annotations) -> tuple[ndarray, ndarray]:
    """Values and directions as they were computed from the whole table."""
    values = table.table.select(columns.names).fill_null(np.nan).to_numpy().astype(np.float64)
    for k in range(values.shape[1]):
        gap = np.isnan(values[:, k])
        values[gap, k] = 0 if columns.binary[k] else values[~gap, k].mean()
    directions = values.copy()
    for k in np.flatnonzero(~columns.binary):
        directions[:, k] = np.clip((values[:, k] - values[:, k].mean()) / values[:, k].std(), -5, 5)
    return values, directions


@pytest.mark.usefixtures("block")
def test_directions_and_sums_are_those_of_the_whole_table(prior: PriorSource, rich: Annotations) -> None:
    columns = annotation_columns(rich, prior.variants)
    assert columns.names == ("active", "inactive", "distance", "steps", "rare")
    assert columns.binary.tolist() == [True, True, False, False, True]
    values, directions = dense(columns, rich)
    np.testing.assert_allclose(columns.values, values, rtol=1e-12)
    assert prior.own is not None
    own = prior.own.values.rows(slice(None))  # type: ignore[union-attr]
    whole = np.hstack([np.ones((960, 1)), prior.own.slope[:, None] * directions, own])
    D, notes = calibration_directions(prior, columns)
    np.testing.assert_allclose(D.rows(slice(None)), whole, rtol=1e-10, atol=1e-12)
    assert not [note for note in notes if "sums" in note]  # the slope is not constant: 1 is no sum of both
    rng = np.random.default_rng(5)
    some, f, factor = prior.counted, rng.random(960), rng.uniform(0.5, 2, 960)
    X = np.c_[np.ones(960), values]
    sums = sums_of(Stacked((level(960), columns)), f, factor, D, None, some)
    tight = {"rtol": 1e-11, "atol": 1e-11}
    np.testing.assert_allclose(sums.jackknife.estimate, X[some].T @ (f * factor)[some], **tight)
    np.testing.assert_allclose(sums.plug_in, X[some].T @ f[some], **tight)
    np.testing.assert_allclose(sums.totals, X[some].sum(0), **tight)
    np.testing.assert_allclose(sums.slopes, whole[some].T @ ((f * factor)[some, None] * X[some]), **tight)
    part = sums.take([0, 3])
    np.testing.assert_array_equal(part.slopes, sums.slopes[:, [0, 3]])
    np.testing.assert_array_equal(part.jackknife.delete_values, sums.jackknife.delete_values[:, [0, 3]])
    np.testing.assert_allclose(gram(D, prior.seen), whole[prior.seen].T @ whole[prior.seen], rtol=1e-10, atol=1e-10)
    plain = np.c_[np.ones(960), values[:, [0, 2, 3, 4]]][some]
    spread = spread_of(Stacked((level(960), columns.take([0, 2, 3, 4]))), some)
    np.testing.assert_allclose(spread.inverse, np.linalg.pinv(plain.T @ plain), rtol=1e-9)
    np.testing.assert_allclose(spread.sd, plain.std(0), rtol=1e-12)
    np.testing.assert_array_equal(spread.low, plain.min(0))
    np.testing.assert_allclose(times(columns, np.arange(5.0)), values @ np.arange(5.0), rtol=1e-12)


@pytest.mark.usefixtures("block")
def test_annotations_in_their_file(
    prior: PriorSource, rich: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "HELD_BYTES", 0)
    rich.write(tmp_path / "A.annot.parquet")
    opened = file.open_annotations(tmp_path / "A.annot.parquet")
    assert isinstance(opened, file.AnnotationFile)
    held, read = (annotation_columns(each, prior.variants) for each in (rich, opened))
    assert (read.names, read.notes) == (held.names, held.notes)
    np.testing.assert_array_equal(read.values, held.values)
    np.testing.assert_array_equal(read.take([2, 0]).values, held.values[:, [2, 0]])
    rows = np.array([5, 900, 3])
    np.testing.assert_array_equal(read.directions().rows(rows), held.directions().rows(slice(None))[rows])
    nothing = annotation_columns(None, prior.variants)
    assert nothing.directions().rows(rows).shape == (3, 0)


@pytest.mark.usefixtures("block")
def test_projections_are_those_of_the_whole_table(prior: PriorSource, rich: Annotations) -> None:
    D, _ = calibration_directions(prior, annotation_columns(rich, prior.variants))
    whole = D.rows(slice(None))
    R = triangle(D)
    np.testing.assert_allclose(R.T @ R, whole.T @ whole, rtol=1e-10, atol=1e-9)
    calibration = calibrate(prior, D)
    assert prior.own is not None
    design = np.c_[np.ones(960), prior.own.values.rows(slice(None))]  # type: ignore[union-attr]
    expected = np.linalg.pinv(design) @ (whole @ calibration.maximum.theta[:-1])
    found = coefficients(prior, calibration)
    moved = [each["estimate"] - each["fitted"] for each in found]
    np.testing.assert_allclose(moved, expected, rtol=1e-9)
    np.testing.assert_allclose(np.log(calibration.factor), whole @ calibration.maximum.theta[:-1], atol=1e-12)
    theta = calibration.maximum.theta
    held, read = pieces_at(prior, whole, theta), pieces_at(prior, D, theta)
    assert held is not None
    assert read is not None
    np.testing.assert_allclose(read.score, held.score, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(read.information, held.information, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_quantiles_are_those_of_ranks(count: int, rng: np.random.Generator) -> None:
    for values in (rng.standard_normal(101), rng.integers(0, 4, 50) * 1.0, np.zeros(9), np.arange(3.0)):
        rank = np.array([(values < value).sum() for value in values])
        expected = np.minimum(rank * count // values.size, count - 1)[:, None] == np.arange(count)
        np.testing.assert_array_equal(quantile_groups(values, count), expected)
        twice = QuantileColumns(HeldFeatures(np.c_[values, values]), count, [quantile_cuts(values, count)] * 2)
        assert (twice.height, twice.width) == (values.size, 2 * count)
        np.testing.assert_array_equal(twice.rows(slice(1, None)), np.hstack([expected, expected])[1:])


@pytest.mark.usefixtures("block")
def test_random_annotations_are_one_draw_whichever_rows_are_asked_for(rng: np.random.Generator) -> None:
    expected = np.random.default_rng(8).random((100, 3)) < 0.3
    columns = RandomColumns(100, 3, 0.3, 8)
    rows = rng.permutation(100)[:40]
    np.testing.assert_array_equal(columns.rows(slice(None)), expected)
    np.testing.assert_array_equal(columns.rows(rows), expected[rows])
    assert RandomColumns(100, 0, 0.3, 8).rows(slice(5, 9)).shape == (4, 0)


def _numbers(found: Any) -> Iterator[float]:
    """All numbers of nested dictionaries and lists, in order."""
    if isinstance(found, dict):
        for value in found.values():
            yield from _numbers(value)
    elif isinstance(found, list | tuple):
        for value in found:
            yield from _numbers(value)
    elif isinstance(found, int | float):
        yield float(found)


def test_small_blocks_change_nothing_and_are_all_that_is_read(
    prior: PriorSource, rich: Annotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = HeritabilityConfig(top=(0.1,), channels=("active", "distance", "steps", "rare"))
    whole = heritability(prior, rich, config)
    tests = score_test(prior, rich, config, random_annotations=3, random_fraction=0.1)
    monkeypatch.setattr(channels, "BLOCK", 7)
    read = Read(rich)
    found = heritability(prior, read, config)  # type: ignore[arg-type]
    np.testing.assert_allclose([*_numbers(found.to_dict())], [*_numbers(whole.to_dict())], rtol=1e-9, atol=1e-12)
    assert found.notes == whole.notes
    assert len(found.quantiles) == 9  # three different values of `steps` have groups of their own, and one spans two
    again = score_test(prior, read, config, random_annotations=3, random_fraction=0.1)  # type: ignore[arg-type]
    np.testing.assert_allclose([each.z for each in again.tests], [each.z for each in tests.tests], rtol=1e-9)
    np.testing.assert_allclose(again.random_z, tests.random_z, rtol=1e-9)
    assert max(read.asked) == max(len(rows) for rows in prior.panel_rows.values()) < 200
