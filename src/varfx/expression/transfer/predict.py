"""`predict_elsewhere`: predictions of a run's models for the individuals of another cohort, gene by gene."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from varfx.device import find_device
from varfx.errors import ConfigError, DataError, StoreError
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.gene_list import gene_ids
from varfx.expression.linear.run import chosen_genes
from varfx.expression.network.opened import OpenNetworks
from varfx.expression.run import NETWORK, PREDICTION_SCHEMA, ExpressionRun, open_run
from varfx.expression.transfer.config import TransferConfig
from varfx.expression.transfer.indels import indel_sources, refuse_unused
from varfx.expression.transfer.linear import KeyedValues, linear_predictions
from varfx.expression.transfer.network import network_predictions
from varfx.expression.transfer.others import Others, open_others
from varfx.expression.transfer.same_people import Comparison, SamePeople
from varfx.expression.transfer.window import ABSENT, FOUND, TURNED, match_window
from varfx.io import sealed
from varfx.io.ledger import Ledger
from varfx.progress import Progress, silent

KIND = "expression predictions elsewhere"
_DEFAULT = TransferConfig()


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferPredictions:
    """Predictions for another cohort.

    Attributes:
        table: columns of `varfx.expression.run.PREDICTION_SCHEMA`, all individuals of the other cohort as of part "test".
        people: names of these, in the order of each gene's rows.
        home: the run's own cohort.
        ledger: variants of the genes' windows by what became of them, and genes left out.
        same: who stands in both cohorts.
        notes: what the user should know.
    """

    table: pl.DataFrame
    people: tuple[str, ...]
    home: Cohort
    ledger: Ledger
    same: SamePeople
    notes: list[str]


def home_cohort(run: ExpressionRun, moved: str | os.PathLike[str] | None = None) -> Cohort:
    """The cohort that a run was made on.

    Raises:
        StoreError: it is not where the run says, or has changed.
    """
    path = Path(run.record["cohort"]) if moved is None else Path(moved)
    if moved is None and not path.is_dir():
        raise StoreError(
            f"`{path}`, the cohort of `{run.path}`, is not there; its windows and training individuals' means are needed. "
            "Say where it lies now with --home."
        )
    home = open_cohort(path)
    if home.seal != run.record["cohort_seal"]:
        raise StoreError(
            f"`{path}` is not the cohort that `{run.path}` was made on: its manifest has another checksum. Give that one with "
            "--home."
        )
    return home


def predict_elsewhere(
    run: str | os.PathLike[str],
    others: Sequence[str | os.PathLike[str]],
    config: TransferConfig = _DEFAULT,
    *,
    model: str | None = None,
    fold: int | None = None,
    genes: Sequence[str] = (),
    home: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> TransferPredictions:
    """Predictions of one model and fold of a run for the individuals of another cohort.

    Args:
        run: of `varfx expr baseline` or `varfx expr fit`.
        others: a cohort, or files of genotypes.
        config: rules for variants.
        model: of a run with several; by default elastic-net, or the first with weights.
        fold: of a run with several; by default the first.
        genes: Ensembl ids, or files with one per line; all of the run if empty.
        home: where the run's own cohort lies, if it moved.
        progress: told about each gene.

    Raises:
        DataError: too few of the variants, or nothing to predict.
        VarfxError: no such model, fold or gene; files that are not what they should be.
    """
    opened = open_run(run)
    models = models_of(opened)
    if model is not None and model not in models:
        raise ConfigError(f"`model` must be one of {', '.join(models)} for `{opened.path}`, got {model!r}.")
    chosen = model or ("elastic-net" if "elastic-net" in models else models[0])
    folds = list(opened.record["folds"])
    if fold is not None and fold not in folds:
        raise ConfigError(f"`fold`: `{opened.path}` has models of {', '.join(map(str, folds))}, got {fold}.")
    refuse_unused([opened], config)
    return predict_others(
        opened,
        home_cohort(opened, home),
        open_others(others),
        config,
        models=(chosen,),
        folds=(folds[0] if fold is None else fold,),
        genes=gene_ids(tuple(genes)),
        progress=progress,
    )


def models_of(run: ExpressionRun) -> list[str]:
    """Models of a run that can predict other individuals: networks, and linear models whose weights were kept.

    Raises:
        DataError: there is none.
    """
    models = list(run.record["models"])
    if run.kind != NETWORK:
        if run.weights is None or run.intercepts is None:
            raise DataError(f"`{run.path}` has no weights of variants. Fit it without --no-weights.")
        known = set(run.intercepts["model"])
        models = [name for name in models if name in known]
    if not models:
        raise DataError(f"`{run.path}` has no model that predicts other individuals: zero-shot needs its checkpoint.")
    return models


def predict_others(
    run: ExpressionRun,
    home: Cohort,
    others: Others,
    config: TransferConfig = _DEFAULT,
    *,
    models: Sequence[str],
    folds: Sequence[int],
    genes: Sequence[str] = (),
    progress: Progress = silent,
) -> TransferPredictions:
    """Predictions of some models and folds; see `predict_elsewhere`."""
    known = [*run.record["genes"], *run.record.get("heldout_genes", [])]
    wanted = chosen_genes(home, genes or known)
    absent = [gene for gene in wanted if gene not in set(known)]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(wanted)} genes are not in `{run.path}`, first {absent[0]}. It has {len(known)} genes."
        )
    ledger, comparison, tables = Ledger(), Comparison(), []
    heldout = set(run.record.get("heldout_genes", []))
    empty: list[str] = []
    sources, unphased = indel_sources(run, home, others, config), 0
    networks = OpenNetworks(run, find_device(config.device)) if run.kind == NETWORK else None
    for done, gene_id in enumerate(wanted, start=1):
        window = match_window(home, gene_id, others)
        for step, count in window.counts().items():
            ledger.add(step, count)
        comparison.add(window)
        if networks is not None:
            reads = (
                None if sources is None else sources.read(home, window.gene, run.record["config"]["network"]["window"])
            )
            for step, count in ({} if reads is None else reads.counts()).items():
                ledger.add(step, count)
            unphased += reads is not None and reads.loses_phase
            values = network_predictions(run, networks, window, folds, config, reads)
        else:
            values = linear_predictions(run, window, models, folds, config.absent)
        tables.append(_rows(gene_id, values, others.people, "hogp" if gene_id in heldout else "hop"))
        empty += [] if values else [gene_id]
        progress(done, len(wanted), "genes")
    _refuse_few(ledger, home, others, config)
    if len(empty) == len(wanted):
        raise DataError(
            f"`{others.name}` has none of the variants with a weight in any of {len(wanted)} genes. Nothing is predicted."
        )
    same = comparison.same(home.people, others.people)
    notes = [note] if (note := same.note()) else []
    if unphased:
        notes.append(
            f"{unphased} of {len(wanted)} genes: the other genotypes are not phased, so that all heterozygous indels of an individual lie on one haplotype"
        )
    if empty:
        ledger.drop(len(empty), "genes without a variant that has a weight")
        notes.append(
            f"{len(empty)} of {len(wanted)} genes are left out: none of their variants with a weight is there, first {empty[0]}"
        )
    return TransferPredictions(
        table=pl.concat(tables), people=others.people, home=home, ledger=ledger, same=same, notes=notes
    )


def _rows(gene_id: str, values: KeyedValues, people: tuple[str, ...], split: str) -> pl.DataFrame:
    """Rows of `PREDICTION_SCHEMA`."""
    count = len(people)
    columns: dict[str, Any] = {name: [] for name in PREDICTION_SCHEMA}
    for (model, fold), predicted in values.items():
        for name, value in {"gene_id": gene_id, "model": model, "fold": fold, "split": split, "part": "test"}.items():
            columns[name] += [value] * count
        columns["person"] += people
        columns["prediction"].append(predicted)
    columns["prediction"] = np.concatenate([np.zeros(0, np.float32), *columns["prediction"]])
    return pl.DataFrame(columns, schema=PREDICTION_SCHEMA)


def _refuse_few(ledger: Ledger, home: Cohort, others: Others, config: TransferConfig) -> None:
    counts = ledger.counts
    found = counts.get(FOUND, 0) + counts.get(TURNED, 0)
    total = found + counts.get(ABSENT, 0)
    share = found / total if total else 0.0
    if share < config.min_overlap or not found:
        raise DataError(
            f"`{others.name}`: only {found:,} of {total:,} variants in the genes' windows of `{home.path}` are there ({share:.1%}, at "
            f"least {config.min_overlap:.0%} is needed, --min-overlap). The likely cause is another genome build, or windows "
            "that do not reach as far."
        )


def write_predictions(
    found: TransferPredictions,
    out: str | os.PathLike[str],
    *,
    run: str | os.PathLike[str],
    others: Sequence[str | os.PathLike[str]],
    config: TransferConfig = _DEFAULT,
) -> None:
    """Writes predictions of one model and fold as a table `person, gene, prediction`.

    Args:
        found: the predictions.
        out: the file.
        run: whose they are.
        others: the other cohort's folder or files.
        config: the rules for variants.

    Raises:
        StoreError: it cannot be written.
    """
    model, fold = found.table["model"][0], int(found.table["fold"][0])
    table = found.table.select("person", pl.col("gene_id").alias("gene"), "prediction")
    inputs: dict[str, str | os.PathLike[str]] = {"run": run}
    inputs |= {f"cohort{number or ''}": path for number, path in enumerate(others)}
    files = {
        "indels": config.indels,
        "home indels": config.home_indels,
        "reference": tuple(filter(None, [config.reference])),
    }
    inputs |= {f"{name}{number or ''}": path for name, paths in files.items() for number, path in enumerate(paths)}
    rules = {
        name: value for name, value in asdict(config).items() if name not in ("indels", "home_indels", "reference")
    }
    options = {**rules, "model": model, "fold": fold}
    metadata = {
        "model": model,
        "fold": fold,
        "normalise": found.home.normalise,
        "ledger": found.ledger.rows(),
        "notes": found.notes,
        "provenance": sealed.provenance(options, inputs),
    }
    sealed.write_table(table, out, kind=KIND, metadata=metadata)
