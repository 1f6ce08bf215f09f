"""The reader of bigWig files against pybigtools, against a writer of all kinds of blocks, and under damage."""

from __future__ import annotations

import random
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pybigtools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varfx.errors import FormatError
from varfx.tracks.bigwig import BigWig

CASES = Path(__file__).parents[1] / "golden" / "cases" / "bigwig-abort"
Section = tuple[int, int, int, list[tuple[int, int, float]]]  # chromosome, kind, step, stretches


def write(path: Path, sizes: dict[str, int], sections: list[Section], *, order: str = "<", zipped: bool = True) -> Path:
    """A bigWig with one level of index, by the description of the format."""
    width = max(map(len, sizes))
    chroms = struct.pack(f"{order}IIIIQQ", 0x78CA8C91, 256, width, 8, len(sizes), 0) + struct.pack(
        f"{order}BBH", 1, 0, len(sizes)
    )
    for number, (name, size) in enumerate(sizes.items()):
        chroms += name.encode().ljust(width, b"\0") + struct.pack(f"{order}II", number, size)
    place = 64 + len(chroms)
    data, leaves = b"", b""
    for chrom, kind, step, stretches in sections:
        begin, end, span = stretches[0][0], stretches[-1][1], stretches[0][1] - stretches[0][0]
        block = struct.pack(f"{order}IIIIIBBH", chrom, begin, end, step, span, kind, 0, len(stretches))
        for first, last, value in stretches:
            block += {1: struct.pack(f"{order}II", first, last), 2: struct.pack(f"{order}I", first), 3: b""}[kind]
            block += struct.pack(f"{order}f", value)
        block = zlib.compress(block) if zipped else block
        leaves += struct.pack(f"{order}IIIIQQ", chrom, begin, chrom, end, place + len(data), len(block))
        data += block
    index = struct.pack(f"{order}IIQIIIIQII", 0x2468ACE0, 256, len(sections), 0, 0, 9, 9, 0, 512, 0)
    index += struct.pack(f"{order}BBH", 1, 0, len(sections)) + leaves
    head = struct.pack(
        f"{order}IHHQQQHHQQIQ", 0x888FFC26, 4, 0, 64, place, place + len(data), 0, 0, 0, 0, 32768 * zipped, 0
    )
    path.write_bytes(head + chroms + data + index)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_kind_of_block_in_both_byte_orders(tmp_path: Path, order: str, zipped: bool) -> None:
    sections: list[Section] = [
        (0, 1, 0, [(5, 9, 1.5), (9, 30, -2.0), (40, 41, 7.0)]),
        (0, 2, 0, [(50, 53, 3.0), (60, 63, 4.0)]),
        (0, 3, 10, [(100, 105, 1.0), (110, 115, 2.0), (120, 125, float("nan"))]),
        (1, 3, 1, [(0, 1, 0.25), (1, 2, 0.5)]),
    ]
    path = write(tmp_path / "a", {"chr1": 200, "chr10": 90, "chrEmpty": 5}, sections, order=order, zipped=zipped)
    opened = BigWig(path)
    assert opened.lengths == {"chr1": 200, "chr10": 90, "chrEmpty": 5}
    for number, name in enumerate(opened.lengths):
        expected = np.full(300, np.nan, np.float32)
        for chrom, _, _, stretches in sections:
            for first, last, value in stretches:
                if chrom == number:
                    expected[first:last] = value
        for start, end in ((0, expected.size), (7, 8), (3, 3), (8, 52), (101, 130)):
            np.testing.assert_array_equal(opened.values(name, start, end), expected[start:end])


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 60), st.floats(width=32, allow_infinity=False)), min_size=1
    ),
    repeats=st.integers(1, 300),
)
def test_as_pybigtools_reads_what_pybigtools_writes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, float]], repeats: int
) -> None:
    runs, place = [], 0
    for gap, length, value in steps * repeats:
        runs.append(("chr1", place + gap, place + gap + length, value))
        place += gap + length
    path = tmp_path_factory.mktemp("b") / "a.bw"
    pybigtools.open(str(path), "w").write({"chr1": place + 10, "chr2": 50}, iter(runs))
    theirs, ours = pybigtools.open(str(path)), BigWig(path)
    assert ours.lengths["chr1"] == place + 10
    for start, end in ((0, place + 10), (place // 3, place // 2), (place - 1, place + 1)):
        expected = theirs.values("chr1", start, end, fillna=None).astype(np.float32)
        np.testing.assert_array_equal(ours.values("chr1", start, end), expected)


def read_all(path: Path) -> None:
    opened = BigWig(path)
    for chrom in opened.lengths:
        opened.values(chrom, 0, 6000)
        opened.values(chrom, 40_000_000, 40_001_000)


@pytest.mark.parametrize("name", ["abort1", "abort2", "abort3", "abort4"])
def test_files_that_ended_the_process(name: str) -> None:
    """With pybigtools each of these is an allocation of gigabytes that ends the process; some bits do not matter."""
    try:
        read_all(CASES / f"{name}.bw")
    except FormatError as error:
        assert "is damaged or truncated: the bigWig cannot be read" in str(error)  # noqa: PT017
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak < 4 << 20  # KiB, of the whole test process


def test_any_damage_is_our_error(tmp_path: Path) -> None:
    source = bytes((CASES / "one-bit.bw").read_bytes())
    random_ = random.Random(1)
    path, refused = tmp_path / "t.bw", 0
    for _ in range(1500):
        content = bytearray(source)
        for _ in range(random_.choice((1, 1, 2, 8))):
            place = random_.randrange(len(content))
            content[place] = random_.choice(
                (content[place] ^ 1 << random_.randrange(8), 0, 255, random_.randrange(256))
            )
        path.write_bytes(content[: random_.choice((len(content), random_.randrange(len(content))))])
        try:
            read_all(path)
        except FormatError:
            refused += 1
    assert refused > 300


@pytest.mark.parametrize(
    ("place", "content", "reason"),
    [
        (8, struct.pack("<Q", 2**63), "lie behind its end"),
        (24, struct.pack("<Q", 2**40), "lie behind its end"),
        (24, struct.pack("<Q", 64), "its index has another form"),
        (64 + 8, struct.pack("<I", 2**31), "its list of chromosomes has another form"),
        (64 + 16, struct.pack("<Q", 2**40), "it lists 1 chromosomes of 1,099,511,627,776"),
        (64 + 32, b"\1\0\xff\xff", "lie behind its end"),
        (-8, struct.pack("<Q", 2**62), "1 of its 1 blocks lie behind its end"),
        (-16, struct.pack("<Q", 2**64 - 1), "1 of its 1 blocks lie behind its end"),
        (-36, b"\0", "is neither leaf nor branch|runs in circles|lie behind"),
        (-32, struct.pack("<I", 7), "a block of its index has no place"),
    ],
)
def test_sizes_and_places_are_checked_first(tmp_path: Path, place: int, content: bytes, reason: str) -> None:
    path = write(tmp_path / "a", {"chr1": 200}, [(0, 1, 0, [(5, 9, 1.5)])])
    whole = bytearray(path.read_bytes())
    place %= len(whole)
    whole[place : place + len(content)] = content
    path.write_bytes(whole)
    with pytest.raises(FormatError, match=rf"is damaged or truncated: the bigWig cannot be read \(.*({reason})"):
        BigWig(path)


def test_a_block_that_inflates_without_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a", {"chr1": 200}, [(0, 1, 0, [(5, 9, 1.5)])])
    whole = path.read_bytes()
    bomb = zlib.compress(bytes(100 << 20))
    place = len(whole)
    path.write_bytes(whole[:-16] + struct.pack("<QQ", place, len(bomb)) + bomb)
    with pytest.raises(FormatError, match="a block is cut, or larger than any block is"):
        BigWig(path).values("chr1", 0, 10)
