"""The tree of commands: which function stands behind which words. A command's module loads when its words are given."""

from __future__ import annotations

from collections.abc import Mapping

import cyclopts

from varfx._version import __version__
from varfx.cli.help_page import HelpPage

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

# Groups: help, and the function of each command, `module:function` of this room.
GROUPS = {
    "sumstats": (
        "GWAS summary statistics: read any common format, check, filter, convert.",
        {"clean": "sumstats:clean"},
    ),
    "ld": (
        "LD panels: windows of whitened linkage disequilibrium, computed once and reused.",
        {"build": "ld:build", "export": "ld:export"},
    ),
    "annot": ("Annotations of a panel's variants.", {"build": "annot:build"}),
    "tracks": (
        "Base-resolution signals along the genome: bigWig, bedGraph, BED.",
        {"build": "tracks:build", "show": "tracks:show", "average": "tracks:average"},
    ),
    "prior": (
        "Variance priors: fit, evaluate, predict, and use them.",
        {
            "fit": "prior:fit",
            "evaluate": "prior_evaluate:evaluate",
            "predict": "prior:predict",
            "weights": "prior:weights",
            "explain": "prior_explain:explain",
            "simulate": "prior_simulate:simulate",
            "ldsc": "ldsc:ldsc",
            "h2": "prior_h2:h2",
            "score-test": "prior_score_test:score_test",
            "rg": "prior_rg:rg",
        },
    ),
    "expr": (
        "Expression from personal genomes: prepare, fit, judge, and score variants.",
        {
            "prepare": "expr_prepare:prepare",
            "baseline": "expr_baseline:baseline",
            "select": "expr_select:select",
            "fit": "expr_fit:fit",
            "evaluate": "expr_evaluate:evaluate",
            "predict": "expr_predict:predict",
            "variants": "expr_variants:variants",
            "compare": "expr_compare:compare",
            "explain": "expr_explain:explain",
            "export": "expr_export:export",
        },
    ),
    "demo": (
        "The main jobs on real, small data: fetch, fit, evaluate, report.",
        {"prior": "demo:prior", "expression": "demo_expression:expression"},
    ),
    "data": ("Public data for the examples and experiments.", {"fetch": "data:fetch"}),
}
COMMANDS = {
    "finemap": "finemap:finemap",
    "score": "score:score",
    "twas": "twas:twas",
    "qc": "qc:qc",
    "report": "report:report",
    "experiment": "experiment:experiment",
    "info": "info:info",
    "plan": "plan:plan",
}


def build_app() -> cyclopts.App:
    """The whole tree of commands; the module of a command loads when it is asked for."""
    app = cyclopts.App(
        name="varfx",
        help=HELP,
        version=__version__,
        help_format="plaintext",
        help_formatter=HelpPage(COMMANDS),
        suppress_keyboard_interrupt=False,
    )
    _add(app, COMMANDS)
    for name, (text, commands) in GROUPS.items():
        group = cyclopts.App(name=name, help=text, version=__version__, help_formatter=HelpPage(commands))
        _add(group, commands)
        app.command(group)
    app.command(
        "varfx.cli.completion:install_completion",
        name="--install-completion",
        help="Install completion of commands and options for this shell.",
    )
    return app


def _add(group: cyclopts.App, commands: Mapping[str, str]) -> None:
    for name, function in commands.items():
        group.command(f"varfx.cli.{function}", name=name)
