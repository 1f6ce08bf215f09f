"""Help pages: paragraphs fill the screen's width, indented examples stay, and a list of commands loads none of them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loaded for help pages only
    from cyclopts.help import DefaultFormatter, HelpPanel
    from rich.console import Console, ConsoleOptions


class HelpPage:
    """Prints a page of plain text. Markdown would take a tenth of a second to load and to print.

    Args:
        commands: name of each command that loads when used -> its function, as `module:function` of this room.
    """

    def __init__(self, commands: Mapping[str, str]) -> None:
        self._commands = commands

    @property
    def _default(self) -> DefaultFormatter:
        from cyclopts.help import DefaultFormatter

        return DefaultFormatter()

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Prints a group of options or of commands."""
        for entry in panel.entries:
            text = _text(entry.description)
            if panel.format == "command" and not text and entry.positive_names[0] in self._commands:
                text = first_line(self._commands[entry.positive_names[0]])
            _set_text(entry.description, " ".join(text.split()))
        self._default(console, options, panel)

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Prints the first line."""
        self._default.render_usage(console, options, usage)

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Prints what a command does."""
        _set_text(description, broken(filled(_text(description)), console.width))
        self._default.render_description(console, options, description)


def first_line(command: str) -> str:
    """First line of a command's docstring, read from its source."""
    module, _, name = command.partition(":")
    source = Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
    found = re.search(rf'^def {name}\(.*?"""(.+?)(?:"""|$)', source, re.DOTALL | re.MULTILINE)
    assert found is not None, command
    return found[1]


def filled(text: str) -> str:
    """A docstring with each paragraph on one line; indented lines and empty ones stay."""
    return re.sub(r"^(\S.*)\n(?=\S)", r"\1 ", text, flags=re.MULTILINE)


def broken(text: str, width: int) -> str:
    """The text with each indented command in lines of at most `width`, which end in a backslash as a shell wants it."""
    return re.sub(r"^    varfx .*$", lambda line: _broken_line(line[0], width), text, flags=re.MULTILINE)


def _broken_line(line: str, width: int) -> str:
    """One command, broken before options, so that each value stays beside its option."""
    glued = re.sub(r"(?<= )(-\S*) (?=[^- ])", "\\1\0", line.strip())
    lines = textwrap.wrap(
        glued,
        max(20, width - 2),
        initial_indent=" " * 4,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return " \\\n".join(lines).replace("\0", " ")


def _text(description: Any) -> str:
    """Text of a description; empty for other renderables."""
    return str(getattr(getattr(description, "primary_renderable", None), "plain", ""))


def _set_text(description: Any, text: str) -> None:
    if text:
        from rich.text import Text

        description.primary_renderable = Text(text)
