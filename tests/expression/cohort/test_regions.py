"""Genes by regions of the genome against a search base by base, and the files of such regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from varfx.errors import DataError, FormatError
from varfx.expression.cohort.regions import PART, keep_in_regions, part_of, read_regions
from varfx.io.ledger import Sieve

PARTS = {"train": "train", "tune": "valid", "test": "test"}


def write(path: Path, regions: list[tuple[str, int, int, str]]) -> Path:
    path.write_text("".join("\t".join(map(str, region)) + "\n" for region in regions))
    return path


def test_parts_are_those_of_a_search_over_bases(tmp_path: Path, rng: np.random.Generator) -> None:
    size, length = 60, 3000
    regions = []
    painted = {part: np.zeros(length + 200, dtype=bool) for part in PARTS}
    for _ in range(25):
        part = str(rng.choice(list(PARTS), p=[0.6, 0.2, 0.2]))
        start = int(rng.integers(100, length - 200))
        end = start + int(rng.integers(20, 90))
        more = max(size - (end - start), 0)
        painted[part][start - more // 2 : end + more - more // 2] = True
        regions.append(("chr22", start, end, PARTS[part]))
    found = read_regions(write(tmp_path / "regions.bed", regions), size)
    seen = set()
    for start in range(0, length, 7):
        window = slice(start, start + 25)
        touched = [part for part, bases in painted.items() if bases[window].any()]
        held = [part for part in touched if painted[part][window].all()]
        expected = (held[0] if len(touched) == 1 else "") if held else (None if len(touched) < 2 else "")
        assert part_of(found, "22", window.start, window.stop) == expected, start
        seen.add(expected)
    assert seen >= {"train", "", None}
    assert part_of(found, "21", 100, 120) is None


def test_a_window_as_long_as_its_region_lies_in_it(tmp_path: Path) -> None:
    found = read_regions(write(tmp_path / "r.bed", [("22", 100, 200, "train"), ("22", 200, 300, "test")]), 10)
    assert part_of(found, "22", 100, 200) == "train"
    assert part_of(found, "22", 200, 300) == "test"
    assert part_of(found, "22", 199, 209) == ""
    assert part_of(found, "22", 99, 109) is None


def test_places_as_r_writes_them(tmp_path: Path) -> None:
    (tmp_path / "r.bed").write_text("22\t1e+05\t2e+05\ttrain\n22\t300000.0\t4e+05\tvalid\n")
    found = read_regions(tmp_path / "r.bed", 10)
    assert part_of(found, "22", 100_000, 200_000) == "train"
    assert part_of(found, "22", 300_000, 400_000) == "tune"


def test_genes_elsewhere_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "r.bed", [("chr22", 100, 200, "train"), ("chr22", 300, 400, "valid")])
    genes = {"chrom": ["22", "22", "22", "21"], "start": [110, 310, 210, 110], "end": [120, 320, 220, 120]}
    sieve = Sieve(pl.DataFrame(genes), "genes")
    keep_in_regions(sieve, path, 100)
    assert sieve.frame[PART].to_list() == ["train", "tune"]
    assert sieve.ledger.counts["in no region of --regions"] == 2


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("chr22\t5\t9\n", FormatError, "line 1: 'chr22 5 9' is no region"),
        ("chr22\t9\t5\ttrain\n", FormatError, "is no region"),
        ("chr22\t1\t5\tlearn\n", FormatError, "train, valid or test"),
        ("chr22\t1\t5\ttest\n", DataError, "has regions of test; it must have train"),
        ("chr22\t1\t5\ttrain\n", DataError, "has regions of train; it must have train, and valid or test"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    (tmp_path / "r.bed").write_text(text)
    with pytest.raises(error, match=message):
        read_regions(tmp_path / "r.bed", 10)
