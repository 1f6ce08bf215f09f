"""The bytes of a file that may be compressed (gzip, bgzip or zstd, recognised by its first bytes).

BGZF, the blocked gzip of bgzip, tabix and BCF, is checked here too: only its parts can be read alone.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from varfx.errors import FormatError
from varfx.io.recognise import seems

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BOMB_BYTES, BOMB_RATIO = 16 << 20, 200  # text of so many bytes that is so many times as large as its file is none
_READ_BYTES = 1 << 20
_ZSTD_BYTES = 1 << 12  # of 4 bytes, zstd makes up to 128 KiB
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # the empty last block


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The whole file, decompressed; errors as for `stream_bytes`."""
    return b"".join(stream_bytes(path))


def stream_bytes(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The file's bytes in pieces, decompressed; several gzip members or zstd frames in a row are one stream.

    Raises:
        FormatError: no such file, unreadable, or its compressed data is damaged, truncated, or grows as no table does.
    """
    try:
        with open(Path(path), "rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic.startswith((GZIP, ZSTD)):
                yield from _decompressed(file, path, gzip=magic.startswith(GZIP))
                return
            while piece := file.read(_READ_BYTES):
                yield piece
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL byte
        if isinstance(error, FormatError):
            raise
        if isinstance(error, IsADirectoryError):
            raise FormatError(f"`{path}` is a folder (it seems to be {seems(Path(path))}). Give a file.") from error
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FormatError(f"`{path}` cannot be read: {reason}. Check the path.") from error


def _decompressed(file: BinaryIO, path: str | os.PathLike[str], *, gzip: bool) -> Iterator[bytes]:
    """Content of a compressed file, in pieces of at most some MiB, whatever it claims."""
    damaged = f"`{path}` is damaged or truncated: it cannot be decompressed. Fetch it again."
    unit = _READ_BYTES if gzip else _ZSTD_BYTES
    stream, piece, size, pending = _decompressor(gzip), file.read(unit), 0, False
    while piece or pending:
        try:
            text: bytes = stream.decompress(piece, _READ_BYTES) if gzip else stream.decompress(piece)
        except (zlib.error, zstandard.ZstdError) as error:
            raise FormatError(damaged) from error
        size += len(text)
        if size > BOMB_BYTES and size > BOMB_RATIO * file.tell():
            raise FormatError(
                f"`{path}` grows more than {BOMB_RATIO}-fold when decompressed, as no table does: it is damaged, or made "
                "to fill the memory. If it is as it should be, decompress it first."
            )
        yield text
        if stream.eof:
            rest = stream.unused_data.lstrip(b"\0") if gzip else stream.unused_data
            piece = rest or file.read(unit)
            if not piece.strip(b"\0"):
                return
            stream, pending = _decompressor(gzip), False
        else:
            pending = gzip and len(text) == _READ_BYTES
            piece = (stream.unconsumed_tail if gzip else b"") or file.read(unit)
    raise FormatError(damaged)


def _decompressor(gzip: bool) -> Any:
    """Unlike a stream reader, these notice that the last member or frame is cut."""
    return zlib.decompressobj(wbits=31) if gzip else zstandard.ZstdDecompressor().decompressobj()


def is_file(path: str | os.PathLike[str]) -> bool:
    """True for an existing file; False for a name that no file can have, such as one of thousands of letters."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def is_gzip(path: str | os.PathLike[str]) -> bool:
    """True where a file begins as gzip does.

    Raises:
        FormatError: the file cannot be read.
    """
    return _ends(Path(path))[0].startswith(GZIP)


def check_bgzf(path: str | os.PathLike[str], what: str) -> None:
    """Checks that a file is BGZF and has its last block.

    Args:
        path: the file.
        what: its content in words, for the message.

    Raises:
        FormatError: it cannot be read, is not BGZF, or is truncated.
    """
    head, tail = _ends(Path(path))
    if not head.startswith(GZIP):
        raise FormatError(f"`{path}` is not compressed, so that no part of it can be found. Compress it with `bgzip`.")
    if not (head[3] & 4 and head[12:14] == b"BC"):
        raise FormatError(
            f"`{path}` is compressed with gzip, not bgzip, so that no part of it can be found. Decompress it, and "
            f"compress the {what} with `bgzip`."
        )
    if tail != _BGZF_END:
        raise FormatError(f"`{path}` is truncated: the block that ends a bgzip file is missing. Fetch it again.")


def bgzf_text(file: BinaryIO, block: int, within: int, size: int) -> bytes | None:
    """Up to `size` decompressed bytes of a BGZF file from a place on, fewer at its end; None if there is no such place.

    Args:
        file: opened for reading.
        block: first byte of a compressed block in the file.
        within: bytes of the decompressed block before the place.
        size: bytes wanted.
    """
    found, end = b"", file.seek(0, os.SEEK_END)
    while len(found) < within + size and block < end:
        file.seek(block)
        head = file.read(18)
        if not head:
            break
        if len(head) < 18 or not head.startswith(GZIP) or head[12:14] != b"BC":
            return None
        length = int.from_bytes(head[16:18], "little") + 1
        file.seek(block)
        try:
            found += zlib.decompress(file.read(length), wbits=31)
        except zlib.error:
            return None
        block += length
    return found[within : within + size] if within <= len(found) else None


def _ends(path: Path) -> tuple[bytes, bytes]:
    """The first 18 and the last 28 bytes."""
    try:
        with open(path, "rb") as file:
            head = file.read(18)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_BGZF_END)))
            tail = file.read()
    except OSError as error:
        raise FormatError(f"`{path}` cannot be read: {error.strerror}. Check the path.") from error
    return head.ljust(18, b"\0"), tail
