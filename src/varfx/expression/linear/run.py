"""`fit_baselines`: the linear models of all genes of a cohort, in all folds, as a run."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float64
from numpy import ndarray
from threadpoolctl import threadpool_limits

from varfx.annotations import Annotations, parse_named_path
from varfx.annotations.snpvar import read_variances
from varfx.bootstrap import listed, sum_interval
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.gene_data import gene_data
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.gene_list import gene_ids
from varfx.expression.linear.config import INFORMED, PRIOR, WEIGHTED, ZERO_SHOT, BaselineConfig
from varfx.expression.linear.features import read_window_annotations, window_features
from varfx.expression.linear.gene import (
    FitJob,
    GeneFits,
    Part,
    fit_and_write,
    join_fits,
    part_folder,
    prediction_rows,
    read_fits,
    start_worker,
    write_fits,
)
from varfx.expression.linear.informed import LearnedPrior, gene_window_data, learn_prior
from varfx.expression.model_names import sized_name
from varfx.expression.network.zero_shot import load_zero_shot, predict_zero_shot
from varfx.expression.run import BASELINES, ExpressionRun, begin_run, cohort_identity, run_folder, write_run
from varfx.io import sealed
from varfx.io.output_lock import one_writer
from varfx.io.workers import Job, Workers, map_pieces, num_cores
from varfx.linalg.threads import one_thread
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
SLOW = {"elastic-net", "lasso"}  # seconds a gene
GENES_PER_WORKER = 100  # of the other models, that are worth the start of a process
PARTS = "parts"  # of an unfinished run: the tables of each finished gene


@one_writer
def fit_baselines(
    cohort: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: BaselineConfig | None = None,
    *,
    annot: Sequence[Path] = (),
    beds: Sequence[str] = (),
    variances: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> ExpressionRun:
    """Fits the baselines of a cohort and writes the run; the numbers do not depend on how many workers there are.

    Args:
        cohort: made by `varfx expr prepare`.
        out: the run's folder.
        config: which models.
        annot: `*.annot.parquet` files whose channels the shared prior of informed-blup may use.
        beds: BED files for the same, `PATH` or `NAME=PATH`.
        variances: prior variances of variants for prior-blup, of `varfx prior predict` or anybody's; see
            `varfx.annotations.snpvar.read_variances`.
        workers: processes; by default one per core.
        scheduler: address of a running dask.distributed scheduler whose workers see the same files; in place of
            `workers`.
        resume: go on with an interrupted run in `out`; finished genes are kept.
        overwrite: replace a finished run in `out`.
        progress: told about each gene.

    Raises:
        VarfxError: files that are not what they should be, genes or folds that the cohort does not have, a lost scheduler.
    """
    config, where = _completed(config or BaselineConfig()), Workers(workers=workers, scheduler=scheduler)
    opened = open_cohort(cohort)
    genes, folds = chosen_genes(opened, config.genes), chosen_folds(opened, config.folds)
    for number, size in itertools.product(folds, config.train_size):
        opened.fold(number).thinned(size, config.seed)  # refused before anything is fitted
    annotations = read_window_annotations(opened.variants, annot, beds) if INFORMED in config.models else []
    given = _given_variances(opened, config, variances)
    network = load_zero_shot(config.zero_shot) if ZERO_SHOT in config.models and config.zero_shot else None
    provenance = sealed.provenance(_jsonable(config), _named_inputs(opened, config, annot, beds, variances))
    begin_run(out, provenance, resume=resume, overwrite=overwrite)
    job = _Job(opened, run_folder(out).below(PARTS), genes, folds, config, annotations, where, progress, given)

    fits, priors = _fit_stages(job, network)
    record = {
        "kind": BASELINES,
        **cohort_identity(opened.path),
        "models": list(config.names),
        "folds": list(folds),
        "genes": list(genes),
        "config": _jsonable(config),
        "skipped": fits.skipped,
        "unconverged": _unconverged(fits),
        "provenance": provenance,
    }
    if priors:
        record["informed"] = {
            sized_name(str(fold), size): {**prior.to_dict(), **_gains(opened, fits, INFORMED, fold, size)}
            for (fold, size), prior in priors.items()
        }
    if given is not None:
        parts = itertools.product(folds, job.sizes)
        record["prior_variances"] = {
            "variants": given.size,
            "known": int(np.isfinite(given).sum()),
            "gains": {sized_name(str(fold), size): _gains(opened, fits, PRIOR, fold, size) for fold, size in parts},
        }
    linear = bool(set(config.models) & set(WEIGHTED))
    return write_run(
        out,
        record=record,
        predictions=fits.predictions,
        weights=fits.weights if linear and config.keep_weights else None,
        intercepts=fits.intercepts if linear else None,
    )


def _given_variances(
    cohort: Cohort, config: BaselineConfig, path: str | os.PathLike[str] | None
) -> Float64[ndarray, " variant"] | None:
    """Prior variances of the cohort's variants for prior-blup, NaN where the file has none.

    Raises:
        ConfigError: the model without a file, or a file without the model.
        VarfxError: a file that cannot be read, or of another genome build.
    """
    if (path is not None) != (PRIOR in config.models):
        raise ConfigError(
            f"`--variances FILE` and the model {PRIOR} belong together: give both (--models blup,{PRIOR}), or neither. `varfx prior "
            "predict` makes the file."
        )
    if path is None:
        return None
    return read_variances(path, cohort.variants.with_columns(eaf=pl.lit(None, pl.Float64)))


def _completed(config: BaselineConfig) -> BaselineConfig:
    """The options with genes read from files, and the seed of the shared prior."""
    config = replace(config, genes=gene_ids(config.genes))
    if config.informed.seed is None:
        config = replace(config, informed=replace(config.informed, seed=config.seed))
    return config


def _named_inputs(
    cohort: Cohort,
    config: BaselineConfig,
    annot: Sequence[Path],
    beds: Sequence[str],
    variances: str | os.PathLike[str] | None,
) -> dict[str, str | os.PathLike[str]]:
    """Each input by the name that the run's provenance has for it."""
    inputs: dict[str, str | os.PathLike[str]] = {"cohort": cohort.path}
    inputs |= {f"annot.{i}": path for i, path in enumerate(annot)}
    inputs |= {f"bed.{i}": parse_named_path(text)[1] for i, text in enumerate(beds)}
    if variances is not None:
        inputs["variances"] = variances
    if config.zero_shot is not None:
        inputs["checkpoint"] = config.zero_shot.checkpoint
    return inputs


@dataclass(frozen=True, eq=False)
class _Job:
    """Inputs shared by all stages."""

    cohort: Cohort
    parts: Path
    genes: tuple[str, ...]
    folds: tuple[int, ...]
    config: BaselineConfig
    annotations: Sequence[Annotations]
    where: Workers
    progress: Progress
    given: Float64[ndarray, " variant"] | None = None

    @property
    def sizes(self) -> tuple[int | None, ...]:
        """Numbers of training individuals; None is all of them."""
        return (None, *self.config.train_size)


def chosen_genes(cohort: Cohort, wanted: Sequence[str]) -> tuple[str, ...]:
    """The cohort's ids of these genes, in the cohort's order; all if none is named.

    Raises:
        DataError: the cohort does not have one.
    """
    ids = cohort.genes["gene_id"].to_list()
    if not wanted:
        return tuple(ids)
    named = {cohort.gene(name).gene_id for name in wanted}
    return tuple(gene for gene in ids if gene in named)


def chosen_folds(cohort: Cohort, wanted: Sequence[int]) -> tuple[int, ...]:
    """These folds, or all if none is named.

    Raises:
        ConfigError: there is no such fold.
    """
    other = [number for number in wanted if not 0 <= number < cohort.num_folds]
    if other:
        raise ConfigError(f"`folds`: the cohort's are 0 to {cohort.num_folds - 1}, got {other[0]}.")
    return tuple(sorted(set(wanted))) if wanted else tuple(range(cohort.num_folds))


def _fit_stages(job: _Job, network: Any | None) -> tuple[GeneFits, dict[Part, LearnedPrior]]:
    """The fits of all genes: linear models, those with a shared prior, and the network's; and the prior of each fold and size."""
    models = job.config.models
    plain = [name for name in models if name in WEIGHTED and name != INFORMED]
    if plain:
        _fit_all(job, plain, "linear", None)
    priors: dict[Part, LearnedPrior] = {}
    if INFORMED in models:
        priors = {part: _learn(job, *part) for part in itertools.product(job.folds, job.sizes)}
        _fit_all(job, [INFORMED], INFORMED, priors)
    if network is not None:
        _zero_shot(job, network)
    stages = [name for name, used in (("linear", plain), (INFORMED, priors), (ZERO_SHOT, network)) if used]
    parts = [read_fits(part_folder(job.parts, gene, stage)) for gene in job.genes for stage in stages]
    return join_fits(parts), priors


def _fit_all(job: _Job, models: Sequence[str], stage: str, priors: Mapping[Part, LearnedPrior] | None) -> None:
    """Fits these models of all genes that are not finished yet."""
    config = job.config
    fitting = FitJob(
        cohort=job.cohort.path,
        parts=job.parts,
        stage=stage,
        models=tuple(models),
        folds=job.folds,
        sizes=job.sizes,
        with_tune=config.fit_on == "train+tune",
        keep_weights=config.keep_weights,
        seed=config.seed,
        priors=priors,
        annotations=job.annotations,
        given=job.given,
    )
    todo = [gene for gene in job.genes if not fitting.folder(gene).is_dir()]
    done = len(job.genes) - len(todo)
    if done:
        logger.info("resuming: %s models of %d of %d genes are done", stage, done, len(job.genes))
    what = f"genes, {stage}" if stage == INFORMED else "genes, linear models"
    work = Job(
        function=fit_and_write,
        start=start_worker,
        arguments=(fitting,),
        what=what,
        finished=done,
        again="Give the same command again with --resume: finished genes are kept.",
        folder=job.parts,
    )
    where = job.where
    if where.scheduler is None and not SLOW & set(models):
        where = Workers(workers=where.count(max(1, len(todo) // GENES_PER_WORKER)))
    for _ in map_pieces(work, todo, where):
        job.progress(done := done + 1, len(job.genes), what)


def _learn(job: _Job, number: int, size: int | None) -> LearnedPrior:
    """The shared prior of one fold, from (so many) training individuals of training genes."""
    config = job.config.informed
    training = set(job.cohort.genes_train)
    genes = [gene for gene in job.genes if gene in training]
    if len(genes) > config.max_genes:
        rng = np.random.default_rng([config.seed or 0, number])
        genes = [genes[place] for place in np.sort(rng.choice(len(genes), config.max_genes, replace=False))]
    if not genes:
        raise DataError("none of the genes is a training gene: informed-blup has nothing to learn from. Name others.")
    data, useless = [], []
    for gene_id in genes:
        try:
            gene = gene_data(job.cohort, gene_id, number, train_size=size, seed=job.config.seed)
        except DataError as error:
            useless.append(str(error))
            continue
        features = window_features(job.cohort.gene(gene_id), gene.variants, job.annotations)
        data.append(gene_window_data(gene_id, gene.X, gene.y, gene.fold.train, gene.fold.tune, features))
    if useless:
        logger.warning("fold %d: %d of %d genes teach nothing, first %s", number, len(useless), len(genes), useless[0])
    with one_thread(), threadpool_limits(1), ThreadPoolExecutor(job.where.workers or num_cores()) as pool:
        return learn_prior(data, config, executor=pool, progress=job.progress)


def _zero_shot(job: _Job, network: Any) -> None:
    config = job.config.zero_shot
    assert config is not None
    heldout = set(job.cohort.genes_heldout)
    for done, gene in enumerate(job.genes, start=1):
        folder = part_folder(job.parts, gene, ZERO_SHOT)
        if not folder.is_dir():
            folds = [job.cohort.fold(number) for number in job.folds]
            needed = np.unique(np.concatenate([rows for fold in folds for rows in (fold.tune, fold.test)]))
            values = np.full(len(job.cohort.people), np.nan, dtype=np.float32)
            values[needed] = predict_zero_shot(network, job.cohort, gene, needed, config)
            split = "hogp" if gene in heldout else "hop"
            keys = [{"gene_id": gene, "model": ZERO_SHOT, "fold": number} for number in job.folds]
            rows = [
                prediction_rows(job.cohort.people, f, values, key, split) for f, key in zip(folds, keys, strict=True)
            ]
            empty = join_fits([])
            write_fits(replace(empty, predictions=pl.concat(rows)), folder)
        job.progress(done, len(job.genes), "genes, zero-shot")


def _unconverged(fits: GeneFits) -> dict[str, int]:
    """Fits of each model whose coordinate descent stopped before its tolerance."""
    counts = fits.notes.filter(pl.col("note") == "unconverged").group_by("model").len().sort("model")
    return {str(name): int(count) for name, count in counts.iter_rows()}


def _gains(cohort: Cohort, fits: GeneFits, model: str, fold: int, size: int | None) -> dict[str, Any]:
    """Nats that a model's prior adds to the log-likelihood of genes' training individuals over equal variances."""
    of_size = pl.col("model") == sized_name(model, size)
    rows = fits.notes.filter((pl.col("note") == "gain") & (pl.col("fold") == fold) & of_size)
    gains = {}
    for name, genes in (("gain_training_genes", cohort.genes_train), ("gain_heldout_genes", cohort.genes_heldout)):
        values = rows.filter(pl.col("gene_id").is_in(list(genes)))["value"].to_numpy()
        gains[name] = {
            "genes": int(values.size),
            "nats": float(values.sum()),
            "ci95": listed(sum_interval(values)),
        }
    return gains


def _jsonable(config: BaselineConfig) -> dict[str, Any]:
    record = asdict(config)
    if config.zero_shot is not None:
        record["zero_shot"] |= {
            "checkpoint": str(config.zero_shot.checkpoint),
            "network": repr(config.zero_shot.network),
        }
    return {name: _plain(value) for name, value in record.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple) else value
