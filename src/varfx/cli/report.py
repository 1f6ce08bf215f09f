"""`varfx report`: a run's results as one HTML file."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Annotated

from varfx.cli.console import console, progress_bar
from varfx.cli.options import WORDS, Out, as_options, genes_option
from varfx.cli.prior_options import Inputs
from varfx.errors import ConfigError
from varfx.io.output_lock import one_writer
from varfx.pages.config import LARGEST, ReportConfig
from varfx.prior.files import PriorInputs

Contents = Annotated[ReportConfig, as_options(ReportConfig, group="Contents", genes=genes_option(), states=WORDS)]


@one_writer
def report(
    run: Path,
    /,
    *,
    out: Out,
    contents: Contents = ReportConfig(),
    inputs: Inputs = PriorInputs(),
) -> None:
    """Write a report that one can send: one HTML file, without network access.

    For a prior: study and checksums, harmonisation ledger, quality control, Manhattan and quantile plots, training, held-out gain and
    calibration, enrichment, and each locus with its LD, inclusion probabilities, learned f, annotations and genes. For a run on
    expression: models, genes, what high-scoring variants do, and a page per gene (`report.html#gene=NAME`) with scores, predicted against
    observed expression, variant effects, logos, motifs, states and eQTLs. Parts that are not given say which command makes them.

        varfx report RUN --finemap F --h2 H --qc Q --gtf genes.gtf.gz --out report.html
        varfx report EXPRRUN --variants effects.parquet --explained E --out report.html
        varfx report EXPRRUN --genes XPNPEP3,CHADL --gtf genes.gtf.gz --states peaks.bed.gz --out report.html

    Args:
        run: A run of `varfx prior fit`, `varfx expr fit` or `varfx expr baseline`.
        out: The HTML file.
    """
    from varfx.io.run_folder import check_parent
    from varfx.pages.write import write_report

    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"`{out}` is to be an HTML file: end its name in .html. A browser prints it to other formats."
        )
    check_parent(out)
    with progress_bar() as progress:
        size = write_report(
            run, out, contents, inputs=inputs, command=command_line(run, out, contents, inputs), progress=progress
        )
    console.print(f"{out}: {size / 1e6:.1f} MB, opens in any browser", soft_wrap=True, markup=False)
    if size > LARGEST:
        console.print(
            f"note: the report is larger than {LARGEST / 1e6:g} MB. Draw fewer loci, or pages of fewer genes, with --loci.",
            soft_wrap=True,
        )


def command_line(run: Path, out: Path, contents: ReportConfig, inputs: PriorInputs) -> str:
    """The command as it could be given again, with the names of files in place of their whole paths."""
    words = ["varfx", "report", run.name]
    for config in (contents, inputs):
        for each in fields(config):
            value = getattr(config, each.name)
            if value == each.default:
                continue
            words.append(f"--{each.name.replace('_', '-')}")
            if value is not True:
                several = value if isinstance(value, tuple) else (value,)
                listed = each.name in ("states", "genes")
                words += [_file_name(str(one)) if listed or isinstance(one, Path) else str(one) for one in several]
    return shlex.join([*words, "--out", out.name])


def _file_name(word: str) -> str:
    """A file without its folders; NAME=PATH keeps its name."""
    name, equals, path = word.rpartition("=")
    return f"{name}{equals}{Path(path).name}"
