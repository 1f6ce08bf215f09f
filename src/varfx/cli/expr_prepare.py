"""`varfx expr prepare`: genotypes, expression, reference and genes joined into a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import Names, console, progress_bar

if TYPE_CHECKING:
    from varfx.expression.cohort.store import Cohort

Files = Annotated[list[Path], Parameter(negative=())]


def prepare(
    *,
    genotypes: Files,
    reference: Path,
    gtf: Path,
    out: Annotated[Path, Parameter(alias="-o")],
    expression: Path | None = None,
    counts: Path | None = None,
    tpm: Path | None = None,
    samples: Path | None = None,
    covariates: Path | None = None,
    people: Path | None = None,
    exclude_people: Path | None = None,
    relatives: Path | None = None,
    relatives_rule: Literal["together", "exclude"] = "together",
    populations: Path | None = None,
    heldout_populations: Names = (),
    folds: int = 3,
    tune_fraction: float = 0.1,
    test_fraction: float = 0.1,
    heldout_fraction: float = 0.2,
    heldout_genes: Path | None = None,
    normalise: Literal["inverse-normal", "standardise", "none"] = "inverse-normal",
    window: int = 49_152,
    gene_type: Names = ("protein_coding",),
    tss_distance: int = 64,
    max_n: int = 0,
    phased: Literal["auto", "yes", "no"] = "auto",
    on_mismatch: Literal["fail", "flip", "drop"] = "fail",
    filters: Annotated[Literal["all", "pass"], Parameter(name="--filter")] = "all",
    seed: int = 0,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Join genotypes, expression, reference and genes into a cohort.

    The folder holds dosages, names and expression of individuals, and windows of the reference genome; it never holds an
    individual's sequence. It also holds the folds of individuals and the genes held out, which all models share.

        varfx expr prepare --genotypes X.vcf.gz --expression E.bed.gz --reference hg38.fa.gz --gtf gencode.gtf.gz --out COHORT
        varfx expr prepare --genotypes X.pgen --counts C.gct.gz --tpm T.gct.gz --reference R.fa.gz --gtf G.gtf.gz --out COHORT

    Args:
        genotypes: VCF or BCF (indexed), PLINK .bed or .pgen; several files, e.g. one per chromosome, of the same individuals.
        reference: FASTA (plain or bgzip) of the genome that the genotypes were called on.
        gtf: GENCODE or Ensembl genes on that genome: TSS, strand, gene type.
        out: The folder to make.
        expression: BED of FastQTL, tensorQTL, QTLtools or GTEx: #chr start end gene_id, then a column an individual.
        counts: In place of --expression: GCT of counts; together with --tpm normalised in GTEx's order.
        tpm: GCT of TPM of the same genes and samples.
        samples: Sample and individual per line, if expression goes by samples.
        covariates: Regressed out of expression; a row per covariate, a column per individual.
        people: Individuals to use: names, or FID and IID; by default everyone with genotypes, expression and covariates.
        exclude_people: Individuals to leave out: names, or FID and IID as for PLINK's --remove.
        relatives: Pairs of relatives, or of samples of one individual: two columns, or KING's .kin0 or PLINK's .genome.
        relatives_rule: Relatives stay together in one part of each fold, or are left out until nobody has one (exclude).
        populations: Individual and population per line: each part of a fold gets about the same mixture.
        heldout_populations: Populations that are the test set of every fold.
        folds: Ways to divide individuals into train, tune and test; test sets are disjoint.
        tune_fraction: Share of individuals to tune on.
        test_fraction: Share of individuals to test on.
        heldout_fraction: Share of genes that no model is trained on; their windows overlap no training gene's.
        heldout_genes: Ensembl ids of the genes to hold out, one a line, in place of --heldout-fraction.
        normalise: Of expression, learned from training individuals in each fold; before covariates are regressed out.
        window: Bases around the TSS.
        gene_type: Types of genes to keep, as in the GTF; all keeps every type.
        tss_distance: Genes with another gene's TSS within so many bases are left out; -1 keeps them.
        max_n: Unknown bases (N) that a window may have.
        phased: Keep haplotypes: if the genotypes are phased wherever a gene is (auto), yes or no.
        on_mismatch: Where REF is not the base of the reference: fail, exchange REF and ALT if ALT is it, or drop.
        filters: Records that count: all, or those whose FILTER is PASS (or not given).
        seed: Of the folds and the genes held out.
        overwrite: Replace a cohort that is there.
    """
    from varfx.expression.cohort.prepare import PrepareConfig, PrepareFiles
    from varfx.expression.cohort.prepare import prepare as prepare_cohort
    from varfx.expression.cohort.splits import SplitConfig

    inputs = PrepareFiles(
        genotypes=tuple(genotypes),
        reference=reference,
        gtf=gtf,
        expression=expression,
        counts=counts,
        tpm=tpm,
        samples=samples,
        covariates=covariates,
        people=people,
        exclude_people=exclude_people,
        relatives=relatives,
        populations=populations,
        heldout_genes=heldout_genes,
    )
    config = PrepareConfig(
        window=window,
        gene_types=() if gene_type == ("all",) else gene_type,
        tss_distance=tss_distance,
        max_n=max_n,
        normalise=normalise,
        phased=phased,
        on_mismatch=on_mismatch,
        filters=filters,
        relatives_rule=relatives_rule,
        split=SplitConfig(
            folds=folds,
            tune=tune_fraction,
            test=test_fraction,
            heldout_fraction=heldout_fraction,
            heldout_populations=heldout_populations,
            seed=seed,
        ),
    )
    with progress_bar() as progress:
        cohort = prepare_cohort(inputs, out, config, overwrite=overwrite, progress=progress)
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
