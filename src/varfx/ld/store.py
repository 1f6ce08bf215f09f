"""The LD panel on disk (`*.ld.zarr`, Zarr v3): one group a window, a table of variants, a table of windows.

    windows/chr20_20000000_21000000/{lam, V, B, core, panel, ld_score}      arrays, checksummed chunk by chunk (crc32c)
        without V where it is taken from B; with B of the core alone, flank and flank_step where the flank is in 8 bits
    variants.parquet    windows.parquet    manifest.json

`B` is chunked by columns, so that it can be read, and multiplied, block by block.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import zarr
from jaxtyping import Float, Int
from numpy import ndarray
from zarr.codecs import BytesCodec, Crc32cCodec

from varfx.errors import StoreError
from varfx.genome.variants import SCHEMA
from varfx.io import sealed, sealed_folder
from varfx.io.array_folder import ArrayFolder
from varfx.ld.compact import core_columns, eigenvectors, require_shared, restored, rounded
from varfx.ld.config import Storage
from varfx.ld.whiten import Factors
from varfx.ld.windows import Core
from varfx.short_repr import short_repr

KIND = "ld-panel"
COLUMNS_PER_CHUNK = 2048
VARIANTS_SCHEMA = {**SCHEMA, "ld_score": pl.Float64()}
WINDOWS_SCHEMA = {
    "name": pl.String(),
    "chrom": pl.String(),
    "start": pl.Int64(),
    "end": pl.Int64(),
    "num_core": pl.Int64(),
    "num_panel": pl.Int64(),
    "rank": pl.Int64(),
    "variance_kept": pl.Float64(),
    "square_norm": pl.Float64(),
}
PANEL = ArrayFolder(
    holds="panel",
    made_by="varfx ld build",
    record="windows.parquet",
    group="windows",
    tables={"variants.parquet": (KIND, VARIANTS_SCHEMA), "windows.parquet": (f"{KIND}-windows", WINDOWS_SCHEMA)},
    later=("square_norm",),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class PanelWindow:
    """One window as stored.

    Attributes:
        core: where it lies.
        core_rows: rows of its core variants in the panel's `variants`, ascending.
        panel_rows: rows of its core and flank variants, ascending; the columns of `factors.B`.
        factors: the whitened LD.
    """

    __repr__ = short_repr

    core: Core
    core_rows: Int[ndarray, " core"]
    panel_rows: Int[ndarray, " panel"]
    factors: Factors


@dataclass(frozen=True)
class LDPanel:
    """An opened LD panel; windows are read from disk when asked for, and checked as they are read.

    Attributes:
        path: the folder.
        variants: `chrom, position, variant_id, effect_allele, other_allele, eaf, ld_score`, in genome order.
        windows: one row a window, in genome order; columns of `WINDOWS_SCHEMA`.
        metadata: provenance, options of the build, ledger, sample size of the reference, missing regions.
    """

    __repr__ = short_repr

    path: Path
    variants: pl.DataFrame
    windows: pl.DataFrame
    metadata: dict[str, Any]

    @property
    def num_people(self) -> int:
        """The sample size of the reference."""
        return int(self.metadata["num_people"])

    @property
    def storage(self) -> Storage:
        """What is stored of a window; full for earlier panels."""
        stored: Storage = self.metadata["config"].get("storage", "full")
        return stored

    @property
    def build(self) -> str | None:
        """Genome build of the positions, hg19 or hg38; None where it is not known, as of earlier panels."""
        return self.metadata.get("build")

    @property
    def flank(self) -> int:
        """Bases on each side of a core whose variants stand in the window."""
        return int(self.metadata["config"]["flank"])

    @cached_property
    def cores(self) -> list[Core]:
        """Core of each window, in the order of `windows`."""
        return [Core(*row) for row in self.windows.select("chrom", "start", "end").iter_rows()]

    @cached_property
    def _arrays(self) -> dict[str, dict[str, tuple[int, str]]]:
        """Manifest entries by array, e.g. "windows/chr1_0_1000000/B"."""
        arrays: dict[str, dict[str, tuple[int, str]]] = {}
        for file, entry in sealed_folder.read_manifest(self.path).items():
            arrays.setdefault("/".join(file.split("/")[:3]), {})[file] = entry
        return arrays

    def window(self, index: int) -> PanelWindow:
        """Reads one window.

        Raises:
            StoreError: a chunk is missing or damaged.
        """
        core_rows, panel_rows = self.rows(index)
        lam = self._read(index, "lam")
        if self.storage == "full":
            V, B = (self._read(index, name) for name in ("V", "B"))
        else:
            B = self._read(index, "B")
            own = core_columns(core_rows, panel_rows)
            B = self._with_flank(index, B, own) if self.storage == "int8" else B
            V = eigenvectors(B[:, own], lam)
        return PanelWindow(
            core=self.cores[index], core_rows=core_rows, panel_rows=panel_rows, factors=Factors(lam=lam, V=V, B=B)
        )

    def own(self, index: int) -> PanelWindow:
        """One window without its correlations with the flank: `B` has no columns. Much less is read.

        Raises:
            StoreError: a chunk is missing or damaged.
        """
        core_rows, panel_rows = self.rows(index)
        lam = self._read(index, "lam")
        if self.storage == "full":
            V = self._read(index, "V")
        else:
            columns = core_columns(core_rows, panel_rows) if self.storage == "shared" else slice(None)
            V = eigenvectors(self._read(index, "B", columns), lam)
        factors = Factors(lam=lam, V=V, B=np.zeros((lam.size, 0), dtype=V.dtype))
        return PanelWindow(core=self.cores[index], core_rows=core_rows, panel_rows=panel_rows, factors=factors)

    def _with_flank(self, index: int, own: Float[ndarray, "rank core"], columns: slice) -> Float[ndarray, "rank panel"]:
        """B of a window whose flank is stored in 8 bits, in float32."""
        flank = restored(self._read(index, "flank"), self._read(index, "flank_step"))
        return np.concatenate([flank[:, : columns.start], own.astype(np.float32), flank[:, columns.start :]], axis=1)

    def rows(self, index: int) -> tuple[Int[ndarray, " core"], Int[ndarray, " panel"]]:
        """Only `core_rows` and `panel_rows` of one window.

        Raises:
            StoreError: a chunk is missing or damaged.
        """
        return self._read(index, "core"), self._read(index, "panel")

    def _read(self, index: int, name: str, columns: slice | None = None) -> ndarray:
        """One array of one window, or some columns of it; the presence and size of each file and the checksum of each chunk are verified."""
        prefix = f"windows/{self.cores[index].name}/{name}"
        entries = self._arrays.get(prefix, {f"{prefix}/zarr.json": (0, "")})
        sealed_folder.check_array(self.path, entries)
        try:
            array = zarr.open_array(self.path / prefix, mode="r")
            if array.nbytes > sum(size for size, _ in entries.values()):  # stored as they are, so never larger
                raise ValueError(f"it claims {array.nbytes:,} bytes, which its files do not hold")
            return np.asarray(array[...] if columns is None else array[:, columns])
        except (ValueError, OSError, KeyError) as error:
            raise StoreError(
                f"`{self.path}` is damaged: `{prefix}` cannot be read ({error}). Build the panel anew."
            ) from error


def open_panel(path: str | os.PathLike[str]) -> LDPanel:
    """Opens a panel and reads its tables, not its windows.

    Raises:
        StoreError: not a panel, unfinished, damaged, or of a newer version.
    """
    variants, windows, metadata = PANEL.read(path)
    return LDPanel(path=Path(path), variants=variants, windows=windows, metadata=metadata)


def write_window(
    root: Path,
    core: Core,
    factors: Factors,
    core_rows: ndarray,
    panel_rows: ndarray,
    ld_score: ndarray,
    variance_kept: float,
    *,
    dtype: np.dtype[Any],
    storage: Storage = "full",
) -> None:
    """Writes one window below `root`/windows; the folder appears under its name when it is whole.

    Args:
        root: the panel's folder.
        core: where the window lies; its name is the folder's.
        factors: the arrays; `lam` is stored in float64, `V` in float32, `B` in `dtype`.
        core_rows: rows of the core variants in the panel's table.
        panel_rows: rows of core and flank variants.
        ld_score: LD scores of the core variants.
        variance_kept: share of the core's LD variance that the kept eigenpairs hold.
        dtype: float16, float32 or float64.
        storage: see `PanelConfig`.

    Raises:
        DataError: eigenvectors that cannot be taken from B.
    """
    with sealed.atomic_path(root / "windows" / core.name) as partial:
        attributes = {"variance_kept": variance_kept, "square_norm": factors.square_norm}
        if factors.negative:
            attributes |= {"negative": factors.negative, "lowest": factors.lowest}
        group = zarr.create_group(partial, attributes=attributes)
        arrays = {
            "lam": factors.lam.astype(np.float64),
            **_signal(factors, core_rows, panel_rows, dtype, storage),
            "core": core_rows.astype(np.int64),
            "panel": panel_rows.astype(np.int64),
            "ld_score": ld_score.astype(np.float64),
        }
        for name, values in arrays.items():
            wide = name in ("B", "flank") and values.shape[1]
            chunks = (values.shape[0], min(values.shape[1], COLUMNS_PER_CHUNK)) if wide else values.shape
            array = group.create_array(
                name,
                shape=values.shape,
                chunks=tuple(max(1, size) for size in chunks),
                dtype=values.dtype,
                serializer=BytesCodec(),
                compressors=(Crc32cCodec(),),
                config={"write_empty_chunks": True},
            )
            array[...] = values


def _signal(
    factors: Factors, core_rows: ndarray, panel_rows: ndarray, dtype: np.dtype[Any], storage: Storage
) -> dict[str, ndarray]:
    """The arrays that hold V and B."""
    if storage == "full":
        V = factors.V.astype(np.float64 if dtype == np.float64 else np.float32)
        return {"V": V, "B": factors.B.astype(dtype)}
    columns = core_columns(core_rows, panel_rows)
    own = factors.B[:, columns]
    require_shared(own, factors.lam, factors.V)
    if storage == "shared":
        return {"B": factors.B.astype(dtype)}
    flank = np.delete(factors.B, columns, axis=1)
    codes, steps = rounded(flank.astype(np.float32))
    return {"B": own.astype(dtype), "flank": codes, "flank_step": steps}
