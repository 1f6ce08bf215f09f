"""Independent pieces of work, on processes of this machine or on a running dask.distributed scheduler.

A piece is small: the place of a window, the id of a gene. What all pieces share lies in one file, read once per process,
so that no large argument travels with a piece or waits in the pipe of a process that died. The piece of a lost worker
is done again by another; finished pieces are not. One piece at a time per process, with one thread of linear algebra,
so that results do not depend on the number of processes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from varfx._version import __version__
from varfx.errors import ConfigError, StoreError, WorkerError
from varfx.io import sealed

logger = logging.getLogger(__name__)
Piece = TypeVar("Piece")
Result = TypeVar("Result")
CONNECT_SECONDS = 20
CHECK_SECONDS = 0.5  # between two looks at the workers while no piece ends
PATIENCE_SECONDS = 10  # without any worker at the scheduler before a word is said


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Workers for independent pieces of work."""

    workers: int | None = None
    """Processes on this machine; by default one per core. 1 computes in this process."""
    scheduler: str | None = None
    """Address or file of a running dask.distributed scheduler whose workers see the same files; in place of `workers`."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"`workers` must be at least 1, got {self.workers}. Leave it out for one per processor.")
        if self.workers is not None and self.scheduler is not None:
            raise ConfigError(
                "`workers` counts processes of this machine, `scheduler` names a cluster with its own. Give one of the two."
            )

    def count(self, pieces: int) -> int:
        """Number of local processes: `workers`, or one per core, but at most one per piece."""
        return max(1, min(self.workers or num_cores(), pieces))


@dataclass(frozen=True, kw_only=True)
class SingleWorker(Workers):
    """Workers where one process is the default; a scheduler replaces it."""

    workers: int | None = 1
    """Processes on this machine. 1 computes in this process."""

    def __post_init__(self) -> None:
        if self.scheduler is not None and self.workers == 1:
            object.__setattr__(self, "workers", None)
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class Job(Generic[Piece, Result]):
    """Work on each piece: `function(state, piece)`, with `state = start(*arguments)` made once per process."""

    function: Callable[[Any, Piece], Result]
    """Work on one piece; a second call for the same piece must do no harm."""
    start: Callable[..., Any]
    """Makes what all pieces need, e.g. opens files."""
    arguments: tuple[Any, ...] = ()
    """Arguments of `start`; they may be large."""
    what: str = "pieces"
    """Name of the pieces in messages."""
    finished: int = 0
    """Pieces of an earlier run, for messages."""
    again: str = "Give the same command again."
    """Advice after the loss of the workers."""
    folder: Path | None = None
    """Existing folder that all workers see, for the arguments while the work lasts. By default a temporary folder of this
    machine, and with a scheduler the current one."""
    threads: int | None = 1
    """Threads of linear algebra per piece (more if OMP_NUM_THREADS says so); None: the share of one process of all cores."""


def num_cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_pieces(job: Job[Piece, Result], pieces: Sequence[Piece], where: Workers) -> Iterator[Result]:
    """Results of the pieces, in the order in which they finish.

    Args:
        job: the work.
        pieces: small values.
        where: processes of this machine, or a scheduler. The results are the same.

    Raises:
        ConfigError: no scheduler answers at the address, or its workers have another varfx.
        StoreError: the arguments cannot be written, or not be seen by the workers.
        WorkerError: the scheduler was lost, or a piece ended several workers (out of memory).
        Exception: whatever `function` or `start` raises, from the first piece that fails; the others are cancelled.
    """
    if not pieces:
        return
    if job.threads is not None:
        job = replace(job, threads=max(job.threads, int(os.environ.get("OMP_NUM_THREADS") or 1)))
    if where.scheduler is None and where.count(len(pieces)) == 1:
        with _limited(job.threads):
            state = job.start(*job.arguments)
        for piece in pieces:
            with _limited(job.threads):
                result = job.function(state, piece)
            yield result
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        path = stack.enter_context(_handed_over(job, where))
        if where.scheduler is not None:
            client = stack.enter_context(_cluster_client(where.scheduler))
            check: Callable[[], None] = _Patience(client, where.scheduler)
            stack.callback(_forget_everywhere, client, str(path))
        else:
            from varfx.io.local_workers import LocalWorkers  # dask takes a second to import

            count = where.count(len(pieces))
            local = stack.enter_context(LocalWorkers(count, threads=job.threads or max(1, num_cores() // count)))
            client, check = local.client, local.replace_lost
        yield from _gathered(client, check, job, path, pieces)


def _gathered(
    client: Any, check: Callable[[], None], job: Job[Piece, Result], path: Path, pieces: Sequence[Piece]
) -> Iterator[Result]:
    """Results as they arrive; on any exception the pieces that have not begun are cancelled."""
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    finished, total = job.finished, job.finished + len(pieces)
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    futures: list[Any] = []
    try:
        futures += client.map(partial(_do, str(path)), pieces, pure=False)
        for future in futures:
            future.add_done_callback(done.put)
        for _ in pieces:
            while True:
                try:
                    future = done.get(timeout=CHECK_SECONDS)
                    break
                except queue.Empty:
                    check()
            result = future.result()
            future.release()
            finished += 1
            yield result
    except KilledWorker as error:
        raise WorkerError(
            f"a worker process ended by itself, {error.allowed_failures + 1} times at the same piece, with {finished} of "
            f"{total} {job.what} done. If memory ran short, use fewer --workers. {job.again}"
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise WorkerError(
            f"the connection to the dask scheduler was lost, with {finished} of {total} {job.what} done. {job.again}"
        ) from error
    except WorkerError as error:
        raise WorkerError(f"{error} {finished} of {total} {job.what} are done. {job.again}") from error
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a worker cannot import `{error.name}`: the scheduler's workers need the same varfx, and the modules of your "
            "script."
        ) from error
    finally:
        if client.status == "running":
            with contextlib.suppress(OSError, TimeoutError, CancelledError):
                client.cancel(futures, force=True)


# ---- the arguments -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _handed_over(job: Job[Any, Any], where: Workers) -> Iterator[Path]:
    """A file with the job for the workers, removed at the end."""
    import cloudpickle

    default = tempfile.gettempdir() if where.scheduler is None else Path.cwd()
    folder = Path(job.folder or default).absolute()
    try:
        handle, name = tempfile.mkstemp(prefix=".varfx-job.", suffix=".partial", dir=folder)
        path = Path(name)
    except OSError as error:
        raise sealed.write_error(folder / "varfx-job", error) from error
    try:
        try:
            with open(handle, "wb") as file:
                cloudpickle.dump((__version__, job), file)
        except OSError as error:
            raise sealed.write_error(path, error) from error
        yield path
    finally:
        path.unlink(missing_ok=True)


_LOCK = threading.Lock()  # one piece at a time per process
_STATES: dict[str, tuple[Job[Any, Any], Any]] = {}  # of this worker process: the current job's


def _do(path: str, piece: Any) -> Any:
    """Does one piece in a worker process."""
    with _LOCK:
        if path not in _STATES:
            _STATES.clear()
            job = _read_job(path)
            with _limited(job.threads):
                _STATES[path] = job, job.start(*job.arguments)
        job, state = _STATES[path]
        with _limited(job.threads):
            return job.function(state, piece)


def _read_job(path: str) -> Job[Any, Any]:
    import cloudpickle

    here = socket.gethostname()
    try:
        with open(path, "rb") as file:
            version, job = cloudpickle.load(file)
    except OSError as error:
        raise StoreError(
            f"a worker on {here} cannot read `{path}` ({error.strerror}): the workers of the scheduler must see the same "
            "files as this command."
        ) from error
    if version != __version__:
        raise ConfigError(f"a worker on {here} has varfx {__version__}, this command {version}. Install the same.")
    assert isinstance(job, Job)
    return job


def _forget(path: str) -> None:
    """Frees the memory of a finished job in a worker that goes on."""
    _STATES.pop(path, None)


def _forget_everywhere(client: Any, path: str) -> None:
    if client.status == "running":
        with contextlib.suppress(Exception):
            client.run(_forget, path, on_error="ignore", wait=False)


@contextlib.contextmanager
def _limited(threads: int | None) -> Iterator[None]:
    """At most so many threads of linear algebra inside the block."""
    if threads is None:
        yield
        return
    from threadpoolctl import threadpool_limits  # slow to import: not for help pages

    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    try:
        if torch is not None:
            torch.set_num_threads(threads)
        with threadpool_limits(threads):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)


# ---- a running scheduler -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _cluster_client(address: str) -> Iterator[Any]:
    """A client of the scheduler at this address, or in this file."""
    from varfx.io.local_workers import new_client

    file = Path(address).is_file()
    target = {"scheduler_file": address} if file else {"address": address}
    try:
        client = new_client(**target, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TimeoutError, RuntimeError) as error:
        raise ConfigError(
            f"`scheduler`: no dask scheduler answers at {address} ({' '.join(str(error).split())}). Check the address."
        ) from error
    try:
        yield client
    finally:
        with contextlib.suppress(OSError, TimeoutError, CancelledError):
            client.close(timeout=2)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What dask and the loops below it log of every lost connection is not said inside the block."""
    import distributed  # noqa: F401  its import sets levels of loggers, those below "tornado" too

    roots = ("distributed", "tornado", "asyncio")
    known = [name for name, log in logging.root.manager.loggerDict.items() if isinstance(log, logging.Logger)]
    logs = [logging.getLogger(name) for name in {*roots, *(name for name in known if name.split(".")[0] in roots)}]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


class _Patience:
    """Warns once of a scheduler without workers, or of workers with several threads."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._began = time.monotonic()
        self._said = False

    def __call__(self) -> None:
        if self._said or time.monotonic() - self._began < PATIENCE_SECONDS or self._client.status != "running":
            return
        threads = [each["nthreads"] for each in self._client.scheduler_info(n_workers=-1)["workers"].values()]
        if not threads:
            logger.warning("the scheduler at %s has no workers yet; waiting for them", self._address)
        elif max(threads) > 1:
            logger.warning(
                "the workers at %s have up to %d threads each, of which pieces use one: start more of one thread",
                *(self._address, max(threads)),
            )
        self._said = True
