"""`varfx expr predict`: a run's model on the individuals of another cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from varfx.cli.console import console, print_ledger, print_notes, progress_bar
from varfx.cli.options import Names, Out, Paths, as_options, genes_option
from varfx.expression.transfer.config import TransferConfig
from varfx.io.output_lock import one_writer

Transfer = Annotated[TransferConfig, as_options(TransferConfig)]
Genes = Annotated[Names, genes_option()]


@one_writer
def predict(
    run: Path,
    /,
    *,
    cohort: Paths,
    out: Out,
    model: str | None = None,
    fold: int | None = None,
    genes: Genes = (),
    home: Path | None = None,
    config: Transfer = TransferConfig(),
) -> None:
    """Predict expression of the individuals of another cohort, from their genotypes alone.

    Variants are matched by position and alleles, in either order, and what became of them is counted. The file has the columns
    person, gene and prediction; predictions are in the units of the run's adjusted expression. Individuals who stand in the run's own
    cohort too are predicted, and said.

        varfx expr predict RUN --cohort OTHER --out P.parquet
        varfx expr predict RUN --cohort chr21.vcf.gz --cohort chr22.vcf.gz --model blup --out P.parquet

    Args:
        run: A run of `varfx expr baseline` or `varfx expr fit`.
        cohort: A cohort (`varfx expr prepare`), whose expression is not looked at, or genotypes: VCF, BCF, PLINK .bed or .pgen.
        out: The Parquet file to make.
        model: Of a run with several; by default elastic-net, or the first with weights.
        fold: Of a run with several; by default the first.
        genes: Ensembl ids, or a file with one per line; by default all of the run.
        home: Where the run's own cohort lies, if it moved.
    """
    from varfx.expression.transfer.predict import predict_elsewhere, write_predictions
    from varfx.io.run_folder import check_parent

    check_parent(out)
    with progress_bar() as progress:
        found = predict_elsewhere(
            run, cohort, config, model=model, fold=fold, genes=genes, home=home, progress=progress
        )
    write_predictions(found, out, run=run, others=cohort, config=config)
    print_ledger(found.ledger.rows())
    print_notes(found.notes)
    genes_done = found.table["gene_id"].n_unique()
    console.print(
        f"{out}: {found.table['model'][0]} of fold {found.table['fold'][0]}, {genes_done:,} genes of {len(found.people):,} individuals",
        soft_wrap=True,
    )
