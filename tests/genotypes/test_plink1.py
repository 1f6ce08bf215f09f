from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from varfx.errors import FormatError
from varfx.genotypes.plink1 import BedFile

BIM = "1\trs1\t0\t100\tA\tC\nchr1\trs2\t0.5\t200\tg\tT\n23\trs3\t0\t300\tAT\tA\n"
FAM = "f1 i1 0 0 1 -9\nf2 i2 0 0 2 1.5\nf3 i3 0 0 0 -9\nf4 i4 0 0 0 -9\nf5 i5 0 0 0 -9\n"
# Per variant two bytes; individual 1 in the lowest bits. 00 = A1/A1, 01 missing, 10 = A1/A2, 11 = A2/A2.
BED = bytes([0x6C, 0x1B, 0x01, 0b11_10_01_00, 0b10, 0b00_00_11_11, 0b01, 0b10_10_10_10, 0b00])
COUNTS_OF_A1 = [[2, None, 1, 0, 1], [0, 0, 2, 2, None], [1, 1, 1, 1, 2]]


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    (tmp_path / "x.y.bed").write_bytes(BED)
    (tmp_path / "x.y.bim").write_text(BIM)
    (tmp_path / "x.y.fam").write_text(FAM)
    return tmp_path / "x.y"


def test_hand_written_bytes_give_counts_of_the_fifth_column(prefix: Path) -> None:
    file = BedFile(prefix)
    counts = file.read(np.arange(3), np.arange(5))
    assert [[None if c < 0 else int(c) for c in row] for row in counts] == COUNTS_OF_A1
    assert file.sites.to_dicts() == [
        {"chrom": "1", "position": 100, "variant_id": "rs1", "effect_allele": "A", "other_allele": "C"},
        {"chrom": "1", "position": 200, "variant_id": "rs2", "effect_allele": "G", "other_allele": "T"},
        {"chrom": "X", "position": 300, "variant_id": "rs3", "effect_allele": "AT", "other_allele": "A"},
    ]
    assert file.people.rows() == [(f"f{i}", f"i{i}") for i in range(1, 6)]


def test_rows_and_people_come_in_the_order_asked_for(prefix: Path) -> None:
    counts = BedFile(prefix).read(np.array([2, 0]), np.array([4, 0, 3]))
    assert counts.tolist() == [[2, 1, 1], [1, 2, 0]]


@pytest.mark.parametrize("separate", [lambda t: t.replace("\t", "  "), lambda t: t.replace("\n", "\r\n"), str.rstrip])
def test_blanks_windows_line_ends_and_no_last_line_end_are_read(prefix: Path, separate: object) -> None:
    expected = BedFile(prefix)
    assert callable(separate)
    for path, text in ((f"{prefix}.bim", BIM), (f"{prefix}.fam", FAM.replace(" ", "\t"))):
        Path(path).write_bytes(separate(text).encode())
    file = BedFile(prefix)
    assert file.sites.equals(expected.sites)
    assert file.people.equals(expected.people)


@pytest.mark.parametrize(
    ("ending", "content", "match"),
    [
        ("bed", b"PK\x03\x04" + BED, r"is not a PLINK \.bed file: it begins with the bytes 50 4b, not 6c 1b\. Make it"),
        ("bed", b"", r"is not a PLINK \.bed file: it begins with the bytes \(none\)"),
        ("bed", b"\x6c\x1b\x00" + BED[3:], r"not in variant-major order \(third byte 00, not 01\)\. Convert it"),
        ("bed", BED[:-1], r"has 8 bytes, but 3 variants of 5 individuals make 9\. It is truncated, or"),
        ("bed", BED + b"\x00\x00", r"has 11 bytes, but 3 variants of 5 individuals make 9\."),
        ("bed", None, r"x\.y\.bed` cannot be read: No such file or directory\. Check the path\."),
        ("bim", None, r"x\.y\.bim` cannot be read: No such file or directory\."),
        ("fam", None, r"x\.y\.fam` cannot be read: No such file or directory\."),
        ("bim", b"", r"x\.y\.bim` is empty: it should list variants"),
        ("fam", b"\n", r"x\.y\.fam` is empty: it should list individuals"),
        (
            "bim",
            BIM[:-3].encode(),
            r"6 columns are expected, but 1 of 3 rows have another number, first row 3 with 5\.",
        ),
        ("bim", b"1\trs1\t0\t5\tA\tC\tx\n" * 3, r"6 columns are expected, but 3 of 3 rows .* first row 1 with 7\."),
        ("fam", FAM.replace(" -9", "").encode(), r"6 columns are expected, but 4 of 5 rows"),
        (
            "bim",
            BIM.replace("200", "2e-2").encode(),
            r"`position` is not a whole number in 1 of 3 rows, first row 2 \('2e-2'\)",
        ),
        ("bim", BIM.replace("rs2", "").encode(), r"`variant_id` is empty in 1 of 3 rows, first row 2\."),
        ("bim", b"1\trs\xff\t0\t5\tA\tC\n", r"row 1 is not UTF-8 text\. Convert the file"),
        ("bim", BIM.encode() * 2, r"has 9 bytes, but 6 variants of 5 individuals make 15\."),
    ],
)
def test_damaged_files_are_one_line_errors(prefix: Path, ending: str, content: bytes | None, match: str) -> None:
    path = Path(f"{prefix}.{ending}")
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(FormatError, match=match) as caught:
        BedFile(prefix)
    assert "\n" not in str(caught.value)
