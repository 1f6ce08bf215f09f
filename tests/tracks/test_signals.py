"""Signals of the three kinds of file against a value per base, and every fault a file may have."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pybigtools
import pytest

from cases.tracks import RUNS, SMALL, raster, use_small_genome, write_bedgraph, write_bigwig
from varfx.errors import ConfigError, FormatError
from varfx.tracks.signals import BigWigSignal, IntervalSignal, kind_of, open_signal


@pytest.fixture(autouse=True)
def _small_genome(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_genome(monkeypatch)


@pytest.mark.parametrize("kind", ["bigwig", "bedgraph"])
def test_values_base_by_base(tmp_path: Path, kind: str) -> None:
    write = write_bigwig if kind == "bigwig" else write_bedgraph
    signal = open_signal(write(tmp_path / "s.bw", RUNS), kind)  # type: ignore[arg-type]
    for chrom in ("1", "2"):
        expected, size = raster(RUNS, chrom), SMALL["hg19"][chrom]
        for start, end in ((0, size), (0, 1), (size - 1, size), (5, 9), (121, 250), (249, 251), (80, 500)):
            got = signal.values(chrom, start, end)
            assert got.dtype == np.float32
            np.testing.assert_array_equal(got, expected[start:end].astype(np.float32))
    assert signal.chroms[:2] == ("1", "2")
    assert signal.contradiction("hg19") is None


def test_bed_is_one_where_covered_and_the_largest_score_where_several_cover(tmp_path: Path) -> None:
    runs = [("1", 10, 60, 3.0), ("1", 20, 30, 9.0), ("1", 25, 300, 5.0), ("1", 299, 301, 1.0), ("2", 0, 1, 2.0)]
    path = tmp_path / "peaks.bed"
    path.write_text("".join(f"chr{c}\t{s}\t{e}\tname\t{v}\n" for c, s, e, v in runs) + "chr1\t400\t410\tx\t.\n")
    flat, scored = IntervalSignal(path, "bed"), IntervalSignal(path, "bed", 5)
    covered = raster([*runs, ("1", 400, 410, 1.0)], "1")
    np.testing.assert_array_equal(flat.values("1", 0, 500), np.where(np.isnan(covered[:500]), np.nan, 1))
    for start, end in ((0, 500), (29, 31), (280, 305), (61, 298)):
        np.testing.assert_array_equal(scored.values("1", start, end), raster(runs, "1")[start:end])


@pytest.mark.parametrize("size", [0, 3, 100, 0.5, 0.9])
def test_truncated_bigwig(tmp_path: Path, size: float) -> None:
    runs = [("1", start, start + 1, float(start % 7)) for start in range(0, 2000, 2)]
    content = write_bigwig(tmp_path / "whole.bw", runs).read_bytes()
    path = tmp_path / "cut.bw"
    path.write_bytes(content[: int(size if size >= 1 else size * len(content))])
    with pytest.raises(FormatError, match=r"`.*cut.bw` (is damaged or truncated|is no bigWig file)"):
        BigWigSignal(path).values("1", 0, 2000)


def test_damaged_block_is_our_error_and_no_panic(tmp_path: Path) -> None:
    runs = [("1", start, start + 1, float(start % 7)) for start in range(0, 2000, 2)]
    path = write_bigwig(tmp_path / "x.bw", runs)
    content = bytearray(path.read_bytes())
    block = content.index(b"\x78")  # where zlib data begins
    content[block : block + 2] = b"\xff\xff"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="is damaged or truncated: the bigWig cannot be read"):
        BigWigSignal(path).values("1", 0, 2000)


def test_files_that_are_not_what_they_should_be(tmp_path: Path) -> None:
    bed, bigbed = tmp_path / "a.bed", tmp_path / "a.bb"
    bed.write_text("chr1\t1\t5\n")
    with pytest.raises(FormatError, match="is no bigWig file: it does not begin like one"):
        open_signal(bed, "bigwig")
    assert open_signal(write_bigwig(tmp_path / "a.dat", RUNS), "bigwig").chroms[:2] == ("1", "2")  # whatever its name
    bigbed.write_bytes(b"\xeb\xf2\x89\x87" + bytes(60))
    with pytest.raises(FormatError, match=r"is a bigBed file. Convert it with bigBedToBed"):
        open_signal(bigbed, "bigwig")
    with pytest.raises(FormatError, match="cannot be read: No such file"):
        open_signal(tmp_path / "absent.bw", "bigwig")
    bed.write_text("")
    with pytest.raises(FormatError, match=r"is empty. Give a BED file"):
        open_signal(bed, "bed")
    bed.write_text("track name=x\n")
    with pytest.raises(FormatError, match="holds no interval, only header lines"):
        open_signal(bed, "bed")
    bed.write_text("chrUn_1\t1\t5\n")
    with pytest.raises(FormatError, match=r"has no human chromosome 1 to 22, X or Y \(it has UN_1\)"):
        open_signal(bed, "bed")
    bed.write_text("chr1\t1\t5\t1\nchr1\t4\t6\t2\nchr1\t5\t9\t2\n")
    with pytest.raises(FormatError, match="2 bedGraph intervals of chromosome 1 overlap the one before, first at 4"):
        open_signal(bed, "bedgraph")
    bed.write_text("chr1\t10\t15\tinf\n")
    with pytest.raises(FormatError, match="3 bases have an infinite value, first 1:13"):
        open_signal(bed, "bedgraph").values("1", 12, 20)
    two = write_bigwig(tmp_path / "two.bw", [("01", 0, 5, 1.0), ("1", 0, 5, 1.0)], lengths={"1": 2011, "01": 2011})
    with pytest.raises(FormatError, match=r"names chromosome 1 twice \(chr0?1 and chr0?1\)"):
        open_signal(two, "bigwig")


def test_contradictions_of_the_build(tmp_path: Path) -> None:
    bigwig = BigWigSignal(write_bigwig(tmp_path / "a.bw", RUNS, lengths=SMALL["hg38"]))
    assert bigwig.contradiction("hg38") is None
    found = bigwig.contradiction("hg19")
    assert found is not None
    assert found.decisive
    assert "chromosome 1 has 2100 bases, which is its length in hg38, where hg19 has 2011" in found.text
    assert bigwig.overhang("hg19") is None
    bed = tmp_path / "a.bed"
    bed.write_text("chr1\t5\t9\nchr1\t2000\t2032\n")
    assert IntervalSignal(bed, "bed").contradiction("hg38") is None
    found = IntervalSignal(bed, "bed").contradiction("hg19")
    assert found is not None
    assert not found.decisive  # one interval shows no build
    assert found.text == "1 of 2 intervals of chromosome 1 end behind its last base in hg19 (2011), first at 2032"
    bed.write_text("".join(f"chr1\t{start}\t{start + 1}\n" for start in range(2040, 2050)))
    found = IntervalSignal(bed, "bed").contradiction("hg19")
    assert found is not None
    assert found.decisive


def test_a_short_overhang_is_clipped_and_said(tmp_path: Path) -> None:
    bed = tmp_path / "a.bed"
    bed.write_text("chr1\t1990\t2031\nchr1\t2011\t2013\nchr2\t0\t9\n")
    signal = IntervalSignal(bed, "bed")
    assert signal.contradiction("hg19") is None
    assert signal.overhang("hg19") == "2 of chromosome 1 by up to 20 bases"
    assert signal.overhang("hg38") is None
    np.testing.assert_array_equal(signal.values("1", 1989, 2011), [np.nan, *[1.0] * 21])
    many = "".join(f"chr1\t{start}\t{start + size}\n" for start in range(1985, 2012) for size in (8, 18))
    bed.write_text(many)
    found = IntervalSignal(bed, "bed").contradiction("hg19")
    assert found is not None
    assert "26 of 54 intervals of chromosome 1 end behind its last base in hg19 (2011), first at 2012" in found.text


def test_bedgraph_intervals_that_do_not_contradict_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.bedgraph"
    path.write_text("chr1\t10\t20\t1\nchr1\t10\t20\t1\nchr1\t15\t15\t9\nchr1\t18\t22\t1\nchr1\t22\t30\t2\n")
    values = IntervalSignal(path, "bedgraph").values("1", 9, 31)
    np.testing.assert_array_equal(values, [np.nan, *[1.0] * 12, *[2.0] * 8, np.nan])
    path.write_text("chr1\t10\t20\t1\nchr1\t10\t20\t2\n")
    with pytest.raises(
        FormatError, match="1 bedGraph intervals of chromosome 1 overlap the one before, first at 10, with"
    ):
        IntervalSignal(path, "bedgraph")
    path.write_text("chr1\t10\t90\t1\nchr1\t20\t30\t1\nchr1\t40\t50\t2\n")  # the third lies inside the first
    with pytest.raises(FormatError, match="2 bedGraph intervals of chromosome 1 overlap the one before, first at 20"):
        IntervalSignal(path, "bedgraph")


@pytest.mark.parametrize("kind", ["bedgraph", "bed"])
@pytest.mark.parametrize(
    "text", ["track type=wiggle_0\nfixedStep chrom=chr1 start=11 step=1\n1\n2\n", "variableStep chrom=chr1\n5 1.5\n"]
)
def test_wiggle_text_is_named(tmp_path: Path, kind: Any, text: str) -> None:
    path = tmp_path / "a.wig"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"a.wig` is wiggle text .* Convert it with UCSC's wigToBigWig"):
        open_signal(path, kind)
    with pytest.raises(ConfigError, match=r"is named as wiggle text. Convert it with UCSC's wigToBigWig"):
        kind_of(path)


def test_kinds_by_content_and_name(tmp_path: Path) -> None:
    assert kind_of(write_bigwig(tmp_path / "signal.dat", RUNS)) == "bigwig"
    for name, kind in (
        ("a.bdg.gz", "bedgraph"),
        ("a.bedGraph", "bedgraph"),
        ("a.bed.gz", "bed"),
        ("a.narrowPeak", "bed"),
    ):
        (tmp_path / name).write_bytes(gzip.compress(b"chr1\t1\t2\t3\n"))
        assert kind_of(tmp_path / name) == kind
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"does not say what kind of file it is. Add `kind`: bigwig, bedgraph, bed"):
        kind_of(tmp_path / "a.txt")
    with pytest.raises(FormatError, match="cannot be read"):
        kind_of(tmp_path / "absent.bw")


@pytest.mark.shared_data
def test_real_bigwig_is_as_pybigtools_reads_it(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    path = shared_data / "tracks" / "GM12878_Stat1.chr22_1-30000000.bigWig"
    signal = BigWigSignal(path)
    assert signal.contradiction("hg19") is None
    assert signal.chroms == ("22",)
    for start, end in ((16_050_000, 16_300_000), (29_990_000, 30_010_000)):
        expected = np.full(end - start, np.nan)
        for first, last, value in pybigtools.open(str(path)).records("chr22", start, end):
            expected[max(0, first - start) : last - start] = value
        assert np.isfinite(expected).any()
        np.testing.assert_array_equal(signal.values("22", start, end), expected.astype(np.float32))
