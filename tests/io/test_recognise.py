"""What a file or folder that stands in the place of another seems to be."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from varfx.io import sealed
from varfx.io.recognise import seems


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"CHR\tSNP\r\n1\trs1\r\n", "text"),
        ("Gen Größe\n".encode(), "text"),
        (b"\x6c\x1b\x01\xdc", "PLINK genotypes"),
        (b"##fileformat=VCFv4.2\n", "a VCF"),
        (gzip.compress(b"##fileformat=VCFv4.2\n", mtime=0), "a VCF, compressed"),
        (gzip.compress(b"1\t2\n", mtime=0), "text, compressed"),
        (gzip.compress(b"1\t2\n", mtime=0)[:12], "a file that cannot be read"),
        (b"\x1f\x8bnonsense of another kind", "a file that cannot be read"),
        (b"PAR1PAR1", "a Parquet file of another program"),
        (b"\x7fELF\0\0\1", "a binary file"),
    ],
)
def test_files_by_their_first_bytes(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    assert seems(tmp_path / "x") == words


def test_own_files_and_folders(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": [1]})
    sealed.write_table(table, tmp_path / "s.parquet", kind="sumstats", metadata={})
    assert seems(tmp_path / "s.parquet") == "summary statistics"
    sealed.write_table(table, tmp_path / "a.parquet", kind="annotations", metadata={})
    assert seems(tmp_path / "a.parquet") == "annotations"
    for name, words in (
        ("run.json", "a run of `varfx prior fit`"),
        ("predictions.parquet", "a run of expression models"),
    ):
        (tmp_path / name).write_text("{}")
        assert seems(tmp_path) == words
    (tmp_path / "other").mkdir()
    assert seems(tmp_path / "other") == "a folder of another program"
