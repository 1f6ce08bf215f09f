"""Check that a .fai index belongs to its FASTA file: an index of another version would return other bases silently."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from varfx.errors import FormatError
from varfx.genome.builds import NUCLEAR
from varfx.io.stream import bgzf_text, is_gzip

_LONGEST_HEADER = 4096  # bytes of a line with the contig's name and description


def check_index(path: Path, contigs: Mapping[str, str]) -> None:
    """Checks that the chromosomes and the last contig begin and end where the .fai says.

    Args:
        path: the FASTA file, plain or bgzip, with its index (indices) beside it.
        contigs: the file's names by our names.

    Raises:
        FormatError: the index cannot be read, or is of another version of the file.
    """
    index = Path(f"{path}.fai")
    try:
        rows = [line.split("\t") for line in index.read_text(encoding="utf-8").splitlines() if line]
        entries = {row[0]: _lines(*(int(number) for number in row[1:5])) for row in rows}
        blocks = _blocks(Path(f"{path}.gzi")) if is_gzip(path) else None
        wanted = {contigs[chrom] for chrom in NUCLEAR if chrom in contigs} | {rows[-1][0]}
        with open(path, "rb") as file:
            wrong = [name for name in entries if name in wanted and not _fits(file, blocks, name, *entries[name])]
    except (OSError, OverflowError, ValueError, IndexError, TypeError, struct.error) as error:
        raise FormatError(f"`{index}` cannot be read. Remove it to have it made anew.") from error
    if wrong:
        raise FormatError(
            f"`{index}` does not belong to `{path}`: {len(wrong)} of {len(wanted)} sequences begin or end elsewhere, first "
            f"{wrong[0]}. The file was changed after it was indexed: remove the index to have it made anew."
        )


def _lines(length: int, offset: int, line_bases: int, line_bytes: int) -> tuple[int, int, int, int]:
    """The numbers of an entry.

    Raises:
        ValueError: they describe no lines.
    """
    if min(length, offset, line_bases, line_bytes) < 0 or (length and not 0 < line_bases <= line_bytes):
        raise ValueError("an entry of the index is none")
    return length, offset, line_bases, line_bytes


def _fits(
    file: BinaryIO,
    blocks: list[tuple[int, int]] | None,
    name: str,
    length: int,
    offset: int,
    line_bases: int,
    line_bytes: int,
) -> bool:
    """Whether a header line of this name stands before the first base, and another one (or nothing) behind the last."""
    first = max(0, offset - _LONGEST_HEADER)
    before = _at(file, blocks, first, offset - first)
    header = before.rstrip(b"\r\n").rpartition(b"\n")[2]
    words = header.removeprefix(b">").split()
    begins = before.endswith(b"\n") and header.startswith(b">") and bool(words) and words[0] == name.encode()
    end = offset
    if length:
        lines, rest = divmod(length - 1, line_bases)
        end += lines * line_bytes + rest + 1
    after = _at(file, blocks, end, 16).lstrip(b"\r\n")
    return begins and after[:1] in (b"", b">")


def _at(file: BinaryIO, blocks: list[tuple[int, int]] | None, place: int, size: int) -> bytes:
    """Up to `size` bytes of the decompressed text from `place` on."""
    if blocks is None:
        file.seek(place)
        return file.read(size)
    block, start = max((found for found in blocks if found[1] <= place), key=lambda found: found[1])
    return bgzf_text(file, block, place - start, size) or b""


def _blocks(index: Path) -> list[tuple[int, int]]:
    """First byte of each compressed block in the file and in the decompressed text, from a .gzi."""
    content = index.read_bytes()
    (count,) = struct.unpack_from("<Q", content)
    numbers = struct.unpack_from(f"<{2 * count}Q", content, 8)
    return [(0, 0), *zip(numbers[::2], numbers[1::2], strict=True)]
