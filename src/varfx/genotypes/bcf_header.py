"""A check of a BCF's header before htslib reads it, which does not survive every damage there."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from varfx.errors import FormatError
from varfx.io.stream import bgzf_text

MAGIC = b"BCF\x02"
_LONGEST = 64 << 20  # bytes of text
_CONTIG = re.compile(rb'##contig=<(?:[A-Za-z_][\w.]*=(?:"(?:[^"\\]|\\.)*"|[^",<>]*)(?:, *|(?=>)))+>\s*')
_ID, _NUMBER = re.compile(rb"[<,]ID=[^,>]"), re.compile(rb"[<,]IDX=(\d{1,9})[,>]")


def check_bcf_header(path: Path) -> None:
    """Checks that the line of each contig can be parsed, and that contigs are numbered without gaps.

    The records name contigs by number; htslib ends the process where a number has no name.

    Raises:
        FormatError: the file is no BCF, or its header is damaged.
    """
    contigs: list[int] = []
    for line in _text(path).split(b"\n"):
        if not line.startswith(b"##contig="):
            continue
        if not _CONTIG.fullmatch(line) or not _ID.search(line):
            raise _damaged(path, f"the line of contig {len(contigs) + 1} cannot be parsed")
        number = _NUMBER.search(line)
        contigs.append(len(contigs) if number is None else int(number[1]))
    if not contigs:
        raise _damaged(path, "it names no contig")
    if sorted(contigs) != list(range(len(contigs))):
        raise _damaged(path, "its contigs are not numbered from 0 without gaps")


def _text(path: Path) -> bytes:
    """The header's text."""
    with open(path, "rb") as file:
        head = bgzf_text(file, 0, 0, 9)
        if head is None or len(head) < 9 or not head.startswith(MAGIC):
            raise _damaged(path, "it does not begin like BCF version 2")
        (size,) = struct.unpack("<I", head[5:])
        text = bgzf_text(file, 0, 9, size) if size <= _LONGEST else None
    if text is None or len(text) < size or not text.rstrip(b"\0\n"):
        raise _damaged(path, "its header is cut")
    return text.rstrip(b"\0")


def _damaged(path: Path, reason: str) -> FormatError:
    return FormatError(f"`{path}` is no BCF, or its header is damaged: {reason}. Fetch it again.")
