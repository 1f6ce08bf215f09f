"""Loci around leads, merged, cut, without the MHC; and from a BED file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varfx.errors import ConfigError, FormatError
from varfx.finemap import LocusConfig
from varfx.finemap.loci import Locus, loci_of_associations, loci_of_bed, remarks, whole
from varfx.ld.windows import Core

MB = 1_000_000


def loci(position: list[int], z: list[float], chrom: str = "1", **options: object) -> list[Locus]:
    variants = pl.DataFrame({"chrom": [chrom] * len(position), "position": position})
    return loci_of_associations(variants, np.array(z), LocusConfig(**options))  # type: ignore[arg-type]


def test_leads_that_overlap_are_one_locus() -> None:
    found = loci([10 * MB, 11 * MB, 20 * MB, 22 * MB + 1, 40 * MB], [6, 8, 9, 7, 5], lead_p=5e-8)
    assert [(each.start, each.end) for each in found] == [
        (11 * MB - 1 - 1_500_000, 11 * MB + 1_500_000),
        (20 * MB - 1 - 1_500_000, 22 * MB + 1 + 1_500_000),
    ]
    assert all((each.own_start, each.own_end) == (each.start, each.end) for each in found)


def test_the_threshold_is_a_p_value_and_missing_associations_are_none() -> None:
    assert not loci([5 * MB, 6 * MB], [5.45, np.nan])
    assert len(loci([5 * MB, 6 * MB], [-5.46, np.nan])) == 1


def test_the_mhc_is_skipped_unless_asked_for() -> None:
    position, z = [24 * MB, 30 * MB, 60 * MB], [7.0, 30.0, 8.0]
    names = [each.name for each in loci(position, z, "6")]
    assert names == ["chr6_22499999_25000000", "chr6_58499999_61500000"]
    assert len(loci(position, z, "6", mhc=True)) == 3
    assert len(loci(position, z, "5")) == 3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 60 * MB), min_size=1, max_size=40, unique=True), st.integers(0, 1000))
def test_every_strong_association_is_reported_once(positions: list[int], seed: int) -> None:
    position = np.sort(positions)
    z = np.random.default_rng(seed).uniform(4, 12, position.size)
    config = LocusConfig()
    variants = pl.DataFrame({"chrom": ["2"] * position.size, "position": position})
    found = loci_of_associations(variants, z, config)
    reported = np.sum([each.reports(position) for each in found], axis=0) if found else np.zeros(position.size)
    assert (reported <= 1).all()
    assert (np.asarray(reported)[z > 5.4514] == 1).all()
    for each in found:
        assert each.start <= each.own_start < each.own_end <= each.end
        assert each.end - each.start <= config.sized(dense=False).longest
        if each.end - each.start < each.own_end - each.own_start + 1:
            assert each == whole(each.chrom, each.start, each.end)


def test_a_bed_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "L.bed").write_text("track name=x\nchr22\t100\t200\tlead\n#\nchr3\t5\t9\nchr22\t10\t20\nchrX\t1\t2\n")
    assert [each.name for each in loci_of_bed(tmp_path / "L.bed", ["3", "22"])] == [
        "chr3_5_9",
        "chr22_10_20",
        "chr22_100_200",
    ]
    assert caplog.messages[0].startswith("1 intervals of ")
    assert caplog.messages[0].endswith("on chromosomes that the panel lacks (X)")
    with pytest.raises(ConfigError, match="no interval on the chromosomes of the panel"):
        loci_of_bed(tmp_path / "L.bed", ["1"])


def test_intervals_that_are_there_twice_or_empty_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "L.bed").write_text("chr1\t5\t9\n1\t5\t9\nchr1\t7\t20\nchr1\t30\t30\n")
    assert [each.name for each in loci_of_bed(tmp_path / "L.bed", ["1"])] == ["chr1_5_9", "chr1_7_20"]
    assert [message.split(" of `")[0] for message in caplog.messages] == ["1 intervals", "1 intervals"]
    assert caplog.messages[0].endswith("have no length and are left out")
    assert caplog.messages[1].endswith("are there twice and fitted once")
    (tmp_path / "H.bed").write_text("chrom\tstart\tend\nchr1\t5\t9\n")
    with pytest.raises(FormatError, match=r"not a whole number in 1 of 2 lines, first line 1 .*Remove a header line"):
        loci_of_bed(tmp_path / "H.bed", ["1"])
    (tmp_path / "E.bed").write_text("chr1\t5\t5\n")
    with pytest.raises(FormatError, match="have length 0"):
        loci_of_bed(tmp_path / "E.bed", ["1"])


def test_remarks_on_named_loci() -> None:
    cores = [Core("1", 0, 100), Core("6", 20 * MB, 40 * MB)]
    named = [whole("1", 0, 60), whole("1", 40, 90), whole("1", 95, 300), whole("6", 24 * MB, 26 * MB)]
    overlap, mhc, outside = remarks(named, cores, mhc=False)
    assert overlap.startswith("1 of 4 loci overlap one before them, first chr1_40_90")
    assert mhc.startswith("1 of 4 loci lie in the MHC (chr6:25-36 Mb), first chr6_24000000_26000000")
    assert outside.startswith("the panel has no LD for more than half of 1 of 4 loci, first chr1_95_300")
    assert len(remarks(named, cores, mhc=True)) == 2
    assert remarks(named[:1], cores, mhc=False) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [({"lead_p": 0.0}, "lead-p"), ({"flank": 0}, "flank"), ({"longest": 10}, "longest")],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LocusConfig(**options)  # type: ignore[arg-type]


def test_lengths_left_open_follow_the_panel() -> None:
    wide, dense = (LocusConfig().sized(dense=dense) for dense in (False, True))
    assert (wide.flank, wide.longest) == (1_500_000, 6_000_000)
    assert (dense.flank, dense.longest) == (500_000, 2_000_000)
    assert LocusConfig(flank=100_000).sized(dense=True) == LocusConfig(flank=100_000, longest=400_000)
    short = LocusConfig(longest=2_400_000).sized(dense=False)
    assert (short.flank, short.longest) == (1_200_000, 2_400_000)
