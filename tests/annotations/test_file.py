"""Annotations read from their file: the same numbers as in memory, few rows at a time, and damage refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from varfx.annotations import Annotations, Standardiser, channels, file, moments
from varfx.annotations.channels import HeldChannels, JoinedChannels
from varfx.annotations.file import AnnotationFile, FileChannels, open_annotations
from varfx.annotations.places import ABSENT
from varfx.errors import DataError, StoreError
from varfx.io import sealed_rows

SIZE = 700
NAMES = ("eaf", "peak", "score", "rare")


def table() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    swapped = rng.random(SIZE) < 0.3
    return pl.DataFrame(
        {
            "chrom": np.where(np.arange(SIZE) < 400, "1", "2"),
            "position": 1000 + 10 * np.arange(SIZE),
            "variant_id": [f"rs{k}" for k in range(SIZE)],
            "effect_allele": np.where(swapped, "G", "A"),
            "other_allele": np.where(swapped, "A", "G"),
            "eaf": pl.Series(rng.random(SIZE), dtype=pl.Float32),
            "peak": pl.Series(rng.random(SIZE) < 0.2).cast(pl.Float32),
            "score": pl.Series(
                np.where(rng.random(SIZE) < 0.3, np.nan, rng.normal(4, 9, SIZE)), dtype=pl.Float32
            ).fill_nan(None),
            "rare": pl.Series(np.arange(SIZE) == 5).cast(pl.Float32) * 1e6,
        }
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in row groups of 100."""
    path = tmp_path / "A.annot.parquet"
    groups = [table().slice(first, 100) for first in range(0, SIZE, 100)]
    sealed_rows.write_rows(groups, path, kind="annotations", metadata={"build": "hg19"})
    return path


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table is too large for memory, and all variants are gone through 150 at a time."""
    monkeypatch.setattr(file, "HELD_BYTES", 0)
    monkeypatch.setattr(channels, "BLOCK", 150)


def wanted() -> pl.DataFrame:
    """Half of the variants, out of order and with alleles exchanged in some."""
    rows = np.random.default_rng(4).permutation(SIZE)[: SIZE // 2]
    keys = table()[rows].select("chrom", "position", "effect_allele", "other_allele")
    turned = pl.Series(rows % 3 == 0)
    return keys.with_columns(
        pl.when(turned).then("other_allele").otherwise("effect_allele").alias("effect_allele"),
        pl.when(turned).then("effect_allele").otherwise("other_allele").alias("other_allele"),
    )


@pytest.mark.usefixtures("few")
def test_channels_of_a_file_are_those_in_memory(path: Path) -> None:
    held, streamed = Annotations(table=table(), metadata={"build": "hg19"}), open_annotations(path)
    assert isinstance(streamed, AnnotationFile)
    assert (streamed.channels, streamed.height, streamed.build) == (NAMES, SIZE, "hg19")
    assert streamed.keys.equals(held.keys)
    assert streamed.column("score").equals(table()["score"])
    values, missing = held.select(wanted())
    mine, gap = streamed.select(wanted())
    np.testing.assert_array_equal(mine, values)
    np.testing.assert_array_equal(gap, missing)
    found = streamed.on(wanted()).take(["score", "eaf"])
    rows = np.array([7, 300, 2, 2])
    np.testing.assert_array_equal(found.read(rows), values[rows][:, [2, 0]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).read(rows), values[rows][:, [2, 0]])
    assert [streamed.on(wanted()).complete(name) for name in NAMES] == [True, True, False, True]


@pytest.mark.usefixtures("few")
def test_features_of_a_file_are_those_in_memory_bit_for_bit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "EXTREME", 15.0)
    held, streamed = Annotations(table=table()).on(wanted()), open_annotations(path).on(wanted())
    one, other = Standardiser.of([held]), Standardiser.of([streamed])
    assert one.to_dict() == other.to_dict()
    assert held.read(slice(None))[:, 3].max() == 1e6
    assert [note[:86] for note in one.notes] == [
        "Channel `rare`: 1 of 350 variants lie more than 15 standard deviations from the mean, "
    ]
    everything = one.features(held).rows(slice(None))
    np.testing.assert_array_equal(other.features(streamed).rows(slice(None)), everything)
    rows = np.array([349, 0, 17])
    np.testing.assert_array_equal(other.features(streamed).rows(rows), everything[rows])
    assert other.features(streamed).width == one.features(held).width == len(one.feature_names)


@pytest.mark.usefixtures("few")
def test_moments_in_blocks_are_those_of_all_values(path: Path) -> None:
    whole = Annotations(table=table())
    found = Standardiser.of([open_annotations(path).on(wanted()), whole.on(whole.table).take(NAMES[::-1])])
    values = np.concatenate([whole.select(wanted())[0], whole.select(whole.table)[0]]).astype(np.float64)
    np.testing.assert_allclose(found.mean, np.nanmean(values, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.sd, np.nanstd(values, axis=0), rtol=1e-12)
    assert found.indicated.tolist() == [False, False, True, False]


@pytest.mark.usefixtures("few")
def test_few_rows_are_in_memory_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than two row groups of 100 and a block of 150; a group that several windows need is read once."""
    monkeypatch.setattr(file, "KEPT_BYTES", 0)
    read: list[int] = []
    numbers = sealed_rows.SealedRows.numbers
    monkeypatch.setattr(
        sealed_rows.SealedRows, "numbers", lambda self, group, names: read.append(group) or numbers(self, group, names)
    )
    found = open_annotations(path).on(table())
    assert isinstance(found, FileChannels)
    most = 0
    for _, values in channels.blocks(found):
        most = max(most, len(values) + sum(len(kept) for kept in found._kept.values()))
    assert read == list(range(7))
    assert most <= 350


@pytest.mark.usefixtures("few")
def test_variants_without_a_row_are_refused_or_filled(path: Path, tmp_path: Path) -> None:
    more = pl.concat([wanted().head(3), wanted().head(1).with_columns(position=pl.lit(5, pl.Int64))])
    with pytest.raises(DataError, match=r"no annotations in 1 of 4 rows, first row 4"):
        open_annotations(path).on(more)
    missing = open_annotations(path).on(more, absent="missing")
    assert np.isnan(missing.read(slice(3, 4))).all()
    assert not missing.complete("peak")
    sealed_rows.write_rows([table()], tmp_path / "B", kind="annotations", metadata={ABSENT: {"peak": 0.0}})
    filled = open_annotations(tmp_path / "B").on(more).read(np.array([3]))
    np.testing.assert_array_equal(filled, [[np.nan, 0, np.nan, np.nan]])


@pytest.mark.usefixtures("few")
def test_gaps_unknown_to_the_fit_are_counted(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fitted = Standardiser.fit(["score"], np.array([[0.0], [2.0]], dtype=np.float32), np.zeros((2, 1), dtype=bool))
    features = fitted.features(open_annotations(path).on(table()))
    gaps = table()["score"].null_count()
    assert f"channel `score` is missing for {gaps} of {SIZE} variants" in caplog.text
    assert (features.rows(slice(None))[table()["score"].is_null().to_numpy()] == 0).all()


@pytest.mark.usefixtures("few")
def test_a_damaged_or_changed_file_is_refused(path: Path) -> None:
    found = open_annotations(path).on(table())
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"changed while it was read. Run the command again"):
        found.read(slice(0, 5))
    with pytest.raises(StoreError, match="is damaged: its checksum"):
        open_annotations(path)
    path.write_bytes(content[:-10])
    with pytest.raises(StoreError, match="is not a whole Parquet file"):
        open_annotations(path)


def test_small_tables_stay_in_memory(path: Path) -> None:
    found = open_annotations(path)
    assert isinstance(found, Annotations)
    assert found.table.equals(table())


def test_joined_channels_keep_the_order_asked_for() -> None:
    one = HeldChannels(["a", "b"], np.array([[1, 2], [3, np.nan]], dtype=np.float32))
    two = HeldChannels(["c"], np.array([[5], [6]], dtype=np.float32))
    joined = JoinedChannels([one, two]).take(["c", "a"])
    np.testing.assert_array_equal(joined.read(slice(None)), [[5, 1], [6, 3]])
    assert (joined.names, joined.height, joined.held) == (("c", "a"), 2, True)
    assert [JoinedChannels([one, two]).complete(name) for name in "abc"] == [True, False, True]
