"""The dry run of `benchmarks/gpu.py`: every part runs, on the CPU, without the packages that a bare machine lacks."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cases.bare_machine import READERS, STORES, environment_without

ROOT = Path(__file__).resolve().parents[1]
LEAST = {  # measurements of a dry run
    "equality": 10,
    "scoring": 0,  # needs polars
    "whitening": 5,
    "tracks": 5,
    "choice": 5,
    "engines": 5,
    "prior network": 10,
    "expression network": 5,
    "Borzoi": 8,
    "coverage": 3,
    "sequences ahead": 2,
    "compiled network": 1,
    "autotuned network": 1,
}
PARTS = tuple(LEAST)


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that a dry run leaves, and what it prints."""
    folder = tmp_path_factory.mktemp("gpu")
    (folder / "blocked").mkdir()
    environment = environment_without((*READERS, *STORES), folder / "blocked")
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "gpu.py"),
        "--dry-run",
        "--minutes",
        "30",
        "--out",
        str(folder / "out"),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "out", done.stdout


def read(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / name).read_text())
    return content


def test_one_line_and_one_entry_a_part(dry_run: tuple[Path, str]) -> None:
    folder, printed = dry_run
    assert [line.split(":")[0] for line in printed.splitlines()] == list(PARTS)
    summary = read(folder, "gpu.json")
    assert summary["dry_run"] is True
    assert summary["machine"]["device"] == "cpu"
    assert tuple(summary["parts"]) == PARTS
    assert "several GPUs" in summary["absent"]
    files = sorted(path.name for path in folder.iterdir())
    assert files == ["gpu.json", "parts.json"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2**20


@pytest.mark.parametrize("part", PARTS)
def test_a_part_ends_with_measurements_and_without_failures(dry_run: tuple[Path, str], part: str) -> None:
    content = read(dry_run[0], "parts.json")[part]
    assert content["status"] == "done"
    assert content["failures"] == {}
    assert all("compiled" in skipped or "not installed" in skipped for skipped in content["skipped"])
    assert len(content["measurements"]) >= LEAST[part]
    for name, values in content["measurements"].items():
        assert values["wall_seconds"] >= 0, name
        assert all(value > 0 for key, value in values.items() if key == "least"), name


def test_what_is_equal_on_the_cpu(dry_run: tuple[Path, str]) -> None:
    measurements = read(dry_run[0], "parts.json")["equality"]["measurements"]
    wrong = [row for values in measurements.values() for row in values.get("checks", []) if not row["passed"]]
    assert wrong == []
    engines = {"exact", "stochastic", "composite and ldsr", "Enformer", "track Enformer", "gather", "pairwise loss"}
    assert engines | {"mutagenesis", "TF32", "gpu-marked tests"} == set(measurements)


def test_newer_networks_are_equal_on_the_cpu(dry_run: tuple[Path, str]) -> None:
    content = read(dry_run[0], "parts.json")
    checks = [row for part in ("Borzoi", "coverage", "sequences ahead") for row in content[part]["measurements"]["equality"]["checks"]]  # fmt: skip
    assert [row for row in checks if not row["passed"]] == []
    named = {row["check"].partition(":")[2].partition(",")[0].strip() for row in checks}
    assert {"relative", "rotary", "loss of coverage"} <= named


def test_scoring_with_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    measure, part = (importlib.import_module(name) for name in ("_gpu_measure", "_gpu_scoring"))
    record = measure.Record(tmp_path / "parts.json", "scoring", 600.0)
    part.scoring(record, measure.Setting(torch.device("cpu"), dry_run=True))
    found = read(tmp_path, "parts.json")["scoring"]
    assert (found["failures"], found["skipped"]) == ({}, [])
    checked = {name: values["passed"] for name, values in found["measurements"].items() if "passed" in values}
    assert checked == {"scores": True, "constant prior": True, "posterior means": True}


def test_auto_is_judged_on_twelve_windows(dry_run: tuple[Path, str]) -> None:
    summary = read(dry_run[0], "parts.json")["choice"]["measurements"]["summary"]
    assert summary["windows"] == 12
    assert summary["worst_regret"] >= 1


MISHAPS = """
import os, time

def good(record, setting):
    with record.measurement("one") as values:
        values["seconds"] = 1.0

def half(record, setting):
    with record.measurement("bad") as values:
        raise ValueError("no such number")
    good(record, setting)

def broken(record, setting):
    good(record, setting)
    raise KeyError("gone")

def hangs(record, setting):
    good(record, setting)
    time.sleep(600)

def dies(record, setting):
    good(record, setting)
    os._exit(3)
"""


def test_mishaps_are_named_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mishaps.py").write_text(MISHAPS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    spec = importlib.util.spec_from_file_location("gpu_benchmark", ROOT / "benchmarks" / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    monkeypatch.setattr(sys, "path", list(sys.path))
    gpu = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_benchmark", gpu)  # its dataclasses look themselves up
    spec.loader.exec_module(gpu)
    names = ("half", "broken", "hangs", "dies", "good")
    parts = tuple(gpu.Part(name, f"mishaps:{name}", 20.0) for name in names)
    monkeypatch.setattr(gpu, "PARTS", parts)
    monkeypatch.setattr(gpu, "GRACE", 1.0)
    gpu.supervise(argparse.Namespace(out=tmp_path, minutes=10.0, parts=None, device="cpu", dry_run=False))
    found = read(tmp_path, "parts.json")
    assert {name: found[name]["status"] for name in names} == {
        "half": "done",
        "broken": "failed: KeyError: 'gone'",
        "hangs": "ended after 21 s",
        "dies": "the process died with code 3",
        "good": "done",
    }
    assert found["half"]["failures"]["bad"]["error"] == "ValueError: no such number"
    assert all(found[name]["measurements"]["one"]["seconds"] == 1.0 for name in names)
    assert "half: done" in capsys.readouterr().out
