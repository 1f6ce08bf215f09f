"""`score_variants`: what a run's models say about each variant of each gene's window.

A network's effect of a variant is its in-silico mutagenesis on the reference; a linear model's is its weight. Both become a `weight`
per copy of ALT in units of adjusted expression (half of the homozygous effect), so that they can be compared. Drivers are
chosen on tuning individuals and scored on test individuals, with the reference's prediction (a linear model's intercept) added.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Float64
from numpy import ndarray

from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.gene_data import adjusted_expression, imputed
from varfx.expression.cohort.store import Cohort
from varfx.expression.evaluate import cohort_of
from varfx.expression.gene_list import gene_ids
from varfx.expression.linear.run import chosen_genes
from varfx.expression.run import NETWORK, ExpressionRun, open_run
from varfx.expression.variants.config import RULES, Rule, VariantConfig
from varfx.expression.variants.drivers import driver_score, find_drivers, high_scoring
from varfx.expression.variants.effects import Effects, ModelEffects, groups, inside_window
from varfx.expression.variants.indels import check_indels, score_indels
from varfx.expression.variants.table import KEY, LONG_SCHEMA
from varfx.expression.weights import aligned_weights
from varfx.io.workers import Job, SingleWorker, map_pieces
from varfx.progress import Progress, silent

ELASTIC_NET = "elastic-net"


@dataclass(frozen=True, eq=False)
class VariantScores:
    """Variant scores and drivers.

    Attributes:
        table: a row per gene and variant of its window; columns of `LONG_SCHEMA`.
        genes: a record per gene: the prediction for the reference, how many variants are high-scoring and drivers, and how well
            the drivers' sum stands for the model's predictions and for expression of the test individuals.
        variants: all variants of the cohort, scored or not.
        model: whose scores.
    """

    table: pl.DataFrame
    genes: list[dict[str, Any]]
    variants: pl.DataFrame
    model: str


def score_variants(
    run: str | os.PathLike[str],
    config: VariantConfig | None = None,
    *,
    baseline: str | os.PathLike[str] | None = None,
    cohort: str | os.PathLike[str] | None = None,
    workers: int | None = 1,
    scheduler: str | None = None,
    folder: Path | None = None,
    progress: Progress = silent,
) -> VariantScores:
    """The scores of all variants in the windows of a run's genes.

    Args:
        run: of `varfx expr fit` or `varfx expr baseline`.
        config: which and how.
        baseline: a run whose elastic nets say how many variants are high-scoring, and stand beside the scores.
        cohort: where the run's cohort lies, if it moved.
        workers: processes, each with its own network; 1 computes in this process with all its threads, None is one per core.
        scheduler: address of a running dask.distributed scheduler whose workers see the same files; in place of
            `workers`.
        folder: existing folder that all workers of the scheduler see; by default the current one.
        progress: told of genes done.

    Raises:
        WorkerError: workers or the scheduler were lost.
        VarfxError: runs of different cohorts; no such gene, fold or model; a run without weights.
    """
    where = SingleWorker(workers=workers, scheduler=scheduler)
    config = config or VariantConfig()
    config = replace(config, genes=gene_ids(config.genes))
    opened = open_run(run)
    _refuse_unused(opened, config)
    if config.indels:
        check_indels(opened)
    other = None if baseline is None else open_run(baseline)
    people = cohort_of([opened, *([] if other is None else [other])], cohort)
    job = _job(opened, people, config, other)
    work = Job(
        function=_score_genes,
        start=_start,
        arguments=(job,),
        what="genes",
        folder=folder,
        threads=None,
    )
    found = {}
    for group in map_pieces(work, groups(opened, config, job.genes), where):
        for table, record in group:
            found[record["gene"]] = table, record
            progress(len(found), len(job.genes), "genes")
    tables, records = zip(*(found[gene_id] for gene_id in job.genes), strict=True)
    scores = VariantScores(pl.concat(tables), list(records), people.variants, job.model)
    if not config.indels:
        return scores
    extra = score_indels(
        opened,
        people,
        job.genes,
        fold=config.fold,
        float64=config.float64,
        device=config.device,
        progress=progress,
    )
    keys = extra.select(KEY).unique(subset=[name for name in KEY if name != "variant_id"], maintain_order=True)
    return replace(
        scores, table=pl.concat([scores.table, extra]), variants=pl.concat([people.variants.select(KEY), keys])
    )


def _refuse_unused(run: ExpressionRun, config: VariantConfig) -> None:
    """Raises ConfigError if a choice for networks is made for linear models."""
    given = {
        "float64": config.float64,
        "gradients people": config.gradients == "people",
        "genes-per-pass": config.genes_per_pass is not None,
    }
    for name in (name for name, value in given.items() if value and run.kind != NETWORK):
        raise ConfigError(
            f"`{name}` is for networks, and `{run.path}` holds linear models, whose effects are their weights. Leave it out."
        )


@dataclass(frozen=True, eq=False)
class _Job:
    """Inputs shared by all genes."""

    run: ExpressionRun
    cohort: Cohort
    config: VariantConfig
    genes: tuple[str, ...]
    model: str
    elastic_net: pl.DataFrame | None  # of this fold


def _job(run: ExpressionRun, cohort: Cohort, config: VariantConfig, baseline: ExpressionRun | None) -> _Job:
    record = run.record
    if config.fold not in record["folds"]:
        folds = ", ".join(map(str, record["folds"]))
        raise ConfigError(f"`fold`: `{run.path}` has models of {folds}, got {config.fold}.")
    known = [*record["genes"], *record.get("heldout_genes", [])]
    genes = chosen_genes(cohort, config.genes or known)
    absent = [gene for gene in genes if gene not in set(known)]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(genes)} genes are not in `{run.path}`, first {absent[0]}. It has {len(known)} genes."
        )
    weights = next((each.weights for each in (baseline, run) if each is not None and _has_elastic_net(each)), None)
    if baseline is not None and not _has_elastic_net(baseline):
        raise DataError(
            f"`{baseline.path}` has no weights of {ELASTIC_NET}. Give a run of `varfx expr baseline --models {ELASTIC_NET}`."
        )
    if weights is not None:
        weights = weights.filter((pl.col("model") == ELASTIC_NET) & (pl.col("fold") == config.fold))
    return _Job(run, cohort, config, genes, _chosen_model(run, config), weights)


def _has_elastic_net(run: ExpressionRun) -> bool:
    return run.weights is not None and ELASTIC_NET in run.record["models"]


def _chosen_model(run: ExpressionRun, config: VariantConfig) -> str:
    models = list(run.record["models"])
    if run.kind != NETWORK:
        if run.weights is None:
            raise DataError(f"`{run.path}` has no weights of variants. Fit it without --no-weights.")
        models = [name for name in models if name in set(run.weights["model"])]
        if not models:
            raise DataError(f"no model of `{run.path}` gives any variant a weight: there is nothing to score.")
    if config.model is None:
        return ELASTIC_NET if ELASTIC_NET in models else str(models[0])
    if config.model not in models:
        raise ConfigError(f"`model` must be one of {', '.join(models)} for `{run.path}`, got {config.model!r}.")
    return config.model


def _start(job: _Job) -> tuple[_Job, ModelEffects]:
    """State of a worker."""
    return job, ModelEffects(job.run, job.cohort, job.config, job.model)


def _score_genes(state: tuple[_Job, ModelEffects], genes: tuple[str, ...]) -> list[tuple[pl.DataFrame, dict[str, Any]]]:
    """Rows of `LONG_SCHEMA` and the record of each gene."""
    job, model = state
    effects = zip(genes, model.of(genes), strict=True)
    return [_score_gene(job, gene_id, each, model.window) for gene_id, each in effects]


def _score_gene(job: _Job, gene_id: str, effects: Effects, window: int | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Rows of `LONG_SCHEMA` and the record of one gene; of a network with the bases that it reads."""
    cohort, config = job.cohort, job.config
    gene, fold = cohort.gene(gene_id), cohort.fold(config.fold)
    variants, _ = cohort.window_variants(gene_id)
    dosages = imputed(cohort.dosages(gene_id), fold)
    if window is not None:
        inside = inside_window(gene, variants, window)
        variants, dosages = variants.filter(pl.Series(inside, dtype=pl.Boolean)), dosages[:, inside]
    elastic_net = _elastic_net(job, gene_id, variants)
    count = config.top if elastic_net is None else int(np.count_nonzero(elastic_net))
    scored = high_scoring(effects.weight, count)
    chosen, record = _drivers(job, gene_id, effects, dosages)
    strand = 1 if gene.strand == "+" else -1
    nothing = np.full(variants.height, np.nan)
    columns: dict[str, Any] = {
        "gene_id": gene_id,
        "model": job.model,
        "fold": config.fold,
        **{name: variants[name] for name in KEY},
        "tss_distance": strand * (variants["position"] - gene.tss),
        "eaf": dosages[fold.train].mean(axis=0) / 2,
        "weight": effects.weight,
        "ism": effects.ism,
        "gradient": effects.gradient,
        "people_gradient": effects.people_gradient,
        "elastic_net": nothing if elastic_net is None else elastic_net,
        "high_scoring": scored,
        **{f"driver_{rule}": None if chosen is None else chosen[rule] for rule in RULES},
    }
    table = pl.DataFrame(columns, schema_overrides=LONG_SCHEMA, nan_to_null=True).select(
        pl.col(name).cast(kind).fill_nan(None) if kind.is_float() else pl.col(name).cast(kind)
        for name, kind in LONG_SCHEMA.items()
    )
    return table, {
        "gene": gene_id,
        "name": gene.name,
        "variants": variants.height,
        "reference": effects.reference,
        "high_scoring": int(scored.sum()),
        **record,
    }


def _elastic_net(job: _Job, gene_id: str, variants: pl.DataFrame) -> Float64[ndarray, " variant"] | None:
    """Weights of the elastic net per copy of ALT, 0 for those it left out."""
    if job.elastic_net is None:
        return None
    return aligned_weights(variants, job.elastic_net.filter(pl.col("gene_id") == gene_id))


def _drivers(
    job: _Job, gene_id: str, effects: Effects, dosages: Float32[ndarray, "individual variant"]
) -> tuple[dict[Rule, Bool[ndarray, " variant"]] | None, dict[str, Any]]:
    """Drivers by each rule from tuning individuals; those of the chosen rule on test individuals."""
    parts = {part: _predictions(job, gene_id, part) for part in ("tune", "test")}
    known = all(len(rows) >= 4 and np.isfinite(values).all() for rows, values in parts.values())
    if not known or not np.isfinite(effects.weight).all() or not effects.weight.size:
        return None, {"drivers": None}
    rows, values = parts["tune"]
    found = {rule: find_drivers(dosages[rows], effects.weight, values, rule=rule) for rule in RULES}
    chosen = found[job.config.rule].order
    weights = effects.weight[chosen]
    # What the others add on average is in no driver: beside the reference's prediction, the intercept that tuning individuals ask for.
    tuned = float((values - dosages[rows][:, chosen] @ weights).mean())
    rows, values = parts["test"]
    observed = adjusted_expression(job.cohort, gene_id, job.cohort.fold(job.config.fold))[rows]
    copies = dosages[rows][:, chosen]
    record: dict[str, Any] = {"drivers": {rule: int(each.chosen.sum()) for rule, each in found.items()}}
    record["rule"] = job.config.rule
    record["linear_r_tune"] = _finite(found[job.config.rule].linear_r)
    record["tuned_intercept"] = tuned
    for name, target in (("prediction", values), ("expression", observed)):
        plain, shifted = (driver_score(copies, weights, start, target) for start in (effects.reference, tuned))
        record |= {
            f"drivers_r_{name}_test": _finite(plain.r),
            f"drivers_r2_{name}_test": _finite(plain.r2),
            f"drivers_r2_{name}_test_tuned_intercept": _finite(shifted.r2),
        }
    return {rule: each.chosen for rule, each in found.items()}, record


def _predictions(job: _Job, gene_id: str, part: str) -> tuple[list[int], Float64[ndarray, " individual"]]:
    """Rows of the individuals of a part, and what the model predicts for them."""
    rows = job.run.predictions.filter(
        (pl.col("gene_id") == gene_id)
        & (pl.col("model") == job.model)
        & (pl.col("fold") == job.config.fold)
        & (pl.col("part") == part)
    )
    place = {name: row for row, name in enumerate(job.cohort.people)}
    return [place[name] for name in rows["person"]], rows["prediction"].to_numpy().astype(np.float64)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
