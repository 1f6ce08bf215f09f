"""`varfx plan`: from files or numbers to a table and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cases.command_line import varfx
from cases.simulated_panel import Simulated
from cases.web import serving
from varfx.cli.plan import duration

SMALL = ["--width", "24", "--window", "32", "--depth", "1"]


def test_a_plan_from_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plan.json"
    words = ["--variants", "12e6", "--windows", "2763", "--num-tracks", "4", "--folder", tmp_path, "--json", out]
    result = varfx(capsys, "plan", *words, *SMALL)
    assert result.code == 0, result.err
    for text in (
        "2,763 windows",
        "enformer",
        "4 tracks x 32 bases",
        "network, forward and backward",
        "in total",
        "note:",
    ):
        assert text in result.out
    numbers = json.loads(out.read_text())
    assert numbers["counts"]["windows"] == 2763
    assert numbers["seconds"]["total"] > 0
    assert numbers["disk"]["tracks"] == 4 * 3_100_000_000
    assert numbers["rates"]["forward"] > 0
    assert set(numbers["rates"]["likelihood"]) >= {"exact rank", "stochastic"}
    (h200,) = numbers["elsewhere"]
    assert h200["name"] == "NVIDIA H200"
    assert 0 < h200["seconds"]["total"] < numbers["seconds"]["total"]
    assert "note: NVIDIA H100: not measured, so that no time is given" in result.out


def test_a_plan_for_a_card_that_is_not_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--variants", "12e6", "--windows", "2763", "--num-tracks", "4", "--folder", tmp_path, "--card", "h200"]
    result = varfx(capsys, "plan", *words, *SMALL)
    assert result.code == 0, result.err
    assert "NVIDIA H200" in result.out
    assert "memory of the GPU" in result.out
    assert "are those measured on one NVIDIA H200" in result.out


def test_a_plan_from_a_panel(simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = varfx(capsys, "plan", "--panel", simulated.panel, "--model", "linear", "--folder", tmp_path)
    assert result.code == 0, result.err
    assert "12 windows, 480 variants" in result.out
    assert "cutting out tracks" not in result.out


def test_a_plan_for_two_ancestries_with_ld_over_the_network(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "LD").mkdir()
    (tmp_path / "LD" / "chr1.npz").write_bytes(b"x" * 3_000_000)
    panels = ["--panel", f"EUR={simulated.panel}", "--panel", f"EAS={simulated.panel}", "--folder", tmp_path]
    with serving(tmp_path) as address:
        words = [*panels, "--source", f"{address}/LD", "--bandwidth", "2", "--model", "linear", "--loci", "30"]
        result = varfx(capsys, "plan", *words)
    assert result.code == 0, result.err
    assert "24 windows, 960 variants" in result.out
    assert "1 files, 3.0 MB to fetch (from the sizes of 1), 1.5 s at 2 MB/s, if the network carries that" in result.out
    for text in (
        "finemap, 30 loci",
        "weights of all ancestries together",
        "not measured",
        "on the CPU",
        "2 ancestries (EAS, EUR)",
    ):
        assert text in result.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give either --panel, or both"),
        (["--variants", "1e6"], "give either --panel, or both"),
        (["--variants", "1e6", "--windows", "10", "--tracks", "T", "--num-tracks", "3"], "either --tracks or --num-tracks"),
        (["--variants", "1e6", "--windows", "10", "--model", "enformer"], "an enformer needs tracks"),
        (["--variants", "1", "--windows", "10"], "must be at least `windows`"),
        (["--panel", "absent.ld.zarr"], "does not exist"),
        (["--variants", "1e6", "--windows", "10", "--card", "a100"], "`card` must be one whose rates are known, h200"),
        (["--variants", "1e6", "--windows", "10", "--card", "h200", "--device", "cuda"], "either --device or --card"),
        (["--variants", "1e6", "--windows", "10", "--bandwidth", "5"], "`bandwidth` is for the time of --source"),
        (["--variants", "1e6", "--windows", "10", "--source", "LD", "--bandwidth", "5"], "`--source` takes an address"),
        (["--variants", "1e6", "--windows", "10", "--source", "LD", "--bandwidth", "0"], "`bandwidth` must be positive"),
        (["--panel", "s3://bucket/P.ld.zarr"], "panels are read from this machine"),
        (["--panel", "EUR=s3://bucket/P.ld.zarr"], "panels are read from this machine"),
        (["--panel", "P1", "--panel", "P2"], "given 2 times without names"),
        (["--variants", "1e6", "--windows", "10", "--loci", "0"], "`loci` must be at least 1"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in varfx(capsys, "plan", *words).error


def test_times_are_readable() -> None:
    shown = [duration(seconds) for seconds in (0.0004, 0.62, 5.0, 600.0, 40_000.0, 1e6)]
    assert shown == ["0.4 ms", "620 ms", "5.0 s", "10.0 min", "11.1 h", "11.6 days"]
