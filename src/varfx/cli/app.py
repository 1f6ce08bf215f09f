"""The tree of commands, `--config`, and how errors become one line."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cyclopts
import yaml
from rich.console import Console
from rich.logging import RichHandler

from varfx._version import __version__
from varfx.cli import annot, demo, expr, ld, prior, sumstats, tracks
from varfx.cli.experiment import experiment
from varfx.cli.info import info
from varfx.cli.plan import plan
from varfx.errors import ConfigError, VarfxError

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

stderr = Console(stderr=True, soft_wrap=True, highlight=False)


def build_app() -> cyclopts.App:
    """The whole tree of commands."""
    app = cyclopts.App(
        name="varfx", help=HELP, version=__version__, help_format="markdown", suppress_keyboard_interrupt=False
    )
    for module in (sumstats, ld, annot, tracks, prior, expr, demo):
        app.command(module.app)
    app.command(experiment)
    app.command(info)
    app.command(plan)
    return app


def run(argv: Sequence[str]) -> int:
    """Runs one command line and returns its exit code."""
    app = build_app()
    try:
        arguments, config_path, verbose = _global_options(list(argv))
        _log_to_stderr(verbose)
        if config_path is not None:
            app.config = _config(app, arguments, config_path)
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        return _fail(" ".join(str(error).split()) + " Ask the command for its --help.")
    except VarfxError as error:
        return _fail(" ".join(str(error).split()))
    except KeyboardInterrupt:
        stderr.print("interrupted; `varfx prior fit` goes on with the same command and --resume, `ld build` by itself")
        return 130
    except BrokenPipeError:
        return 0
    return 0


def _fail(message: str) -> int:
    stderr.print("error: " + message, style="bold red" if stderr.is_terminal else "", markup=False)
    return 2


def _global_options(argv: list[str]) -> tuple[list[str], Path | None, bool]:
    """The arguments without `--config FILE` and `--verbose`, and what those say."""
    rest: list[str] = []
    path, verbose = None, False
    words = iter(argv)
    for word in words:
        if word == "--":
            return [*rest, word, *words], path, verbose
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
    return rest, path, verbose


def _config(app: cyclopts.App, arguments: list[str], path: Path) -> cyclopts.config.Dict:
    """The options in a YAML file, as defaults of the command that the arguments name."""
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"`--config {path}` cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"`--config {path}` is no YAML: {' '.join(str(error).split())}.") from error
    if options is None:
        options = {}
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise ConfigError(f"`--config {path}` must hold options as `key: value` lines.")
    nested: dict[str, Any] = {key.replace("_", "-"): value for key, value in options.items()}
    commands, _, _ = app.parse_commands(arguments)
    for command in reversed(commands):
        nested = {command: nested}
    return cyclopts.config.Dict(nested, source=str(path))


def _log_to_stderr(verbose: bool) -> None:
    handler = RichHandler(console=stderr, show_time=False, show_path=False, show_level=True, markup=False)
    logger = logging.getLogger("varfx")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.propagate = False
