"""BED files: what a variant overlaps, at both ends of an interval, and every fault of a file."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from varfx.errors import ConfigError, DataError, FormatError, VarfxError
from varfx.genome.intervals import covered, covering_score, read_bed, require_shared_chromosome


def places(*positions: int, chrom: str = "1") -> pl.DataFrame:
    return pl.DataFrame({"chrom": [chrom] * len(positions), "position": list(positions)})


def bed_file(folder: Path, text: str | bytes, name: str = "peaks.bed") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_both_ends_of_an_interval(tmp_path: Path) -> None:
    """[100, 200) are the 100 bases at the 1-based positions 101 to 200."""
    intervals = read_bed(bed_file(tmp_path, "chr1\t100\t200\n"))
    np.testing.assert_array_equal(covered(intervals, places(99, 100, 101, 102, 199, 200, 201)), [0, 0, 1, 1, 1, 1, 0])


def test_one_base_at_the_start_of_a_chromosome(tmp_path: Path) -> None:
    intervals = read_bed(bed_file(tmp_path, "1\t0\t1\n"))
    np.testing.assert_array_equal(covered(intervals, places(1, 2)), [1, 0])


def test_an_insertion_point_covers_nothing(tmp_path: Path) -> None:
    intervals = read_bed(bed_file(tmp_path, "1\t5\t5\n1\t8\t9\n"))
    np.testing.assert_array_equal(covered(intervals, places(5, 6, 9)), [0, 0, 1])


def test_touching_nested_and_unsorted_intervals(tmp_path: Path) -> None:
    text = "1\t50\t60\n1\t10\t40\n1\t20\t30\n1\t40\t41\n1\t10\t12\n"
    intervals = read_bed(bed_file(tmp_path, text))
    expected = [p - 1 in range(10, 41) or p - 1 in range(50, 60) for p in range(1, 70)]
    np.testing.assert_array_equal(covered(intervals, places(*range(1, 70))), expected)


interval = st.tuples(st.sampled_from(["1", "2", "X"]), st.integers(0, 40), st.integers(0, 15), st.integers(-3, 3))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(interval, min_size=1, max_size=12),
    st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), st.integers(1, 60)), min_size=1, max_size=30),
)
def test_overlap_and_scores_agree_with_a_search_over_all_intervals(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, int, int]], variants: list[tuple[str, int]]
) -> None:
    path = bed_file(
        tmp_path_factory.mktemp("bed"), "".join(f"chr{c}\t{s}\t{s + n}\tname\t{v}\n" for c, s, n, v in rows)
    )
    frame = pl.DataFrame(variants, schema={"chrom": pl.String(), "position": pl.Int64()}, orient="row")
    hits = [[v for c, s, n, v in rows if c == chrom and s < position <= s + n] for chrom, position in variants]
    np.testing.assert_array_equal(covered(read_bed(path), frame), [float(bool(found)) for found in hits])
    scored = read_bed(path, score_column=5)
    np.testing.assert_array_equal(covering_score(scored, frame), [max(found, default=np.nan) for found in hits])
    mean = [np.float32(sum(found) / len(found)) if found else np.nan for found in hits]
    np.testing.assert_allclose(covering_score(scored, frame, combine="mean"), mean, rtol=1e-6)


def test_scores_are_expanded_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    start, length, score = rng.integers(0, 500, 80), rng.integers(0, 90, 80), rng.normal(size=80)
    path = bed_file(tmp_path, "".join(f"1\t{s}\t{s + n}\t{v}\n" for s, n, v in zip(start, length, score, strict=True)))
    scored, frame = read_bed(path, score_column=4), places(*rng.integers(1, 600, 300).tolist())
    whole = covering_score(scored, frame)
    for size in (1, 7, 1000):
        monkeypatch.setattr("varfx.genome.intervals._PAIRS_AT_ONCE", size)
        np.testing.assert_array_equal(covering_score(scored, frame), whole)
    assert np.isfinite(whole).sum() > 200


def test_header_lines_blanks_and_chromosome_names(tmp_path: Path) -> None:
    text = (
        '# made by hand\nbrowser position chr1:1-100\ntrack name=peaks description="a\tb"\r\n\r\n'
        "chr1\t0\t10\tp1\n#more\nCHR2\t0\t10\ntrack name=second\nchrM\t0\t10\n23\t0\t10\n0X\t0\t10\n07\t0\t10"
    )
    assert sorted(read_bed(bed_file(tmp_path, text))) == ["0X", "1", "2", "7", "MT", "X"]
    spaced = read_bed(bed_file(tmp_path, "chr1 3   5\n\tchr2 4\t6 \n"))
    assert {name: (part.start.item(), part.end.item()) for name, part in spaced.items()} == {"1": (3, 5), "2": (4, 6)}


def test_a_whole_number_in_scientific_notation_is_one(tmp_path: Path) -> None:
    """R's write.table makes 84000000 to 8.4e+07; real files have it."""
    part = read_bed(bed_file(tmp_path, "14\t8.4e+07\t84000515\tTF\n"))["14"]
    assert (part.start.item(), part.end.item()) == (84_000_000, 84_000_515)


@pytest.mark.parametrize("name", ["gzip", "two gzip members", "zstd", "two zstd frames"])
def test_compressed_files(tmp_path: Path, name: str) -> None:
    lines = [b"chr1\t100\t200\n", b"chr2\t5\t6\n"]
    compress = zstandard.ZstdCompressor().compress if "zstd" in name else gzip.compress
    content = b"".join(map(compress, lines)) if "two" in name else compress(b"".join(lines))
    assert sorted(read_bed(bed_file(tmp_path, content))) == ["1", "2"]
    with pytest.raises(FormatError, match="damaged or truncated: it cannot be decompressed"):
        read_bed(bed_file(tmp_path, content[:-5]))


def test_scores_may_be_absent(tmp_path: Path) -> None:
    scored = read_bed(
        bed_file(tmp_path, "1\t0\t10\t.\n1\t0\t10\t\n1\t5\t10\t2\n1\t5\t10\tNA\n1\t20\t30\tinf\n"), score_column=4
    )
    np.testing.assert_array_equal(covering_score(scored, places(3, 7, 25, 40)), [np.nan, 2, np.nan, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"`.*peaks.bed` is empty\. Give a BED file"),
        ("\n \n", "is empty"),
        ("track name=x\n#\n", "holds no interval, only header lines"),
        ("1\t5\t9\n\n1\t9\t5\n1\t8\t5\n", r"end is before start in 2 of 3 lines, first line 3 \('1\\t9\\t5'\)"),
        ("1\t5\t9\n1\t-5\t9\n", r"start is negative in 1 of 2 lines, first line 2"),
        ("chrom\tstart\tend\n1\t5\t9\n", r"start or end is not a whole number in 1 of 2 lines, first line 1 .*header"),
        ("1\t5\t9.5\n", "not a whole number in 1 of 1"),
        ("1\t5\t1e40\n", "not a whole number in 1 of 1"),
        ("1\t5\t\n", "not a whole number in 1 of 1"),
        ("1\t5\n1\t5\t9\n", r"fewer than 3 columns in 1 of 2 lines, first line 1"),
        ("no bed at all", "not a whole number in 1 of 1"),
        (b"\x6c\x1b\x01\xff\xff", "is a PLINK genotype file, not a BED file of intervals"),
        (b"\x89PNG\r\n\0\0\0", "is a binary file, not text"),
        (b"BZh91AY\x01\x02", "is a binary file"),
    ],
)
def test_faults_of_a_file(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        read_bed(bed_file(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_faults_of_a_score_column(tmp_path: Path) -> None:
    path = bed_file(tmp_path, "1\t5\t9\tpeak\t7\n1\t5\t9\tpeak\n")
    with pytest.raises(FormatError, match=r"no column 5 in 1 of 2 lines, first line 2"):
        read_bed(path, score_column=5)
    with pytest.raises(FormatError, match=r"column 4 is not a number in 2 of 2 lines, first line 1"):
        read_bed(path, score_column=4)
    with pytest.raises(ConfigError, match=r"there is no column 6, lines have 5. Columns count from 1"):
        read_bed(path, score_column=6)
    with pytest.raises(ConfigError, match="score column 3 is no score: columns 1 to 3 hold the interval"):
        read_bed(path, score_column=3)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"`.*absent.bed` cannot be read: No such file"):
        read_bed(tmp_path / "absent.bed")
    with pytest.raises(FormatError, match=r"is a folder \(it seems to be a folder of another program\)\. Give a file"):
        read_bed(tmp_path)


def test_no_shared_chromosome_names_both_sides(tmp_path: Path) -> None:
    path = bed_file(tmp_path, "".join(f"NC_{k}\t5\t9\n" for k in range(7)))
    message = r"no interval is on a chromosome of the variants \(intervals: .*, \.\.\.; variants: 1, 2\)"
    with pytest.raises(DataError, match=message):
        require_shared_chromosome(read_bed(path), pl.concat([places(1), places(1, chrom="2")]), path=path)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.text(alphabet="chr12X\t \n\r#-.e+0NA\"'é", max_size=80).map(str.encode),
        st.binary(max_size=20).map(lambda tail: b"chr1\t1\t5\n" + tail),
        st.binary(max_size=20).map(lambda tail: b"\x1f\x8b" + tail),
    )
)
def test_no_foreign_exception_leaves_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = bed_file(tmp_path_factory.mktemp("fuzz"), content)
    for column in (None, 4):
        with contextlib.suppress(VarfxError):
            intervals = read_bed(path, score_column=column)
            assert intervals
            assert all((part.end >= part.start).all() and (part.start >= 0).all() for part in intervals.values())


@pytest.mark.shared_data
def test_real_files_on_real_variants(shared_data: Path) -> None:
    """Every file of the folder on every position of the panel, a sample of 400 against a plain search."""
    names = ["chrom", "id", "cm", "position"]
    bims = sorted((shared_data / "gwas" / "polypred").glob("*.bim"))
    columns = dict(zip(range(4), names, strict=True))
    panel = pl.concat(
        [
            pl.read_csv(path, separator="\t", has_header=False, infer_schema=False, columns=list(columns)).select(
                pl.nth(0).alias("chrom"), pl.nth(3).cast(pl.Int64).alias("position")
            )
            for path in bims
        ]
    )
    rng = np.random.default_rng(5)
    beds = sorted(path for path in (shared_data / "annotations").iterdir() if ".bed" in path.name)
    assert len(beds) == 15
    for path in beds:
        found = covered(read_bed(path), panel)
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows: dict[str, list[tuple[int, int]]] = {}
        for line in text.decode().splitlines():
            chrom, start, end = line.split("\t")[:3]
            rows.setdefault(chrom.removeprefix("chr"), []).append((int(float(start)), int(float(end))))
        arrays = {chrom: np.array(pairs) for chrom, pairs in rows.items()}
        ones = rng.permutation(np.flatnonzero(found))[:200]
        sample = np.concatenate([ones, rng.integers(0, panel.height, 200)])
        for row in sample.tolist():
            chrom, position = panel.row(row)
            pairs = arrays.get(chrom, np.zeros((0, 2), dtype=int))
            expected = ((pairs[:, 0] < position) & (position <= pairs[:, 1])).any()
            assert bool(found[row]) == expected, (path.name, chrom, position)
        assert 0 < found.mean() < 0.9
