"""Processes that are forks of one which has imported the slow libraries, once per test process, instead of importing them each.

For tests of what worker processes compute. How a user's processes start and end is tested on real ones: `tests/io/test_workers.py`,
`tests/ld/test_build.py`, `tests/training/gwas/test_ddp.py`.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

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


@dataclass(frozen=True)
class Forked:
    """A process that `run_forked` started, with what is used here of a `subprocess.Popen`."""

    process: BaseProcess
    folder: Path

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return self.process.exitcode

    def wait(self) -> int | None:
        """The exit status, at its end."""
        self.process.join()
        return self.process.exitcode

    def communicate(self) -> tuple[str, str]:
        """What it has written on stdout and stderr, at its end."""
        self.wait()
        out, err = ((self.folder / name).read_text() for name in ("stdout", "stderr"))
        return out, err


def run_forked(function: Callable[..., object], *arguments: object, folder: Path, **variables: str) -> Forked:
    """Begins a function of an importable module in a session of its own.

    Args:
        function: what is called.
        arguments: its arguments.
        folder: a folder that is not there yet, for what it writes on stdout and stderr.
        variables: added to the environment.
    """
    preload()
    folder.mkdir()
    environment = {**os.environ, **variables}
    process = multiprocessing.get_context("forkserver").Process(
        target=_call, args=(function, arguments, folder, environment)
    )
    process.start()
    return Forked(process, folder)


def _call(
    function: Callable[..., object], arguments: tuple[object, ...], folder: Path, variables: dict[str, str]
) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(variables)
    for number, name in ((1, "stdout"), (2, "stderr")):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    function(*arguments)


def _serve(receiver: Connection, environment: Mapping[str, str]) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(receiver.fileno(), 0)
    receiver.close()
    sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
    from varfx.io.local_workers import serve

    serve()
