"""Whether a file is BGZF (the blocked gzip of bgzip, tabix and BCF), and whole."""

from __future__ import annotations

import os
from pathlib import Path

from varfx.errors import FormatError

_GZIP = b"\x1f\x8b"
_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # the empty block at the end


def is_gzip(path: str | os.PathLike[str]) -> bool:
    """True where a file begins as gzip does.

    Raises:
        FormatError: the file cannot be read.
    """
    return _ends(Path(path))[0].startswith(_GZIP)


def check_bgzf(path: str | os.PathLike[str], what: str) -> None:
    """Checks that a file is BGZF and has its last block.

    Args:
        path: the file.
        what: what it holds, for the message.

    Raises:
        FormatError: it cannot be read, is not BGZF, or is truncated.
    """
    head, tail = _ends(Path(path))
    if not head.startswith(_GZIP):
        raise FormatError(f"`{path}` is not compressed, so that no part of it can be found. Compress it with `bgzip`.")
    if not (head[3] & 4 and head[12:14] == b"BC"):
        raise FormatError(
            f"`{path}` is compressed with gzip, not bgzip, so that no part of it can be found. Decompress it, and "
            f"compress the {what} with `bgzip`."
        )
    if tail != _EOF:
        raise FormatError(f"`{path}` is truncated: the block that ends a bgzip file is missing. Fetch it again.")


def _ends(path: Path) -> tuple[bytes, bytes]:
    """The first 18 and the last 28 bytes."""
    try:
        with open(path, "rb") as file:
            head = file.read(18)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_EOF)))
            tail = file.read()
    except OSError as error:
        raise FormatError(f"`{path}` cannot be read: {error.strerror}. Check the path.") from error
    return head.ljust(18, b"\0"), tail
