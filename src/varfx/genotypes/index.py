"""Check that a .tbi or .csi index belongs to its VCF or BCF: an index of an earlier version would hide records silently.

Format (hts-specs, tabix and CSIv1): per contig a list of bins, each with chunks of virtual offsets. A virtual offset is
`block << 16 | within`: the first byte of a compressed block, and a byte of its decompressed text.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from varfx.errors import FormatError
from varfx.io.stream import bgzf_text, read_bytes

_PSEUDO_BIN_TBI = 37450  # holds counts, not chunks
_NAME_BYTES = 1024  # of a record's beginning, for the name of its contig


def check_index(path: Path, ending: str) -> None:
    """Checks that each contig begins where the index says, and that no record follows the last one it knows.

    Args:
        path: the VCF or BCF.
        ending: of the index beside it: ".tbi" or ".csi".

    Raises:
        FormatError: the index is damaged, or of another version of the file.
    """
    index, contigs = Path(f"{path}{ending}"), index_contigs(path, ending)
    chunks = [(number, name, first, last) for number, (name, first, last) in enumerate(contigs) if last]
    if not chunks:
        return
    command = "bcftools index -f" if path.suffix == ".bcf" else "tabix -f -p vcf"
    remedy = f"The file was changed after it was indexed. Make the index anew: `{command} {path.name}`."
    with open(path, "rb") as file:
        for number, name, first, _ in chunks:
            begin = bgzf_text(file, first >> 16, first & 0xFFFF, _NAME_BYTES)
            if begin is None or not _begins(begin, number, name):
                raise FormatError(
                    f"`{index}` does not belong to `{path}`: {name or 'a contig'} begins elsewhere. {remedy}"
                )
        last = max(last for _, _, _, last in chunks)
        rest = bgzf_text(file, last >> 16, last & 0xFFFF, 1) if last >> 16 < path.stat().st_size else None
        if rest != b"":
            raise FormatError(f"`{index}` does not belong to `{path}`: the records of the two end elsewhere. {remedy}")


def index_contigs(path: Path, ending: str) -> list[tuple[str | None, int, int]]:
    """The name of each contig of an index (None if it has no names), and the first and last virtual offset of its records.

    To be read before htslib reads the index, which ends the process on some damage.

    Args:
        path: the VCF or BCF.
        ending: of the index beside it.

    Raises:
        FormatError: the index is damaged.
    """
    index = Path(f"{path}{ending}")
    try:
        return list(_contigs(read_bytes(index)))
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise FormatError(f"`{index}` cannot be read. Make the index anew.") from error


def _begins(record: bytes, number: int, name: str | None) -> bool:
    """True if text begins with a record of a contig: by name in VCF, by number in BCF."""
    if name is not None:
        return record.startswith(name.encode() + b"\t")
    return len(record) >= 12 and int.from_bytes(record[8:12], "little") == number


def _contigs(content: bytes) -> Iterator[tuple[str | None, int, int]]:
    """The name of each contig (None if the index has no names), and the first and last virtual offset of its records."""
    is_csi = content.startswith(b"CSI\1")
    if not is_csi and not content.startswith(b"TBI\1"):
        raise ValueError("no index")
    place, pseudo = 4, _PSEUDO_BIN_TBI
    if is_csi:
        shift, depth, auxiliary = struct.unpack_from("<iii", content, place)
        if not (0 < shift < 48 and 0 <= depth < 11 and shift + 3 * depth < 62 and auxiliary >= 0):
            raise ValueError("no index that htslib could read")
        pseudo = ((1 << 3 * (depth + 1)) - 1) // 7 + 1
        names = _names(content[place + 12 : place + 12 + auxiliary])
        place += 12 + auxiliary
        (count,) = struct.unpack_from("<i", content, place)
        place += 4
    else:
        (count,) = struct.unpack_from("<i", content, place)
        names = _names(content[place + 4 :])
        place += 32 + struct.unpack_from("<i", content, place + 28)[0]
    if not 0 <= count <= len(content):
        raise ValueError("the index claims more contigs than it has bytes")
    for number in range(count):
        first, last = 1 << 64, 0
        (bins,) = struct.unpack_from("<i", content, place)
        place += 4
        seen: set[int] = set()
        if bins < 0:
            raise ValueError("a number of bins is negative")
        for _ in range(bins):
            (which,) = struct.unpack_from("<I", content, place)
            place += 12 if is_csi else 4
            (chunks,) = struct.unpack_from("<i", content, place)
            if chunks < 0 or which > pseudo or which in seen or (which == pseudo and chunks != 2):
                raise ValueError("a bin of the index is none")
            seen.add(which)
            offsets = struct.unpack_from(f"<{2 * chunks}Q", content, place + 4)
            place += 4 + 16 * chunks
            if which != pseudo and chunks:
                first, last = min(first, *offsets[::2]), max(last, *offsets[1::2])
        if not is_csi:
            if struct.unpack_from("<i", content, place)[0] < 0:
                raise ValueError("a number of intervals is negative")
            place += 4 + 8 * struct.unpack_from("<i", content, place)[0]
        yield names[number] if number < len(names) else None, first, last
    if len(content) - place not in (0, 8):  # a count of records without a place may follow
        raise ValueError("the index ends elsewhere")


def _names(header: bytes) -> list[str]:
    """The contigs of a tabix header (format, three columns, comment character, lines to skip, names)."""
    if len(header) < 28:
        return []
    (size,) = struct.unpack_from("<i", header, 24)
    return header[28 : 28 + size].decode().split("\0")[:-1]
