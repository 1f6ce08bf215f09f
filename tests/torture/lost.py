"""Worker processes, the scheduler, or the parent of a command killed at random moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from torture.children import Child, Ended, start
from torture.commands import Command
from torture.stage import Stage
from torture.tally import Tally

WITH_WORKERS = {"ld build", "tracks build", "prior weights", "experiment", "expr baseline", "expr fit", "expr variants"}
WORKERS_SECONDS = 15  # until the workers of a command are there, on a busy machine
ORPHAN_SECONDS = 10
_CLUSTER = """
import sys, time
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        time.sleep(300)
"""


def lose(stage: Stage, command: Command, whom: str, seeds: range, tally: Tally, until: float) -> None:
    """Kills a "worker", the "scheduler" or the "parent" once per seed.

    After the loss of a worker the command may end well; after any it may say so in one line, and given again it ends with the
    undisturbed result. No process of it outlives its parent.
    """
    for seed in seeds:
        if time.monotonic() > until:
            return
        stage.clear()
        rng = random.Random(f"{command.name}:{whom}:{seed}")
        lost, wrong = (_without_scheduler if whom == "scheduler" else _without)(stage, command, whom, rng)
        wrong = wrong or stage.half_written(command) or stage.finished(command)
        tally.note(seed, wrong.partition(":")[0] or ("equal" if lost else "finished before"), wrong, good=not wrong)


def _without(stage: Stage, command: Command, whom: str, rng: random.Random) -> tuple[bool, str]:
    """Whether a process was killed before the command's end, and what is wrong with what came of it."""
    child = start(_elsewhere(command, stage, "--workers", 2), stage.root / "screen")
    workers = _workers_of(child)
    time.sleep(rng.uniform(0, stage.seconds[command.name]))
    victims = [child.pid] if whom == "parent" else workers
    lost = _kill(rng.choice(victims)) if victims else False
    ended = child.wait()
    orphans = _left(workers)
    if orphans:
        return lost, f"orphans: {len(orphans)} of {len(workers)} workers"
    if ended.status == 0 or (whom == "parent" and lost):
        return lost, ""
    return lost, _told(ended)


def _kill(pid: int) -> bool:
    """Kills a process; False if it had ended."""
    there = _alive(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return there


def _without_scheduler(stage: Stage, command: Command, whom: str, rng: random.Random) -> tuple[bool, str]:
    with _cluster(stage.root) as (process, address):
        child = start(_elsewhere(command, stage, "--scheduler", address), stage.root / "screen")
        time.sleep(rng.uniform(0, 2 * stage.seconds[command.name]))
        lost = _alive(child.pid)
        os.killpg(process.pid, signal.SIGKILL)
        ended = child.wait()
    return lost, "" if ended.status == 0 else _told(ended)


def _told(ended: Ended) -> str:
    """What is wrong with how a command said that it failed."""
    return "" if ended.status == 2 and ended.is_one_line else f"status {ended.status}: {ended.err[-300:]}"


def _elsewhere(command: Command, stage: Stage, option: str, value: object) -> list[object]:
    """The command's words with another choice of workers."""
    words = command.line(stage.inputs, stage.folder)
    if "--workers" in words:
        place = words.index("--workers")
        del words[place : place + 2]
    return [*words, option, value]


@contextlib.contextmanager
def _cluster(root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    script = root / "cluster.py"
    script.write_text(_CLUSTER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True, env=environment, cwd=root,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _workers_of(child: Child) -> list[int]:
    """The processes that a command began, once there are two; fewer if it ends before."""
    end = time.monotonic() + WORKERS_SECONDS
    found: list[int] = []
    while time.monotonic() < end and len(found) < 2:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found = [int(pid) for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()]
            if Path(f"/proc/{child.pid}/stat").read_text().split()[2] == "Z":
                break
        time.sleep(0.01)
    return found


def _left(pids: list[int]) -> list[int]:
    """Those that are still there after some seconds; they are killed then."""
    end = time.monotonic() + ORPHAN_SECONDS
    while (there := [pid for pid in pids if _alive(pid)]) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in there:
        os.kill(pid, signal.SIGKILL)
    return there


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
