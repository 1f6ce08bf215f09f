"""Commands of varfx in forked children: started in milliseconds, because this process has imported all that they need.

A fork copies no threads, so this process must never begin any: it imports, and leaves all computing to children.
"""

from __future__ import annotations

import importlib
import os
import pickle
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
LONGEST = 300  # seconds
_BEFORE = re.compile(r"warning: |.+: \d+ of \d+$")  # what a command that goes on may say


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit status (negative: a signal), and its screen."""

    status: int
    err: str

    @property
    def error(self) -> str:
        """The last line on stderr."""
        return (self.err.strip().splitlines() or [""])[-1]

    @property
    def is_one_line(self) -> bool:
        """Whether one line of ours ends the screen; above it only warnings and progress of the work before."""
        *above, last = self.err.strip().splitlines() or [""]
        return last.startswith(("error: ", "terminated; ", "interrupted; ")) and all(map(_BEFORE.match, above))


@dataclass(frozen=True)
class Child:
    """A command that runs."""

    pid: int
    screen: Path

    def wait(self, seconds: float = LONGEST) -> Ended:
        """Waits for its end; after `seconds` it is killed, which shows as signal 14."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return Ended(os.waitstatus_to_exitcode(status), self.screen.read_text(errors="replace"))
            if time.monotonic() > end:
                self.send(signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return Ended(-signal.SIGALRM, self.screen.read_text(errors="replace"))
            time.sleep(0.002)

    def send(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        os.kill(self.pid, number)


def start(words: Sequence[object], screen: Path) -> Child:
    """Begins a command line in a session of its own, with its stderr in a file."""
    pid = os.fork()
    if pid:
        return Child(pid, screen)
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job has it ignored
        null = os.open(os.devnull, os.O_RDWR)
        err = os.open(screen, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number, descriptor in enumerate((null, null, err)):
            os.dup2(descriptor, number)
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        from varfx.cli import app, main
        from varfx.cli.console import PlainConsole

        app.stderr = PlainConsole(stderr=True, soft_wrap=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python begins
        main([str(word) for word in words])
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:  # noqa: BLE001  (a child must not return)
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def in_child(function: Callable[..., T], *arguments: object) -> T:
    """The value of a function, computed in a child.

    Raises:
        RuntimeError: the child failed.
    """
    receive, send = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            answer: Any = (True, function(*arguments))
        except BaseException as error:  # noqa: BLE001
            answer = (False, f"{type(error).__name__}: {error}")
        with os.fdopen(send, "wb") as file:
            pickle.dump(answer, file)
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as file:
        content = file.read()
    os.waitpid(pid, 0)
    fine, value = pickle.loads(content) if content else (False, "the child was killed")
    if not fine:
        raise RuntimeError(value)
    return value  # type: ignore[no-any-return]


def preload(names: Sequence[str]) -> None:
    """Imports modules here, so that no child has to."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001  (modules that others make at run time)
            continue


def modules_after(words: Sequence[object]) -> list[str]:
    """The modules that a command loads; to be called in a child."""
    from varfx.cli import app

    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    status = app.run([str(word) for word in words])
    if status:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {status}")
    return [name for name in sys.modules if not name.startswith(("__main__", "_pytest", "torture"))]
