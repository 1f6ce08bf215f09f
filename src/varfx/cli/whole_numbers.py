"""Fractions where a whole number is asked for: cyclopts would round them without a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import cyclopts

from varfx.cli.record import typed_options
from varfx.errors import ConfigError


def refuse_fractions(app: cyclopts.App, words: Sequence[str], options: Mapping[str, Any]) -> None:
    """Checks that options of whole numbers have such values.

    Args:
        app: the tree of commands.
        words: the command line.
        options: those of its `--config` file.

    Raises:
        ConfigError: naming the first that has a fraction.
    """
    commands, apps, _ = app.parse_commands(list(words))
    if apps[-1].default_command is None or (commands and commands[-1].startswith("-")):  # --version is a command too
        return
    by_name = {name: argument for argument in apps[-1].assemble_argument_collection() for name in argument.names}
    for name, value in {**options, **typed_options(app, words)}.items():
        argument = by_name.get(f"--{name}")
        if argument is None or not _is_whole(argument.hint):
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            if _has_fraction(str(each)):
                raise ConfigError(f"`--{name}` must be a whole number, got {str(each)[:40]}.")


def _is_whole(hint: Any) -> bool:
    """Whether a type takes whole numbers, and neither others nor words."""
    parts = {hint, *get_args(hint)}
    return int in parts and not parts & {float, str}


def _has_fraction(text: str) -> bool:
    try:
        return "." in text and not float(text).is_integer()
    except ValueError:
        return False
