"""Compressed files: bombs are refused after few bytes, and everything else is read as gzip and zstandard read it."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import zarr
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from varfx.errors import FormatError, StoreError
from varfx.genome.gtf import read_gtf
from varfx.genome.intervals import read_bed
from varfx.genome.liftover import read_chain
from varfx.gwas import clean
from varfx.io import sealed_folder, stream
from varfx.io.stream import read_bytes, stream_bytes


def _bomb(path: Path, unit: bytes, size: int, head: bytes = b"") -> Path:
    if path.suffix == ".zst":
        path.write_bytes(zstandard.compress(head + unit * (size // len(unit))))
    else:
        path.write_bytes(gzip.compress(head + unit * (size // len(unit)), 6))
    return path


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("unit", [b"\n", b" ", b"\0", b"x" * 1000, b"5 1 1\n", b"0\t"])
def test_bombs_are_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, unit: bytes
) -> None:
    monkeypatch.setattr(stream, "BOMB_BYTES", 1 << 20)
    path = _bomb(tmp_path / f"a{suffix}", unit, 24 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=r"grows more than 200-fold when decompressed, as no table does"):
            for _ in stream_bytes(path):
                pass
        assert tracemalloc.get_traced_memory()[1] < 160 << 20 if suffix == ".zst" else 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_readers_refuse_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(stream, "BOMB_BYTES", 1 << 20)
    bed = _bomb(tmp_path / f"b.bed{suffix}", b"\n", 16 << 20, b"chr1\t1\t2\n")
    gtf = _bomb(tmp_path / f"c.gtf{suffix}", b"x" * 1000, 16 << 20)
    chain = _bomb(tmp_path / f"c.chain{suffix}", b"5 1 1\n", 16 << 20, b"chain 1 chr1 9 + 0 10 chr1 9 + 0 10 1\n")
    gwas = _bomb(tmp_path / f"g.txt{suffix}", b" \n", 16 << 20, b"CHR SNP POS A1 A2 N BETA SE P\n1 r 5 A G 9 1 1 .3\n")
    for read, path in ((read_bed, bed), (read_gtf, gtf), (read_chain, chain), (clean, gwas)):
        with pytest.raises(FormatError, match="grows more than 200-fold"):
            read(path)  # type: ignore[operator]


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.integers(0, 5_000), st.integers(1, 2**32), st.integers(1, 250)), min_size=1, max_size=4
    ),
    unit=st.integers(1, 300),
    zstd=st.booleans(),
)
def test_members_and_frames_are_one_stream(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int, int]], unit: int, zstd: bool
) -> None:
    texts = [
        np.random.default_rng(seed).integers(0, high, size, dtype=np.uint8).tobytes() for size, seed, high in parts
    ]
    path = tmp_path_factory.mktemp("s") / "a"
    path.write_bytes(b"".join(zstandard.compress(text) if zstd else gzip.compress(text) for text in texts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_READ_BYTES", unit)
        patch.setattr(stream, "_ZSTD_BYTES", unit)
        assert read_bytes(path) == b"".join(texts)
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        with pytest.raises(FormatError, match="is damaged or truncated"):
            read_bytes(path)
        if not zstd:
            path.write_bytes(whole + b"\0" * 700)  # as tapes and some tools pad
            assert read_bytes(path) == b"".join(texts)


def test_a_zstd_window_of_gigabytes_is_refused(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path = tmp_path / "z.txt.zst"
    path.write_bytes(compressor.compress(b"CHR SNP\n" * 1000) + compressor.flush())
    with pytest.raises(FormatError, match="is damaged or truncated"):
        read_bytes(path)


def test_a_zarr_array_that_claims_terabytes(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    zarr.create_array(root / "x", shape=(10,), chunks=(5,), dtype="u1")[...] = 1
    described = json.loads((root / "x" / "zarr.json").read_text())
    for lengths, match in (
        ([5], None),
        ([2**40], "claims chunks of 1,099,511,627,776 numbers"),
        ("x", "describes no array"),
    ):
        described["chunk_grid"]["configuration"]["chunk_shape"] = lengths
        (root / "x" / "zarr.json").write_text(json.dumps(described))
        sealed_folder.seal_directory(root)
        with nullcontext() if match is None else pytest.raises(StoreError, match=match):
            sealed_folder.check_array(root, sealed_folder.read_manifest(root))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"format_version": Infinity, "files": {}}', '{"format_version": ' + "9" * 5000 + "}"]
)
def test_manifests_of_an_enemy(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match="is damaged and cannot be read"):
        sealed_folder.read_manifest(tmp_path)


def test_a_manifest_names_no_file_outside(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(sealed_folder._manifest_text(1, {"../../x": (1, "0")}))
    with pytest.raises(StoreError, match="lists a file outside its directory"):
        sealed_folder.read_manifest(tmp_path)
