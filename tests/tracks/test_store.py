"""The track store: blocks against a value per base, chromosome ends, and damage of any byte."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cases.tracks import RUNS, SMALL, raster, use_small_genome, write_bedgraph, write_bigwig
from varfx.errors import DataError, StoreError
from varfx.io import sealed, sealed_folder
from varfx.tracks.build import build_tracks
from varfx.tracks.manifest import TrackSpec
from varfx.tracks.store import TrackBlock, TrackStore, open_tracks

OTHER = [("1", 30, 50, 1.5), ("1", 2000, 2011, 8.0)]  # nothing on chromosome 2


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackStore:
    use_small_genome(monkeypatch)
    specs = [
        TrackSpec(name="masked", file=write_bigwig(tmp_path / "a.bw", RUNS), kind="bigwig", missing="mask"),
        TrackSpec(name="half", file=write_bedgraph(tmp_path / "b", RUNS), kind="bedgraph", store="float16"),
        TrackSpec(name="zero", file=write_bigwig(tmp_path / "c.bw", OTHER), kind="bigwig", transform="clip:0.5:9"),
        TrackSpec(
            name="half masked",
            file=write_bedgraph(tmp_path / "d", OTHER),
            kind="bedgraph",
            store="float16",
            missing="mask",
        ),
    ]
    return build_tracks(specs, tmp_path / "T.tracks.zarr", build="hg19", workers=1)


def decoded(store: TrackStore, block: TrackBlock) -> np.ndarray:
    out = np.full((len(store.names), block.codes.shape[1]), np.nan)
    out[block.code_rows] = np.where(block.codes == 255, np.nan, block.codes.astype(float))
    out[block.half_rows] = block.halves
    return block.offset[:, None] + block.scale[:, None] * out


def expected(chrom: str) -> np.ndarray:
    mine, other = raster(RUNS, chrom), raster(OTHER, chrom)
    return np.stack([mine, np.nan_to_num(mine), np.clip(np.nan_to_num(other), 0.5, 9), other])


@pytest.mark.parametrize("chrom", ["1", "2"])
@pytest.mark.parametrize(("start", "end"), [(0, 700), (0, 1), (63, 65), (255, 257), (-20, 5), (690, 720), (-5, 2050)])
def test_blocks_hold_every_base_and_are_missing_outside(store: TrackStore, chrom: str, start: int, end: int) -> None:
    whole = expected(chrom)
    padded = np.full((4, end - start), np.nan)
    first, last = max(start, 0), min(end, whole.shape[1])
    padded[:, first - start : last - start] = whole[:, first:last]
    block = store.block(chrom, start, end)
    got = decoded(store, block)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(padded))
    error = np.nanmax(np.abs(got - padded), axis=1, initial=0, where=~np.isnan(padded))
    assert (error <= store.tracks["max_error"].to_numpy()).all()
    assert (block.start, block.end) == (start, end)
    assert block.num_bytes == store.bytes_per_base() * (end - start)


def test_blocks_far_outside_are_missing(store: TrackStore) -> None:
    for start, end in ((-100, -50), (5000, 5010)):
        block = store.block("1", start, end)
        assert (block.codes == 255).all()
        assert np.isnan(block.halves).all()


def test_memory_is_read_into(store: TrackStore) -> None:
    out = np.empty((2, 30), dtype=np.uint8)
    assert store.block("1", 5, 35, out=out).codes is out
    np.testing.assert_array_equal(out, store.block("1", 5, 35).codes)


def test_what_the_store_says(store: TrackStore) -> None:
    assert store.names == ("masked", "half", "zero", "half masked")
    assert store.build == "hg19"
    assert store.lengths == {"1": 2011, "2": 700}  # no track has X
    assert store.code(2, "2") is None
    assert store.bytes_per_base() == 6


def test_mistakes(store: TrackStore, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no track with data on chromosome X; it has 1, 2"):
        store.block("X", 0, 5)
    with pytest.raises(DataError, match="`end` must be above `start`, got 5 and 5"):
        store.block("1", 5, 5)
    with pytest.raises(StoreError, match=r"absent` does not exist\. Give"):
        open_tracks(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=r"has no manifest.json: it is unfinished"):
        open_tracks(tmp_path / "empty")
    sealed_folder.seal_directory(tmp_path / "empty")
    with pytest.raises(StoreError, match=r"is no track store: it has no tracks.parquet"):
        open_tracks(tmp_path / "empty")


def read_all(path: Path) -> None:
    store = open_tracks(path)
    for chrom, size in SMALL["hg19"].items():
        if chrom in store.lengths:
            store.block(chrom, 0, size)


def test_any_flipped_byte_is_noticed_by_reading(store: TrackStore, tmp_path: Path, rng: np.random.Generator) -> None:
    read_all(store.path)
    read = [
        name
        for name in sealed_folder.read_manifest(store.path)
        if not name.startswith(("notes", "build", "signal/zarr"))
    ]
    assert sum("/c/" in name for name in read) >= 12
    for name in [*read, sealed.MANIFEST]:
        content = (store.path / name).read_bytes()
        for place in {0, len(content) - 1, *rng.integers(0, len(content), 2).tolist()}:
            broken = bytearray(content)
            broken[place] ^= 1 << int(rng.integers(8))
            (store.path / name).write_bytes(broken)
            with pytest.raises(StoreError):
                read_all(store.path)
        (store.path / name).write_bytes(content)
    read_all(store.path)


def test_missing_and_cut_files_are_noticed(store: TrackStore, tmp_path: Path) -> None:
    for name in sealed_folder.read_manifest(store.path):
        if "/c/" not in name:
            continue
        copy = tmp_path / "copy"
        shutil.copytree(store.path, copy)
        (copy / name).unlink()
        with pytest.raises(StoreError, match="is missing or cut"):
            read_all(copy)
        (copy / name).write_bytes((store.path / name).read_bytes()[:-1])
        with pytest.raises(StoreError, match="is missing or cut"):
            read_all(copy)
        shutil.rmtree(copy)
