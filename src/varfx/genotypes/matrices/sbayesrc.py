"""Eigen-decompositions of SBayesRC and GCTB: a folder with `ldm.info`, `snp.info` and a binary file per block.

`block{b}.eigen.bin`, little-endian: int32 m and k, float32 sum of all eigenvalues, float32 threshold, float32 lam[k] descending,
float32 U[m, k] column by column. The older `eig_block{b}_var{t}.bin3` is the same without the threshold. Positions are GRCh37;
r refers to A1, whose frequency is A1Freq. (Zheng et al. 2024; GCTB's manual.)
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import polars as pl

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genotypes.matrices.blocks import BlockSource, Correlations, Eigenpairs, refuse_length
from varfx.genotypes.plink1 import sites_of
from varfx.io.remote import Mirror
from varfx.io.text_numbers import decimals, whole_numbers
from varfx.io.text_table import open_table, read_with_header

INFO, VARIANTS = "ldm.info", "snp.info"
_NEW = re.compile(r"block(\w+)\.eigen\.bin")
_OLD = re.compile(r"eig_block(\w+?)_var([0-9.]+)\.bin3")
_COLUMNS = {"Chrom": "chrom", "ID": "variant_id", "PhysPos": "position", "A1": "effect_allele", "A2": "other_allele"}
_ORTHONORMAL = 1e-2  # of the first vectors, in float32


class SBayesRCFolder(BlockSource):
    """A folder of eigen-decompositions; a `CorrelationSource` whose blocks lack their smallest eigenvalues.

    `truncated`: its correlations have a diagonal below 1, by what the files lack.
    """

    truncated = True

    def __init__(
        self, folder: Path, *, num_people: int | None = None, maf: float = 0.0, mirror: Mirror | None = None
    ) -> None:
        """Reads the list of variants, and the length and first numbers of each block's file.

        Args:
            folder: with ldm.info, snp.info and the blocks.
            num_people: sample size, in place of column N.
            maf: the least minor-allele frequency to keep, by A1Freq.
            mirror: where the files lie on another machine; `folder` then has their names alone.

        Raises:
            FormatError: a table or a block is missing, damaged or truncated, or blocks and list disagree.
        """
        self.mirror = mirror
        self._files = _block_files(folder)
        table, stated = _read_variants(self._here(folder / VARIANTS))
        listed = table["_block"].unique(maintain_order=True).to_list()
        absent = [name for name in listed if name not in self._files]
        if absent:
            raise FormatError(
                f"`{folder}` lacks the files of {len(absent)} of its {len(listed)} blocks, first block {absent[0]}. Fetch them."
            )
        self._names: list[str] = listed
        numbers = {name: number for number, name in enumerate(listed)}
        table = table.with_columns(
            block=pl.col("_block").replace_strict(numbers, return_dtype=pl.Int32),
            row=pl.int_range(pl.len(), dtype=pl.Int64).over("_block"),
        ).drop("_block")
        sizes = dict(table.group_by("block").len().iter_rows())
        self._sizes = [int(sizes[number]) for number in range(len(listed))]
        for number in range(len(listed) if mirror is None else 0):  # remote ones are checked when they are read
            _head(self._files[listed[number]], self._sizes[number])
        super().__init__(
            str(folder), table, num_people=stated if num_people is None else num_people, build="hg19", maf=maf
        )

    def _read(self, block: int) -> Correlations:
        path = self._here(self._files[self._names[block]])
        size = self._sizes[block]
        rank, offset, total = _head(path, size)
        with open(path, "rb") as file:
            file.seek(offset)
            numbers = np.fromfile(file, "<f4", rank + size * rank)
        lam, U = numbers[:rank], numbers[rank:].reshape(rank, size).T
        _check_pairs(path, lam, U, total)
        return Eigenpairs(lam, U)


def write_block(path: Path, lam: np.ndarray, U: np.ndarray, *, total: float, threshold: float) -> None:
    """Writes a block in the newer layout.

    Args:
        path: `block{b}.eigen.bin`.
        lam: eigenvalues, descending, (rank,).
        U: eigenvectors, (variant, rank).
        total: sum of all eigenvalues.
        threshold: the share of it that `lam` has.
    """
    with open(path, "wb") as file:
        file.write(struct.pack("<iiff", U.shape[0], lam.size, total, threshold))
        file.write(lam.astype("<f4").tobytes())
        file.write(U.astype("<f4").tobytes(order="F"))


def _block_files(folder: Path) -> dict[str, Path]:
    """The file of each block; of the older layout with several thresholds, the one that keeps most."""
    found: dict[str, tuple[float, Path]] = {}
    for path in sorted(folder.iterdir()):
        new, old = _NEW.fullmatch(path.name), _OLD.fullmatch(path.name)
        match = new or old
        if match:
            share = float(old[2]) if old else 2.0
            found[match[1]] = max(found.get(match[1], (0.0, path)), (share, path))
    if not found:
        raise FormatError(
            f"`{folder}` has {INFO}, but no block of SBayesRC (block1.eigen.bin). Fetch and unpack it whole."
        )
    return {name: path for name, (_, path) in found.items()}


def _read_variants(path: Path) -> tuple[pl.DataFrame, int]:
    """Columns of `SCHEMA` and `_block`, and the median sample size."""
    names = open_table(path).names
    block = next((name for name in ("Block", "blk") if name in names), None)
    if block is None:
        raise FormatError(f"`{path}` has no column Block (or blk); it has {', '.join(names[:12])}. Fetch it again.")
    table = read_with_header(path, [*_COLUMNS, "A1Freq", "N", block], "variants")
    sites = sites_of(table.rename(_COLUMNS), path)
    eaf = decimals(table, "A1Freq", path)
    bad = ~eaf.is_between(0, 1)
    if bad.any():
        raise DataError(f"`{path}`: A1Freq of {bad.sum()} variants is outside 0 to 1. Fetch it again.")
    sizes = whole_numbers(table, "N", path).to_numpy()
    if sizes.min() <= 2:
        raise DataError(f"`{path}`: the least N is {sizes.min():d}. Fetch it again.")
    return sites.with_columns(eaf=eaf, _block=table[block]), round(float(np.median(sizes)))


def _head(path: Path, size: int) -> tuple[int, int, float]:
    """Number of eigenvalues, where they begin, and the sum of all.

    Raises:
        FormatError: another length than the file itself says, or another number of variants than the list's.
    """
    layout = "<iiff" if _NEW.fullmatch(path.name) else "<iif"
    offset = struct.calcsize(layout)
    try:
        length = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(offset)
    except OSError as error:
        raise FormatError(f"`{path}` cannot be read: {error.strerror}. Check the path.") from error
    if len(head) < offset:
        raise FormatError(f"`{path}` has only {length} bytes: it is truncated. Fetch it again.")
    num_variants, rank, total, *_ = struct.unpack(layout, head)
    if num_variants != size:
        raise FormatError(
            f"`{path}` has {num_variants} variants, but {VARIANTS} lists {size} in its block. Fetch both again, from the same place."
        )
    if not 0 < rank <= size:
        raise FormatError(f"`{path}` says that it has {rank} eigenvectors of {size} variants. Fetch it again.")
    refuse_length(path, length, offset + 4 * rank * (1 + size), f"{rank} eigenvectors of {size} variants")
    return rank, offset, float(total)


def _check_pairs(path: Path, lam: np.ndarray, U: np.ndarray, total: float) -> None:
    """Checks eigenvalues (positive, descending, not above their stated sum) and vectors (finite, orthonormal)."""
    if not (np.isfinite(lam).all() and (lam > 0).all() and (np.diff(lam) <= 1e-4 * lam[0]).all()):
        raise FormatError(f"`{path}`: its eigenvalues are not positive and descending. Fetch it again.")
    if lam.sum(dtype=np.float64) > 1.01 * max(total, 0.0):
        raise FormatError(
            f"`{path}`: its eigenvalues add up to {lam.sum():g}, more than their stated sum {total:g}. Fetch it again."
        )
    lengths = np.einsum("mk,mk->k", U, U, dtype=np.float64)
    if not np.isfinite(lengths).all() or np.abs(lengths - 1).max() > _ORTHONORMAL:
        raise FormatError(f"`{path}`: its eigenvectors are not of length 1. Fetch it again.")
    few = U[:, :50].astype(np.float64)
    if np.abs(few.T @ few - np.eye(few.shape[1])).max() > _ORTHONORMAL:
        raise FormatError(f"`{path}`: its eigenvectors are not orthogonal. Fetch it again.")


def refuse_incomplete(folder: Path) -> None:
    """Checks that a folder has both tables.

    Raises:
        ConfigError: one is missing.
    """
    for name in (INFO, VARIANTS):
        if not (folder / name).is_file():
            raise ConfigError(f"`{folder}` lacks {name}, which SBayesRC's LD has. Fetch it whole.")
