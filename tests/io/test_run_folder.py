"""Folders of long commands: what is refused, what goes on, and an end before any file operation."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cases import faults
from cases.faults import command, run_of
from varfx.errors import StoreError
from varfx.io import sealed
from varfx.io.run_folder import check_file


@pytest.mark.parametrize("start", ["new", "overwrite"])
@pytest.mark.parametrize("kind", ["kill", "full"])
def test_an_end_before_any_file_operation_loses_nothing(tmp_path: Path, kind: str, start: str) -> None:
    """After it the folder is the earlier one, or the same command with --resume makes it whole."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(Path(faults.__file__)), str(tmp_path), kind, start],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40  # operations


def test_finished_work_is_replaced_only_when_told(tmp_path: Path) -> None:
    command(tmp_path)
    same = (
        r"finished run\. Choose another --out, or replace it with --overwrite\. It has the same options and inputs\.$"
    )
    for resume in (False, True):
        with pytest.raises(StoreError, match=same):
            command(tmp_path, resume=resume)
    with pytest.raises(StoreError, match=r"made with other options or inputs \(size was 3, now 2\)\."):
        command(tmp_path, size=2)
    command(tmp_path, size=2, overwrite=True)
    assert sealed.read_json(tmp_path / "RUN" / "run.json") == [0, 1]


def test_unfinished_work_goes_on_with_the_same_options_only(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    assert not run.begin({"config": {"size": 3}, "inputs": {}})
    assert not run.begin({"config": {"size": 2}, "inputs": {}})  # nothing would be lost
    (run.building / "scratch").mkdir()
    (run.building / "scratch" / "1.npz").write_text("costs no work")
    assert not run.begin({"config": {"size": 3}, "inputs": {}})
    (run.building / "checkpoint").write_text("an hour's work")
    with pytest.raises(StoreError, match=r"unfinished run\. Go on with --resume, or start anew with --overwrite"):
        run.begin({"config": {"size": 3}, "inputs": {}})
    with pytest.raises(StoreError, match=r"other options or inputs \(size was 3, now 4\), so it cannot be resumed"):
        run.begin({"config": {"size": 4}, "inputs": {}}, resume=True)
    with pytest.raises(StoreError, match=r"RUN` is an unfinished run\. Finish it with the same command and --resume\."):
        run.open()
    assert run.begin({"config": {"size": 3}, "inputs": {}}, resume=True)
    assert (run.building / "checkpoint").is_file()
    assert not run.begin({"config": {"size": 4}, "inputs": {}}, resume=True, overwrite=True)
    assert not (run.building / "checkpoint").exists()


def test_a_failed_start_leaves_nothing_and_work_is_kept(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    for work, kept in ((False, False), (True, True)):
        run.begin({"config": {}, "inputs": {}}, overwrite=True)
        if work:
            (run.building / "part").write_text("x")
        with pytest.raises(ValueError, match="wrong"), run.starting():
            raise ValueError("wrong")
        assert run.building.exists() == kept


@pytest.mark.parametrize("name", ["RUN", "RUN.building"])
def test_folders_of_others_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(
            StoreError, match=r"exists and is no run\. Choose|is no unfinished run of varfx.*Move it away"
        ):
            command(tmp_path, overwrite=overwrite)
    assert (tmp_path / name / "thesis.txt").read_text() == "years of work"


def test_unfinished_work_of_an_earlier_version_is_replaced_only_when_told(tmp_path: Path) -> None:
    for name in ("RUN", "RUN.building"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "begun.json").write_text("{}")
        with pytest.raises(StoreError, match=r"--overwrite"):
            command(tmp_path)
        command(tmp_path, overwrite=True)
        sealed.remove(tmp_path / "RUN")


def test_no_folder_is_made_above_and_a_refusal_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match=r"the folder `.*none` does not exist\. Create it first"):
        command(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(StoreError, match=r"RUN` cannot be written: the folder `.*` gives you no permission"):
        command(tmp_path)
    monkeypatch.undo()

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match=r"RUN\.building` was not written: Permission denied\."):
        command(tmp_path)


def test_files_have_the_users_mode(tmp_path: Path) -> None:
    import torch

    sealed.write_tensors(tmp_path / "weights.safetensors", {"a": torch.ones(2)})
    (tmp_path / "plain").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("weights.safetensors", "plain")]
    assert modes[0] == modes[1]


def test_a_link_stays_a_link_and_its_end_is_written(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "RUN").symlink_to(tmp_path / "large" / "place")  # nothing is there yet
    command(tmp_path)
    command(tmp_path, size=2, overwrite=True)
    assert (tmp_path / "RUN").is_symlink()
    assert sealed.read_json(tmp_path / "large" / "place" / "run.json") == [0, 1]
    (tmp_path / "table").symlink_to(tmp_path / "large" / "table.json")
    for value in (1, 2):
        sealed.write_json(tmp_path / "table", value)
    assert sealed.read_json(tmp_path / "large" / "table.json") == 2
    names = [sorted(path.name for path in folder.iterdir()) for folder in (tmp_path, tmp_path / "large")]
    assert names == [["RUN", "large", "table"], ["place", "table.json"]]


def test_devices_and_the_folder_of_the_user_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match=r"pipe` is a device or pipe, which cannot be replaced"):
        sealed.write_text(tmp_path / "pipe", "text")
    with pytest.raises(StoreError, match=r"pipe` is a device or pipe"):
        check_file(tmp_path / "pipe")
    (tmp_path / "RUN" / "below").mkdir(parents=True)
    for here in ("RUN", "RUN/below"):
        monkeypatch.chdir(tmp_path / here)
        with pytest.raises(StoreError, match=r"is the folder that you are in, or above it, and cannot be replaced"):
            command(tmp_path)
        for out in (".", ".."):
            with pytest.raises(StoreError, match=r"is the folder that you are in"):
                replace(run_of(tmp_path), out=Path(out)).check()
