"""The tree of commands, `--config`, and how errors become one line."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import cyclopts

from varfx._version import __version__
from varfx.cli import annot, data, demo, expr, ld, prior, sumstats, tracks
from varfx.cli.command_line import global_options, missing_options, read_config, spread_lists
from varfx.cli.console import PlainConsole, PlainHandler
from varfx.cli.experiment import experiment
from varfx.cli.info import info
from varfx.cli.plan import plan
from varfx.errors import VarfxError
from varfx.io.visible import one_line

HELP = """
Learn which DNA variants matter: variance priors from GWAS, by the full marginal likelihood given LD.

The usual order:

    varfx sumstats clean GWAS.txt.gz --out S.parquet
    varfx ld build REFERENCE.bed --out P.ld.zarr
    varfx annot build --panel P.ld.zarr --bed peaks.bed.gz --out A.annot.parquet
    varfx prior fit --panel P.ld.zarr --sumstats S.parquet --annot A.annot.parquet --holdout-chrom 20,21,22 --out RUN
    varfx prior evaluate RUN

`varfx demo prior` does all of it on a small real data set. Any command takes `--config run.yaml`, a file with its
options as keys, and `--verbose`.
"""

GO_ON_BY_THEMSELVES = {("ld", "build"), ("tracks", "build")}

stderr = PlainConsole(stderr=True, soft_wrap=True)


def build_app() -> cyclopts.App:
    """The whole tree of commands."""
    app = cyclopts.App(
        name="varfx", help=HELP, version=__version__, help_format="markdown", suppress_keyboard_interrupt=False
    )
    for module in (sumstats, ld, annot, tracks, prior, expr, demo, data):
        app.command(module.app)
    app.command(experiment)
    app.command(info)
    app.command(plan)
    app.register_install_completion_command(help="Install completion of commands and options for this shell.")
    return app


def run(argv: Sequence[str]) -> int:
    """Runs one command line and returns its exit code."""
    app, words, options = build_app(), list(argv), dict[str, Any]()
    try:
        line = global_options(words)
        _log_to_stderr(line.verbose)
        words = spread_lists(app, line.words)
        if line.config is not None:
            options = read_config(line.config)
            app.config = _as_defaults(app, words, options, str(line.config))
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        needed = missing_options(app, words, options) if isinstance(error, cyclopts.MissingArgumentError) else None
        return _fail(needed or one_line(str(error)) + " Ask the command for its --help.")
    except VarfxError as error:
        return 2 if error.said else _fail(one_line(str(error)))
    except KeyboardInterrupt:
        stderr.print(_how_to_go_on(app, words))
        return 130
    except BrokenPipeError:
        return 0
    return 0


def _fail(message: str) -> int:
    stderr.print("error: " + message, style="bold red" if stderr.is_terminal else "")
    return 2


def _how_to_go_on(app: cyclopts.App, words: Sequence[str]) -> str:
    """What to do after Ctrl-C, by command."""
    commands, apps, _ = app.parse_commands(list(words))
    command = apps[-1]
    name = f"varfx {' '.join(commands)}"
    if commands in GO_ON_BY_THEMSELVES:
        return f"interrupted; `{name}` continues when the same command is given again"
    if command.default_command is not None and command.assemble_argument_collection().get("--resume", None) is not None:
        return f"interrupted; `{name}` continues with the same command and --resume"
    return "interrupted; nothing was written"


def _as_defaults(app: cyclopts.App, words: Sequence[str], options: dict[str, Any], source: str) -> cyclopts.config.Dict:
    """The options of a file as defaults of the command that the words name."""
    commands, _, _ = app.parse_commands(list(words))
    nested = options
    for command in reversed(commands):
        nested = {command: nested}
    return cyclopts.config.Dict(nested, source=source)


def _log_to_stderr(verbose: bool) -> None:
    handler = PlainHandler(stderr)
    logger = logging.getLogger("varfx")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.propagate = False
