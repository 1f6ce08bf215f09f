"""`ChannelColumns`: channels of a table under construction, in memory while they are few, else in a temporary file without a name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from jaxtyping import Float, Float32, Int64
from numpy import ndarray

from varfx.errors import DataError
from varfx.io.sealed import write_error
from varfx.io.sealed_rows import ROWS_PER_GROUP


class ChannelColumns:
    """Channels of the same variants, given one after the other, or a part of the variants at a time.

    The temporary file has no name, so that nothing is left of it however the process ends; the end of a `with` block closes it.
    """

    def __init__(self, height: int, *, held_bytes: int = 0, folder: Path | None = None) -> None:
        """Starts without channels.

        Args:
            height: number of variants.
            held_bytes: channels are kept in memory up to this size, where there is a folder.
            folder: of the temporary file; None to keep all channels in memory.
        """
        self.height, self._folder = height, folder
        self._most_held = held_bytes // (4 * max(1, height))
        self._held: dict[str, ndarray] = {}
        self._stored: dict[str, int] = {}  # place of each column of the file
        self._file: BinaryIO | None = None

    def __enter__(self) -> ChannelColumns:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels, in the order in which they came."""
        return (*self._held, *self._stored)

    @property
    def held(self) -> bool:
        """Whether all lie in memory."""
        return not self._stored

    def put(self, name: str, values: Float[ndarray, " row"], rows: Int64[ndarray, " row"] | None = None) -> None:
        """Sets a channel's values of some variants, by default of all; NaN where missing, as the others are until they are set.

        Raises:
            StoreError: the temporary file cannot be written.
        """
        new = name not in self._held and name not in self._stored
        if new and (self._folder is None or (self.held and len(self._held) < self._most_held)):
            self._held[name] = np.full(self.height, np.nan, dtype=np.float32)
        if name in self._held:
            self._held[name][slice(None) if rows is None else rows] = values
            return
        column = np.full(self.height, np.nan, dtype=np.float32) if new else self.column(name)
        column[slice(None) if rows is None else rows] = values
        self._stored.setdefault(name, len(self._stored))
        self._write(name, column)

    def column(self, name: str, first: int = 0, count: int | None = None) -> Float32[ndarray, " row"]:
        """Values of `count` variants from the row `first` on; by default of all."""
        size = self.height - first if count is None else min(count, self.height - first)
        if name in self._held:
            return self._held[name][first : first + size]
        assert self._file is not None
        self._file.seek(4 * (self._stored[name] * self.height + first))
        return np.frombuffer(bytearray(self._file.read(4 * size)), dtype=np.float32)

    def series(self) -> list[pl.Series]:
        """All channels, null where missing."""
        return [pl.Series(name, self.column(name), dtype=pl.Float32, nan_to_null=True) for name in self.names]

    def groups(self, keys: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The table, a row group at a time: the keys, then the channels, null where missing.

        Raises:
            DataError: a value is infinite.
        """
        for first in range(0, self.height, ROWS_PER_GROUP):
            part = keys.slice(first, ROWS_PER_GROUP)
            found = []
            for name in self.names:
                values = self.column(name, first, part.height)
                bad = np.isinf(values)
                if bad.any():
                    raise DataError(
                        f"channel `{name}` is infinite in {bad.sum()} of {bad.size} rows from {first + 1} on, first row "
                        f"{first + int(bad.argmax()) + 1}. Leave it out, or mark these values as missing."
                    )
                found.append(pl.Series(name, values, dtype=pl.Float32, nan_to_null=True))
            yield part.with_columns(found)

    def _write(self, name: str, column: Float32[ndarray, " variant"]) -> None:
        assert self._folder is not None
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 (lives as long as this object)
            self._file.seek(4 * self._stored[name] * self.height)
            self._file.write(column.data.cast("B"))
        except OSError as error:
            raise write_error(self._folder / "temporary file", error) from error
