"""Processes that are forks of one which has imported the slow libraries, once per test process, instead of importing them each.

For tests of what worker processes compute. How a user's processes start and end is tested on real ones: `tests/io/test_workers.py`,
`tests/ld/test_build.py`, `tests/training/gwas/test_ddp.py`.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection

SLOW_IMPORTS = ("torch", "torch._dynamo", "scipy.stats", "lightning", "distributed")  # none begins a thread


def preload() -> None:
    """Names the imports of the process that is forked, which starts with the first fork."""
    multiprocessing.set_forkserver_preload(list(SLOW_IMPORTS))


class ForkedWorker:
    """A local worker of `varfx.io.local_workers`, with what is used there of a `subprocess.Popen`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_serve, args=(receiver, dict(environment)), daemon=True)
        self._process.start()
        self.pid = self._process.pid
        self.stdin = os.fdopen(os.dup(sender.fileno()), "wb")
        receiver.close()
        sender.close()

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.exitcode

    def wait(self) -> int | None:
        """The exit status, at its end."""
        self._process.join()
        return self._process.exitcode

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()


def _serve(receiver: Connection, environment: Mapping[str, str]) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(receiver.fileno(), 0)
    receiver.close()
    sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
    from varfx.io.local_workers import serve

    serve()
