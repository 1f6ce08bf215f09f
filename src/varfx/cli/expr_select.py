"""`varfx expr select`: genes for a sequence model, by how well a linear model predicts them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.options import Out, as_options
from varfx.expression.selection_config import SelectionConfig
from varfx.io.output_lock import one_writer

Options = Annotated[SelectionConfig, as_options(SelectionConfig)]


@one_writer
def select(
    run: Path,
    /,
    *,
    out: Out,
    tsv: Path | None = None,
    cohort: Path | None = None,
    config: Options = SelectionConfig(),
) -> None:
    """Choose genes for a sequence model by the R2 of a linear model.

    The range of R2 is cut into bins of equal width; genes are drawn from each, the highest bin first, and what a bin lacks is drawn from the
    next, as in the paper. Held-out genes are those that the linear model predicts best. The list is for --genes of the other commands.

        varfx expr select LINEAR --out genes.txt
        varfx expr select LINEAR --model blup --bins 5 --per-bin 20 --out genes.txt --tsv genes.tsv

    Args:
        run: A run of `varfx expr baseline`, of all genes.
        out: The list to make: Ensembl ids, one per line.
        tsv: Write R2, bin and choice of each gene to this file.
        cohort: Where the run's cohort lies, if it moved.
    """
    from varfx.expression.selection import select_genes
    from varfx.io import sealed
    from varfx.io.run_folder import check_parent

    check_parent(out)
    with progress_bar() as progress:
        selected = select_genes(run, config, cohort=cohort, progress=progress)
    if tsv is not None:
        with sealed.atomic_path(tsv) as partial:
            selected.table.write_csv(partial, separator="\t")
    sealed.write_text(out, "".join(f"{gene}\n" for gene in selected.genes))
    print_notes(selected.notes)
    counts = [(selected.table["chosen"] == role).sum() for role in ("train", "held-out")]
    console.print(f"{out}: {counts[0]} genes to train on, {counts[1]} held out", soft_wrap=True)
