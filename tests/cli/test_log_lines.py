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
