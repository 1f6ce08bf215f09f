"""`export_weights`: the weights of a linear run as files of PrediXcan, FUSION, or a table of scores."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from varfx._version import __version__
from varfx.errors import ConfigError, DataError
from varfx.expression.evaluate import cohort_of
from varfx.expression.gene_list import gene_ids
from varfx.expression.run import open_run
from varfx.expression.twas.config import ExportConfig
from varfx.expression.twas.from_run import ExportedGene, exportable_models, exported_genes
from varfx.expression.twas.fusion import weights_folder, write_fusion
from varfx.expression.twas.predictdb import covariance_path, write_predictdb
from varfx.expression.twas.prs import write_prs

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
    """

    files: dict[str, str]
    genes: int
    left_out: int
    models: tuple[str, ...]
    fold: int


def export_weights(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: ExportConfig = _DEFAULT,
    *,
    cohort: str | os.PathLike[str] | None = None,
) -> Exported:
    """Writes the weights of a run's linear models.

    Args:
        run: of `varfx expr baseline`.
        out: the file; FUSION's weights and PredictDB's covariances stand beside it.
        config: format, model, fold and genes.
        cohort: where the run's cohort lies, if it moved.

    Raises:
        DataError: a network, a run without weights, or no gene left.
        ConfigError: no such model or fold.
        StoreError: a file cannot be written, or the run or cohort is damaged.
    """
    opened = open_run(run)
    models = exportable_models(opened, config.model)
    if config.format != "fusion" and config.model is None:
        models = ["elastic-net"] if "elastic-net" in models else models[:1]
    folds = list(opened.record["folds"])
    fold = folds[0] if config.fold is None else config.fold
    if fold not in folds:
        raise ConfigError(f"`fold`: `{opened.path}` has models of {', '.join(map(str, folds))}, got {fold}.")
    people = cohort_of([opened], cohort)
    every = exported_genes(opened, people, models, fold, gene_ids(config.genes))
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
    }
    match config.format:
        case "predictdb":
            write_predictdb(genes, models[0], out, build=config.build, about=about)
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
    )


def _least_p(gene: ExportedGene) -> float:
    """Of the models; 0 where none was tested."""
    return float(gene.genes.select(pl.col("p").fill_nan(0.0).min()).item())
