"""All linear models of one gene in all folds, as rows of a run's tables."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from jaxtyping import Float64
from numpy import ndarray

from varfx.annotations import Annotations
from varfx.errors import DataError
from varfx.expression.cohort.gene_data import GeneData, gene_data
from varfx.expression.cohort.store import Cohort, Fold, open_cohort
from varfx.expression.linear.blup import fit_blup, fit_top1, likelihood_gain, prior_root
from varfx.expression.linear.config import INFORMED, PRIOR
from varfx.expression.linear.features import window_features
from varfx.expression.linear.fit import LinearFit, standardise
from varfx.expression.linear.penalised import PENALISED, fit_penalised
from varfx.expression.model_names import sized_name
from varfx.expression.run import INTERCEPT_SCHEMA, PREDICTION_SCHEMA, WEIGHT_SCHEMA
from varfx.io import sealed
from varfx.io.file_names import as_file_name

if TYPE_CHECKING:
    from varfx.expression.linear.informed import LearnedPrior  # torch is slow to load, and most workers need none

Part = tuple[int, int | None]  # fold, and number of its training individuals (None: all)
LEAST_SHARE = 1e-6  # of the mean prior variance, that every variant has
TABLES = {"predictions": PREDICTION_SCHEMA, "weights": WEIGHT_SCHEMA, "intercepts": INTERCEPT_SCHEMA}
NOTES = {"gene_id": pl.String(), "model": pl.String(), "fold": pl.Int64(), "note": pl.String(), "value": pl.Float64()}


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneFits:
    """Fits of one gene's models, as tables.

    Attributes:
        predictions: of tuning and test individuals.
        weights: that are not 0.
        intercepts: one row per model and fold.
        notes: what a fit has to say beside: `unconverged` = 1, or `gain` in nats of the informed prior.
        skipped: folds in which the gene could not be fitted, and why.
    """

    predictions: pl.DataFrame
    weights: pl.DataFrame
    intercepts: pl.DataFrame
    notes: pl.DataFrame
    skipped: list[dict[str, Any]] = field(default_factory=list)


def fit_gene(
    cohort: Cohort,
    gene_id: str,
    models: Sequence[str],
    folds: Sequence[int],
    *,
    sizes: Sequence[int | None] = (None,),
    with_tune: bool = False,
    seed: int = 0,
    priors: Mapping[Part, LearnedPrior] | None = None,
    annotations: Sequence[Annotations] = (),
    given: Float64[ndarray, " variant"] | None = None,
) -> GeneFits:
    """Fits a gene's models on its training individuals and predicts tuning and test individuals.

    A linear model is always of its own gene: individuals are held out (`hop`), also where the gene is one that no network sees.

    Args:
        cohort: with the gene.
        gene_id: which.
        models: their names.
        folds: their numbers.
        sizes: numbers of training individuals; None for all.
        with_tune: fit on training and tuning individuals together; predictions of the tuning individuals are then fitted values.
        seed: of models that need one, and of the training individuals left out.
        priors: of each fold and size, for `informed-blup`.
        annotations: that the priors were learned with.
        given: prior variances of the cohort's variants for `prior-blup`, NaN where unknown.

    Raises:
        DataError: a size above the number of training individuals.
    """
    rows: dict[str, list[pl.DataFrame]] = {name: [] for name in (*TABLES, "notes")}
    skipped = []
    for number, size in itertools.product(folds, sizes):
        try:
            gene = gene_data(cohort, gene_id, number, train_size=size, seed=seed)
        except DataError as error:
            which = {} if size is None else {"train_size": size}
            skipped.append({"gene": gene_id, "fold": number, **which, "reason": str(error)})
            continue
        train = np.concatenate([gene.fold.train, gene.fold.tune]) if with_tune else gene.fold.train
        variances: dict[str, Float64[ndarray, " variant"]] = {}
        if INFORMED in models:
            assert priors is not None
            variances[INFORMED] = _learned_variances(cohort, gene, priors[number, size], train, annotations)
        if PRIOR in models:
            assert given is not None
            known = filled(given[cohort.window_variants(gene_id)[1]])
            if known is not None:
                variances[PRIOR] = known
        for model in models:
            if model == PRIOR and model not in variances:
                reason = "no variant of the window has a prior variance"
                skipped.append({"gene": gene_id, "fold": number, "model": PRIOR, "reason": reason})
                continue
            fit = fit_model(model, gene.X[train], gene.y[train], seed=seed, variances=variances.get(model))
            key = {"gene_id": gene_id, "model": sized_name(model, size), "fold": number}
            rows["predictions"].append(prediction_rows(cohort.people, gene.fold, fit.predict(gene.X), key, "hop"))
            rows["weights"].append(_weight_rows(gene, fit, key))
            assumed = {name: float(fit.notes.get(name, np.nan)) for name in ("h2", "alpha")}
            rows["intercepts"].append(pl.DataFrame({**key, "intercept": fit.intercept, **assumed}))
            if not fit.notes.get("converged", True):
                rows["notes"].append(pl.DataFrame({**key, "note": "unconverged", "value": 1.0}))
            if model in variances:
                gain = _gain(gene, train, variances[model])
                rows["notes"].append(pl.DataFrame({**key, "note": "gain", "value": gain}))
    schemas = {**TABLES, "notes": NOTES}
    tables = {
        name: pl.concat(parts).cast(pl.Schema(schemas[name])).select(*schemas[name])
        if (parts := [part for part in rows[name] if part.height])
        else pl.DataFrame(schema=schemas[name])
        for name in schemas
    }
    return GeneFits(**tables, skipped=skipped)


def fit_model(
    model: str, X: ndarray, y: ndarray, *, seed: int = 0, variances: Float64[ndarray, " variant"] | None = None
) -> LinearFit:
    """A linear model by its name.

    Args:
        model: elastic-net, lasso, ridge, blup, top1, informed-blup or prior-blup.
        X: dosages of the training individuals.
        y: their adjusted expression.
        seed: of scikit-learn's models.
        variances: prior variances of the effects, for informed-blup and prior-blup.
    """
    if model in PENALISED:
        return fit_penalised(model, X, y, seed=seed)
    if model == "top1":
        return fit_top1(X, y)
    return fit_blup(X, y, variances=variances if model in (INFORMED, PRIOR) else None)


def prediction_rows(
    people: Sequence[str], fold: Fold, values: ndarray, key: Mapping[str, object], split: str
) -> pl.DataFrame:
    """Rows of `predictions` for the tuning and test individuals of a fold.

    Args:
        people: names of all individuals.
        fold: their parts.
        values: predictions, for all individuals.
        key: gene_id, model and fold.
        split: hop or hogp.
    """
    parts = [("tune", fold.tune), ("test", fold.test)]
    return pl.concat(
        pl.DataFrame({"person": [people[row] for row in rows], "prediction": values[rows].astype(np.float32)}).select(
            *(pl.lit(value).alias(name) for name, value in key.items()),
            pl.lit(split).alias("split"),
            pl.lit(part).alias("part"),
            "person",
            "prediction",
        )
        for part, rows in parts
    )


def _weight_rows(gene: GeneData, fit: LinearFit, key: Mapping[str, object]) -> pl.DataFrame:
    return (
        gene.variants.select("chrom", "position", "effect_allele", "other_allele")
        .with_columns(*(pl.lit(value).alias(name) for name, value in key.items()), weight=pl.Series(fit.weights))
        .filter(pl.col("weight") != 0)
        .select(*WEIGHT_SCHEMA)
    )


def _learned_variances(
    cohort: Cohort, gene: GeneData, prior: LearnedPrior, train: ndarray, annotations: Sequence[Annotations]
) -> Float64[ndarray, " variant"]:
    """f of the gene's variants under the shared prior."""
    frequency = gene.X[train].mean(axis=0, dtype=np.float64) / 2
    features = window_features(cohort.gene(gene.gene_id), gene.variants, annotations)
    return prior.variances(*features, frequency * (1 - frequency))


def filled(variances: Float64[ndarray, " variant"]) -> Float64[ndarray, " variant"] | None:
    """Positive variances: unknown ones are the mean of the known, 0 is a millionth of it; None where none is known or all are 0."""
    known = np.isfinite(variances)
    mean = float(variances[known].mean()) if known.any() else 0.0
    return np.maximum(np.where(known, variances, mean), LEAST_SHARE * mean) if mean > 0 else None


def _gain(gene: GeneData, train: ndarray, variances: Float64[ndarray, " variant"]) -> float:
    """Gain in log-likelihood of the training individuals over equal variances, in nats."""
    genotypes = standardise(gene.X[train])
    if not genotypes.kept.any():
        return 0.0
    return likelihood_gain(genotypes, gene.y[train], prior_root(variances, genotypes))


def write_fits(fits: GeneFits, folder: str | os.PathLike[str]) -> None:
    """Writes the tables to a folder of their own, which is whole when it is there."""
    with sealed.atomic_path(folder) as partial:
        partial.mkdir()
        for name in (*TABLES, "notes"):
            sealed.write_plain_parquet(getattr(fits, name), partial / f"{name}.parquet")
        sealed.write_json(partial / "skipped.json", fits.skipped)


def read_fits(folder: Path) -> GeneFits:
    """Fits read from a folder of `write_fits`."""
    tables = {name: pl.read_parquet(folder / f"{name}.parquet") for name in (*TABLES, "notes")}
    return GeneFits(**tables, skipped=sealed.read_json(folder / "skipped.json"))


@dataclass(frozen=True, kw_only=True, eq=False)
class FitJob:
    """Inputs of a worker that fits genes of a run: see `fit_gene`.

    Attributes:
        cohort: its folder.
        parts: where each gene's tables are written.
        stage: the part of their names after the gene's.
        models: fitted in this stage.
        folds: their numbers.
        sizes: numbers of training individuals; None for all.
        with_tune: fit on tuning individuals too.
        keep_weights: write the weights of variants.
        seed: of models that need one.
        priors: of each fold and size, for informed-blup.
        annotations: that the priors were learned with.
        given: see `fit_gene`.
    """

    cohort: Path
    parts: Path
    stage: str
    models: tuple[str, ...]
    folds: tuple[int, ...]
    sizes: tuple[int | None, ...]
    with_tune: bool
    keep_weights: bool
    seed: int
    priors: Mapping[Part, LearnedPrior] | None = None
    annotations: Sequence[Annotations] = ()
    given: Float64[ndarray, " variant"] | None = None

    def folder(self, gene_id: str) -> Path:
        """Of a gene's tables."""
        return part_folder(self.parts, gene_id, self.stage)


def part_folder(parts: Path, gene_id: str, stage: str) -> Path:
    """The folder of one gene's tables of one stage: the id, which a cohort's maker chose, is no path."""
    return parts / f"{as_file_name(gene_id)}.{stage}"


def start_worker(job: FitJob) -> tuple[FitJob, Cohort]:
    """State of a worker between genes."""
    return job, open_cohort(job.cohort)


def fit_and_write(state: tuple[FitJob, Cohort], gene_id: str) -> str:
    """Id of the gene, after its tables are written, unless they are there."""
    job, cohort = state
    if job.folder(gene_id).is_dir():
        return gene_id
    fits = fit_gene(
        cohort,
        gene_id,
        job.models,
        job.folds,
        sizes=job.sizes,
        with_tune=job.with_tune,
        seed=job.seed,
        priors=job.priors,
        annotations=job.annotations,
        given=job.given,
    )
    if not job.keep_weights:
        fits = replace(fits, weights=fits.weights.clear())
    write_fits(fits, job.folder(gene_id))
    return gene_id


def join_fits(fits: Sequence[GeneFits]) -> GeneFits:
    """All rows, in the order given."""
    schemas = {**TABLES, "notes": NOTES}
    tables = {
        name: pl.concat([pl.DataFrame(schema=schema), *(getattr(each, name).cast(schema) for each in fits)])
        for name, schema in schemas.items()
    }
    return GeneFits(**tables, skipped=[entry for each in fits for entry in each.skipped])
