"""What a file or folder seems to be, in words: for messages about one that is given in the place of another."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from varfx.io import sealed

# A file that only one kind of our folders has, the most telling first.
_FOLDERS = (
    ("windows.parquet", "an LD panel"),
    ("cohort.json", "an expression cohort"),
    ("tracks.parquet", "tracks"),
    ("attribution.parquet", "an explanation of a prior"),
    ("truth.parquet", "a simulation"),
    ("predictions.parquet", "a run of expression models"),
    ("run.json", "a run of `varfx prior fit`"),
)
_KINDS = {
    "sumstats": "summary statistics",
    "ld-panel": "the table of an LD panel's variants",
    "prior": "a prediction of `varfx prior predict`",
}
_FIRST_BYTES = (
    (b"PAR1", "a Parquet file of another program"),
    (b"\x6c\x1b", "PLINK genotypes"),
    (b"##fileformat=VCF", "a VCF"),
    (b"BCF", "a BCF"),
    (b"###PGS CATALOG", "a PGS Catalog scoring file"),
    (b"\x28\xb5\x2f\xfd", "a zstd-compressed file"),
    (b"\x26\xfc\x8f\x88", "a bigWig file"),
    (b"\x88\x8f\xfc\x26", "a bigWig file"),
    (b"PK", "a ZIP archive"),
    (b">", "a FASTA file"),
)


def seems(path: Path) -> str:
    """What a file or folder seems to be, such as "summary statistics"; its content is not shown."""
    if path.is_dir():
        return next((words for name, words in _FOLDERS if (path / name).is_file()), "a folder of another program")
    kind = sealed.table_kind(path)
    if kind is not None:
        return _KINDS.get(kind, kind)
    try:
        first, unpacked = _first_bytes(path)
    except (OSError, EOFError, zlib.error):
        return "a file that cannot be read"
    if not first:
        return "an empty file"
    known = next((words for magic, words in _FIRST_BYTES if first.startswith(magic)), None)
    words = known or ("text" if _is_text(first) else "a binary file")
    return f"{words}, compressed" if unpacked else words


def _first_bytes(path: Path) -> tuple[bytes, bool]:
    """The first bytes of a file, of a gzip file those of its content, and whether it is one."""
    with path.open("rb") as file:
        first = file.read(512)
    if first[:2] != b"\x1f\x8b":
        return first, False
    with gzip.open(path, "rb") as unpacked:
        return unpacked.read(512), True


def _is_text(first: bytes) -> bool:
    return (
        b"\0" not in first
        and first.decode("utf-8", "ignore").replace("\t", " ").replace("\n", " ").replace("\r", " ").isprintable()
    )
