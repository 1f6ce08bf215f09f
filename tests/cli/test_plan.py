"""`varfx plan`: from files or numbers to a table and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cases.command_line import varfx
from cases.simulated_panel import Simulated
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
    ],
)  # fmt: skip
def test_what_does_not_go_together(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in varfx(capsys, "plan", *words).error


def test_times_are_readable() -> None:
    shown = [duration(seconds) for seconds in (0.0004, 0.62, 5.0, 600.0, 40_000.0, 1e6)]
    assert shown == ["0.4 ms", "620 ms", "5.0 s", "10.0 min", "11.1 h", "11.6 days"]
