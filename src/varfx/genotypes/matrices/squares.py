"""Square matrices of r with a list of variants: PLINK 1 and 2, FINEMAP, and NumPy files; one block per file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genotypes.config import RAllele
from varfx.genotypes.matrices.blocks import BlockSource, Correlations, Square, check_square
from varfx.genotypes.matrices.variant_list import in_order_of, list_beside, read_variant_list
from varfx.genotypes.ukb_npz import NPZ_DAMAGE, check_sizes, read_npz
from varfx.io.ledger import Sieve
from varfx.io.remote import Mirror
from varfx.io.stream import read_bytes
from varfx.io.text_lines import numbered_lines

_ENDING = re.compile(r"(\.(?:un)?phased)?\.vcor[12](\.bin)?(\.zst|\.gz)?$|\.ld(\.bin)?(\.gz|\.zst)?$|\.np[yz]$")
_PLINK2 = re.compile(r"\.vcor([12])(\.bin)?(\.zst|\.gz)?$")
_PAIRS = ("CHR_A", "#CHROM_A", "CHROM_A", "SNP_A", "ID_A")  # headers of tables of pairs


def is_square(path: Path) -> bool:
    """True where a path has the ending of a matrix that this file reads."""
    return _ENDING.search(path.name) is not None


class Squares(BlockSource):
    """Square matrices of r, each a block; a `CorrelationSource`.

    Variants whose diagonal is NaN (monomorphic, as PLINK writes them) are left out and counted.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        variants: Path | None = None,
        r_allele: RAllele | None = None,
        num_people: int | None = None,
        maf: float = 0.0,
        mirror: Mirror | None = None,
    ) -> None:
        """Reads the lists of variants, and of each matrix the diagonal.

        Args:
            paths: matrices: .ld, .ld.gz (text), .ld.bin, .vcor1, .vcor1.bin, .npy, .npz.
            variants: the list of variants of the one matrix, or of all of those with their own list of names (.snplist of
                PLINK 1, .vars of PLINK 2); by default the list beside each.
            r_allele: what r refers to in PLINK 2's files, which do not say: "listed" (ref-based), or "major" alleles.
            num_people: the sample size behind the correlations.
            maf: the least minor-allele frequency, where the list has frequencies.
            mirror: where the files lie on another machine; `paths` then are their names alone.

        Raises:
            ConfigError: no list, no sample size, or PLINK 2's files without `r_allele`.
            FormatError: a damaged file, or one of another size than its list.
            DataError: r2 in place of r, a table of pairs, a variant in two blocks, or no variant is left.
        """
        self.mirror = mirror
        self._paths = list(paths)
        self._sizes: list[int] = []
        tables = []
        for block, path in enumerate(self._paths):
            _refuse_r2(path)
            if r_allele is None and _PLINK2.search(path.name):
                raise ConfigError(
                    f"`{path}` does not say what its r refers to: --r-allele listed if PLINK 2 was run with ref-based, --r-allele major "
                    "if not. Give one."
                )
            table = self._variants_of(path, variants, alone=len(self._paths) == 1)
            self._sizes.append(table.height)
            table = table.with_columns(block=pl.lit(block, pl.Int32), row=pl.int_range(pl.len(), dtype=pl.Int64))
            if r_allele == "major":
                table = _towards_major(table, path)
            table = table.with_columns(varies=pl.Series(~np.isnan(_diagonal(self._here(path), table.height))))
            tables.append(table)
        whole = pl.concat(tables)
        sieve = Sieve(whole)
        sieve.drop(~sieve.frame["varies"], "monomorphic (NaN on the diagonal)")
        if r_allele == "major":
            sieve.drop((sieve.frame["eaf"] - 0.5).abs() < 1e-9, "major allele unknown (frequency 0.5)")
        whole = sieve.frame.drop("varies")
        _refuse_overlap(whole, self._paths)
        super().__init__(str(paths[0]), whole, num_people=num_people, maf=maf)
        self.ledger = (*sieve.ledger.rows(), *self.ledger)

    def _variants_of(self, path: Path, variants: Path | None, *, alone: bool) -> pl.DataFrame:
        """The variants of a matrix, one per row of it."""
        stem = _ENDING.sub("", str(path))
        names = next((each for each in (Path(f"{path}.vars"), Path(f"{stem}.snplist")) if each.is_file()), None)
        if variants is not None and names is None and not alone:
            raise ConfigError(
                f"`{path}` has no list of names beside it (.snplist, .vars), so that its rows in `{variants}` are not known. Leave "
                "--variants out, and put a list beside each matrix."
            )
        listed = self._here(list_beside(stem)) if variants is None else variants
        table = read_variant_list(listed)
        return table if names is None else in_order_of(self._here(names), table, listed)

    def _read(self, block: int) -> Correlations:
        path = self._here(self._paths[block])
        R = _matrix(path, self._sizes[block])
        known = ~np.isnan(R.diagonal())
        check_square(R if known.all() else R[np.ix_(known, known)], path)
        return Square(R)


def _refuse_r2(path: Path) -> None:
    found = _PLINK2.search(path.name)
    if found and found[1] == "2":
        raise DataError(
            f"`{path}` holds r2, without the signs that varfx needs. Write r: plink2 --r-unphased square ref-based."
        )


def _towards_major(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """With `sign`: 1 where the effect allele is the major one, to which r refers."""
    unknown = table["eaf"].is_null()
    if unknown.any():
        row = int(unknown.arg_max() or 0)
        raise ConfigError(
            f"`{path}`: the major allele of {unknown.sum()} of {table.height} variants is not known, first "
            f"{table['variant_id'][row]}. Give --variants with frequencies of the effect allele (eaf), or write r with ref-based."
        )
    return table.with_columns(sign=pl.when(pl.col("eaf") > 0.5).then(1).otherwise(-1).cast(pl.Int8))


def _refuse_overlap(table: pl.DataFrame, paths: Sequence[Path]) -> None:
    blocks = table.group_by("chrom", "position", "variant_id").agg(pl.col("block").unique().sort())
    shared = blocks.filter(pl.col("block").list.len() > 1).sort("chrom", "position")
    if shared.height:
        first, second = shared["block"][0][:2]
        raise DataError(
            f"`{paths[first]}` and `{paths[second]}` share variants ({shared.height}, first {shared['variant_id'][0]}), but blocks "
            "must be apart. Build a panel of each, or give one matrix of both."
        )


# ---- the matrices --------------------------------------------------------------------------------------------------


def _diagonal(path: Path, size: int) -> Float[ndarray, " variant"]:
    """The diagonal, for variants without variance; a text file and an archive are read whole for it."""
    return np.array(_matrix(path, size, mapped=True).diagonal())


def _matrix(path: Path, size: int, *, mapped: bool = False) -> Float[ndarray, "variant variant"]:
    """The matrix of a file.

    Args:
        path: the file.
        size: the number of its variants.
        mapped: only part of it is needed: map it into memory where that can be.

    Raises:
        FormatError: damaged, or of another size.
        DataError: a table of pairs.
    """
    if re.search(r"\.bin(\.zst|\.gz)?$", path.name):
        return _binary(path, size, mapped=mapped)
    if path.name.endswith(".npy"):
        return _numpy(path, size, mapped=mapped)
    if path.name.endswith(".npz"):
        return _archive(path, size)
    return _text(path, size)


def _binary(path: Path, size: int, *, mapped: bool) -> Float[ndarray, "variant variant"]:
    """float32 or float64 without a header, told apart by the length."""
    try:
        packed = None if path.name.endswith(".bin") else read_bytes(path)
        length = path.stat().st_size if packed is None else len(packed)
        widths = {4 * size * size: "<f4", 8 * size * size: "<f8"}
        if length not in widths:
            raise FormatError(
                f"`{path}` has {length:,} bytes, but a square of its {size:,} variants has {4 * size * size:,} (bin4) or {8 * size * size:,} "
                "(bin). It is truncated, a triangle, or belongs to another list of variants."
            )
        if packed is not None:
            return np.frombuffer(packed, widths[length]).reshape(size, size)
        if mapped:
            return np.memmap(path, widths[length], "r", shape=(size, size))
        return np.fromfile(path, widths[length]).reshape(size, size)
    except OSError as error:
        raise FormatError(f"`{path}` cannot be read: {error.strerror}. Check the path.") from error


def _numpy(path: Path, size: int, *, mapped: bool) -> Float[ndarray, "variant variant"]:
    try:
        R = np.load(path, mmap_mode="r", allow_pickle=False)
    except NPZ_DAMAGE as error:
        raise _damaged(path, error) from error
    _check_shape(path, R, size)
    return R if mapped else np.array(R)


def _archive(path: Path, size: int) -> Float[ndarray, "variant variant"]:
    """An .npz with one square, or of scipy.sparse as UKBB_LD has."""
    try:
        check_sizes(path, size)
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.keys())
            if len(names) == 1:
                R: ndarray = archive[names[0]]
                _check_shape(path, R, size)
                return R
    except NPZ_DAMAGE as error:
        if isinstance(error, FormatError):
            raise
        raise _damaged(path, error) from error
    if {"format", "shape", "data"} <= set(names):
        return read_npz(path, size, path)
    raise FormatError(
        f"`{path}` holds {len(names)} arrays ({', '.join(names[:5])}); one square is needed. Save it alone."
    )


def _text(path: Path, size: int) -> Float[ndarray, "variant variant"]:
    """Rows of numbers between blanks or tabs."""
    R = np.empty((size, size), dtype=np.float32)
    row = 0
    for number, line in numbered_lines(path):
        words = line.split()
        if not words:
            continue
        if number == 1 and words[0].decode(errors="replace") in _PAIRS:
            raise DataError(
                f"`{path}` is a table of pairs above a threshold of r2: pairs that it lacks are not 0, so that no likelihood can be "
                "had from it. Write the full square (PLINK 1: --r square; PLINK 2: --r-unphased square ref-based)."
            )
        if row == size or len(words) != size:
            what = f"more than {size} rows" if row == size else f"{len(words)} numbers in row {row + 1}"
            hint = " A triangle or a banded matrix is no square." if len(words) < size else ""
            raise FormatError(
                f"`{path}` has {what}, but {size} variants belong to it.{hint} Give the list it was made with."
            )
        try:
            R[row] = np.array(words, dtype=np.float32)
        except ValueError as error:
            raise FormatError(
                f"`{path}`: row {row + 1} holds words that are no numbers ({error}). Fetch it again."
            ) from error
        row += 1
    if row < size:
        raise FormatError(
            f"`{path}` has {row} rows, but {size} variants belong to it. It is truncated, or has another list."
        )
    return R


def _check_shape(path: Path, R: ndarray, size: int) -> None:
    if R.ndim != 2 or R.shape != (size, size) or R.dtype.kind != "f":
        raise FormatError(
            f"`{path}` holds an array of shape {R.shape} and type {R.dtype}, but {size} variants make ({size}, {size}) of numbers. Give "
            "the list that it was made with."
        )


def _damaged(path: Path, error: Exception) -> FormatError:
    reason = " ".join(str(error).split()).rstrip(".")[:120]
    return FormatError(f"`{path}` is not a whole NumPy file ({reason}). Fetch it again.")
