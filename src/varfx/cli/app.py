"""One command line from words to exit code: `--config`, and how errors become one line."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import cyclopts

from varfx.cli.command_line import global_options, missing_options, read_config, spread_lists, too_many
from varfx.cli.console import PlainConsole, console
from varfx.cli.next_step import next_step
from varfx.cli.record import Warnings, leave_record, refuse_output_over_input, with_positionals
from varfx.cli.tree import build_app
from varfx.cli.whole_numbers import refuse_fractions
from varfx.errors import VarfxError
from varfx.io.sealed import reason
from varfx.io.visible import one_line

GO_ON_BY_THEMSELVES = {("ld", "build"), ("tracks", "build")}

stderr = PlainConsole(stderr=True, soft_wrap=True)


def run(argv: Sequence[str]) -> int:
    """Runs one command line and returns its exit code."""
    app, words, options, verbose = build_app(), list(argv), dict[str, Any](), False
    try:
        _end_on_sigterm()
        line = global_options(words)
        verbose = line.verbose
        _log_to_stderr(verbose)
        words = spread_lists(app, line.words)
        page = _help_page(app, words)
        if page is not None:
            app.help_print(page)
            return 0
        if line.config is not None:
            words, options = with_positionals(app, words, read_config(line.config))
            app.config = _as_defaults(app, words, options, str(line.config))
        refuse_output_over_input(app, words, options)
        refuse_fractions(app, words, options)
        warnings = Warnings()
        logging.getLogger("varfx").addHandler(warnings)
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
        if _is_first():
            leave_record(app, words, options, warnings)
        _say_what_is_next(app, words, options)
    except cyclopts.CycloptsError as error:
        needed = missing_options(app, words, options) if isinstance(error, cyclopts.MissingArgumentError) else None
        if isinstance(error, cyclopts.UnusedCliTokensError):
            needed = too_many(app, words, error.unused_tokens or [])
        return _fail(needed or one_line(str(error)) + " Ask the command for its --help.")
    except VarfxError as error:
        return 2 if error.said else _fail(one_line(str(error)))
    except KeyboardInterrupt:
        _leave_unsaid()
        stderr.print(f"interrupted; {_how_to_go_on(app, words)}")
        return 130
    except Terminated:
        _leave_unsaid()
        stderr.print(f"terminated; {_how_to_go_on(app, words)}")
        return 128 + signal.SIGTERM
    except BrokenPipeError:
        return 0
    except OSError as error:  # no permission, a full disk: of the system, not of the program
        if verbose:
            traceback.print_exc()
        return _fail(_of_the_system(error))
    return 0


class Terminated(BaseException):
    """SIGTERM, as an exception: temporary files are removed and workers ended on its way up."""


def _end_on_sigterm() -> None:
    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends at once
        raise Terminated

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)


def _help_page(app: cyclopts.App, words: Sequence[str]) -> tuple[str, ...] | None:
    """The command or group whose help is asked for. Its page needs no parsing of the other words, which takes long."""
    typed = words[: words.index("--")] if "--" in words else words
    commands, apps, others = app.parse_commands([word for word in typed if word not in ("--help", "-h")])
    if not {"--help", "-h"} & set(typed) or any(command.startswith("-") for command in commands):
        return None
    return commands if apps[-1].default_command is not None or not others else None


def _leave_unsaid() -> None:
    """Silences what libraries say of their own work that an interruption left undone (Zarr's coroutines)."""
    warnings.filterwarnings("ignore", message=r"coroutine .* was never awaited", category=RuntimeWarning)


def _of_the_system(error: OSError) -> str:
    """The line for an error of the operating system."""
    path = f"`{error.filename}`: " if error.filename else ""
    return one_line(
        f"{path}{reason(error)}. Mend this and give the same command again; --verbose shows where it happened."
    )


def _say_what_is_next(app: cyclopts.App, words: Sequence[str], options: dict[str, Any]) -> None:
    if {"--help", "-h"} & set(words) or not _is_first():
        return
    following = next_step(app.parse_commands(list(words))[0], words, options)
    if following is not None:
        console.print(f"next: {following}", soft_wrap=True)


def _is_first() -> bool:
    """Whether this is the first of the processes that train together, which prints and writes."""
    processes = sys.modules.get("varfx.training.processes")  # loaded only where several may train together
    return processes is None or not processes.rank()


def _fail(message: str) -> int:
    stderr.print("error: " + message, style="bold red" if stderr.is_terminal else "")
    return 2


def _how_to_go_on(app: cyclopts.App, words: Sequence[str]) -> str:
    """Advice on continuing an interrupted command."""
    commands, apps, _ = app.parse_commands(list(words))
    command = apps[-1]
    name = f"varfx {' '.join(commands)}"
    if commands in GO_ON_BY_THEMSELVES:
        return f"`{name}` continues when the same command is given again"
    if command.default_command is not None and command.assemble_argument_collection().get("--resume", None) is not None:
        return f"`{name}` continues with the same command and --resume"
    return "nothing was written"


def _as_defaults(app: cyclopts.App, words: Sequence[str], options: dict[str, Any], source: str) -> cyclopts.config.Dict:
    """The options of a file as defaults of the command that the words name."""
    commands, _, _ = app.parse_commands(list(words))
    nested = options
    for command in reversed(commands):
        nested = {command: nested}
    return cyclopts.config.Dict(nested, source=source)


def _log_to_stderr(verbose: bool) -> None:
    logger = logging.getLogger("varfx")
    logger.handlers[:] = [_LogLines()]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.propagate = False


class _LogLines(logging.Handler):
    """Log messages on stderr; the library for it loads with the first message."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._lines is None:
            from varfx.cli.log_lines import PlainHandler

            self._lines = PlainHandler(stderr)
        self._lines.emit(record)
