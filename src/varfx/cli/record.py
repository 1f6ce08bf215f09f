"""What a command leaves beside its results: `options.yaml`, which `--config` takes again, and `log.txt`.

The log has versions, options, times and warnings: no genotypes, and no names of individuals.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cyclopts

from varfx._version import __version__
from varfx.cli.options import is_list
from varfx.errors import ConfigError
from varfx.io import sealed
from varfx.io.visible import one_line

OPTIONS, LOG = "options.yaml", "log.txt"
WRITTEN = ("out", "json", "plot", "long", "tsv")  # options that name a file to write
OF_THIS_CALL = ("out", "resume", "overwrite")  # no options of the work
NAMING = ("expr", "demo")  # commands whose warnings may name individuals
LIBRARIES = ("numpy", "polars", "torch", "lightning", "zarr", "scipy")


class Warnings(logging.Handler):
    """Keeps warnings of a command for its log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.began = time.time()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps one message with its time."""
        self.lines.append(f"{_clock(record.created)} {record.levelname.lower()}: {one_line(record.getMessage())}")


def typed_options(app: cyclopts.App, words: Sequence[str]) -> dict[str, Any]:
    """The options of a command line by the names that a `--config` file has for them, as text."""
    commands, apps, _ = app.parse_commands(list(words))
    collection = apps[-1].assemble_argument_collection()
    by_name = {name: argument for argument in collection for name in argument.names}
    positional = [argument for argument in collection if argument.field_info.is_positional]
    found: dict[str, Any] = {}
    rest = list(words[len(commands) :])
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        argument = by_name.get(flag) if word.startswith("-") else None
        if argument is None:
            free = [each for each in positional if is_list(each) or option_name(each) not in found]
            if word != "--" and free:
                _put(found, free[0], _anywhere(word))
        elif argument.hint is bool or flag in argument.negatives:
            found[option_name(argument)] = flag not in argument.negatives
        elif equals or rest:
            _put(found, argument, _anywhere(value if equals else rest.pop(0)))
    return found


def with_positionals(
    app: cyclopts.App, words: Sequence[str], options: Mapping[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    """The words with the values of a `--config` file that a command takes without a flag, and the other options."""
    commands, apps, _ = app.parse_commands(list(words))
    if apps[-1].default_command is None:
        return list(words), dict(options)
    collection = apps[-1].assemble_argument_collection()
    typed, left, values = typed_options(app, words), dict(options), list[str]()
    for argument in collection:
        key = option_name(argument)
        if argument.field_info.is_positional_only and key in left:
            value = left.pop(key)
            if key not in typed:
                values += map(str, value) if isinstance(value, list) else [str(value)]
    return [*words[: len(commands)], *values, *words[len(commands) :]], left


def refuse_output_over_input(app: cyclopts.App, words: Sequence[str], options: Mapping[str, Any]) -> None:
    """Checks that no file which a command is to write is one that it reads.

    Args:
        app: the tree of commands.
        words: the command line.
        options: those of its `--config` file.

    Raises:
        ConfigError: an input and an output are one file.
    """
    commands, apps, _ = app.parse_commands(list(words))
    if apps[-1].default_command is None or (commands and commands[-1].startswith("-")):  # --version is a command too
        return
    chosen = {**options, **typed_options(app, words)}
    for output in WRITTEN:
        target = Path(str(chosen.get(output) or ""))
        for name, value in chosen.items():
            given = [Path(str(each)) for each in (value if isinstance(value, list) else [value])]
            twice = name in WRITTEN and output in chosen and target in given
            if name != output and (twice or (target.is_file() and any(_is_same(each, target) for each in given))):
                other = f"--{name}" if name in WRITTEN else f"the input {name.upper()}"
                raise ConfigError(f"`--{output} {target}` is {other} too, which would be replaced. Give another name.")


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):  # a value that is no path
        return False


def leave_record(app: cyclopts.App, words: Sequence[str], options: Mapping[str, Any], warnings: Warnings) -> None:
    """Writes `options.yaml` and `log.txt` into the folder that a command has made; nothing where it made none.

    A fit of a prior has its own, complete `options.yaml`, which stays.

    Args:
        app: the tree of commands.
        words: the command line.
        options: those of its `--config` file.
        warnings: what was logged meanwhile.

    Raises:
        StoreError: the disk is full.
    """
    commands, apps, _ = app.parse_commands(list(words))
    if apps[-1].default_command is None or any(command.startswith("-") for command in commands):
        return  # a list of commands, or `--version`
    import yaml

    chosen = {**options, **typed_options(app, words)}
    out = Path(str(chosen.get("out", "")))
    if "out" not in chosen or not out.is_dir():
        return
    kept = {name: value for name, value in chosen.items() if name not in OF_THIS_CALL}
    name = f"varfx {' '.join(commands)}"
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True) if kept else ""
    if not (out / OPTIONS).is_file():
        sealed.write_text(out / OPTIONS, f"# {name} --config {OPTIONS} --out OUT\n{text}")
    lines = warnings.lines
    if commands[0] in NAMING and lines:
        lines = [f"{len(lines)} warnings, not repeated here because they may name individuals; see `varfx info`"]
    now = time.time()
    parts = [
        f"command: {name}",
        f"varfx {__version__}, python {platform.python_version()}, {_libraries()}",
        f"machine: {platform.system()} {platform.machine()}",
        f"begun: {_clock(warnings.began)}",
        f"finished: {_clock(now)} ({now - warnings.began:.1f} s)",
        "options:",
        *(f"  {line}" for line in text.splitlines()),
        f"warnings: {len(warnings.lines)}",
        *(f"  {line}" for line in lines),
    ]
    sealed.write_text(out / LOG, "\n".join(parts) + "\n")


def _libraries() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for library in LIBRARIES:
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _put(found: dict[str, Any], argument: cyclopts.Argument, value: str) -> None:
    if is_list(argument):
        found.setdefault(option_name(argument), []).append(value)
    else:
        found[option_name(argument)] = value


def option_name(argument: cyclopts.Argument) -> str:
    """The name of an option in a `--config` file."""
    return argument.name.lstrip("-").lower()


def _anywhere(word: str) -> str:
    """A path that exists as one that holds in every folder; other words as they are."""
    path = Path(word)
    return str(path.absolute()) if ("/" in word and path.exists()) or path.is_file() else word


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
