"""Runs `varfx` as typed, in this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from varfx.cli.app import run


@dataclass(frozen=True)
class Result:
    """What a command left on the screen."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an error, checked to be one."""
        assert self.code == 2, (self.code, self.out, self.err)
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        assert "Traceback" not in self.err
        return lines[0].removeprefix("error: ")


@contextmanager
def logging_as_before() -> Iterator[None]:
    """The command line takes the log to stderr; other tests want it as it was."""
    logger = logging.getLogger("varfx")
    state = logger.handlers[:], logger.level, logger.propagate
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = state[0], state[2]
        logger.setLevel(state[1])


def varfx(capsys: pytest.CaptureFixture[str], *words: object) -> Result:
    """The result of one command line."""
    capsys.readouterr()
    with logging_as_before():
        code = run([str(word) for word in words])
    screen = capsys.readouterr()
    return Result(code, screen.out, screen.err)
