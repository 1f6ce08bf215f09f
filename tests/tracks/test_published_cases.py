"""Tracks as public issue trackers show them: peaks over a chromosome's end, wiggle text, repeated intervals."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.command_line import varfx
from cases.published import CASES
from varfx.errors import DataError
from varfx.tracks.build import _units
from varfx.tracks.manifest import TrackSpec

F06, F24 = CASES / "F06_track_over_chromosome_end", CASES / "F24_wiggle_given_as_bedgraph"
MACS = F06 / "hg38_treat_pileup.bdg"
PEAKS = F06 / "hg19_peaks.narrowPeak"


def spec(path: Path, **options: object) -> TrackSpec:
    kind = "bedgraph" if path.suffix in (".bdg", ".bedGraph") else "bed"
    return TrackSpec(**{"name": path.stem, "file": path, "kind": kind, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "build", "warning"),
    [
        (MACS, "hg38", "1 of chromosome 22 by up to 7 bases"),
        (PEAKS, "hg19", "1 of chromosome 17 by up to 21 bases"),
    ],
)
def test_peaks_a_few_bases_over_the_end_are_clipped(
    path: Path, build: str, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    units = _units([spec(path), spec(F06 / "ok.bed")], build)
    assert {unit.track.name for unit in units} == {path.stem, "ok"}
    assert [record.message for record in caplog.records] == [
        f"track `{path.stem}`: intervals end behind the last base of their chromosome and are clipped there: {warning}"
    ]


def test_the_build_is_not_inferred_from_one_interval(tmp_path: Path) -> None:
    path = tmp_path / "far.bed"
    path.write_text("chr22\t10\t20\nchr22\t51000000\t51000100\n")
    with pytest.raises(DataError, match=r"first at 51000100: too far behind it .* Check their genome build") as caught:
        _units([spec(path)], "hg38")
    assert "hg19" not in str(caught.value)
    path.write_text("".join(f"chr22\t{start}\t{start + 50}\n" for start in range(50_900_000, 51_000_000, 9_999)))
    with pytest.raises(DataError, match=r"All tracks \(1\) are of hg19, not hg38.*Give --build hg19"):
        _units([spec(path)], "hg38")


def test_wiggle_is_named_and_equal_copies_are_no_contradiction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wiggle = F24 / "x.wig"
    shown = varfx(capsys, "tracks", "build", "--bedgraph", f"x={wiggle}", "--build", "hg38", "--out", tmp_path / "T")
    assert "is wiggle text (fixedStep or variableStep lines)" in shown.error
    assert "wigToBigWig" in shown.error
    assert _units([spec(F24 / "dup.bedGraph")], "hg38")
