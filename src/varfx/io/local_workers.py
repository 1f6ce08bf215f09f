"""Worker processes of this machine, joined to a dask scheduler inside this process.

They are started as programs of their own, so that a script needs no `if __name__ == "__main__":`, and they end with this
process however it ends: each reads its standard input, which closes then. The connection is encrypted with keys that
exist only in the memory of these processes, because on a shared machine any user may connect to a local port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import Any

from varfx.errors import WorkerError

ALLOWED_FAILURES = 2  # of a piece: the third worker that ends while doing it is the last
_HOST = "127.0.0.1"
_CONFIG: dict[str, Any] = {
    "distributed.scheduler.http.routes": [],  # nothing to read for others on this machine
    "distributed.scheduler.worker-ttl": None,  # a worker in a long call of C does not answer, and is not lost
}
_START = "from varfx.io.local_workers import serve; serve()"
_KEYS = ("tls_ca_file", "tls_worker_cert", "tls_worker_key")


class LocalWorkers:
    """A context with `count` worker processes and a `client` that gives them work."""

    def __init__(self, count: int, *, threads: int = 1) -> None:
        self._count, self._threads = count, threads
        self._stack = contextlib.ExitStack()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._lost = 0
        self.client: Any = None

    def __enter__(self) -> LocalWorkers:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def replace_lost(self) -> None:
        """Starts a process for each one that ended by itself.

        Raises:
            WorkerError: too many ended.
        """
        for place, process in enumerate(self._processes):
            status = process.poll()
            if status is None:
                continue
            _reap(process)
            self._lost += 1
            if self._lost > (ALLOWED_FAILURES + 1) * self._count:
                raise WorkerError(
                    f"worker processes ended by themselves, {self._lost} times (the last with status {status}). If memory "
                    "ran short, use fewer --workers."
                )
            self._processes[place] = self._spawn()
            self._introduce(self._processes[place])

    def _start(self) -> None:
        self._stack.callback(self._end_all)
        self._processes += [self._spawn() for _ in range(self._count)]  # they import while this process does
        import dask
        import distributed
        from distributed.security import Security

        self._folder = self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix="varfx-", ignore_cleanup_errors=True)
        )
        self._security = Security.temporary()
        with dask.config.set(_CONFIG):
            cluster = distributed.LocalCluster(
                n_workers=0,
                processes=True,
                host=_HOST,
                protocol="tls",
                security=self._security,
                dashboard_address=None,
                silence_logs=logging.CRITICAL + 1,
                scheduler_kwargs={"allowed_failures": ALLOWED_FAILURES, "dashboard_address": f"{_HOST}:0"},
            )
        self._stack.callback(cluster.close, timeout=2)
        self._address = cluster.scheduler_address
        self.client = new_client(cluster)
        self._stack.callback(self.client.close, timeout=2)
        self._stack.callback(self._end_all)
        for process in self._processes:
            self._introduce(process)

    def _spawn(self) -> subprocess.Popen[bytes]:
        """A new process, in a session of its own: a terminal's Ctrl-C reaches this process alone, which then ends it."""
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(self._threads))
        modules = os.pathsep.join(os.path.abspath(path) for path in sys.path)
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _START],
            stdin=subprocess.PIPE,
            env={**os.environ, **threads, "PYTHONPATH": modules},
            start_new_session=True,
        )

    def _introduce(self, process: subprocess.Popen[bytes]) -> None:
        """Sends a new process the scheduler's address."""
        security = {name: getattr(self._security, name) for name in _KEYS}
        settings = {"address": self._address, "folder": self._folder, "security": security}
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended already, and is replaced at the next look
            process.stdin.write(json.dumps(settings).encode() + b"\n")
            process.stdin.flush()

    def _end_all(self) -> None:
        """Ends all processes at once: what they write is complete under its name, or not there."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            _reap(process)


def new_client(*args: Any, **kwargs: Any) -> Any:
    """A `distributed.Client` that its maker must close.

    An interrupt inside its constructor leaves a half-made client. distributed closes that when Python ends, by a loop that
    no longer runs, and waits forever; this one is left to end with the process.
    """
    import distributed

    class Client(distributed.Client):  # type: ignore[misc]  # distributed has no types
        def __del__(self) -> None:
            pass

    return Client(*args, set_as_default=False, **kwargs)


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def serve() -> None:
    """Runs a worker until its parent closes this process's standard input."""
    import distributed  # noqa: F401  (while the parent starts the scheduler)

    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(1)  # the parent is gone
    settings = json.loads(line)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
    asyncio.run(_serve(settings))


async def _serve(settings: dict[str, Any]) -> None:
    import distributed
    from distributed.security import Security

    worker = distributed.Worker(
        settings["address"],
        nthreads=1,
        host=_HOST,
        dashboard=False,
        dashboard_address=f"{_HOST}:0",
        memory_limit=0,  # of the machine alone
        local_directory=settings["folder"],
        security=Security(require_encryption=True, **settings["security"]),
    )
    async with worker:
        await worker.finished()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
