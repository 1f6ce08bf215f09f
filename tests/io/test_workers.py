"""The engine of independent pieces: equal results everywhere, lost workers and schedulers, Ctrl-C, and a killed parent."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cases import pieces
from cases.cluster import running_cluster, started
from varfx.errors import ConfigError, DataError, StoreError, WorkerError
from varfx.io import local_workers
from varfx.io import workers as engine
from varfx.io.workers import Job, Workers, map_pieces

TWO = Workers(workers=2)


def job(folder: Path, function: object = pieces.multiply, **options: object) -> Job:
    return Job(function=function, start=pieces.start, arguments=(7, folder), folder=folder, **options)  # type: ignore[arg-type]


def calls(folder: Path) -> list[int]:
    """How often each piece was done."""
    return [len((folder / f"piece.{number}").read_text().splitlines()) for number in range(8)]


# ---- this machine --------------------------------------------------------------------------------------------------


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    found = list(map_pieces(job(tmp_path), range(8), Workers(workers=1)))
    assert [value for value, *_ in found] == [7 * number for number in range(8)]
    assert {pid for _, pid, _ in found} == {os.getpid()}
    assert calls(tmp_path) == [1] * 8


def test_a_lost_workers_piece_is_done_again_and_finished_ones_are_not(tmp_path: Path) -> None:
    found = list(map_pieces(job(tmp_path, pieces.lose_one_worker), range(8), TWO))
    assert sorted(value for value, *_ in found) == [7 * number for number in range(8)]
    assert (tmp_path / "lost").exists()
    assert calls(tmp_path) == [1] * 8
    assert os.getpid() not in {pid for _, pid, _ in found}
    assert {threads for *_, threads in found} == {os.environ.get("OMP_NUM_THREADS", "1")}
    assert not list(tmp_path.glob(".varfx-job*"))


def test_a_piece_that_ends_every_worker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_workers, "ALLOWED_FAILURES", 1)
    work = job(tmp_path, pieces.lose_every_worker, what="windows", finished=5, again="Go on with --resume.")
    with pytest.raises(
        WorkerError, match=r"2 times at the same piece, with 5 of 7 windows done\. If memory.*Go on with --resume\."
    ):
        list(map_pieces(work, range(2), TWO))


def test_a_users_mistake_is_the_same_error_as_here(tmp_path: Path) -> None:
    for where in (Workers(workers=1), TWO):
        with pytest.raises(DataError, match=r"^`z` is NaN in 3 of 9 rows, first row 2\.$"):
            list(map_pieces(job(tmp_path, pieces.refuse), range(3), where))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "`workers` must be at least 1, got 0. Leave it out"),
        ({"workers": 2, "scheduler": "tcp://head:8786"}, "Give one of the two"),
    ],
)
def test_options_are_checked(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Workers(**options)


def test_no_more_processes_than_pieces() -> None:
    assert Workers(workers=8).count(3) == 3
    assert Workers(workers=8).count(0) == 1
    assert 1 <= Workers().count(10**6) <= engine.num_cores()


def test_threads_of_a_piece_are_one_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int | None] = []

    def take(threads: int | None) -> object:
        seen.append(threads)
        return engine.contextlib.nullcontext()  # type: ignore[attr-defined]

    monkeypatch.setattr(engine, "_limited", take)
    for told, asked in (("1", 1), ("3", 1), ("3", None)):
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        list(map_pieces(job(tmp_path, threads=asked), [0], Workers(workers=1)))
    assert seen == [1, 1, 3, 3, None, None]


SCRIPT = """
import sys
from pathlib import Path
from cases import pieces
from cases.cluster import running_cluster, started
from varfx.io.workers import Job, Workers, map_pieces
folder = Path(sys.argv[1])
work = Job(function=getattr(pieces, sys.argv[2]), start=pieces.start, arguments=(7, folder), folder=folder)
print(sum(each if isinstance(each, int) else each[0] for each in map_pieces(work, range(8), Workers(workers=2))))
"""  # without a guard of __main__


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "no_guard.py"
    path.write_text(SCRIPT)
    return path


def test_a_script_needs_no_guard(tmp_path: Path, script: Path) -> None:
    child = started([sys.executable, str(script), str(tmp_path), "multiply"], tmp_path, "started.*", 1)
    out, err = child.communicate(timeout=120)
    assert (child.returncode, out, err) == (0, f"{7 * 28}\n", "")


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path: Path, script: Path, kill: signal.Signals) -> None:
    child = started([sys.executable, str(script), str(tmp_path), "sleep"], tmp_path, "sleeping.*", 2)
    family = psutil.Process(child.pid).children(recursive=True)
    assert len(family) == 2
    os.kill(child.pid, kill)
    _, err = child.communicate(timeout=20)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    if kill == signal.SIGINT:
        assert err.count("Traceback") == err.count("KeyboardInterrupt") == 1  # the script's own
        assert not list(tmp_path.glob(".varfx-job*"))
    else:
        assert err == ""


INTERRUPTED_START = """
import asyncio, os, signal, sys
import distributed
from varfx.io.local_workers import LocalWorkers

async def connect_forever(client, **options):
    client.status = "connecting"
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(1000)

distributed.Client._start = connect_forever
with LocalWorkers(1):
    pass
"""


def test_ctrl_c_while_the_client_connects_ends_the_process() -> None:
    child = subprocess.run([sys.executable, "-c", INTERRUPTED_START], capture_output=True, text=True, timeout=60)
    assert child.returncode == -signal.SIGINT
    assert child.stderr.count("Traceback") == child.stderr.count("KeyboardInterrupt") == 1


# ---- a running scheduler -------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with running_cluster(tmp_path / "cluster") as found:
        yield found


def test_a_cluster_gives_the_same_and_forgets_a_lost_worker(
    tmp_path: Path, cluster: tuple[subprocess.Popen[str], str]
) -> None:
    address = cluster[1]
    found = list(map_pieces(job(tmp_path, pieces.lose_one_worker), range(8), Workers(scheduler=address)))
    assert sorted(value for value, *_ in found) == [7 * number for number in range(8)]
    assert (tmp_path / "lost").exists()
    assert calls(tmp_path) == [1] * 8
    with pytest.raises(DataError, match=r"^`z` is NaN in 3 of 9 rows, first row 2\.$"):
        list(map_pieces(job(tmp_path, pieces.refuse), range(8), Workers(scheduler=address)))


def test_a_lost_scheduler_is_told_with_what_is_done(tmp_path: Path, cluster: tuple[subprocess.Popen[str], str]) -> None:
    process, address = cluster
    work = job(tmp_path, pieces.slowly, what="windows", finished=2, again="Give the same command again.")
    results = map_pieces(work, range(100), Workers(scheduler=address))
    next(results)
    process.kill()
    process.wait()
    killed = time.monotonic()
    lost = r"connection to the dask scheduler was lost, with \d+ of 102 windows done\. Give the same command again\.$"
    with pytest.raises(WorkerError, match=lost):
        list(results)
    assert time.monotonic() - killed < 30


def test_no_scheduler_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 1)
    with pytest.raises(ConfigError, match=r"`scheduler`: no dask scheduler answers at tcp://127.0.0.1:9"):
        list(map_pieces(job(tmp_path), [1], Workers(scheduler="tcp://127.0.0.1:9")))


def test_workers_elsewhere_and_of_another_version_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine._handed_over(job(tmp_path), TWO) as path:
        monkeypatch.setattr(engine, "__version__", "0.0.1")
        with pytest.raises(ConfigError, match=r"a worker on .* has varfx 0\.0\.1, this command .*\. Install the same"):
            engine._do(str(path), 1)
        gone = path
    with pytest.raises(StoreError, match=r"cannot read .*\.varfx-job.*the workers of the scheduler must see the same"):
        engine._do(str(gone), 1)


def test_lost_connections_are_told_by_our_line_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Found by `make torture`: asyncio's traceback stood above the line when the scheduler died."""
    names = ("distributed.comm", "tornado.application", "asyncio")
    with engine._quiet():
        for name in names:
            logging.getLogger(name).error("Task exception was never retrieved")
    assert not caplog.records
    logging.getLogger("asyncio").error("said")
    assert [record.message for record in caplog.records] == ["said"]
