"""One writer per output, over processes: refused, taken over from the dead, never two at a time."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from varfx.cli.app import run
from varfx.errors import StoreError
from varfx.io import sealed
from varfx.io.output_lock import held_output, one_writer

HOLD = "import sys; from varfx.io.output_lock import held_output as h\nwith h(sys.argv[1]): print('held', flush=True); input()"
TAKE_TURNS = """
import sys, time
from pathlib import Path
from varfx.errors import StoreError
from varfx.io.output_lock import held_output
out, taken = Path(sys.argv[1]), 0
while taken < 20:
    try:
        with held_output(out):
            (out.parent / "inside").mkdir()  # fails if another process is inside
            time.sleep(0.001)
            (out.parent / "inside").rmdir()
            taken += 1
    except StoreError:
        time.sleep(0.001)
"""


def start(code: str, out: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(out)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def holder(out: Path) -> subprocess.Popen[str]:
    process = start(HOLD, out)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    out = tmp_path / "P.ld.zarr"
    with holder(out) as other:
        words = (
            rf"P\.ld\.zarr` is being written by process {other.pid} on {re.escape(socket.gethostname())} since \d{{4}}-"
        )
        with pytest.raises(StoreError, match=words), held_output(tmp_path / "sub" / ".." / out.name):
            pytest.fail("two writers")
        with held_output(tmp_path / "Q.ld.zarr"):
            pass
        other.communicate("\n")
    with held_output(out):
        assert (tmp_path / ".P.ld.zarr.lock").is_file()
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    with holder(tmp_path / "RUN") as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert (tmp_path / ".RUN.lock").is_file()
        with held_output(tmp_path / "RUN"):
            assert f"process {os.getpid()} " in (tmp_path / ".RUN.lock").read_text()
    assert not list(tmp_path.iterdir())


def test_never_two_at_a_time(tmp_path: Path) -> None:
    processes = [start(TAKE_TURNS, tmp_path / "RUN") for _ in range(3)]
    assert [each.communicate()[1] for each in processes] == ["", "", ""]


def test_a_forked_child_does_not_keep_it(tmp_path: Path) -> None:
    receive, send = os.pipe()
    with held_output(tmp_path / "RUN"):
        child = os.fork()
        if child == 0:
            os.close(send)
            os.read(receive, 1)  # until the parent closes its end
            os._exit(0)
    try:
        with holder(tmp_path / "RUN") as other:
            other.communicate("\n")
    finally:
        os.close(send)
        os.close(receive)
        os.waitpid(child, 0)


def test_the_same_process_enters_again_and_the_outermost_releases(tmp_path: Path) -> None:
    @one_writer
    def write(out: Path) -> bool:
        return (out.parent / ".x.lock").is_file()

    with held_output(tmp_path / "x"):
        assert write(tmp_path / "x")
        assert write(out=tmp_path / "x")
        assert (tmp_path / ".x.lock").is_file()
    assert not list(tmp_path.iterdir())
    with pytest.raises(TypeError, match="out"):
        write()  # type: ignore[call-arg]


def test_a_missing_folder_is_left_to_whoever_writes(tmp_path: Path) -> None:
    with held_output(tmp_path / "absent" / "x"):
        assert not list(tmp_path.iterdir())


def test_a_command_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gwas, out = tmp_path / "g.tsv", tmp_path / "s.sumstats.parquet"
    gwas.write_text("CHR\tBP\tSNP\tA1\tA2\tBETA\tSE\tN\n1\t10\trs1\tA\tG\t0.1\t0.1\t100\n")
    with holder(out) as other:
        assert run(["sumstats", "clean", str(gwas), "--out", str(out)]) == 2
        assert re.fullmatch(
            r"error: `.*` is being written by process \d+ on .*, or choose another --out\.\n", capsys.readouterr().err
        )
        other.communicate("\n")
    assert not out.exists()


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path: Path) -> None:
    out = tmp_path / "S[1].parquet"
    (tmp_path / ".S[1].parquet.0123abcd.partial").write_text("half")
    (tmp_path / ".S1.parquet.0123abcd.partial").write_text("another's")
    folder = tmp_path / ".S[1].parquet.89abcdef.partial"
    folder.mkdir()
    (folder / "half").touch()
    with held_output(out):
        left = {path.name for path in tmp_path.iterdir() if path.suffix == ".partial"}
        assert left == {".S1.parquet.0123abcd.partial"}
        mine = tmp_path / ".S[1].parquet.11111111.partial"
        mine.touch()
        with held_output(out):
            assert mine.exists()


def test_so_does_what_was_left_of_further_files_of_the_output(tmp_path: Path) -> None:
    names = (".M.cs.tsv.0123abcd.partial", ".M.json.0123abcd.partial", ".M2.cs.tsv.0123abcd.partial")
    for name in names:
        (tmp_path / name).write_text("half")
    sealed.write_text(tmp_path / "M.cs.tsv", "another may be writing it")
    assert all((tmp_path / name).exists() for name in names)
    with held_output(tmp_path / "M"):
        sealed.write_text(tmp_path / "M.cs.tsv", "whole")
        sealed.write_text(tmp_path / "M2.cs.tsv", "of another output")
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".partial"} == set(names[1:])
    assert (tmp_path / "M.cs.tsv").read_text() == "whole"
    sealed.write_text(tmp_path / "M.json", "the lock is given back")
    assert (tmp_path / names[1]).exists()
