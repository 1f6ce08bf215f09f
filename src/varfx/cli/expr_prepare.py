"""`varfx expr prepare`: genotypes, expression, reference and genes joined into a cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, progress_bar
from varfx.cli.options import Out, Switch, as_options
from varfx.expression.cohort.config import PrepareConfig, PrepareFiles, SplitConfig

if TYPE_CHECKING:
    from varfx.expression.cohort.store import Cohort

as_options(
    SplitConfig,
    tune=Parameter(name=("--tune-fraction", "--tune")),
    test=Parameter(name=("--test-fraction", "--test")),
    seed=Parameter(alias="--split-seed"),
)
Files = Annotated[PrepareFiles, as_options(PrepareFiles, group="Files")]
Options = Annotated[
    PrepareConfig,
    as_options(PrepareConfig, gene_types=Parameter(alias="--gene-type"), filters=Parameter(alias="--filter")),
]


def prepare(
    *,
    files: Files,
    out: Out,
    config: Options = PrepareConfig(),
    overwrite: Annotated[bool, Switch] = False,
) -> None:
    """Join genotypes, expression, reference and genes into a cohort.

    The folder holds dosages, names and expression of individuals, and windows of the reference genome; it never holds an
    individual's sequence. It also holds the folds of individuals and the genes held out, which all models share.

        varfx expr prepare --genotypes X.vcf.gz --expression E.bed.gz --reference hg38.fa.gz --gtf gencode.gtf.gz --out COHORT
        varfx expr prepare --genotypes X.pgen --counts C.gct.gz --tpm T.gct.gz --reference R.fa.gz --gtf G.gtf.gz --out COHORT

    Args:
        out: The folder to make.
        overwrite: Replace a cohort that is there.
    """
    from varfx.expression.cohort.prepare import prepare as prepare_cohort

    with progress_bar() as progress:
        cohort = prepare_cohort(files, out, config, overwrite=overwrite, progress=progress)
    _show(cohort)


def _show(cohort: Cohort) -> None:
    from varfx.io.ledger import counts_of

    ledger: dict[str, Any] = cohort.metadata["ledger"]
    for what in ("people", "genes"):
        table = Table(what, "left out", "left")
        for column in table.columns[1:]:
            column.justify = "right"
        for number, row in enumerate(row for row in ledger[what] if "left" in row):
            if row["count"] or not number:
                table.add_row(row["step"], f"{row['count']:,}" if number else "", f"{row['left']:,}")
        console.print(table)
    table = Table("genotypes in windows", "")
    table.columns[1].justify = "right"
    for step, count in counts_of(ledger["genotypes"]).items():
        if count:
            table.add_row(step, f"{count:,}")
    console.print(table)
    table = Table("fold", "train", "tune", "test")
    for number in range(cohort.num_folds):
        fold = cohort.fold(number)
        table.add_row(str(number), str(fold.train.size), str(fold.tune.size), str(fold.test.size))
    console.print(table)
    console.print(
        f"{cohort.path}: {len(cohort.people):,} individuals, {cohort.genes.height:,} genes ({len(cohort.genes_heldout):,} held "
        f"out), {cohort.variants.height:,} variants, {'phased' if cohort.phased else 'not phased'}",
        soft_wrap=True,
    )
