"""A run on a cohort: what `varfx expr baseline` and `varfx expr fit` leave, as a folder.

identity.json        options and checksums of the inputs
run.json             what was fitted on what (see `ExpressionRun.record`)
predictions.parquet  predicted values of tuning and test individuals; observed ones are read from the cohort
weights.parquet      linear models: weight of each variant and allele (`intercepts.parquet`: of each gene, model and fold)
models/              networks: safetensors
manifest.json        size and checksum of each file; written last, it marks the run as whole
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from varfx.errors import DataError, StoreError
from varfx.expression.cohort.store import Cohort, Fold
from varfx.expression.model_names import size_of
from varfx.io import sealed, sealed_folder
from varfx.io.recognise import seems
from varfx.io.run_folder import RunFolder, identity_of
from varfx.short_repr import short_repr

RECORD = "run.json"
PREDICTIONS = "predictions.parquet"
WEIGHTS = "weights.parquet"
INTERCEPTS = "intercepts.parquet"
MODELS = "models"
BASELINES, NETWORK = "expression baselines", "expression network"
_MADE_BY = "Give a run made by `varfx expr baseline` or `varfx expr fit`."
REQUIRED = ("kind", "cohort", "cohort_seal", "models", "folds", "genes", "config", "provenance")

PREDICTION_SCHEMA: dict[str, pl.DataType] = {
    "gene_id": pl.String(),
    "model": pl.String(),
    "fold": pl.Int64(),
    "split": pl.String(),  # "hop": a training gene; "hogp": a held-out gene; individuals are held out in both
    "part": pl.String(),  # "tune" or "test": which individuals
    "person": pl.String(),
    "prediction": pl.Float32(),  # adjusted expression; NaN where a model has none to give
}
WEIGHT_SCHEMA: dict[str, pl.DataType] = {
    "gene_id": pl.String(),
    "model": pl.String(),
    "fold": pl.Int64(),
    "chrom": pl.String(),
    "position": pl.Int64(),
    "effect_allele": pl.String(),
    "other_allele": pl.String(),
    "weight": pl.Float64(),  # adjusted expression per copy of `effect_allele`
}
INTERCEPT_SCHEMA: dict[str, pl.DataType] = {
    "gene_id": pl.String(),
    "model": pl.String(),
    "fold": pl.Int64(),
    "intercept": pl.Float64(),  # prediction of an individual without any effect allele
    "h2": pl.Float64(),  # that the model assumed (BLUP); NaN for others, and so below
    "alpha": pl.Float64(),  # scikit-learn's penalty
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ExpressionRun:
    """A finished run.

    Attributes:
        path: the folder.
        record: JSON-able: `kind`, `cohort` (path), `cohort_seal` (SHA-256 of its manifest), `models`, `folds`, `genes`,
            `config`, `provenance`, and what the kind of run adds.
    """

    __repr__ = short_repr

    path: Path
    record: dict[str, Any]

    @property
    def kind(self) -> str:
        """ "expression baselines" or "expression network"."""
        return str(self.record["kind"])

    @cached_property
    def predictions(self) -> pl.DataFrame:
        """Columns of `PREDICTION_SCHEMA`."""
        return sealed.read_table(self.path / PREDICTIONS, kind="expression predictions")[0]

    @cached_property
    def weights(self) -> pl.DataFrame | None:
        """Columns of `WEIGHT_SCHEMA`, weights that are not 0; None for a network."""
        return self._optional(WEIGHTS, "expression weights")

    @cached_property
    def intercepts(self) -> pl.DataFrame | None:
        """Columns of `INTERCEPT_SCHEMA`; None for a network."""
        return self._optional(INTERCEPTS, "expression intercepts")

    def _optional(self, name: str, kind: str) -> pl.DataFrame | None:
        return sealed.read_table(self.path / name, kind=kind)[0] if (self.path / name).is_file() else None


def cohort_identity(cohort: str | os.PathLike[str]) -> dict[str, str]:
    """`cohort` and `cohort_seal` of a run's record: where the cohort lies, and the checksum of its manifest."""
    root = Path(cohort).resolve()
    return {"cohort": str(root), "cohort_seal": sealed.sha256(root / sealed.MANIFEST)}


def run_folder(out: str | os.PathLike[str]) -> RunFolder:
    """The folder of a run, finished or not."""
    return RunFolder(out=Path(out), holds="run", record=RECORD, made_by="varfx expr baseline` or `varfx expr fit")


def check_out(out: Path, *, resume: bool = False, overwrite: bool = False) -> None:
    """Checks that a run may be written to `out`; changes nothing.

    Raises:
        StoreError: it would destroy a run or something else, or its folder does not exist.
    """
    run_folder(out).check(resume=resume, overwrite=overwrite)


def begin_run(
    out: str | os.PathLike[str], provenance: Mapping[str, Any], *, resume: bool = False, overwrite: bool = False
) -> bool:
    """Whether an interrupted run goes on in `run_folder(out).building`; otherwise that folder is made anew.

    Args:
        out: the folder of the finished run. An earlier one in it stays until this one is whole.
        provenance: of `sealed.provenance`; its options and the checksums of its inputs must be those of the interrupted run.
        resume: go on with an interrupted run, if there is one.
        overwrite: replace a finished run.

    Raises:
        StoreError: see `check_out`; or the interrupted run had other options or inputs.
    """
    return run_folder(out).begin(identity_of(provenance), resume=resume, overwrite=overwrite)


def write_run(
    out: str | os.PathLike[str],
    *,
    record: Mapping[str, Any],
    predictions: pl.DataFrame,
    weights: pl.DataFrame | None = None,
    intercepts: pl.DataFrame | None = None,
) -> ExpressionRun:
    """Completes a run begun by `begin_run`, in whose `result` files of a network may already lie under `models/`.

    Args:
        out: the folder of the finished run.
        record: the keys of `REQUIRED`, and any others, JSON-able; no individual's values. Config and outcome of a network too.
        predictions: columns of `PREDICTION_SCHEMA`.
        weights: columns of `WEIGHT_SCHEMA`.
        intercepts: columns of `INTERCEPT_SCHEMA`.

    Raises:
        DataError: a key or a column is missing, a row stands twice, or `split` or `part` is another word.
        StoreError: it cannot be written.
    """
    folder = run_folder(out)
    absent = [name for name in REQUIRED if name not in record]
    if absent:
        raise DataError(f"`record` lacks {len(absent)} of {len(REQUIRED)} keys, first `{absent[0]}`.")
    predictions = _conform(predictions, PREDICTION_SCHEMA, "predictions")
    _check_predictions(predictions)
    tables = [(PREDICTIONS, "expression predictions", predictions)]
    if weights is not None:
        tables.append((WEIGHTS, "expression weights", _conform(weights, WEIGHT_SCHEMA, "weights")))
    if intercepts is not None:
        tables.append((INTERCEPTS, "expression intercepts", _conform(intercepts, INTERCEPT_SCHEMA, "intercepts")))
    for name, kind, table in tables:
        sealed.write_table(table, folder.result / name, kind=kind, metadata={})
    record = {"format_version": sealed.FORMAT_VERSION, **record}
    sealed.write_json(folder.result / RECORD, record)
    folder.finish()
    return ExpressionRun(path=folder.out, record=record)


def training_fold(run: ExpressionRun, cohort: Cohort, number: int, model: str) -> Fold:
    """The fold with the training individuals that a model was fitted on: fewer than the cohort's where `train_size` says so.

    Args:
        run: with the model.
        cohort: the run's.
        number: of the fold.
        model: of the run; linear models have their number of individuals in the name.
    """
    config = run.record["config"]
    if run.kind == NETWORK:
        return cohort.fold(number).thinned(config.get("train_size"), config.get("training", {}).get("seed", 0))
    return cohort.fold(number).thinned(size_of(model)[1], config.get("seed", 0))


def open_run(path: str | os.PathLike[str]) -> ExpressionRun:
    """Opens a run and checks every file of it.

    Raises:
        StoreError: no run, unfinished, damaged, or of a newer version.
    """
    folder = run_folder(path)
    root = folder.out
    if PREDICTIONS not in folder.open():
        raise StoreError(
            f"`{root}` is no run on a cohort: it has no {PREDICTIONS}, and seems to be {seems(root)}. {_MADE_BY}"
        )
    sealed_folder.check_directory(root)
    record = sealed.read_json(root / RECORD)
    if record.get("kind") not in (BASELINES, NETWORK):
        raise StoreError(f"`{root}` is no run on a cohort but of kind {record.get('kind')!r}. {_MADE_BY}")
    return ExpressionRun(path=root, record=record)


def _conform(table: pl.DataFrame, schema: Mapping[str, pl.DataType], name: str) -> pl.DataFrame:
    """The schema's columns in its order and types."""
    absent = [column for column in schema if column not in table.columns]
    if absent:
        raise DataError(f"`{name}` lacks {len(absent)} of {len(schema)} columns, first `{absent[0]}`.")
    table = table.select(pl.col(column).cast(kind) for column, kind in schema.items())
    gaps = [column for column in schema if table[column].null_count()]
    if gaps:
        raise DataError(f"`{name}` has {table[gaps[0]].null_count()} empty values in column `{gaps[0]}`.")
    return table


def _check_predictions(table: pl.DataFrame) -> None:
    for column, words in (("split", {"hop", "hogp"}), ("part", {"tune", "test"})):
        other = set(table[column].unique()) - words
        if other:
            raise DataError(
                f"`predictions`: column `{column}` holds {min(other)!r}; it must be {' or '.join(sorted(words))}."
            )
    key = ["gene_id", "model", "fold", "person"]
    repeated = table.height - table.select(pl.struct(key).n_unique()).item() if table.height else 0
    if repeated:
        first = table.filter(table.select(key).is_duplicated()).row(0, named=True)
        raise DataError(
            f"`predictions`: {repeated} rows stand twice, first of gene {first['gene_id']}, model {first['model']}, "
            f"fold {first['fold']}. Keep one per individual."
        )
