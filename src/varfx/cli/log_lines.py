"""Log messages as lines on a console."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler

from varfx.io.visible import visible


class PlainHandler(RichHandler):
    """Log messages on a console, each warning once; control characters are spelled out before rich drops some of them.

    Away from a terminal, in a log or a pipe, each message is one line that begins with its level, as `error: ` does.
    """

    def __init__(self, screen: Console) -> None:
        super().__init__(
            console=screen, show_time=False, show_path=False, markup=False, highlighter=NullHighlighter(), keywords=[]
        )
        self._warned: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Shows a message, unless it is a warning that was shown before: steps of one command may meet the same cause."""
        if record.levelno == logging.WARNING:
            message = record.getMessage()
            if message in self._warned:
                return
            self._warned.add(message)
        if self.console.is_terminal:
            super().emit(record)
        else:
            line = f"{record.levelname.lower()}: {' '.join(self.format(record).split())}"
            self.console.print(line, soft_wrap=True, markup=False, emoji=False, highlight=False)

    def format(self, record: logging.LogRecord) -> str:
        """The message as it is shown."""
        return visible(super().format(record))
