"""LD of LDpred2 (bigsnpr): `LD_with_blocks_chr{c}.rds` (a sparse symmetric matrix) with the variants in `map*.rds`.

The map has chr, pos (GRCh37), a0, a1, rsid and af_UKBB; r refers to a1. Read with `rdata`, without R. (Privé et al. 2022.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome.chromosomes import spelled
from varfx.genotypes.matrices.blocks import BlockSource, Correlations
from varfx.genotypes.ukb_npz import DIAGONAL_ATOL, MAX_ABS_R
from varfx.io.r_file import read_r
from varfx.io.remote import Mirror

_NAME = re.compile(r".*chr([0-9A-Za-z]+)\.rds")


class LDpred2Folder(BlockSource):
    """Sparse matrices of LDpred2, a block per chromosome; a `CorrelationSource`. r is 0 where the matrix has no entry."""

    def __init__(
        self,
        path: Path,
        *,
        variants: Path | None = None,
        num_people: int | None = None,
        maf: float = 0.0,
        mirror: Mirror | None = None,
    ) -> None:
        """Reads the map.

        Args:
            path: a folder with the map and LD_with_blocks_chr*.rds, or one of those files.
            variants: the map, by default map*.rds beside them.
            num_people: the sample size behind the correlations (the files do not say it).
            maf: the least minor-allele frequency to keep, by af_UKBB.
            mirror: where the files lie on another machine; `path` then has their names alone.

        Raises:
            ConfigError: no map, or several; rdata is not installed; no sample size.
            FormatError: a damaged file, or one of another kind.
        """
        self.mirror = mirror
        self._paths = _files(path)
        table = _read_map(self._here(_map_beside(path)) if variants is None else variants)
        chroms = [spelled(_NAME.fullmatch(each.name)[1]) for each in self._paths]  # type: ignore[index]
        table = table.filter(pl.col("chrom").is_in(chroms)).with_columns(
            block=pl.col("chrom").replace_strict(
                dict(zip(chroms, range(len(chroms)), strict=True)), return_dtype=pl.Int32
            ),
            row=pl.int_range(pl.len(), dtype=pl.Int64).over("chrom"),
        )
        sizes = dict(table.group_by("block").len().iter_rows())
        self._sizes = [int(sizes.get(block, 0)) for block in range(len(chroms))]
        super().__init__(str(path), table, num_people=num_people, build="hg19", maf=maf)

    def _read(self, block: int) -> Correlations:
        return _Sparse(_read_matrix(self._here(self._paths[block]), self._sizes[block]))


@dataclass(frozen=True, eq=False)
class _Sparse:
    """All stored correlations of a chromosome, both triangles."""

    R: Any  # scipy.sparse.csr_array

    def of(self, rows: Int[ndarray, " a"], columns: Int[ndarray, " b"]) -> Float[ndarray, "a b"]:
        """See `Correlations.of`."""
        return np.asarray(self.R[rows][:, columns].toarray())


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if not _NAME.fullmatch(path.name):
            raise ConfigError(f"`{path}`: the name does not say the chromosome (LD_with_blocks_chr22.rds). Rename it.")
        return [path]
    found = sorted(each for each in path.iterdir() if _NAME.fullmatch(each.name) and not each.name.startswith("map"))
    if not found:
        raise FormatError(f"`{path}` holds no LD_with_blocks_chr*.rds of LDpred2. Check the path.")
    return found


def _map_beside(path: Path) -> Path:
    folder = path if path.is_dir() else path.parent
    found = sorted(folder.glob("map*.rds"))
    if len(found) != 1:
        what = "no map*.rds" if not found else f"{len(found)} maps ({found[0].name}, {found[1].name})"
        raise ConfigError(f"`{folder}` has {what}, the table of LDpred2's variants. Give it with --variants.")
    return found[0]


def _read_map(path: Path) -> pl.DataFrame:
    frame = read_r(path)
    columns = getattr(frame, "columns", ())
    absent = [name for name in ("chr", "pos", "a0", "a1", "rsid") if name not in columns]
    if absent:
        raise FormatError(
            f"`{path}` has no column {absent[0]}; it has {', '.join(map(str, columns)) or 'no table'}. Give LDpred2's map."
        )
    table = {
        "chrom": [spelled(str(int(each)) if isinstance(each, float) else str(each)) for each in frame["chr"]],
        "position": np.asarray(frame["pos"], dtype=float).astype(np.int64),
        "variant_id": [str(each) for each in frame["rsid"]],
        "effect_allele": [str(each).upper() for each in frame["a1"]],
        "other_allele": [str(each).upper() for each in frame["a0"]],
    }
    if "af_UKBB" in columns:
        table["eaf"] = np.asarray(frame["af_UKBB"], dtype=float)
    return pl.DataFrame(table)


def _read_matrix(path: Path, size: int) -> Any:
    matrix = read_r(path)
    slots = getattr(matrix, "__dict__", {})
    if not {"i", "p", "x", "Dim"} <= slots.keys():
        raise FormatError(
            f"`{path}` holds no sparse matrix (dsCMatrix) but {type(matrix).__name__}. Give LDpred2's LD_with_blocks."
        )
    shape = tuple(int(length) for length in slots["Dim"])
    if shape != (size, size):
        raise FormatError(
            f"`{path}` has shape {shape}, but its map lists {size} variants of the chromosome. Give the map that belongs to it."
        )
    try:
        half = sparse.csc_array(
            (np.asarray(slots["x"], dtype=float), np.asarray(slots["i"]), np.asarray(slots["p"])), shape=shape
        )
        half.check_format()
    except (ValueError, TypeError) as error:
        raise FormatError(f"`{path}` is damaged ({error}). Fetch it again.") from error
    if not (np.abs(half.data) <= MAX_ABS_R).all():
        raise DataError(f"`{path}` has correlations that are NaN or outside -1 to 1. Fetch it again.")
    diagonal = half.diagonal()
    if np.abs(diagonal - 1).max(initial=0.0) > DIAGONAL_ATOL:
        raise DataError(
            f"`{path}`: the diagonal must be 1, but is {diagonal[np.abs(diagonal - 1).argmax()]:g} in a row. It must hold r."
        )
    symmetric = "uplo" in slots
    whole = half + half.T - sparse.diags_array(diagonal) if symmetric else half
    return sparse.csr_array(whole)
