"""`varfx expr export`: weights of linear models for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from varfx.cli.console import console, print_files
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
    """Export the weights of linear models: PrediXcan, FUSION, or polygenic scores.

    PredictDB is one database, with the covariances of its variants beside (OUT less .db, and .cov.txt.gz); FUSION is a POS file, with
    the weights in a folder beside (OUT less .pos, and .wgt); prs is a table with a column of weights per gene. `varfx twas` reads the
    first two.

        varfx expr export RUN --format predictdb --build hg19 --out W.db
        varfx expr export RUN --format fusion --out W.pos
        varfx expr export RUN --format prs --model informed-blup --out W.tsv.gz

    Args:
        run: A run of `varfx expr baseline`.
        out: The file to make.
        cohort: Where the run's cohort lies, if it moved.
    """
    from varfx.expression.twas.export import export_weights
    from varfx.io.run_folder import check_parent

    check_parent(out)
    done = export_weights(run, out, config, cohort=cohort)
    print_files(out.parent, {Path(name).name: what for name, what in done.files.items()})
    console.print(f"{', '.join(done.models)} of fold {done.fold}: {done.genes:,} genes", soft_wrap=True)
    if done.left_out:
        console.print(f"note: {done.left_out:,} genes are left out by --max-p {config.max_p:g}", soft_wrap=True)
