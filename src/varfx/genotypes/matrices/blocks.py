"""A source of LD in independent blocks: what squares, eigen-decompositions and published archives have in common.

A layout gives one table of variants, with their block and their row in it, and reads one block at a time. Correlations between
blocks are 0, as such sources mean it; a core that lies in two blocks is served from both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome.variants import bad_alleles
from varfx.genotypes.ld_source import (
    MissingRegion,
    PositionIndex,
    check_maf,
    genome_ordered,
    without_duplicates,
)
from varfx.genotypes.ukb_npz import DIAGONAL_ATOL, MAX_ABS_R, SYMMETRY_ATOL
from varfx.io.ledger import LedgerRow, Sieve
from varfx.io.remote import Mirror

SURELY_R2 = 100  # variants from which a square without any negative value cannot be one of r


class Correlations(Protocol):
    """The correlations of one block, whatever they are stored as."""

    def of(self, rows: Int[ndarray, " a"], columns: Int[ndarray, " b"]) -> Float[ndarray, "a b"]:
        """Correlations of the block's rows and columns with these numbers, in the file's own alleles."""
        ...


@dataclass(frozen=True, eq=False)
class Square:
    """All correlations of a block."""

    R: Float[ndarray, "variant variant"]

    def of(self, rows: Int[ndarray, " a"], columns: Int[ndarray, " b"]) -> Float[ndarray, "a b"]:
        """See `Correlations.of`."""
        return np.asarray(self.R[np.ix_(rows, columns)])


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """The largest eigenvalues of a block, and their vectors: `R ~ U diag(lam) U'`."""

    lam: Float[ndarray, " rank"]
    U: Float[ndarray, "variant rank"]

    def of(self, rows: Int[ndarray, " a"], columns: Int[ndarray, " b"]) -> Float[ndarray, "a b"]:
        """See `Correlations.of`."""
        return np.asarray((self.U[rows] * self.lam) @ self.U[columns].T)


class BlockSource(ABC):
    """LD in blocks; a `CorrelationSource`.

    Left out and counted: alleles outside ACGT, variants below `maf` where frequencies are known, further copies of a variant.
    """

    name: str
    variants: pl.DataFrame
    num_people: int
    build: str | None
    missing: tuple[MissingRegion, ...] = ()
    ledger: tuple[LedgerRow, ...]

    mirror: Mirror | None = None  # where the files lie on another machine

    def __init__(
        self, name: str, table: pl.DataFrame, *, num_people: int | None, build: str | None = None, maf: float = 0.0
    ) -> None:
        """Takes the variants of all blocks.

        Args:
            name: the path, for messages.
            table: columns of `varfx.genome.variants.SCHEMA` (`eaf` may be absent), `block` and `row` (the place in the block's
                matrix); optionally `sign` (-1 where r refers to `other_allele`) and `maf` (where the allele is not known).
            num_people: the sample size behind the correlations.
            build: genome build of the positions, if the layout fixes it.
            maf: the least minor-allele frequency to keep, where frequencies are known.

        Raises:
            ConfigError: no sample size, or one that cannot be.
            DataError: no variant is left.
        """
        check_maf(maf)
        if num_people is None:
            raise ConfigError(f"`{name}` does not say of how many individuals its LD is. Give --num-people.")
        if num_people <= 2:
            raise ConfigError(f"`num_people` must be above 2, got {num_people}.")
        self.name, self.num_people, self.build = name, num_people, build
        if "eaf" not in table.columns:
            table = table.with_columns(eaf=pl.lit(None, pl.Float64))
        sieve = Sieve(table)
        sieve.drop(bad_alleles(sieve.frame), "alleles outside ACGT")
        frequency = pl.col("maf") if "maf" in table.columns else pl.col("eaf")
        rarer = sieve.frame.select(rarer=pl.min_horizontal(frequency, 1 - frequency))["rarer"]
        if rarer.null_count() < rarer.len():
            sieve.drop((rarer < maf).fill_null(False), f"minor-allele frequency below {maf:g}")
        if rarer.null_count():
            sieve.ledger.add("frequency not known: kept whatever --maf says", rarer.null_count())
        unique, copies = without_duplicates(sieve.frame)
        sieve.ledger.add("further copies of a variant", copies)
        if not unique.height:
            raise DataError(
                f"`{name}`: no variant is left ({sieve.why() or 'it lists none'}). Check its list of variants."
            )
        self.variants, rest = genome_ordered(unique)
        self.ledger = tuple(sieve.ledger.rows())
        self._block = rest["block"].to_numpy().astype(np.int64)
        self._row = rest["row"].to_numpy().astype(np.int64)
        sign = rest["sign"].to_numpy() if "sign" in rest.columns else np.ones(rest.height)
        self._sign = sign.astype(np.float32)
        self._positions = PositionIndex(self.variants)
        self._loaded: tuple[int, Correlations] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Without the block read last: each process reads its own."""
        return {**self.__dict__, "_loaded": None}

    def select(
        self, chrom: str, start: int, end: int, flank: int
    ) -> tuple[Int[ndarray, " core"], Int[ndarray, " panel"]]:
        """The variants of the core, and those of its flank in the core's own blocks; see `LDSource.select`."""
        core, panel = self._positions.select(chrom, start, end, flank)
        return core, panel[np.isin(self._block[panel], np.unique(self._block[core]))]

    def correlation(
        self, core: Int[ndarray, " core"], panel: Int[ndarray, " panel"]
    ) -> tuple[Float[ndarray, "core core"], Float[ndarray, "core panel"]]:
        """See `CorrelationSource.correlation`; 0 between blocks. The block read last is kept in memory.

        Raises:
            FormatError, DataError: a block is damaged, or its values cannot be right.
        """
        cross = np.zeros((core.size, panel.size), dtype=np.float32)
        square = np.zeros((core.size, core.size), dtype=np.float32)
        for block in np.unique(self._block[core]):
            correlations = self._block_of(int(block))
            here = np.flatnonzero(self._block[core] == block)
            for whole, columns in ((square, core), (cross, panel)):
                there = np.flatnonzero(self._block[columns] == block)
                r = correlations.of(self._row[core[here]], self._row[columns[there]])
                whole[np.ix_(here, there)] = r * self._sign[core[here], None] * self._sign[columns[there]]
        return square, cross

    def _block_of(self, block: int) -> Correlations:
        if self._loaded is None or self._loaded[0] != block:
            self._loaded = None  # frees the old block before the next is read
            try:
                self._loaded = block, self._read(block)
            except (DataError, FormatError) as error:
                if self.mirror is None:
                    raise
                raise type(error)(self.mirror.told(str(error))) from error
        return self._loaded[1]

    def _here(self, path: Path) -> Path:
        """Where a file of the source can be read: a remote one is fetched."""
        return path if self.mirror is None else self.mirror.bring(path.name)

    @abstractmethod
    def _read(self, block: int) -> Correlations:
        """The correlations of a block, checked."""


def check_square(R: Float[ndarray, "variant variant"], path: str | Path, ids: Sequence[str] | None = None) -> None:
    """Checks that a square holds correlations r.

    Args:
        R: the square.
        path: its file, for messages.
        ids: names of its variants, for messages.

    Raises:
        DataError: values that are NaN or beyond [-1, 1], a diagonal other than 1, an asymmetric square, or one of r2.
    """
    size = R.shape[0]

    def called(number: int) -> str:
        return f"row {number + 1}" if ids is None else f"{ids[number]} (row {number + 1})"

    for first in range(0, size, 1024):
        rows = slice(first, first + 1024)
        bad = ~(np.abs(R[rows]) <= MAX_ABS_R)
        if bad.any():
            i, j = (int(place) for place in np.argwhere(bad)[0])
            raise DataError(
                f"`{path}`: at least {bad.sum()} correlations are NaN or outside -1 to 1, first {R[first + i, j]:g} of "
                f"{called(first + i)} with {called(j)}. It must hold r of variants with variance; compute it anew."
            )
        uneven = np.abs(R[rows] - R[:, rows].T) > SYMMETRY_ATOL
        if uneven.any():
            i, j = (int(place) for place in np.argwhere(uneven)[0])
            raise DataError(
                f"`{path}` is asymmetric: r of {called(first + i)} with {called(j)} is {R[first + i, j]:g}, the other way "
                f"{R[j, first + i]:g}. Compute it anew, as a full square."
            )
    off = np.abs(R.diagonal() - 1) > DIAGONAL_ATOL
    if off.any():
        i = int(off.argmax())
        raise DataError(
            f"`{path}`: the diagonal must be 1, but {off.sum()} of {size} entries are not, first {R[i, i]:g} of {called(i)}. "
            "It must hold correlations r, not covariances."
        )
    if size >= SURELY_R2 and not any((R[k : k + 1024] < 0).any() for k in range(0, size, 1024)):
        raise DataError(
            f"`{path}` has no negative value among {size} variants: it holds r2, without the signs that varfx needs. Write r "
            "(PLINK 1: --r square; PLINK 2: --r-unphased square)."
        )


def refuse_length(path: str | Path, size: int, expected: int, what: str) -> None:
    """Checks a file's length in bytes.

    Raises:
        FormatError: another length than `expected`.
    """
    if size != expected:
        raise FormatError(
            f"`{path}` has {size:,} bytes, but {what} make {expected:,}. It is truncated, or belongs to another list of variants. "
            "Fetch both again, from the same place."
        )
