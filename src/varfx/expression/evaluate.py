"""`evaluate`: all models of some runs on the individuals (and genes) held out, with intervals and paired differences."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from varfx.bootstrap import counts_of_individuals, percentiles
from varfx.errors import ConfigError, DataError, StoreError
from varfx.expression.cohort.adjust import fit_adjustment
from varfx.expression.cohort.gene_data import adjusted_expression, imputed
from varfx.expression.cohort.store import Cohort, Fold, open_cohort
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.expression.linear.fit import standardise
from varfx.expression.linear.heritability import reml
from varfx.expression.means import (
    GENE_SETS,
    METRICS,
    Key,
    across_genes,
    by_heritability,
    differences,
    gene_means,
    learning_curves,
    model_means,
)
from varfx.expression.metrics import LEAST_PEOPLE, Scores, score
from varfx.expression.run import ExpressionRun, open_run
from varfx.expression.transfer.config import TransferConfig
from varfx.expression.transfer.judged import judged_elsewhere
from varfx.expression.transfer.predict import home_cohort
from varfx.io.ledger import LedgerRow
from varfx.io.workers import Job, Workers, map_pieces
from varfx.progress import Progress, silent
from varfx.short_repr import short_repr

GENES_PER_WORKER = 100  # whose heritability is worth the start of a process
_DEFAULT = EvaluationConfig()
_TRANSFER = TransferConfig()


@dataclass(frozen=True, kw_only=True, eq=False)
class ExpressionEvaluation:
    """Evaluation of the models of some runs.

    Attributes:
        cohort: its path.
        runs: their paths.
        genes: a record per gene, model and fold: `gene`, `model`, `split` (hop or hogp), `fold`, `pcc`, `r2`, `n_people`,
            `pcc_ci95`, `r2_ci95`, and `gene_set` (training or held-out).
        gene_means: the same averaged over folds, the intervals too.
        models: a record per set of genes, split and model: means over genes with intervals over genes.
        differences: a record per set of genes and pair of models: the mean difference of the genes that both predict.
        heritability: a record per gene, by REML in all individuals; empty if not asked for.
        heritability_classes: means of each model over the genes of a class of heritability.
        learning_curves: means of models by number of training individuals, where a run has several.
        across_genes: of each model, how mean predictions of genes agree with their mean expression; of cohorts that are not
            normalised per gene.
        notes: what the user should know.
        home: the cohort that the runs were made on, where `cohort` is another.
        matching: of each run on another cohort, what became of the variants in the genes' windows.
    """

    __repr__ = short_repr

    cohort: str
    runs: list[str]
    genes: list[dict[str, Any]]
    gene_means: list[dict[str, Any]]
    models: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    heritability: list[dict[str, Any]]
    heritability_classes: list[dict[str, Any]]
    learning_curves: list[dict[str, Any]]
    across_genes: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    home: str | None = None
    matching: list[list[LedgerRow]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)

    def table(self) -> pl.DataFrame:
        """`genes` as a table, with each gene's heritability beside."""
        rows = [
            {name: value for name, value in entry.items() if not name.endswith("_ci95")}
            | {
                f"{m}_{end}": (entry[f"{m}_ci95"] or [None, None])[i]
                for m in METRICS
                for i, end in enumerate(("low", "high"))
            }
            for entry in self.genes
        ]
        table = pl.DataFrame(rows, infer_schema_length=None)
        if not self.heritability:
            return table
        beside = pl.DataFrame(self.heritability, infer_schema_length=None)
        return table.join(beside.select("gene", "h2", "h2_stderr"), on="gene", how="left", maintain_order="left")


def evaluate(
    runs: Sequence[str | os.PathLike[str]],
    config: EvaluationConfig = _DEFAULT,
    *,
    cohort: str | os.PathLike[str] | None = None,
    home: str | os.PathLike[str] | None = None,
    transfer: TransferConfig = _TRANSFER,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress = silent,
) -> ExpressionEvaluation:
    """Scores all models of some runs on one cohort's test individuals, or on another cohort.

    Args:
        runs: of `varfx expr baseline` and `varfx expr fit`.
        config: heritability, and the bootstrap.
        cohort: where the runs' cohort lies, if it moved; or another cohort, whose individuals are then all test individuals but
            those who stand in the runs' own too.
        home: where the runs' own cohort lies, if it moved and `cohort` is another.
        transfer: rules for the variants of another cohort.
        workers: processes for heritability; by default one per core.
        scheduler: address of a running dask.distributed scheduler, in place of `workers`.
        progress: told about each gene.

    Raises:
        ConfigError: no run; genotype files of another cohort where the runs are judged at home.
        StoreError: a run or the cohort is damaged, or the cohort is not the one that the runs were made on.
        DataError: runs of different cohorts, or predictions of other individuals than the test individuals.
    """
    where = Workers(workers=workers, scheduler=scheduler)
    opened = [open_run(path) for path in runs]
    if not opened:
        raise ConfigError("no run is given. Name at least one made by `varfx expr baseline` or `varfx expr fit`.")
    at_home = _is_home(opened, cohort)
    if at_home and transfer.files_given:
        raise ConfigError(
            f"`{transfer.files_given[0]}` belongs to --cohort OTHER: at home the runs' own predictions are judged. Leave it out."
        )
    judged = _at_home(opened, cohort) if at_home else _elsewhere(opened, cohort, home, transfer, progress)
    people, notes = judged.cohort, judged.notes
    scored = _score_all(judged, config.num_samples, config.seed, progress)
    heldout = set((judged.home or people).genes_heldout)
    entries = [
        {
            "gene": gene,
            "model": model,
            "split": split,
            "fold": fold,
            "pcc": scores.pcc,
            "r2": scores.r2,
            "n_people": scores.num_people,
            "pcc_ci95": percentiles(scores.pcc_samples),
            "r2_ci95": percentiles(scores.r2_samples),
            "gene_set": GENE_SETS[gene in heldout],
        }
        for (gene, model, split, fold), scores in scored.items()
    ]
    small = [fold for fold in sorted({key[3] for key in scored}) if judged.folds[fold].test.size < LEAST_PEOPLE]
    if small:
        notes.append(
            f"folds {', '.join(map(str, small))} have test sets of fewer than {LEAST_PEOPLE} individuals: they have no score. Prepare "
            "the cohort with a larger --test-fraction."
        )
    means = gene_means(scored, heldout)
    models = model_means(means, config.seed)
    genes = list(dict.fromkeys(gene for gene, *_ in scored))
    heritability = _heritability(people, genes, where, progress) if config.heritability else []
    sizes = {number: fold.train.size for number, fold in judged.folds.items()}
    return ExpressionEvaluation(
        cohort=str(people.path),
        runs=[str(run.path) for run in opened],
        genes=entries,
        gene_means=means,
        models=models,
        differences=differences(entries, config.seed),
        heritability=heritability,
        heritability_classes=by_heritability(means, heritability, config.seed),
        learning_curves=[] if judged.home else learning_curves(models, sizes),
        across_genes=across_genes(scored, heldout) if people.normalise == "none" else [],
        notes=notes,
        home=None if judged.home is None else str(judged.home.path),
        matching=judged.matching,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judged:
    """Predictions, and on whom they are judged.

    Attributes:
        cohort: of these individuals.
        predictions: columns of `varfx.expression.run.PREDICTION_SCHEMA`, of test individuals.
        folds: by number; whose expression is adjusted by that of the training part.
        notes: what the user should know.
        home: see `ExpressionEvaluation`.
        matching: see `ExpressionEvaluation`.
    """

    cohort: Cohort
    predictions: pl.DataFrame
    folds: dict[int, Fold]
    notes: list[str]
    home: Cohort | None = None
    matching: list[list[LedgerRow]] = field(default_factory=list)


def _is_home(runs: Sequence[ExpressionRun], cohort: str | os.PathLike[str] | None) -> bool:
    """Whether the models are judged on their own cohort; runs of several cohorts are refused there."""
    seals = {run.record["cohort_seal"] for run in runs}
    return cohort is None or len(seals) > 1 or open_cohort(cohort).seal in seals


def _at_home(runs: Sequence[ExpressionRun], cohort: str | os.PathLike[str] | None) -> _Judged:
    people = cohort_of(runs, cohort)
    tables = [run.predictions.filter(pl.col("part") == "test") for run in runs]
    predictions, notes = _predictions(runs, tables)
    folds = {number: people.fold(number) for number in predictions["fold"].unique().sort().to_list()}
    return _Judged(cohort=people, predictions=predictions, folds=folds, notes=notes)


def _elsewhere(
    runs: Sequence[ExpressionRun],
    cohort: str | os.PathLike[str] | None,
    home: str | os.PathLike[str] | None,
    transfer: TransferConfig,
    progress: Progress,
) -> _Judged:
    assert cohort is not None
    own, other = home_cohort(runs[0], home), open_cohort(cohort)
    found = judged_elsewhere(runs, own, other, transfer, progress)
    predictions, notes = _predictions(runs, found.tables)
    folds = dict.fromkeys(predictions["fold"].unique().sort().to_list(), found.fold)
    return _Judged(
        cohort=other,
        predictions=predictions,
        folds=folds,
        notes=[*found.notes, *notes],
        home=own,
        matching=found.ledgers,
    )


def cohort_of(runs: Sequence[ExpressionRun], moved: str | os.PathLike[str] | None) -> Cohort:
    """The one cohort of all runs."""
    first = runs[0]
    for run in runs[1:]:
        if run.record["cohort_seal"] != first.record["cohort_seal"]:
            raise DataError(
                f"`{run.path}` was made on another cohort (`{run.record['cohort']}`) than `{first.path}` "
                f"(`{first.record['cohort']}`). Models can be compared on the same individuals and folds only."
            )
    path = Path(moved) if moved is not None else Path(first.record["cohort"])
    if moved is None and not path.is_dir():
        raise StoreError(f"`{path}`, the cohort of `{first.path}`, is not there. Say where it lies now with --cohort.")
    cohort = open_cohort(path)
    if cohort.seal != first.record["cohort_seal"]:
        raise StoreError(
            f"`{path}` is not the cohort that `{first.path}` was made on: its manifest has another checksum. Give that "
            "one with --cohort, or fit the models anew."
        )
    return cohort


def _predictions(runs: Sequence[ExpressionRun], predicted: Sequence[pl.DataFrame]) -> tuple[pl.DataFrame, list[str]]:
    """Predictions of each run for test individuals, joined; a model's name is followed by the run's where several runs have it.

    Notes for the user are beside.
    """
    owners: dict[str, set[Path]] = {}
    for run in runs:
        for model in run.record["models"]:
            owners.setdefault(model, set()).add(run.path.resolve())
    tables, notes = [], []
    for run, table in zip(runs, predicted, strict=True):
        shared = [model for model in run.record["models"] if len(owners[model]) > 1]
        names = {model: f"{model}:{run.path.name}" for model in shared}
        tables.append(table.with_columns(pl.col("model").replace(names)))
        notes += [f"model {model} of {run.path} is called {name}" for model, name in names.items()]
        skipped = run.record.get("skipped", [])
        if skipped:
            notes.append(
                f"{run.path}: {len(skipped)} genes and folds could not be fitted, first {skipped[0]['gene']} in fold "
                f"{skipped[0]['fold']} ({skipped[0]['reason']})"
            )
    joined = pl.concat(tables)
    repeated = joined.select("gene_id", "model", "fold", "person").is_duplicated()
    if repeated.any():
        row = joined.filter(repeated).row(0, named=True)
        raise DataError(
            f"model {row['model']} stands in several runs of the same name, or a run is given twice. Give each run once, "
            "and folders of different names."
        )
    if not joined.height:
        raise DataError("the runs hold no predictions for test individuals.")
    return joined, notes


def _score_all(judged: _Judged, num_samples: int, seed: int, progress: Progress) -> dict[Key, Scores]:
    """Scores in the order of the cohort's genes, then models as they come, then folds."""
    cohort, predictions, folds = judged.cohort, judged.predictions, judged.folds
    row_of = {name: row for row, name in enumerate(cohort.people)}
    models = list(dict.fromkeys(predictions["model"]))
    parts = predictions.partition_by("gene_id", "fold", as_dict=True, maintain_order=True)
    by_gene = {gene: row for row, gene in enumerate(cohort.genes["gene_id"])}
    scored: dict[Key, Scores] = {}
    for done, ((gene, number), part) in enumerate(parts.items(), start=1):
        if gene not in by_gene:
            raise DataError(f"the runs hold predictions of {gene}, which the cohort does not have.")
        fold = folds[number]
        observed = adjusted_expression(cohort, gene, fold)
        weights = counts_of_individuals(fold.test.size, num_samples, seed + number)
        place = {int(row): k for k, row in enumerate(fold.test)}
        for (model, split), rows in part.partition_by("model", "split", as_dict=True, maintain_order=True).items():
            predicted = np.full(fold.test.size, np.nan)
            places = [place.get(row_of.get(name, -1), -1) for name in rows["person"]]
            if min(places) < 0:
                raise DataError(
                    f"model {model} has predictions, as of test individuals, for {places.count(-1)} who are not in the test set "
                    f"of fold {number}. Fit it on this cohort's folds."
                )
            predicted[places] = rows["prediction"].to_numpy()
            scored[gene, model, split, number] = score(observed[fold.test], predicted, weights)
        progress(done, len(parts), "genes and folds scored")
    order = sorted(scored, key=lambda key: (by_gene[key[0]], models.index(key[1]), key[2], key[3]))
    return {key: scored[key] for key in order}


def _heritability(cohort: Cohort, genes: Sequence[str], where: Workers, progress: Progress) -> list[dict[str, Any]]:
    """Each gene's cis-heritability, in the order of `genes`."""
    records = {}
    if where.scheduler is None:
        where = Workers(workers=where.count(max(1, len(genes) // GENES_PER_WORKER)))
    job = Job(function=gene_heritability, start=open_cohort, arguments=(cohort.path,), what="heritabilities")
    for record in map_pieces(job, genes, where):
        records[record["gene"]] = record
        progress(len(records), len(genes), "heritabilities")
    return [records[gene] for gene in genes]


def gene_heritability(cohort: Cohort, gene_id: str) -> dict[str, Any]:
    """REML in all individuals of a cohort; covariates are fixed effects, so that their degrees of freedom are accounted for."""
    everyone = np.arange(len(cohort.people))
    values = cohort.expression()[cohort.gene_row(gene_id)].astype(np.float64)
    covariates = None if cohort.covariates is None else cohort.covariates.T
    known = cohort.dosages(gene_id)
    fold = type(cohort.fold(0))(everyone, everyone, everyone)
    record: dict[str, Any] = {"gene": gene_id}
    try:
        y = fit_adjustment(values, covariates, everyone, cohort.normalise).apply(values, covariates)
        result = reml(standardise(imputed(known, fold)).Z, y, covariates)
    except DataError as error:
        return record | {
            "h2": None,
            "h2_stderr": None,
            "h2_ci95": None,
            "p": None,
            "variants": None,
            "reason": str(error),
        }
    return record | {
        "h2": result.h2,
        "h2_stderr": result.stderr if np.isfinite(result.stderr) else None,
        "h2_ci95": list(result.ci95),
        "p": result.p_value,
        "variants": result.num_variants,
    }
