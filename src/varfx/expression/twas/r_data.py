"""Writer of R's `save` files: version 2 of its serialisation in XDR (big-endian), gzip.

Numbers, texts, matrices with names of rows and columns, and data frames, as FUSION's weights need. After R Internals,
section 1.8 (Serialization Formats); the files are read by R's `load`.
"""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.io import sealed

_NIL, _SYMBOL, _PAIR, _CHAR, _INT, _REAL, _TEXTS, _LIST, _AGAIN = 254, 1, 2, 9, 13, 14, 16, 19, 255
_OBJECT, _ATTRIBUTES, _TAGGED = 1 << 8, 1 << 9, 1 << 10
_ASCII, _UTF8 = 64 << 12, 8 << 12
_HEADER = b"RDX2\nX\n" + struct.pack(">3i", 2, 0x040202, 0x020300)
_SHORT_ROWS = -(2**31)  # NA: row names are the numbers 1 to n


@dataclass(frozen=True, eq=False)
class Matrix:
    """A matrix of numbers with names."""

    values: Float[ndarray, "row column"]
    rows: Sequence[str]
    columns: Sequence[str]


@dataclass(frozen=True, eq=False)
class Frame:
    """A data frame with rows named 1 to n."""

    columns: Mapping[str, Sequence[str] | Float[ndarray, " row"] | Int[ndarray, " row"]]


Value: TypeAlias = Matrix | Frame | Sequence[str] | ndarray
_Put: TypeAlias = Callable[[], None]


def save(path: str | os.PathLike[str], objects: Mapping[str, Value]) -> None:
    """Writes named objects, complete or not at all.

    Raises:
        StoreError: the file cannot be written.
    """
    writer = _Writer()
    writer.pairs([(name, partial(writer.value, value)) for name, value in objects.items()])
    with sealed.atomic_path(path) as unfinished, gzip.GzipFile(unfinished, "wb", mtime=0) as file:
        file.write(_HEADER + bytes(writer.bytes))


class _Writer:
    """Bytes of the objects written so far."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self._symbols: dict[str, int] = {}

    def value(self, value: Value) -> None:
        if isinstance(value, Matrix):
            names = [lambda: self._texts(value.rows), lambda: self._texts(value.columns)]
            shape = np.array(value.values.shape)
            self._numbers(
                value.values, [("dim", lambda: self._numbers(shape)), ("dimnames", lambda: self._list(names))]
            )
        elif isinstance(value, Frame):
            self._frame(value)
        elif isinstance(value, ndarray):
            self._numbers(value)
        else:
            self._texts(value)

    def pairs(self, items: Sequence[tuple[str, _Put]]) -> None:
        """A tagged pairlist."""
        for name, put in items:
            self._ints(_PAIR | _TAGGED)
            self._symbol(name)
            put()
        self._ints(_NIL)

    def _frame(self, frame: Frame) -> None:
        columns = list(frame.columns.values())
        rows = np.array([_SHORT_ROWS, -len(columns[0])])
        self._list(
            [partial(self.value, column) for column in columns],
            [
                ("names", lambda: self._texts(list(frame.columns))),
                ("row.names", lambda: self._numbers(rows)),
                ("class", lambda: self._texts(["data.frame"])),
            ],
            flags=_OBJECT,
        )

    def _list(self, puts: Sequence[_Put], attributes: Sequence[tuple[str, _Put]] = (), flags: int = 0) -> None:
        self._ints(_LIST | flags | (_ATTRIBUTES if attributes else 0), len(puts))
        for put in puts:
            put()
        if attributes:
            self.pairs(attributes)

    def _numbers(self, values: ndarray, attributes: Sequence[tuple[str, _Put]] = ()) -> None:
        whole = values.dtype.kind == "i"
        self._ints((_INT if whole else _REAL) | (_ATTRIBUTES if attributes else 0), values.size)
        self.bytes += values.ravel(order="F").astype(">i4" if whole else ">f8").tobytes()
        if attributes:
            self.pairs(attributes)

    def _texts(self, values: Sequence[str]) -> None:
        self._ints(_TEXTS, len(values))
        for value in values:
            self._text(value)

    def _text(self, value: str) -> None:
        encoded = value.encode()
        self._ints(_CHAR | (_ASCII if value.isascii() else _UTF8), len(encoded))
        self.bytes += encoded

    def _symbol(self, name: str) -> None:
        if name in self._symbols:
            self._ints(self._symbols[name] << 8 | _AGAIN)
            return
        self._symbols[name] = len(self._symbols) + 1
        self._ints(_SYMBOL)
        self._text(name)

    def _ints(self, *values: int) -> None:
        self.bytes += struct.pack(f">{len(values)}i", *values)
