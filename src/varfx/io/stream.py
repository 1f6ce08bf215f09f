"""The bytes of a file that may be compressed (gzip, bgzip or zstd, recognised by its first bytes)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from varfx.errors import FormatError

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_READ_BYTES = 1 << 20


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The whole file, decompressed; errors as for `stream_bytes`."""
    return b"".join(stream_bytes(path))


def stream_bytes(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The file's bytes in pieces, decompressed; several gzip members or zstd frames in a row are one stream.

    Raises:
        FormatError: no such file, unreadable, or its compressed data is damaged or truncated.
    """
    damaged = f"`{path}` is damaged or truncated: it cannot be decompressed"
    try:
        with open(Path(path), "rb") as file:
            piece = file.read(_READ_BYTES)
            if not piece.startswith((GZIP, ZSTD)):
                while piece:
                    yield piece
                    piece = file.read(_READ_BYTES)
                return
            gzip = piece.startswith(GZIP)
            stream = _decompressor(gzip)
            while piece:
                yield stream.decompress(piece)
                piece = b""
                if stream.eof:
                    piece = stream.unused_data.lstrip(b"\0") if gzip else stream.unused_data
                    following = piece or file.read(_READ_BYTES)
                    if not following.strip(b"\0"):
                        return
                    stream, piece = _decompressor(gzip), following
                piece = piece or file.read(_READ_BYTES)
            raise FormatError(f"{damaged}. Fetch it again.")
    except (zlib.error, zstandard.ZstdError) as error:
        raise FormatError(f"{damaged}. Fetch it again.") from error
    except OSError as error:
        raise FormatError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error


def _decompressor(gzip: bool) -> Any:
    """Unlike a stream reader, these notice that the last member or frame is cut."""
    return zlib.decompressobj(wbits=31) if gzip else zstandard.ZstdDecompressor().decompressobj()
