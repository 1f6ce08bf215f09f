"""The bytes of a file that may be compressed (gzip, bgzip or zstd, recognised by its first bytes)."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

import zstandard

from varfx.errors import FormatError

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The whole file, decompressed.

    Raises:
        FormatError: no such file, unreadable, or its compressed data is damaged or truncated.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise FormatError(f"`{path}` cannot be read: {error.strerror}. Check the path.") from error
    try:
        if content.startswith(_GZIP):
            return gzip.decompress(content)
        if content.startswith(_ZSTD):
            return _unzstd(content)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise FormatError(f"`{path}` is damaged or truncated: it cannot be decompressed. Fetch it again.") from error
    return content


def _unzstd(content: bytes) -> bytes:
    """Every frame; unlike a stream reader, it notices that the last one is cut."""
    parts = []
    while content:
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(content))
        if not frame.eof:
            raise EOFError
        content = frame.unused_data
    return b"".join(parts)
