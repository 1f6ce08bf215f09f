"""A dask scheduler with two workers in a process of its own, as a user's cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

TESTS = Path(__file__).parents[1]
SCRIPT = """
import sys, time
from multiprocessing import forkserver, set_forkserver_preload
from pathlib import Path
import dask
from distributed import LocalCluster
if __name__ == "__main__":
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    set_forkserver_preload(sys.argv[2:] or ["distributed"])
    forkserver.ensure_running()  # before dask adds every package that it may use
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1", silence_logs=60)
    Path(sys.argv[1], "cluster.tmp").write_text(cluster.scheduler_address)
    Path(sys.argv[1], "cluster.tmp").rename(Path(sys.argv[1], "cluster.address"))
    time.sleep(900)
"""


def started(command: list[str], folder: Path, pattern: str, count: int) -> subprocess.Popen[str]:
    """A child process, once `count` files of this pattern are in the folder."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while len(list(folder.glob(pattern))) < count:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return child


@contextmanager
def running_cluster(folder: Path, *preload: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the scheduler's address; all its processes end with the block.

    Args:
        folder: a folder that is not there yet.
        preload: modules that one process imports for all workers, which are forks of it; also for those that replace a lost one.
    """
    folder.mkdir()
    (folder / "cluster.py").write_text(SCRIPT)
    child = started([sys.executable, str(folder / "cluster.py"), str(folder), *preload], folder, "cluster.address", 1)
    family = psutil.Process(child.pid).children(recursive=True)
    try:
        yield child, (folder / "cluster.address").read_text()
    finally:
        child.kill()
        child.communicate()
        psutil.wait_procs(family, timeout=20)


def worker_pids(address: str) -> list[int]:
    """Processes of the scheduler's workers."""
    import distributed

    with distributed.Client(address, set_as_default=False) as client:
        return sorted(client.run(os.getpid).values())


class Killing:
    """Progress that kills one worker of a scheduler after the first piece; a nanny starts another.

    Attributes:
        left: pieces that were left then; -1 before.
    """

    def __init__(self, address: str) -> None:
        self._pid = worker_pids(address)[0]
        self.left = -1

    def __call__(self, done: int, total: int, what: str) -> None:
        if self.left < 0:
            os.kill(self._pid, signal.SIGKILL)
            self.left = total - done
