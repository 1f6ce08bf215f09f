"""The matrix file of UKBB_LD (`chr{c}_{s}_{e}.npz`): a scipy.sparse file that holds one triangle of R, read by parts.

A matrix of 13,000 variants is 1 GB as coordinates and 0.7 GB dense; so the three arrays of coordinates are streamed
out of the archive into the one dense matrix, and the other triangle is filled in place.
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray
from scipy import sparse

from varfx.errors import DataError, FormatError
from varfx.io import sealed

MAX_ABS_R = 1.001
SYMMETRY_ATOL = 1e-4
DIAGONAL_ATOL = 1e-3
_CHUNK_ENTRIES = 1 << 22
# What zipfile and numpy raise for archives that are damaged, encrypted, of another compression, or no archives.
NPZ_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    RuntimeError,  # encrypted, or compressed in a way that zipfile does not know
    zipfile.BadZipFile,
    zlib.error,
    OverflowError,
    MemoryError,
    SyntaxError,  # of an array's header
    RecursionError,
    struct.error,
)
_FEW_BYTES = 1 << 16  # of a header, and of the arrays that hold the shape and the format
_BLOCK = 1024


def read_npz(path: Path, size: int, table: Path) -> Float32[ndarray, "variant variant"]:
    """The symmetric correlation matrix with a diagonal of 1.

    Args:
        path: the .npz; it may hold the lower triangle, the upper, or both, with a diagonal of 0.5 or of 1.
        size: the number of variants that belong to it.
        table: the file that lists them, for messages.

    Raises:
        FormatError: no readable scipy.sparse file, not square, or of another size than `size`.
        DataError: an r that is NaN or beyond [-1, 1], both triangles that disagree, or another diagonal.
    """
    try:
        check_sizes(path, size)
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            shape = tuple(int(length) for length in archive["shape"])
            layout = archive["format"].astype(str).item()
    except NPZ_DAMAGE as error:
        raise _damaged(path, error) from error
    if len(shape) != 2 or shape[0] != shape[1]:
        raise FormatError(f"`{path}` holds a matrix of shape {shape}; a square one is needed. Fetch it again.")
    if shape[0] != size:
        raise FormatError(
            f"`{path}` holds {shape[0]} x {shape[1]} correlations, but `{table}` lists {size} variants. "
            "Fetch both again, from the same place."
        )
    R = np.zeros(shape, dtype=np.float32)
    below = above = 0
    for row, column, r in _entries(path, layout):
        _check_entries(path, row, column, r, size)
        R[row, column] = r
        below += int(np.count_nonzero(row > column))
        above += int(np.count_nonzero(row < column))
    _complete_diagonal(path, R)
    if below and above:
        _check_symmetry(path, R)
    else:
        _mirror(R, from_lower=below > 0)
    return R


def write_npz(path: str | os.PathLike[str], R: Float[ndarray, "variant variant"]) -> None:
    """Writes the lower triangle with half the diagonal, float32, as PolyFun does.

    Raises:
        StoreError: the file cannot be written.
    """
    size = R.shape[0]
    row = np.repeat(np.arange(size, dtype=np.int32), np.arange(1, size + 1))
    first = np.cumsum(np.arange(size))  # where each row begins among the entries of the triangle
    column = (np.arange(row.size) - first[row]).astype(np.int32)
    values = R[row, column].astype(np.float32)
    values[row == column] *= 0.5
    with sealed.atomic_path(path) as partial, open(partial, "wb") as file:
        sparse.save_npz(file, sparse.coo_matrix((values, (row, column)), shape=R.shape), compressed=True)


def _entries(path: Path, layout: str) -> Iterator[tuple[ndarray, ndarray, ndarray]]:
    """Row, column and value of the stored entries, some millions at a time."""
    try:
        if layout == "coo":
            with zipfile.ZipFile(path) as archive, ExitStack() as stack:
                members = [_Member(stack.enter_context(archive.open(f"{name}.npy"))) for name in ("row", "col", "data")]
                if len({member.left for member in members}) > 1:
                    raise ValueError("row, col and data differ in length")
                while members[0].left:
                    row, column, r = (member.read(_CHUNK_ENTRIES) for member in members)
                    yield row, column, r
        else:
            whole = sparse.load_npz(path).tocoo()
            for start in range(0, whole.nnz, _CHUNK_ENTRIES):
                part = slice(start, start + _CHUNK_ENTRIES)
                yield whole.row[part], whole.col[part], whole.data[part]
    except NPZ_DAMAGE as error:
        raise _damaged(path, error) from error


def check_sizes(path: Path, size: int) -> None:
    """Refuses arrays that claim more than a matrix of this size can hold, before memory is taken for them.

    Raises:
        ValueError: with the array.
    """
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            most = _FEW_BYTES + (0 if name in ("shape", "format") else 8 * size * max(size, 2))
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                read_header = (
                    np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read_header(stream, max_header_size=_FEW_BYTES)
            claimed = math.prod(int(length) for length in shape) * dtype.itemsize
            if max(claimed, member.file_size) > most:
                raise ValueError(
                    f"`{name}` claims {max(claimed, member.file_size):,} bytes, more than a matrix of {size} variants has"
                )


class _Member:
    """One array of an .npz, read from its beginning to its end."""

    def __init__(self, stream: Any) -> None:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, self._dtype = read_header(stream)
        if len(shape) != 1 or self._dtype.hasobject:
            raise ValueError("row, col and data must be vectors of numbers")
        self.left = int(shape[0])
        self._stream = stream

    def read(self, count: int) -> ndarray:
        count = min(count, self.left)
        content = self._stream.read(count * self._dtype.itemsize)
        if len(content) < count * self._dtype.itemsize:
            raise EOFError("an array is shorter than its header says")
        self.left -= count
        if not self.left and self._stream.read(1):  # reading to the end also checks the archive's CRC
            raise ValueError("an array is longer than its header says")
        return np.frombuffer(content, dtype=self._dtype)


def _check_entries(path: Path, row: ndarray, column: ndarray, r: ndarray, size: int) -> None:
    if row.size and (min(row.min(), column.min()) < 0 or max(row.max(), column.max()) >= size):
        raise FormatError(f"`{path}` has entries outside its {size} rows and columns. Fetch it again.")
    bad = ~(np.abs(r) <= MAX_ABS_R)  # also true for NaN
    if bad.any():
        first = int(bad.argmax())
        raise DataError(
            f"`{path}`: at least {bad.sum()} correlations are NaN or outside -1 to 1, first {r[first]:g} in row "
            f"{row[first] + 1}, column {column[first] + 1}. It must hold r of variants with variance; compute it anew."
        )


def _complete_diagonal(path: Path, R: Float32[ndarray, "variant variant"]) -> None:
    diagonal = R.diagonal()
    half, whole = (np.abs(diagonal - value) <= DIAGONAL_ATOL for value in (0.5, 1.0))
    if not (half.all() or whole.all()):
        bad = ~half if half.sum() >= whole.sum() else ~whole
        first = int(bad.argmax())
        raise DataError(
            f"`{path}`: the diagonal must be 0.5 or 1 throughout, but {bad.sum()} of {bad.size} entries are not, "
            f"first {diagonal[first]:g} in row {first + 1}. It must hold r, not r2 or covariances."
        )
    np.fill_diagonal(R, 1.0)


def _blocks(size: int) -> Iterator[tuple[slice, slice]]:
    """Pairs of stretches that cover the lower triangle: (rows, columns)."""
    for row in range(0, size, _BLOCK):
        for column in range(0, row + 1, _BLOCK):
            yield slice(row, row + _BLOCK), slice(column, column + _BLOCK)


def _mirror(R: Float32[ndarray, "variant variant"], *, from_lower: bool) -> None:
    """Copies the filled triangle onto the empty one, in place."""
    for rows, columns in _blocks(R.shape[0]):
        if rows == columns:
            block = R[rows, rows]
            block += np.triu(block.T, 1) if from_lower else np.tril(block.T, -1)
        elif from_lower:
            R[columns, rows] = R[rows, columns].T
        else:
            R[rows, columns] = R[columns, rows].T


def _check_symmetry(path: Path, R: Float32[ndarray, "variant variant"]) -> None:
    count, first = 0, (0, 0)
    for rows, columns in _blocks(R.shape[0]):
        unequal = np.abs(R[rows, columns] - R[columns, rows].T) > SYMMETRY_ATOL
        if rows == columns:
            unequal = np.tril(unequal, -1)
        if unequal.any():
            place = np.argwhere(unequal)[0]
            first = first if count else (int(rows.start + place[0]), int(columns.start + place[1]))
            count += int(unequal.sum())
    if count:
        i, j = first
        raise DataError(
            f"`{path}` is asymmetric: {count} pairs differ between its two triangles, first row {i + 1}, column {j + 1} "
            f"({R[i, j]:g} and {R[j, i]:g}). Store one triangle, or the same r in both."
        )


def _damaged(path: Path, error: Exception) -> FormatError:
    reason = " ".join(str(error).split()).rstrip(".")[:120]
    return FormatError(f"`{path}` is not a whole scipy.sparse .npz file ({reason}). Fetch it again.")
