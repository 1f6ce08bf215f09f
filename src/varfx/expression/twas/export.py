"""`export_weights`: the weights of a run as files of PrediXcan, FUSION, or a table of scores; of a network those of its linear approximation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from varfx._version import __version__
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import Cohort
from varfx.expression.evaluate import cohort_of
from varfx.expression.gene_list import gene_ids
from varfx.expression.run import NETWORK, ExpressionRun, open_run
from varfx.expression.twas.config import ExportConfig
from varfx.expression.twas.from_run import ExportedGene, LinearModels, exported_genes, linear_models
from varfx.expression.twas.fusion import weights_folder, write_fusion
from varfx.expression.twas.linearised import Agreement, linearised
from varfx.expression.twas.predictdb import covariance_path, write_predictdb
from varfx.expression.twas.prs import write_prs
from varfx.progress import Progress, silent

_DEFAULT = ExportConfig()


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        files: with what each holds.
        genes: how many.
        left_out: genes whose held-out correlation had too large a p.
        models: their names.
        fold: whose weights.
        agreement: of a network, how well the approximation stands for it; None for linear models.
    """

    files: dict[str, str]
    genes: int
    left_out: int
    models: tuple[str, ...]
    fold: int
    agreement: Agreement | None = None


def export_weights(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: ExportConfig = _DEFAULT,
    *,
    cohort: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Exported:
    """Writes the weights of a run's linear models, or of the linear approximation of a network.

    Args:
        run: of `varfx expr baseline` or `varfx expr fit`.
        out: the file; FUSION's weights and PredictDB's covariances stand beside it.
        config: format, model, fold and genes.
        cohort: where the run's cohort lies, if it moved.
        progress: told about genes of a network.

    Raises:
        DataError: a run without weights, scores of another run, or no gene left.
        ConfigError: no such model or fold.
        StoreError: a file cannot be written, or the run or cohort is damaged.
    """
    opened = open_run(run)
    folds = list(opened.record["folds"])
    fold = folds[0] if config.fold is None else config.fold
    if fold not in folds:
        raise ConfigError(f"`fold`: `{opened.path}` has models of {', '.join(map(str, folds))}, got {fold}.")
    people, wanted = cohort_of([opened], cohort), gene_ids(config.genes)
    source, agreement = _source(opened, people, config, fold, wanted, progress)
    models = _chosen(source, config)
    every = exported_genes(source, people, models, fold, wanted)
    genes = [gene for gene in every if _least_p(gene) <= config.max_p]
    if not genes:
        raise DataError(
            f"none of {len(every)} genes has p of {config.max_p:g} or less in test individuals. Raise --max-p."
        )
    about = {
        "varfx": __version__,
        "run": opened.path.name,
        "cohort_seal": opened.record["cohort_seal"],
        "fold": str(fold),
        **({} if agreement is None else agreement.about()),
    }
    match config.format:
        case "predictdb":
            beside = None if agreement is None else agreement.by_gene()
            write_predictdb(genes, models[0], out, build=config.build, about=about, agreement=beside)
            files = {str(out): "PredictDB", str(covariance_path(out)): "covariances"}
        case "fusion":
            write_fusion(genes, out)
            files = {str(out): "POS file", str(weights_folder(out)): "weights"}
        case "prs":
            write_prs(genes, models[0], out)
            files = {str(out): "scores"}
    return Exported(
        files={str(Path(name)): what for name, what in files.items()},
        genes=len(genes),
        left_out=len(every) - len(genes),
        models=tuple(models),
        fold=fold,
        agreement=None if agreement is None else agreement.of([gene.gene for gene in genes]),
    )


def _source(
    run: ExpressionRun, cohort: Cohort, config: ExportConfig, fold: int, genes: tuple[str, ...], progress: Progress
) -> tuple[LinearModels, Agreement | None]:
    """Linear models of a run; of a network its approximation, and how well that stands for it."""
    if run.kind == NETWORK:
        return linearised(run, cohort, fold, genes, scores=config.scores, device=config.device, progress=progress)
    if config.scores is not None:
        raise ConfigError(
            f"`scores` belongs to networks, but `{run.path}` has linear models with weights of their own."
        )
    return linear_models(run), None


def _chosen(source: LinearModels, config: ExportConfig) -> list[str]:
    """Models to export: the named one, all for FUSION, else elastic-net or the first."""
    models = list(source.models)
    if config.model is not None and config.model not in models:
        raise ConfigError(f"`model` must be one of {', '.join(models)} for `{source.path}`, got {config.model!r}.")
    if config.model is not None:
        return [config.model]
    if config.format == "fusion":
        return models
    return ["elastic-net"] if "elastic-net" in models else models[:1]


def _least_p(gene: ExportedGene) -> float:
    """Of the models; 0 where none was tested."""
    return float(gene.genes.select(pl.col("p").fill_nan(0.0).min()).item())
