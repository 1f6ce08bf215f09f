"""The track store on disk (`*.tracks.zarr`, Zarr v3): one array a track and chromosome, and two tables.

    signal/chr22/003            codes of track 3 along chromosome 22, (base,), uint8 or float16
    tracks.parquet    arrays.parquet    manifest.json

An array is sharded and chunked along the chromosome; every chunk, and every shard's index, has its own crc32c. A
track has no array for a chromosome that its file says nothing about: there it has its missing value everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import zarr
from jaxtyping import Float64, UInt8
from numpy import ndarray

from varfx.errors import DataError, StoreError
from varfx.genome.builds import LENGTHS
from varfx.io import sealed_folder
from varfx.io.array_folder import ArrayFolder
from varfx.short_repr import short_repr
from varfx.tracks.config import StoredAs
from varfx.tracks.quantise import Code

KIND = "tracks"
ARRAYS_KIND = "tracks-arrays"
CHUNK = 1 << 19  # bases; a window of 3 Mb reads 7 or 8 of a track
SHARD = 1 << 24  # bases; 33,000 files hold 165 tracks of a genome
TRACKS_SCHEMA = {
    "name": pl.String(),
    "assay": pl.String(),
    "kind": pl.String(),
    "transform": pl.String(),
    "missing": pl.String(),
    "store": pl.String(),
    "mean": pl.Float64(),  # of the transformed signal, over all bases that are not missing
    "sd": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "zero": pl.Float64(),  # what a base without a value is, transformed (missing "zero")
    "max_error": pl.Float64(),  # of the transformed signal
    "covered": pl.Int64(),  # bases that the file has a value for
}
ARRAYS_SCHEMA = {
    "track": pl.Int64(),
    "chrom": pl.String(),
    "offset": pl.Float64(),
    "scale": pl.Float64(),
    "max_error": pl.Float64(),
    "covered": pl.Int64(),
}
STORE = ArrayFolder(
    holds="track store",
    made_by="varfx tracks build",
    record="tracks.parquet",
    group="signal",
    tables={"tracks.parquet": (KIND, TRACKS_SCHEMA), "arrays.parquet": (ARRAYS_KIND, ARRAYS_SCHEMA)},
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackBlock:
    """The stored numbers of all tracks on `[start, end)` of one chromosome.

    Bases outside the chromosome, and bases without a value in a track that masks them, hold the missing number: 255 in
    `codes`, NaN in `halves`.

    Attributes:
        chrom: its name.
        start: 0-based first base; negative where the block begins before the chromosome.
        codes: of the tracks `code_rows` (track numbers in the store's order).
        halves: of the tracks `half_rows`.
        offset: per track of the store: the transformed signal is `offset + scale * number`.
        scale: the same.
    """

    chrom: str
    start: int
    codes: UInt8[ndarray, "coded base"]
    code_rows: ndarray[Any, Any]
    halves: ndarray[Any, Any]
    half_rows: ndarray[Any, Any]
    offset: Float64[ndarray, " track"]
    scale: Float64[ndarray, " track"]

    @property
    def end(self) -> int:
        """0-based, first base behind the block."""
        return self.start + int(self.codes.shape[1])

    @property
    def num_bytes(self) -> int:
        """Host memory that the numbers take."""
        return self.codes.nbytes + self.halves.nbytes


@dataclass(frozen=True)
class TrackStore:
    """An opened track store; signals are read from disk when asked for, and checked as they are read.

    Attributes:
        path: the folder.
        tracks: one row a track, in manifest order; columns of `TRACKS_SCHEMA`.
        arrays: one row a track and chromosome that holds data; columns of `ARRAYS_SCHEMA`.
        metadata: `build`, and provenance.
        numbers: the number on disk of each of `tracks`; None where it is its row.
    """

    __repr__ = short_repr

    path: Path
    tracks: pl.DataFrame
    arrays: pl.DataFrame
    metadata: dict[str, Any]
    numbers: tuple[int, ...] | None = None

    @property
    def build(self) -> str:
        """`hg19` or `hg38`."""
        return str(self.metadata["build"])

    @property
    def names(self) -> tuple[str, ...]:
        """The tracks' names, in manifest order."""
        return tuple(self.tracks["name"])

    @cached_property
    def lengths(self) -> dict[str, int]:
        """The length of each chromosome that any track has data on, in genome order."""
        present = set(self.arrays["chrom"])
        return {chrom: size for chrom, size in LENGTHS[self.build].items() if chrom in present}

    def select(self, names: Sequence[str]) -> TrackStore:
        """The same store with these tracks only, in this order.

        Raises:
            DataError: tracks that it does not have.
        """
        absent = [name for name in names if name not in self.names]
        if absent:
            raise DataError(
                f"`{self.path}` lacks {len(absent)} of {len(names)} tracks, first `{absent[0]}`. It has "
                f"{', '.join(self.names[:10])}{', ...' if len(self.names) > 10 else ''}."
            )
        rows = [self.names.index(name) for name in names]
        position = pl.Series("track", rows, dtype=pl.Int64)
        moved = pl.DataFrame({"track": position, "row": pl.Series(range(len(rows)), dtype=pl.Int64)})
        arrays = self.arrays.join(moved, on="track", how="inner", maintain_order="left").with_columns(track="row")
        return TrackStore(
            path=self.path,
            tracks=self.tracks[rows],
            arrays=arrays.drop("row"),
            metadata=self.metadata,
            numbers=tuple(self._number(row) for row in rows),
        )

    def _number(self, row: int) -> int:
        return row if self.numbers is None else self.numbers[row]

    def bytes_per_base(self) -> int:
        """Host memory per base of a block over all tracks."""
        return sum(1 if str(stored) == "uint8" else 2 for stored in self.tracks["store"].to_list())

    def code(self, track: int, chrom: str) -> Code | None:
        """Encoding of a track on a chromosome; None where it has no array."""
        return self._codes.get((track, chrom))

    def block(self, chrom: str, start: int, end: int, *, out: ndarray[Any, Any] | None = None) -> TrackBlock:
        """Reads all tracks on `[start, end)`.

        Args:
            chrom: one of `lengths`.
            start: 0-based; may lie before the chromosome's first base.
            end: 0-based, exclusive; may lie behind its last base.
            out: (uint8 tracks, end - start) memory to read the 8-bit tracks into, for instance pinned.

        Raises:
            DataError: no track has data on this chromosome, or the block is empty.
            StoreError: a chunk is missing or damaged.
        """
        if chrom not in self.lengths:
            raise DataError(
                f"`{self.path}` has no track with data on chromosome {chrom}; it has {', '.join(self.lengths)}. Build the "
                "tracks with it, or leave its variants out."
            )
        if end <= start:
            raise DataError(f"`end` must be above `start`, got {start} and {end}.")
        stored = self.tracks["store"].to_list()
        code_rows = np.array([row for row, kind in enumerate(stored) if kind == "uint8"], dtype=np.int64)
        half_rows = np.array([row for row, kind in enumerate(stored) if kind == "float16"], dtype=np.int64)
        codes = np.empty((code_rows.size, end - start), dtype=np.uint8) if out is None else out
        halves = np.empty((half_rows.size, end - start), dtype=np.float16)
        offset, scale = np.zeros(len(stored)), np.ones(len(stored))
        for rows, numbers in ((code_rows, codes), (half_rows, halves)):
            for row, line in zip(rows.tolist(), numbers, strict=True):
                code = self.code(row, chrom)
                if code is None:
                    code, empty = self._without_data(row)
                    line[:] = code.missing
                    line[max(0, -start) : max(0, self.lengths[chrom] - start)] = empty
                else:
                    self._read(row, chrom, start, line, code)
                offset[row], scale[row] = code.offset, code.scale
        return TrackBlock(
            chrom=chrom,
            start=start,
            codes=codes,
            code_rows=code_rows,
            halves=halves,
            half_rows=half_rows,
            offset=offset,
            scale=scale,
        )

    @cached_property
    def _codes(self) -> dict[tuple[int, str], Code]:
        stored: list[StoredAs] = self.tracks["store"].to_list()
        columns = self.arrays.select("track", "chrom", "offset", "scale", "max_error")
        return {
            (track, chrom): Code(stored[track], offset, scale, error)
            for track, chrom, offset, scale, error in columns.iter_rows()
        }

    def _without_data(self, track: int) -> tuple[Code, float]:
        """The code of a track on a chromosome that its file does not have, and the number that stands everywhere there."""
        stored, missing, zero = self.tracks.select("store", "missing", "zero").row(track)
        if missing == "mask":
            code = Code(stored, 0.0, 1.0, 0.0)
            return code, code.missing
        return (Code("float16", 0.0, 1.0, 0.0), zero) if stored == "float16" else (Code("uint8", zero, 1.0, 0.0), 0)

    @cached_property
    def _files(self) -> dict[str, dict[str, tuple[int, str]]]:
        """Manifest entries by array, e.g. "signal/chr22/003"."""
        arrays: dict[str, dict[str, tuple[int, str]]] = {}
        for file, entry in sealed_folder.read_manifest(self.path).items():
            arrays.setdefault("/".join(file.split("/")[:3]), {})[file] = entry
        return arrays

    @cached_property
    def _opened(self) -> dict[str, zarr.Array[Any]]:
        return {}

    def _read(self, track: int, chrom: str, start: int, line: ndarray[Any, Any], code: Code) -> None:
        """Reads one track's numbers from base `start` on into `line`, missing outside the chromosome."""
        first, last = max(0, start), min(start + line.size, self.lengths[chrom])
        line[: max(0, first - start)] = code.missing
        line[max(0, last - start) :] = code.missing
        if last <= first:
            return
        name = array_name(self._number(track), chrom)
        try:
            if name not in self._opened:
                sealed_folder.check_array(self.path, self._files.get(name, {f"{name}/zarr.json": (0, "")}))
                self._opened[name] = zarr.open_array(self.path / name, mode="r")
            line[first - start : last - start] = self._opened[name][first:last]
        except (ValueError, OSError, KeyError, RuntimeError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"`{self.path}` is damaged: `{name}` cannot be read ({error}). Build it anew.") from error


def array_name(track: int, chrom: str) -> str:
    """The path of an array inside a store."""
    return f"signal/chr{chrom}/{track:03d}"


def open_tracks(path: str | os.PathLike[str]) -> TrackStore:
    """Opens a store and reads its tables, not its signals.

    Raises:
        StoreError: not a track store, unfinished, damaged, or of a newer version.
    """
    tracks, arrays, metadata = STORE.read(path)
    return TrackStore(path=Path(path), tracks=tracks, arrays=arrays, metadata=metadata)
