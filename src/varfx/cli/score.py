"""`varfx score`: polygenic scores of individuals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, print_ledger, print_notes, progress_bar
from varfx.cli.options import Out, Paths, as_options
from varfx.errors import ConfigError
from varfx.io.output_lock import one_writer
from varfx.prior.polygenic.config import ScoreConfig

if TYPE_CHECKING:
    from varfx.prior.polygenic.score import Scores

Config = Annotated[ScoreConfig, as_options(ScoreConfig, group="Matching")]


@one_writer
def score(
    *,
    weights: Path,
    genotypes: Paths,
    out: Out,
    phenotype: Path | None = None,
    phenotype_name: str | None = None,
    covariates: Path | None = None,
    config: Config = ScoreConfig(),
    json: Annotated[Path | None, Parameter()] = None,
) -> None:
    """Compute polygenic scores of individuals.

    The sum of weights times copies of the effect allele. Variants are matched by position and alleles, on either strand; what became of
    each variant is counted. With a phenotype, the share of its variance that the score explains, with an interval, and for cases and
    controls the AUC.

        varfx score --weights W.tsv --genotypes TARGET.bed --out S.tsv
        varfx score --weights W.tsv --genotypes chr@.pgen --out S.tsv --phenotype P.tsv --covariates C.tsv

    Args:
        weights: A file of `varfx prior weights`, or a PGS-Catalog scoring file.
        genotypes: X.bed, X.pgen, X.vcf.gz or X.bcf; several of the same individuals, or @ for the chromosome in a name.
        out: The table of scores (columns of a PLINK 2 .sscore file, and sums per chromosome); .gz compresses.
        phenotype: A table with IID and a column of numbers; two values are controls and cases.
        phenotype_name: The column, where there are several.
        covariates: A table with IID and columns of numbers, all of which are taken into account.
        json: Write the counts and the worth of the scores to this file.
    """
    from varfx.io import sealed
    from varfx.io.run_folder import check_parent, check_text
    from varfx.prior.polygenic.score import score as score_individuals
    from varfx.prior.polygenic.score import write_scores
    from varfx.prior.polygenic.worth import read_columns, read_phenotype, worth

    if phenotype is None and (covariates is not None or phenotype_name is not None):
        raise ConfigError("`--covariates` and `--phenotype-name` belong to --phenotype FILE.")
    check_text(out)
    if json is not None:
        check_parent(json)
    with progress_bar() as progress:
        scores = score_individuals(weights, genotypes, config=config, progress=progress)
    found = []
    if phenotype is not None:
        name, y = read_phenotype(phenotype, scores.people, phenotype_name)
        given = None if covariates is None else read_columns(covariates, scores.people)[1]
        found = [worth(label, total, name, y, given) for label, total in zip(scores.names, scores.total, strict=True)]
    write_scores(scores, out)
    if json is not None:
        ledger = scores.ledger.rows()
        sealed.write_json(
            json, {"n_variants": scores.num_variants, "ledger": ledger, "worth": [w.to_dict() for w in found]}
        )
    _print(scores, out)
    if found:
        table = Table("score", "phenotype", "individuals", "R2", "95 % interval", "AUC", "95 % interval")
        for each in found:
            auc = (
                ("", "") if each.auc is None or each.auc_ci95 is None else (f"{each.auc:.4f}", _interval(each.auc_ci95))
            )
            people = f"{each.n:,}" if each.cases is None else f"{each.n:,} ({each.cases:,} cases)"
            table.add_row(each.score, each.phenotype, people, f"{each.r2:.4f}", _interval(each.r2_ci95), *auc)
        console.print(table)


def _interval(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:.4f} to {bounds[1]:.4f}"


def _print(scores: Scores, out: Path) -> None:
    print_ledger(scores.ledger.rows())
    print_notes(scores.ledger.notes)
    console.print(
        f"{out}: scores of {scores.people.height:,} individuals by {scores.num_variants:,} variants on {len(scores.chroms)} chromosomes",
        soft_wrap=True,
    )
