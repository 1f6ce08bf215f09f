"""Tables of annotations that are built and written without being in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from varfx.annotations import columns, file, read_annotations
from varfx.annotations.columns import ChannelColumns
from varfx.annotations.config import AnnotationFiles
from varfx.annotations.file import AnnotationFile
from varfx.annotations.requested import write_annotations
from varfx.errors import DataError, StoreError
from varfx.io import sealed_rows

SIZE = 90


def panel() -> pl.DataFrame:
    rng = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "chrom": ["1"] * 50 + ["2"] * 40,
            "position": np.r_[100 * np.arange(1, 51), 100 * np.arange(1, 41)],
            "variant_id": [f"rs{k}" for k in range(SIZE)],
            "effect_allele": ["A"] * SIZE,
            "other_allele": ["G"] * SIZE,
            "eaf": rng.random(SIZE),
            "ld_score": rng.random(SIZE),
        }
    )


@pytest.fixture
def files(tmp_path: Path) -> AnnotationFiles:
    """An interval, and two columns per chromosome with gaps; some variants have no row."""
    (tmp_path / "peak.bed").write_text("1\t450\t1200\n2\t0\t900\n")
    rng = np.random.default_rng(2)
    for chrom in ("1", "2"):
        rows = panel().filter(pl.col("chrom") == chrom)
        kept = rows.filter(pl.Series(rng.random(rows.height) < 0.8))
        table = kept.select(CHR="chrom", BP="position", SNP="variant_id").with_columns(
            flag=pl.Series((rng.random(kept.height) < 0.5).astype(int)),
            score=pl.Series(np.where(rng.random(kept.height) < 0.2, np.nan, rng.normal(size=kept.height))).fill_nan(
                None
            ),
        )
        table.write_csv(tmp_path / f"base.{chrom}.annot", separator="\t", null_value="NA")
    return AnnotationFiles(bed=(str(tmp_path / "peak.bed"),), annot=(str(tmp_path / "base.@.annot"),))


def test_a_table_written_in_parts_is_the_one_in_memory(
    files: AnnotationFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = write_annotations(panel(), files, tmp_path / "held", panel=Path("P"), panel_build="hg19")
    monkeypatch.setattr(file, "HELD_BYTES", 4 * SIZE * 2)  # of six channels two stay in memory
    monkeypatch.setattr(columns, "ROWS_PER_GROUP", 32)
    parts = write_annotations(panel(), files, tmp_path / "parts", panel=Path("P"), panel_build="hg19")
    assert isinstance(parts, AnnotationFile)
    assert parts.channels == held.channels == ("eaf", "maf", "ld_score", "peak", "flag", "score")
    whole = read_annotations(tmp_path / "parts")
    assert whole.table.equals(read_annotations(tmp_path / "held").table)
    assert whole.table["score"].null_count() > 10
    assert whole.metadata["annotation_inputs"] == held.metadata["annotation_inputs"]
    assert sealed_rows.open_rows(tmp_path / "parts", kind="annotations").bounds.tolist() == [0, 32, 64, 90]
    for name in held.channels:
        assert parts.column(name).equals(held.column(name))


def test_nothing_is_left_of_a_table_that_was_not_written(
    files: AnnotationFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "HELD_BYTES", 0)
    before = sorted(tmp_path.iterdir())
    twice = pl.concat([panel(), panel().head(1)])
    with pytest.raises(DataError, match="the same variant stands more than once in 2 of 91 rows"):
        write_annotations(twice, files, tmp_path / "out", panel=Path("P"))
    endless = panel().with_columns(ld_score=pl.Series([np.inf, *[1.0] * (SIZE - 1)]))
    with pytest.raises(DataError, match="channel `ld_score` is infinite in 1 of 90 rows from 1 on, first row 1"):
        write_annotations(endless, files, tmp_path / "out", panel=Path("P"))
    assert sorted(tmp_path.iterdir()) == before


def test_parts_of_a_channel_and_a_folder_that_is_gone(tmp_path: Path) -> None:
    with ChannelColumns(4, held_bytes=16, folder=tmp_path) as found:
        found.put("a", np.arange(4.0))
        found.put("b", np.array([7.0, 8.0]), np.array([3, 1]))
        found.put("b", np.array([9.0]), np.array([0]))
        assert (found.names, found.held) == (("a", "b"), False)
        np.testing.assert_array_equal(found.column("b"), [9, 8, np.nan, 7])
        np.testing.assert_array_equal(found.column("b", 1, 2), [8, np.nan])
        assert not list(tmp_path.iterdir())
    absent = ChannelColumns(4, held_bytes=0, folder=tmp_path / "absent")
    with pytest.raises(StoreError, match="was not written: No such file or directory"):
        absent.put("a", np.zeros(4))
