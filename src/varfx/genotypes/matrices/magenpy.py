"""LD matrices of magenpy and viprs: Zarr (version 2) groups per chromosome, as folders or zip files.

`matrix/data` holds, row by row, the correlations of a variant with the following ones inside its window (the diagonal, 1, is not
stored), quantised to int8 or int16 or as floats; `matrix/indptr` where each row begins. `metadata` has snps, a1, a2, bp and maf;
attributes the chromosome, sample size, genome build and estimator. (Zabad et al. 2023.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome.builds import known_build
from varfx.genome.chromosomes import spelled
from varfx.genotypes.matrices.blocks import BlockSource, Correlations
from varfx.genotypes.ukb_npz import MAX_ABS_R, NPZ_DAMAGE
from varfx.io.remote import Mirror

_DAMAGE = (*NPZ_DAMAGE, SystemError, AssertionError, IndexError)


def is_magenpy(path: Path) -> bool:
    """True for a group of one chromosome, as folder or zip, and for a folder of such."""
    return bool(_groups(path))


class MagenpyMatrices(BlockSource):
    """Matrices of magenpy, a block per chromosome; a `CorrelationSource`. Outside a variant's window r is 0."""

    def __init__(
        self, path: Path, *, num_people: int | None = None, maf: float = 0.0, mirror: Mirror | None = None
    ) -> None:
        """Reads the variants of all chromosomes.

        Args:
            path: one chromosome's group (a folder or .zip), or a folder of them.
            num_people: sample size, in place of the one stated.
            maf: the least minor-allele frequency to keep.
            mirror: where the files lie on another machine; `path` then has their names alone.

        Raises:
            FormatError: a damaged or incomplete group.
            DataError: the chromosomes state different sample sizes or genome builds.
        """
        self.mirror = mirror
        self._paths = _groups(path)
        if not self._paths:
            raise FormatError(f"`{path}` holds no matrix of magenpy (matrix/data). Check the path.")
        tables, stated, builds = [], set(), set()
        for block, each in enumerate(self._paths):
            table, attributes = _read_variants(self._here(each))
            tables.append(table.with_columns(block=pl.lit(block, pl.Int32), row=pl.int_range(pl.len(), dtype=pl.Int64)))
            stated.add(attributes.get("Sample size"))
            builds.add(attributes.get("Genome build"))
        self._sizes = [table.height for table in tables]
        if num_people is None and len(stated) > 1:
            raise DataError(f"`{path}`: its chromosomes are of {len(stated)} sample sizes. Give --num-people.")
        if len(builds) > 1:
            raise DataError(
                f"`{path}`: its chromosomes are of different genome builds ({', '.join(sorted(map(str, builds)))})."
            )
        size, build = next(iter(stated)), next(iter(builds))
        people = num_people if num_people is not None or size is None else int(size)
        super().__init__(
            str(path),
            pl.concat(tables),
            num_people=people,
            build=known_build(build),
            maf=maf,
        )

    def _read(self, block: int) -> Correlations:
        path = self._here(self._paths[block])
        try:
            group = _opened(path)
            bounds = np.asarray(group["matrix/indptr"][...]).astype(np.int64)
            values = group["matrix/data"]
            size = self._sizes[block]
            if bounds.size == size and values.shape[0] > bounds[-1]:  # the end of the last row is left out
                bounds = np.append(bounds, values.shape[0])
            if bounds.shape != (size + 1,) or bounds[0] or (np.diff(bounds) < 0).any() or bounds[-1] != values.shape[0]:
                raise ValueError(f"indptr does not fit {size} variants and {values.shape[0]} correlations")
            if (np.arange(1, size + 1) + np.diff(bounds) > size).any():
                raise ValueError("a row reaches past the last variant")
        except _DAMAGE as error:
            raise _damaged(path, error) from error
        return _Banded(path, bounds, values)


@dataclass(frozen=True, eq=False)
class _Banded:
    """The rows of a chromosome, read as they are needed."""

    path: Path
    bounds: Int[ndarray, " rows_and_end"]
    values: Any

    def of(self, rows: Int[ndarray, " a"], columns: Int[ndarray, " b"]) -> Float[ndarray, "a b"]:
        """See `Correlations.of`."""
        R = np.zeros((rows.size, columns.size), dtype=np.float32)
        if not R.size:
            return R
        low, high = int(min(rows.min(), columns.min())), int(max(rows.max(), columns.max())) + 1
        try:
            data = np.asarray(self.values[self.bounds[low] : self.bounds[high]])
        except _DAMAGE as error:
            raise _damaged(self.path, error) from error
        scale = np.float32(1 / np.iinfo(data.dtype).max) if data.dtype.kind == "i" else np.float32(1)
        place = np.full(high - low, -1)
        place[columns - low] = np.arange(columns.size)
        of_row = np.full(high - low, -1)
        of_row[rows - low] = np.arange(rows.size)
        for i in range(low, high):
            first, last = (int(bound - self.bounds[low]) for bound in self.bounds[i : i + 2])
            partners = np.arange(i + 1, min(i + 1 + last - first, high))
            r = data[first : first + partners.size] * scale
            if r.size and not (np.abs(r) <= MAX_ABS_R).all():
                raise DataError(
                    f"`{self.path}`: row {i + 1} has correlations that are NaN or outside -1 to 1. Fetch it again."
                )
            for mine, theirs in ((of_row, place), (place, of_row)):
                where = theirs[partners - low]
                known = where >= 0
                if mine[i - low] >= 0 and known.any():
                    if mine is of_row:
                        R[mine[i - low], where[known]] = r[known]
                    else:
                        R[where[known], mine[i - low]] = r[known]
        same = np.flatnonzero((of_row >= 0) & (place >= 0))
        R[of_row[same], place[same]] = 1.0
        return R


def _groups(path: Path) -> list[Path]:
    """The groups at a path, in natural order of their names."""
    if path.is_file():
        return [path] if path.suffix == ".zip" else []
    if (path / "matrix" / "data").is_dir():
        return [path]
    found = (
        [each for each in path.iterdir() if each.suffix == ".zip" or (each / "matrix" / "data").is_dir()]
        if path.is_dir()
        else []
    )
    return sorted(found, key=lambda each: (len(each.stem), each.stem))


def _opened(path: Path) -> Any:
    import zarr

    store: Any = str(path) if path.is_dir() else zarr.storage.ZipStore(path, mode="r")
    return zarr.open_group(store, mode="r", zarr_format=2)


def _read_variants(path: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Columns of `SCHEMA` and `maf`, and the attributes."""
    try:
        group = _opened(path)
        attributes = dict(group.attrs)
        arrays = {name: np.asarray(group[f"metadata/{name}"][...]) for name in ("snps", "a1", "a2", "bp")}
        frequencies = np.asarray(group["metadata/maf"][...], dtype=float) if "metadata/maf" in group else None
        sizes = {array.size for array in arrays.values()}
        if len(sizes) > 1:
            raise ValueError(f"its columns have {', '.join(map(str, sorted(sizes)))} variants")
        chrom = attributes.get("Chromosome")
        if chrom is None:
            raise ConfigError(f"`{path}` does not state its chromosome, so that it is no matrix of magenpy.")
        table = pl.DataFrame(
            {
                "chrom": [spelled(str(chrom))] * arrays["bp"].size,
                "position": arrays["bp"].astype(np.int64),
                "variant_id": [str(each) for each in arrays["snps"]],
                "effect_allele": [str(each).upper() for each in arrays["a1"]],
                "other_allele": [str(each).upper() for each in arrays["a2"]],
            }
        )
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    return table if frequencies is None else table.with_columns(maf=pl.Series(frequencies)), attributes


def _damaged(path: Path, error: BaseException) -> Exception:
    if isinstance(error, ConfigError | FormatError):
        return error
    reason = " ".join(str(error).split()).rstrip(".")[:120]
    return FormatError(f"`{path}` is not a whole matrix of magenpy ({reason}). Fetch it again.")
