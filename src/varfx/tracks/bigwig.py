"""bigWig files, read by the description of Kent et al. (Bioinformatics 2010), with every size and place checked first.

A header, a B+ tree of chromosomes, an R tree of blocks, and blocks of zlib data with at most 65,535 values each. Nothing is
read or made whose size the file's own size does not bear out, so that damage is an error and never a lack of memory.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from varfx.errors import FormatError

MAGIC = {b"\x26\xfc\x8f\x88": "<", b"\x88\x8f\xfc\x26": ">"}  # 888FFC26 in either byte order
_CHROM_MAGIC, _INDEX_MAGIC = 0x78CA8C91, 0x2468ACE0
_HEADER_BYTES, _CHROM_HEADER, _INDEX_HEADER, _NODE_HEADER = 64, 32, 48, 4
_SECTION = 24  # bytes before the values of a block
_LARGEST_BLOCK = _SECTION + 12 * 65_535  # bytes, decompressed
_DEEPEST = 24  # levels of a tree
_LONGEST_NAME = 1024
_KINDS = {1: ("start", "end", "value"), 2: ("start", "value"), 3: ("value",)}  # fields of a block's values


@dataclass(frozen=True, eq=False)
class _Blocks:
    """The blocks of one chromosome, in the order of the index: covered bases, and where the data stands."""

    start: ndarray[Any, Any]
    end: ndarray[Any, Any]
    offset: ndarray[Any, Any]
    size: ndarray[Any, Any]


class BigWig:
    """An opened bigWig file.

    Attributes:
        path: the file.
        lengths: the length of each chromosome, by its name in the file.
    """

    path: Path
    lengths: dict[str, int]

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reads the header, the chromosomes and the index.

        Raises:
            FormatError: it cannot be read, is no bigWig, or is damaged or truncated.
        """
        self.path = Path(path)
        try:
            self._size = os.stat(self.path).st_size
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise FormatError(f"`{path}` cannot be read: {reason}. Check the path.") from error
        head = self._read(0, min(_HEADER_BYTES, self._size))
        if head[:4] not in MAGIC:
            raise FormatError(f"`{path}` is no bigWig file: it does not begin like one. Check its kind.")
        if len(head) < _HEADER_BYTES:
            self._damaged("it ends in its header")
        self._order = MAGIC[head[:4]]
        _, _, chroms, _, index, _, _, _, _, buffer, _ = struct.unpack(f"{self._order}HHQQQHHQQIQ", head[4:])
        self._compressed = buffer > 0
        self._numbers = self._read_chroms(chroms)
        self.lengths = {name: length for name, (_, length) in self._numbers.items()}
        self._blocks = self._read_index(index)

    def values(self, chrom: str, start: int, end: int) -> Float32[ndarray, " base"]:
        """The value of each base of `[start, end)`, NaN where the file has none.

        Args:
            chrom: one of `lengths`.
            start: 0-based.
            end: 0-based.

        Raises:
            FormatError: a block is damaged.
        """
        number, _ = self._numbers[chrom]
        values = np.full(end - start, np.nan, dtype=np.float32)
        blocks = self._blocks.get(number)
        if blocks is None:
            return values
        for block in np.flatnonzero((blocks.start < end) & (blocks.end > start)):
            first, last, value = self._block(blocks, int(block), number)
            first, last = np.maximum(first - start, 0), np.minimum(last - start, values.size)
            inside = last > first
            first, width = first[inside], (last - first)[inside]
            # The bases of all stretches in a row: each stretch begins where those before it end.
            before = np.cumsum(width) - width
            values[np.repeat(first - before, width) + np.arange(width.sum())] = np.repeat(value[inside], width)
        return values

    def _damaged(self, reason: str) -> NoReturn:
        raise FormatError(
            f"`{self.path}` is damaged or truncated: the bigWig cannot be read ({reason}). Fetch it again."
        )

    def _read(self, offset: int, size: int) -> bytes:
        """Bytes of the file; never more than it has."""
        if offset < 0 or size < 0 or offset + size > self._size:
            self._damaged(f"{size:,} bytes at {offset:,} lie behind its end, at {self._size:,}")
        try:
            with open(self.path, "rb", buffering=0) as file:  # not kept open: this object goes to other processes
                file.seek(offset)
                content = file.read(size)
        except OSError as error:
            raise FormatError(f"`{self.path}` cannot be read: {error.strerror}.") from error
        if len(content) < size:
            self._damaged("it became shorter while it was read")
        return content

    def _nodes(self, root: int, leaf: np.dtype[Any], branch: np.dtype[Any]) -> Iterator[ndarray[Any, Any]]:
        """The items of each leaf of a tree, in order."""
        waiting, seen = [(root, 0)], set()
        while waiting:
            offset, depth = waiting.pop()
            if offset in seen or depth > _DEEPEST:
                self._damaged("a tree of its index runs in circles")
            seen.add(offset)
            is_leaf, _, count = struct.unpack(f"{self._order}BBH", self._read(offset, _NODE_HEADER))
            if is_leaf not in (0, 1):
                self._damaged("a node of its index is neither leaf nor branch")
            kind = leaf if is_leaf else branch
            items = np.frombuffer(self._read(offset + _NODE_HEADER, count * kind.itemsize), dtype=kind)
            if is_leaf:
                yield items
            else:
                waiting += [(int(child), depth + 1) for child in items["child"][::-1]]

    def _read_chroms(self, offset: int) -> dict[str, tuple[int, int]]:
        """Number and length of each chromosome by its name."""
        magic, _, width, value, count, _ = struct.unpack(f"{self._order}IIIIQQ", self._read(offset, _CHROM_HEADER))
        if magic != _CHROM_MAGIC or value != 8 or not 0 < width <= _LONGEST_NAME:
            self._damaged("its list of chromosomes has another form")
        order = self._order
        leaf = np.dtype([("name", f"S{width}"), ("number", f"{order}u4"), ("length", f"{order}u4")])
        branch = np.dtype([("name", f"S{width}"), ("child", f"{order}u8")])
        found: dict[str, tuple[int, int]] = {}
        for items in self._nodes(offset + _CHROM_HEADER, leaf, branch):
            for name, number, length in items.tolist():
                found[name.decode("latin-1")] = number, length
        if len(found) != count or len({number for number, _ in found.values()}) != count:
            self._damaged(f"it lists {len(found)} chromosomes of {count:,}")
        return found

    def _read_index(self, offset: int) -> dict[int, _Blocks]:
        """The blocks of each chromosome by its number, after checking that each lies in the file."""
        head = struct.unpack(f"{self._order}IIQIIIIQII", self._read(offset, _INDEX_HEADER))
        if head[0] != _INDEX_MAGIC:
            self._damaged("its index has another form")
        place = [(name, f"{self._order}u4") for name in ("chrom", "start", "last", "end")]
        leaf = np.dtype([*place, ("offset", f"{self._order}u8"), ("size", f"{self._order}u8")])
        branch = np.dtype([*place, ("child", f"{self._order}u8")])
        parts = list(self._nodes(offset + _INDEX_HEADER, leaf, branch))
        items = np.concatenate(parts) if parts else np.zeros(0, leaf)
        behind = (items["offset"] > self._size) | (items["size"] > self._size - np.minimum(items["offset"], self._size))
        if behind.any() or (items["size"] > 2 * _LARGEST_BLOCK).any():
            self._damaged(f"{max(int(behind.sum()), 1)} of its {items.size} blocks lie behind its end")
        if (items["chrom"] != items["last"]).any() or (items["start"] > items["end"]).any():
            self._damaged("a block of its index has no place on a chromosome")
        numbers = items["chrom"].astype(np.int64)
        fields = {name: items[name].astype(np.int64) for name in ("start", "end", "offset", "size")}
        return {
            int(number): _Blocks(**{name: field[numbers == number] for name, field in fields.items()})
            for number in np.unique(numbers)
        }

    def _block(self, blocks: _Blocks, index: int, number: int) -> tuple[ndarray, ndarray, ndarray]:
        """Starts, ends and values of a block's stretches."""
        content = self._read(int(blocks.offset[index]), int(blocks.size[index]))
        if self._compressed:
            stream = zlib.decompressobj()
            try:
                content = stream.decompress(content, _LARGEST_BLOCK + 1)
            except zlib.error as error:
                self._damaged(f"a block is not what its compression says: {error}")
            if not stream.eof:
                self._damaged("a block is cut, or larger than any block is")
        if len(content) < _SECTION:
            self._damaged("a block is cut")
        chrom, begin, end, step, span, kind, _, count = struct.unpack(f"{self._order}IIIIIBBH", content[:_SECTION])
        if chrom != number or kind not in _KINDS:
            self._damaged("a block is of another chromosome or kind than its index says")
        item = np.dtype(
            [(name, f"{self._order}f4" if name == "value" else f"{self._order}u4") for name in _KINDS[kind]]
        )
        if len(content) < _SECTION + count * item.itemsize:
            self._damaged("a block has fewer values than it says")
        items = np.frombuffer(content, dtype=item, count=count, offset=_SECTION)
        first = items["start"].astype(np.int64) if kind < 3 else begin + step * np.arange(count, dtype=np.int64)
        last = items["end"].astype(np.int64) if kind == 1 else first + span
        low, high = max(begin, int(blocks.start[index])), min(end, int(blocks.end[index]))
        if count and ((last < first).any() or (first[1:] < last[:-1]).any() or first[0] < low or last[-1] > high):
            self._damaged("the values of a block lie outside of it, or overlap")
        return first, last, items["value"].astype(np.float32)
