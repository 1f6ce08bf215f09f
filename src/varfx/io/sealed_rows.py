"""Sealed tables that are larger than memory: written and read a group of rows at a time; their format is that of `sealed.write_table`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet
from jaxtyping import Float32, Int64
from numpy import ndarray

from varfx.errors import StoreError
from varfx.io import sealed

ROWS_PER_GROUP = 1 << 14  # about a window with its flanks: what is read for it is hardly more than it needs
_HASHED = 1 << 22  # bytes at a time


class SealedRows:
    """An opened sealed table whose seal was checked; its rows are read group by group.

    Attributes:
        path: the file.
        metadata: as written.
        names: of the columns.
        bounds: first row of each group, and the number of rows.
    """

    def __init__(self, path: Path, metadata: dict[str, Any]) -> None:
        """Use `open_rows`."""
        self.path, self.metadata = path, metadata
        self._stamp = _stamp(path)
        self._lock = threading.Lock()
        self._file: Any = None
        opened = self._opened()
        footer = opened.metadata
        self.names = tuple(opened.schema_arrow.names)
        sizes = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
        self.bounds: Int64[ndarray, " bound"] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.bounds[-1])

    @property
    def num_groups(self) -> int:
        """Number of row groups."""
        return len(self.bounds) - 1

    def columns(self, names: Sequence[str]) -> pl.DataFrame:
        """Some columns as a whole.

        Raises:
            StoreError: the file changed since it was opened.
        """
        parts = [pl.DataFrame(pl.from_arrow(self._group(group, names))) for group in range(self.num_groups)]
        return pl.concat(parts).rechunk()

    def numbers(self, group: int, names: Sequence[str]) -> Float32[ndarray, "row column"]:
        """Numeric columns of a row group, NaN where null.

        Raises:
            StoreError: the file changed since it was opened.
        """
        table = self._group(group, names)
        found = np.empty((table.num_rows, len(names)), dtype=np.float32)
        for number, name in enumerate(names):
            found[:, number] = table.column(name).to_numpy()
        return found

    def null_count(self, name: str) -> int | None:
        """Number of nulls of a column; None where the file does not say."""
        with self._lock:
            footer = self._opened().metadata
        column, total = self.names.index(name), 0
        for group in range(self.num_groups):
            known = footer.row_group(group).column(column).statistics
            if known is None or not known.has_null_count:
                return None
            total += known.null_count
        return total

    def _group(self, group: int, names: Sequence[str]) -> Any:
        with self._lock:
            file = self._opened()
            if _stamp(self.path) != self._stamp:
                raise StoreError(f"`{self.path}` changed while it was read. Run the command again.")
            try:
                return file.read_row_group(group, columns=list(names), use_threads=False)
            except (pa.ArrowException, OSError) as error:
                raise StoreError(f"`{self.path}` cannot be read: {' '.join(str(error).split())[:160]}.") from error

    def _opened(self) -> Any:
        if self._file is None:
            try:
                self._file = pa.parquet.ParquetFile(self.path)
            except (pa.ArrowException, OSError) as error:
                raise StoreError(f"`{self.path}` cannot be read: {' '.join(str(error).split())[:160]}.") from error
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        """For other processes, which open the file themselves."""
        return {**self.__dict__, "_file": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


def open_rows(path: str | os.PathLike[str], *, kind: str, made_by: str | None = None) -> SealedRows:
    """The table in a sealed file, after checking the seal a part at a time; rows are read when asked for.

    Args:
        path: a file of `sealed.write_table` or `write_rows`.
        kind: what it holds.
        made_by: the command that makes such files, for messages.

    Raises:
        StoreError: no such file, not a varfx table, another kind or version, or any byte of it changed.
    """
    path = Path(path)
    sealed.check_ends(path, kind=kind, made_by=made_by)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        offset = sealed.seal_offset(content, path)
        if _digest(file, offset) != content[offset : offset + 64]:
            raise StoreError(f"`{path}` is damaged: its checksum is not the one it was written with. Make it anew.")
    header = {name.decode(): value.decode() for name, value in pa.parquet.read_metadata(path).metadata.items()}
    sealed.check_header(header, path, kind=kind)
    return SealedRows(path, json.loads(header["varfx.metadata"]))


def write_rows(
    groups: Iterable[pl.DataFrame], path: str | os.PathLike[str], *, kind: str, metadata: Mapping[str, Any]
) -> None:
    """Writes a sealed Parquet file a row group at a time; it appears under its name when it is complete.

    Args:
        groups: the rows, all with the same columns; at least one group.
        path: the file.
        kind: what the table is.
        metadata: JSON-able values.

    Raises:
        StoreError: the file cannot be written; nothing is left behind.
    """
    with sealed.atomic_path(path, kind=kind) as partial:
        # By way of Python, which reports a full disk as what it is.
        with partial.open("wb") as file, contextlib.ExitStack() as open_writer:
            writer = None
            for frame in groups:
                table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
                if writer is None:
                    writer = pa.parquet.ParquetWriter(
                        file, table.schema, compression="zstd", compression_level=3, store_schema=False
                    )
                    open_writer.enter_context(writer)
                writer.write_table(table, row_group_size=max(1, frame.height))
            assert writer is not None
            writer.add_key_value_metadata(sealed.table_header(kind, metadata))
        with partial.open("r+b") as written, mmap.mmap(written.fileno(), 0) as content:
            offset = sealed.seal_offset(content, partial)
            content[offset : offset + 64] = _digest(written, offset)


def _digest(file: Any, offset: int) -> bytes:
    """The SHA-256 of a file whose 64 digits at `offset` count as zeros."""
    digest, place = hashlib.sha256(), 0
    file.seek(0)
    while part := bytearray(file.read(_HASHED)):
        for position in range(max(offset, place), min(offset + 64, place + len(part))):
            part[position - place] = ord("0")
        digest.update(part)
        place += len(part)
    return digest.hexdigest().encode()


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change of a file."""
    try:
        state = path.stat()
    except OSError as error:
        raise StoreError(f"`{path}` cannot be read: {error.strerror or error}.") from error
    return state.st_size, state.st_mtime_ns
