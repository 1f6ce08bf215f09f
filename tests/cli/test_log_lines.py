"""Log messages on a console: each warning once, other messages as often as they come."""

from __future__ import annotations

import io
import logging

from rich.console import Console

from varfx.cli.log_lines import PlainHandler


def test_a_warning_is_shown_once_per_command() -> None:
    screen = io.StringIO()
    logger = logging.Logger("a test")
    logger.addHandler(PlainHandler(Console(file=screen, width=100)))
    for _ in range(3):
        logger.warning("%d variants were dropped", 171)
        logger.info("a step")
    logger.warning("%d variants were dropped", 172)
    shown = screen.getvalue()
    assert shown.count("171 variants were dropped") == 1
    assert shown.count("172 variants were dropped") == 1
    assert shown.count("a step") == 3


def test_a_message_is_one_line_in_a_log_and_wrapped_on_a_terminal() -> None:
    assert _shown(terminal=False) == [f"warning: one [reason] and {' '.join(['another'] * 25)}"]
    assert len(_shown(terminal=True)) > 2


def _shown(*, terminal: bool) -> list[str]:
    screen = io.StringIO()
    logger = logging.Logger("a test")
    logger.addHandler(PlainHandler(Console(file=screen, width=100, force_terminal=terminal)))
    logger.warning("one [reason]\nand %s", " ".join(["another"] * 25))
    return screen.getvalue().splitlines()
