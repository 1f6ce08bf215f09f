"""Log messages as lines on a console."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler

from varfx.io.visible import visible


class PlainHandler(RichHandler):
    """Log messages on a console; control characters are spelled out before rich drops some of them."""

    def __init__(self, screen: Console) -> None:
        super().__init__(
            console=screen, show_time=False, show_path=False, markup=False, highlighter=NullHighlighter(), keywords=[]
        )

    def format(self, record: logging.LogRecord) -> str:
        """The message as it is shown."""
        return visible(super().format(record))
