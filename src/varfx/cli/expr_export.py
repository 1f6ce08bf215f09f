"""`varfx expr export`: weights of variants for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from varfx.cli.console import console, print_files, progress_bar
from varfx.cli.options import Out, as_options, genes_option
from varfx.expression.twas.config import ExportConfig
from varfx.io.output_lock import one_writer

Export = Annotated[ExportConfig, as_options(ExportConfig, genes=genes_option())]


@one_writer
def export(
    run: Path,
    /,
    *,
    out: Out,
    config: Export = ExportConfig(),
    cohort: Path | None = None,
) -> None:
    """Export weights of variants: PrediXcan, FUSION, or polygenic scores.

    PredictDB is one database, with the covariances of its variants beside (OUT less .db, and .cov.txt.gz); FUSION is a POS file, with
    the weights in a folder beside (OUT less .pos, and .wgt); prs is a table with a column of weights per gene. `varfx twas` reads the
    first two.

    A network has no weights: exported is its linear approximation around the reference, half of each variant's in-silico mutagenesis per copy
    of ALT. How well that stands for the network is measured on the run's own individuals and printed.

        varfx expr export RUN --format predictdb --build hg19 --out W.db
        varfx expr export RUN --format fusion --out W.pos
        varfx expr export RUN --format prs --model informed-blup --out W.tsv.gz
        varfx expr export NETWORK --scores effects.parquet --out W.db

    Args:
        run: A run of `varfx expr baseline` or `varfx expr fit`.
        out: The file to make.
        cohort: Where the run's cohort lies, if it moved.
    """
    from varfx.expression.twas.export import export_weights
    from varfx.io.run_folder import check_parent

    check_parent(out)
    with progress_bar() as progress:
        done = export_weights(run, out, config, cohort=cohort, progress=progress)
    print_files(out.parent, {Path(name).name: what for name, what in done.files.items()})
    console.print(f"{', '.join(done.models)} of fold {done.fold}: {done.genes:,} genes", soft_wrap=True)
    if done.left_out:
        console.print(f"note: {done.left_out:,} genes are left out by --max-p {config.max_p:g}", soft_wrap=True)
    if done.agreement is not None:
        console.print(f"note: {done.agreement.words()}", soft_wrap=True, markup=False)
