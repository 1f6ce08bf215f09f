"""Lines of text, the same for every compression, line end and byte order mark, and lines split into fields.

`text_table.py` reads tables on top of this; lists of names, BED and GTF files use the lines themselves.
"""

from __future__ import annotations

import contextlib
import csv
import os
import re
from collections.abc import Iterator

from varfx.errors import FormatError
from varfx.io.stream import stream_bytes

BLOCK_BYTES = 32 << 20
BLANKS = " "  # as a separator: any run of blanks and tabs
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BINARY = {
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "Parquet",
    b"\x89HDF": "HDF5",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}


def line_blocks(path: str | os.PathLike[str]) -> Iterator[bytes]:
    r"""The decompressed text in blocks of whole lines, each line ending in "\n"; a byte order mark is left out.

    Raises:
        FormatError: no such file, damaged compression, not text, or a line longer than a block.
    """
    pieces: list[bytes] = []
    size, num_blocks = 0, 0
    for piece in _with_unix_line_ends(stream_bytes(path)):
        pieces.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            block = b"".join(pieces)
            end = block.rfind(b"\n") + 1
            if not end:
                _require_text(path, block, first=not num_blocks)
                raise FormatError(f"`{path}` has a line of more than {BLOCK_BYTES >> 20} MiB: it is not a table.")
            yield _require_text(path, block[:end], first=not num_blocks)
            num_blocks += 1
            pieces = [block[end:]]
            size = len(pieces[0])
    rest = b"".join(pieces)
    if rest:
        yield _require_text(path, rest if rest.endswith(b"\n") else rest + b"\n", first=not num_blocks)


def numbered_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, bytes]]:
    """Each line, without its end, and its number from 1."""
    number = 0
    for block in line_blocks(path):
        for line in block[:-1].split(b"\n"):
            number += 1
            yield number, line


def read_fields(path: str | os.PathLike[str], what: str) -> list[tuple[int, list[str]]]:
    """The lines of a list with their numbers, split at tabs if they have any, else at blanks.

    Blank lines and lines that begin with "#" are left out; fields are stripped of blanks and quotes.

    Args:
        path: the file, plain, gzip or zstd.
        what: the lines in words, for messages.

    Raises:
        FormatError: no such file, damaged, not text, or without any line.
    """
    listed = []
    for number, line in numbered_lines(path):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        listed.append((number, split_fields(as_text(line), "\t" if b"\t" in line.strip() else BLANKS)))
    if not listed:
        raise FormatError(f"`{path}` is empty: it should list {what}.")
    return listed


def split_fields(line: str, separator: str) -> list[str]:
    """The fields of a line, stripped; a quoted field may hold the separator."""
    if separator == BLANKS:
        line = re.sub(r"[ \t]+", BLANKS, line.strip(" \t"))
    fields = line.split(separator)
    if '"' in line:
        # What csv refuses (a field beyond its limit of 131,072 letters) stays split at every separator.
        with contextlib.suppress(csv.Error, StopIteration):
            fields = next(csv.reader([line], delimiter=separator))
    return [field.strip() for field in fields]


def count_fields(line: bytes, separator: str) -> int:
    """The number of fields of a line."""
    if b'"' in line or separator == BLANKS:
        return len(split_fields(line.decode("latin-1"), separator))
    return line.count(separator.encode()) + 1


def as_text(line: bytes) -> str:
    """The line decoded: UTF-8, or Latin-1 where it is none."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _with_unix_line_ends(pieces: Iterator[bytes]) -> Iterator[bytes]:
    r"""The same text with "\n" in place of "\r\n" and "\r"."""
    held = b""
    for piece in pieces:
        piece = held + piece
        body = piece.rstrip(b"\r")
        held = piece[len(body) :]
        if b"\r" in body:
            body = re.sub(rb"\r+\n", b"\n", body).replace(b"\r", b"\n")
        yield body
    if held:
        yield b"\n"


def _require_text(path: str | os.PathLike[str], block: bytes, *, first: bool) -> bytes:
    """The block, without a byte order mark at the beginning of a file.

    Raises:
        FormatError: it is not text.
    """
    if first:
        block = block.removeprefix(_BYTE_ORDER_MARK)
        for magic, name in _BINARY.items():
            if block.startswith(magic):
                raise FormatError(
                    f"`{path}` is a binary file ({name}), not UTF-8 text. Convert it to text, plain, gzip or zstd."
                )
    if b"\0" in block:
        raise FormatError(f"`{path}` is a binary file, not text: it holds NUL bytes. Check that it is whole.")
    return block
