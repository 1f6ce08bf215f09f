"""`AnnotationFile`: a table of annotations too large for memory, whose channels are read from its file for some variants at a time."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32
from numpy import ndarray

from varfx.annotations.channels import Rows
from varfx.annotations.places import KEY_SCHEMA, Absent, Places, find_places
from varfx.annotations.store import KIND, MADE_BY, Annotations, read_annotations
from varfx.errors import DataError, StoreError
from varfx.io.sealed_rows import SealedRows, open_rows

HELD_BYTES = 1 << 29  # of channels; larger tables are read from their file
KEPT_BYTES = 1 << 28  # of row groups that were read last


class AnnotationFile:
    """Annotations in a file, with the attributes of `Annotations` that do not need the whole table."""

    def __init__(self, rows: SealedRows) -> None:
        """Takes an opened file of annotations.

        Raises:
            DataError: its columns are not those of annotations.
        """
        if rows.names[: len(KEY_SCHEMA)] != tuple(KEY_SCHEMA):
            raise DataError(
                f"`{rows.path}`: the first columns must be {', '.join(KEY_SCHEMA)}, but columns are "
                f"{', '.join(rows.names[:8])}. Make the file with `{MADE_BY}`."
            )
        self._rows = rows
        self.metadata: dict[str, Any] = rows.metadata
        self.channels = rows.names[len(KEY_SCHEMA) :]

    @property
    def keys(self) -> pl.DataFrame:
        """The columns of `KEY_SCHEMA`, read anew."""
        return self._rows.columns(list(KEY_SCHEMA))

    @property
    def height(self) -> int:
        """Number of variants."""
        return self._rows.height

    @property
    def build(self) -> str | None:
        """Genome build of the positions, hg19 or hg38; None where it is not known, as of earlier files."""
        return self.metadata.get("build")

    def column(self, name: str) -> pl.Series:
        """A channel of all variants, null where missing."""
        return self._rows.columns([name])[name]

    def on(self, wanted: pl.DataFrame, *, absent: Absent | None = None) -> FileChannels:
        """The channels of some variants; arguments and errors as those of `Annotations.select`."""
        return FileChannels(self._rows, find_places(self.keys, self.metadata, wanted, absent), self.channels)

    def select(
        self, wanted: pl.DataFrame, *, absent: Absent | None = None
    ) -> tuple[Float32[ndarray, "variant channel"], Bool[ndarray, "variant channel"]]:
        """The channels of some variants in memory, as `Annotations.select` does."""
        values = self.on(wanted, absent=absent).read(slice(None))
        return values, np.isnan(values)


class FileChannels:
    """Channels of some variants, read from the row groups in which these stand; the groups read last are kept."""

    def __init__(self, rows: SealedRows, places: Places, names: Sequence[str]) -> None:
        """Takes the rows of the file for each variant, and the channels to read."""
        self.names = tuple(names)
        self._rows, self._places = rows, places
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, ndarray] = OrderedDict()
        largest = int(np.diff(rows.bounds).max()) * max(1, len(self.names)) * 4
        self._most_kept = max(2, KEPT_BYTES // largest)

    @property
    def height(self) -> int:
        """Number of variants."""
        return len(self._places.row)

    @property
    def held(self) -> bool:
        """False."""
        return False

    def read(self, rows: Rows) -> Float32[ndarray, "row channel"]:
        """Values of some variants, NaN where missing.

        Raises:
            StoreError: the file changed since it was opened.
        """
        row = self._places.row[rows]
        values = np.full((row.size, len(self.names)), np.nan, dtype=np.float32)
        group = np.searchsorted(self._rows.bounds, row, side="right") - 1
        for number in np.unique(group[row >= 0]):
            here = np.flatnonzero(group == number)
            values[here] = self._group(int(number))[row[here] - self._rows.bounds[number]]
        return self._places.filled(values, self.names, rows)

    def take(self, names: Sequence[str]) -> FileChannels:
        """Some of the channels, in this order; the others are not read."""
        return self if tuple(names) == self.names else FileChannels(self._rows, self._places, names)

    def complete(self, name: str) -> bool:
        """Whether the file says that a channel has no gap, and every variant has a row."""
        return bool((self._places.row >= 0).all()) and self._rows.null_count(name) == 0

    def _group(self, number: int) -> Float32[ndarray, "row channel"]:
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
            while len(self._kept) >= self._most_kept:
                self._kept.popitem(last=False)
            values = self._rows.numbers(number, self.names)
            if np.isinf(values).any():
                raise StoreError(f"`{self._rows.path}` holds infinite values. Make it anew with `{MADE_BY}`.")
            self._kept[number] = values
            return values

    def __getstate__(self) -> dict[str, Any]:
        """For other processes: without what is kept."""
        return {**self.__dict__, "_kept": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


AnyAnnotations = Annotations | AnnotationFile


def open_annotations(path: str | os.PathLike[str]) -> AnyAnnotations:
    """The annotations in a `*.annot.parquet`: in memory up to `HELD_BYTES`, else read from the file when asked for.

    Raises:
        StoreError: not such a file, or damaged.
        DataError: its values cannot be right.
    """
    from pyarrow import ArrowException, parquet

    try:
        footer = parquet.read_metadata(path)
        size = footer.num_rows * (footer.num_columns - len(KEY_SCHEMA)) * 4
    except (ArrowException, OSError):
        size = 0  # said in words by the reader
    if size <= HELD_BYTES:
        return read_annotations(path)
    return AnnotationFile(open_rows(Path(path), kind=KIND, made_by=MADE_BY))
