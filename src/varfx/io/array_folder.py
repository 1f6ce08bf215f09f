"""A sealed folder of a Zarr group of arrays and two tables about them: an LD panel, a track store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from varfx.errors import StoreError
from varfx.io import sealed, sealed_folder
from varfx.io.run_folder import RunFolder

_GROUP = "zarr.json"
Schema = Mapping[str, pl.DataType]


@dataclass(frozen=True, kw_only=True)
class ArrayFolder:
    """One kind of such folders."""

    holds: str
    """Its name in messages, e.g. panel."""
    made_by: str
    """The command that makes it."""
    record: str
    """The table by which it differs from other folders."""
    group: str
    """The group of its arrays."""
    tables: Mapping[str, tuple[str, Schema]]
    """File, kind and columns of its two tables; the first has the metadata."""
    later: tuple[str, ...] = ()
    """Columns that earlier versions did not write; they are null where a table lacks them."""

    def at(self, out: str | os.PathLike[str]) -> RunFolder:
        """The folder of this name, finished or not."""
        return RunFolder(out=Path(out), holds=self.holds, record=self.record, made_by=self.made_by, resume_option=False)

    def read(self, path: str | os.PathLike[str]) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
        """Both tables and the metadata of a finished folder; its arrays are not read.

        Raises:
            StoreError: another kind of folder, unfinished, damaged, or of a newer version.
        """
        root, manifest = Path(path), self.at(path).open()
        for name in (_GROUP, *self.tables):
            if name not in manifest:
                raise StoreError(
                    f"`{root}` is no {self.holds}: it has no `{name}`. Give a {self.holds} made by `{self.made_by}`."
                )
        sealed_folder.check_file(root, _GROUP, manifest[_GROUP])
        (first, metadata), (second, _) = (
            sealed.read_table(root / name, kind=kind) for name, (kind, _) in self.tables.items()
        )
        of_first, of_second = (schema for _, schema in self.tables.values())
        return self._completed(first, of_first), self._completed(second, of_second), metadata

    def write(self, root: Path, first: pl.DataFrame, second: pl.DataFrame, metadata: Mapping[str, Any]) -> None:
        """Adds the tables to a folder whose arrays are all written."""
        import zarr

        zarr.open_group(root, mode="a").require_group(self.group)
        frames: tuple[tuple[pl.DataFrame, Mapping[str, Any]], ...] = ((first, metadata), (second, {}))
        for (name, (kind, schema)), (frame, about) in zip(self.tables.items(), frames, strict=True):
            table = self._completed(frame, schema).select(*schema).cast(pl.Schema(schema))
            sealed.write_table(table, root / name, kind=kind, metadata=about)

    def finish(self, root: Path, first: pl.DataFrame, second: pl.DataFrame, metadata: Mapping[str, Any]) -> None:
        """Adds the tables and the manifest to a folder whose arrays are all written."""
        self.write(root, first, second, metadata)
        sealed_folder.seal_directory(root)

    def _completed(self, frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
        absent = [name for name in self.later if name in schema and name not in frame.columns]
        return frame.with_columns(pl.lit(None, schema[name]).alias(name) for name in absent)
