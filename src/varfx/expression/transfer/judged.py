"""Predictions of runs for another cohort with expression, and the individuals on whom they can be judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int64
from numpy import ndarray

from varfx.errors import DataError
from varfx.expression.cohort.gene_data import adjusted_expression
from varfx.expression.cohort.store import Cohort, Fold
from varfx.expression.run import ExpressionRun
from varfx.expression.transfer.config import TransferConfig
from varfx.expression.transfer.indels import refuse_unused
from varfx.expression.transfer.others import CohortOthers
from varfx.expression.transfer.predict import models_of, predict_others
from varfx.io.ledger import LedgerRow
from varfx.progress import Progress, silent


@dataclass(frozen=True, kw_only=True, eq=False)
class Elsewhere:
    """What runs predict in another cohort.

    Attributes:
        tables: of each run, columns of `varfx.expression.run.PREDICTION_SCHEMA`, of the individuals judged and genes with expression.
        fold: rows of the other cohort's individuals who are judged, as both training and test part: expression is
            adjusted by what they show, as no model was fitted on them.
        ledgers: of each run, what became of the variants.
        notes: what the user should know.
    """

    tables: list[pl.DataFrame]
    fold: Fold
    ledgers: list[list[LedgerRow]]
    notes: list[str]


def judged_elsewhere(
    runs: Sequence[ExpressionRun],
    home: Cohort,
    other: Cohort,
    config: TransferConfig,
    progress: Progress = silent,
) -> Elsewhere:
    """Predictions of all models and folds of some runs for another cohort.

    Individuals who stand in the runs' own cohort too are left out.

    Raises:
        DataError: nobody or no gene is left, or too few variants are shared.
    """
    refuse_unused(runs, config)
    known = set(other.genes["gene_id"])
    tables, ledgers, notes = [], [], []
    kept = np.arange(len(other.people))
    for run in runs:
        genes = [gene for gene in (*run.record["genes"], *run.record.get("heldout_genes", [])) if gene in known]
        if not genes:
            raise DataError(f"`{other.path}` has none of the genes of `{run.path}`: nothing can be compared.")
        models = models_of(run)
        unable = [name for name in run.record["models"] if name not in models]
        if unable:
            notes.append(f"{run.path}: {', '.join(unable)} cannot predict other individuals, and is left out")
        found = predict_others(
            run,
            home,
            CohortOthers(other),
            config,
            models=models,
            folds=run.record["folds"],
            genes=genes,
            progress=progress,
        )
        tables.append(found.table)
        ledgers.append(found.ledger.rows())
        notes += [note for note in found.notes if note not in notes]
        kept = np.setdiff1d(kept, found.same.rows)
        lacking = len(run.record["genes"]) + len(run.record.get("heldout_genes", [])) - len(genes)
        if lacking:
            notes.append(f"{run.path}: {lacking} genes have no expression in the other cohort")
    if not kept.size:
        raise DataError(
            f"all {len(other.people)} individuals of `{other.path}` stand in `{home.path}` too, on which the runs were made: nobody is left "
            "to judge them on. Leave --cohort out to judge the test individuals of each fold."
        )
    fold = Fold(kept, np.empty(0, dtype=np.int64), kept)
    usable = _usable(other, list(dict.fromkeys(gene for table in tables for gene in table["gene_id"])), fold, notes)
    people = [other.people[row] for row in kept]
    mine = pl.col("person").is_in(people) & pl.col("gene_id").is_in(usable)
    notes.insert(0, _named(home, other, kept))
    return Elsewhere(tables=[table.filter(mine) for table in tables], fold=fold, ledgers=ledgers, notes=notes)


def _usable(other: Cohort, genes: Sequence[str], fold: Fold, notes: list[str]) -> list[str]:
    """Genes whose expression can be adjusted in the individuals judged."""
    usable, reason = [], ""
    for gene in genes:
        try:
            adjusted_expression(other, gene, fold)
            usable.append(gene)
        except DataError as error:
            reason = reason or str(error)
    if not usable:
        raise DataError(f"`{other.path}`: the expression of no gene can be adjusted: {reason}")
    if reason:
        notes.append(f"{len(genes) - len(usable)} genes are left out: {reason}")
    return usable


def _named(home: Cohort, other: Cohort, kept: Int64[ndarray, " individual"]) -> str:
    """How expression of either cohort was made, in words."""

    def how(cohort: Cohort) -> str:
        return f"{cohort.normalise}, {len(cohort.covariate_names)} covariates"

    text = (
        f"trained in {home.path} (expression: {how(home)}), judged in {kept.size} individuals of {other.path} ({how(other)}), whose "
        "expression is adjusted by what they show themselves"
    )
    if home.normalise != other.normalise:
        text += "; the units differ, so that only correlations can be compared"
    return text
