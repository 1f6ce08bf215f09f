"""The words of a command line before cyclopts reads them: options of every command, lists after one flag, `--config` files."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cyclopts

from varfx.cli.options import is_list
from varfx.cli.record import option_name, typed_options
from varfx.errors import ConfigError


@dataclass(frozen=True)
class CommandLine:
    """A command line as typed.

    Attributes:
        words: without the options below.
        config: of `--config FILE`.
        verbose: `--verbose`.
    """

    words: tuple[str, ...]
    config: Path | None = None
    verbose: bool = False


def global_options(argv: Sequence[str]) -> CommandLine:
    """Takes `--config FILE` and `--verbose`, which every command has, out of the words.

    Raises:
        ConfigError: `--config` without a file.
    """
    rest: list[str] = []
    path, verbose = None, False
    words = iter(argv)
    for word in words:
        if word == "--":
            return CommandLine((*rest, word, *words), path, verbose)
        if word == "--verbose":
            verbose = True
        elif word == "--config":
            value = next(words, None)
            if value is None:
                raise ConfigError("`--config` needs a file: --config run.yaml.")
            path = Path(value)
        elif word.startswith("--config="):
            path = Path(word.removeprefix("--config="))
        else:
            rest.append(word)
    return CommandLine(tuple(rest), path, verbose)


def spread_lists(app: cyclopts.App, words: Sequence[str]) -> list[str]:
    """Repeats the flag of a list before each of its values: `--bed a b` becomes `--bed a --bed b`.

    Where a command also takes values without a flag (`varfx prior evaluate RUN`), those go first: until they are there, a list
    takes one value only.
    """
    commands, apps, _ = app.parse_commands(list(words))
    command = apps[-1]
    if command.default_command is None or {"--help", "-h", "--version"} & set(words):
        return list(words)
    collection = command.assemble_argument_collection()
    by_name = {name: argument for argument in collection for name in argument.names}
    free = sum(argument.field_info.is_positional for argument in collection)
    spread, rest = list(words[: len(commands)]), list(words[len(commands) :])
    while rest:
        word = rest.pop(0)
        spread.append(word)
        if word == "--":
            return spread + rest
        if not word.startswith("-"):
            free -= 1
            continue
        argument = by_name.get(word)
        if argument is None or argument.hint is bool or not rest:
            continue
        spread.append(rest.pop(0))
        while free <= 0 and is_list(argument) and rest and not rest[0].startswith("-"):
            spread += [word, rest.pop(0)]
    return spread


def missing_options(app: cyclopts.App, words: Sequence[str], config: Mapping[str, Any]) -> str | None:
    """Required options that a command was not given, in words; None if nothing is missing."""
    commands, apps, _ = app.parse_commands(list(words))
    collection = apps[-1].assemble_argument_collection(parse_docstring=True)
    known = {name for argument in collection for name in argument.names}
    typed = {word.partition("=")[0] for word in words if word.startswith("-")} | {f"--{key}" for key in config}
    for word in sorted(typed - known):
        if near := difflib.get_close_matches(word, known, n=1):
            return f"`varfx {' '.join(commands)}` has no option {word}. Did you mean {near[0]} instead of {word}?"
    given = typed_options(app, words)
    lacking = [
        f"{argument.name}: {' '.join((argument.parameter.help or '').split())}"
        for argument in collection
        if argument.required
        and not argument.children
        and not typed & set(argument.names)
        and option_name(argument) not in given
    ]
    needed = "; ".join(text.removesuffix(".") for text in lacking)
    return f"`varfx {' '.join(commands)}` needs {needed}." if lacking else None


def too_many(app: cyclopts.App, words: Sequence[str], unused: Sequence[str]) -> str:
    """Values that a command does not take, in words."""
    commands, apps, _ = app.parse_commands(list(words))
    collection = apps[-1].assemble_argument_collection()
    names = [argument.name for argument in collection if argument.field_info.is_positional]
    taken = f"only {' '.join(names)}" if names else "none"
    return f"`varfx {' '.join(commands)}` takes {taken} without a flag: what is `{unused[0]}`? Ask the command for its --help."


def read_config(path: Path) -> dict[str, Any]:
    """The options in a YAML file, spelled as on the command line.

    Raises:
        ConfigError: it cannot be read, or does not hold `key: value` lines.
    """
    from varfx.io.yaml_text import read_yaml

    options = read_yaml(path, f"`--config {path}`")
    if options is None:
        options = {}
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise ConfigError(f"`--config {path}` must hold options as `key: value` lines.")
    return {key.replace("_", "-"): value for key, value in options.items()}
