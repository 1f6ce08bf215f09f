"""`fit_one`: one network of a run, from first weights to the files of an unfinished run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Int64
from numpy import ndarray
from torch import Tensor

from varfx.expression.cohort.store import Cohort
from varfx.expression.network.batches import CohortBatches
from varfx.expression.network.config import FitConfig
from varfx.expression.network.reference_only import ReferenceGenes
from varfx.expression.network.tasks import NetworkTask
from varfx.expression.run import MODELS, PREDICTION_SCHEMA
from varfx.io import sealed
from varfx.io.run_folder import RunFolder
from varfx.models.expression import ExpressionNetwork, LoadedNetwork, load_network
from varfx.progress import Progress
from varfx.training import processes
from varfx.training.people.batches import GeneBatches
from varfx.training.people.predict import calibrate, predict
from varfx.training.people.threads import chosen_threads

if TYPE_CHECKING:
    from varfx.training.people.fit import ExpressionOutcome

PARTS = "parts"  # of an unfinished run: what each finished network left
CHECKPOINTS = "checkpoints"  # of the network that is being trained
PREDICTIONS_KIND = "expression predictions"


def start_network(config: FitConfig) -> LoadedNetwork:
    """The network before training."""
    generator = torch.Generator().manual_seed(config.training.seed)
    if config.checkpoint is not None:
        return load_network(config.checkpoint, config.sizes, generator=generator)
    return LoadedNetwork(ExpressionNetwork(config.sizes, generator=generator), "")


def fit_one(
    cohort: Cohort,
    task: NetworkTask,
    config: FitConfig,
    network: ExpressionNetwork,
    folder: RunFolder,
    device: torch.device,
    progress: Progress,
) -> None:
    """Trains one network, and writes its weights, predictions and history; the last file marks it as finished."""
    from varfx.training.people.fit import train_expression  # loads Lightning

    data = _batches(cohort, task.genes, task, config)
    learned, tuning = training_data(cohort, task, config, data)
    checkpoints = folder.below(CHECKPOINTS, task.stem)
    resumed = processes.of_first((checkpoints / "last").is_dir())
    network.to(device)
    if config.checkpoint is None and not resumed and config.sizes.norm in ("running", "frozen"):
        calibrate(network, learned, seed=config.training.seed)
    with chosen_threads(network, config.training.people_at_once, device):
        outcome = train_expression(
            network, learned, config.training, checkpoints, tuning=tuning, resume=True, progress=progress
        )
    network.to(device)
    table = _predictions(cohort, task, config, network, data, device)
    processes.first_does(lambda: _write_one(task, folder, network, table, outcome))


def training_data(
    cohort: Cohort, task: NetworkTask, config: FitConfig, data: CohortBatches
) -> tuple[GeneBatches, GeneBatches | None]:
    """What the network learns from, and, where stopping has genes of its own, these.

    Args:
        cohort: the cohort.
        task: the network.
        config: whether the reference alone is learned from.
        data: the training genes.
    """
    if config.reference_only:
        return ReferenceGenes(
            cohort, task.genes, task.tuned, task.fold, config.sizes.window, config.training.seed
        ), None
    if not task.tuned:
        return data, None
    return data, _batches(cohort, task.tuned, task, config)


def _batches(cohort: Cohort, genes: Sequence[str], task: NetworkTask, config: FitConfig) -> CohortBatches:
    return CohortBatches(
        cohort,
        genes,
        task.fold,
        window=config.sizes.window,
        phased=config.phased,
        train_size=config.train_size,
        seed=config.training.seed,
    )


def _write_one(
    task: NetworkTask, folder: RunFolder, network: ExpressionNetwork, table: pl.DataFrame, outcome: ExpressionOutcome
) -> None:
    part = folder.building / PARTS / task.stem
    sealed.write_table(table, part.with_name(f"{task.stem}.parquet"), kind=PREDICTIONS_KIND, metadata={})
    sealed.write_tensors(folder.result / MODELS / f"{task.stem}.safetensors", network.state_dict())
    sealed.write_json(part.with_name(f"{task.stem}.json"), _outcome(task, outcome))
    sealed.remove(folder.building / CHECKPOINTS / task.stem)


def _predictions(
    cohort: Cohort,
    task: NetworkTask,
    config: FitConfig,
    network: ExpressionNetwork,
    data: CohortBatches,
    device: torch.device,
) -> pl.DataFrame:
    """Tuning and test individuals' predictions, of training genes (hop) and held-out genes (hogp)."""
    fold = cohort.fold(task.fold)
    rows = np.concatenate([fold.tune, fold.test])
    parts = ["tune"] * fold.tune.size + ["test"] * fold.test.size
    names = [cohort.people[row] for row in rows]
    heldout = _batches(cohort, task.heldout, task, config)
    genes = [
        (split, source, number)
        for split, source in (("hop", data), ("hogp", heldout))
        for number in range(source.num_genes)
    ]

    def table(split: str, source: CohortBatches, number: int) -> pl.DataFrame:
        values = predict(
            network, partial(_encode, source, number, device), rows, micro_batch=config.training.people_at_once
        )
        columns = {
            "gene_id": source.genes[number],
            "model": config.label,
            "fold": task.fold,
            "split": split,
            "part": parts,
            "person": names,
            "prediction": values,
        }
        return pl.DataFrame(columns, schema=PREDICTION_SCHEMA)

    size = processes.world()  # each process predicts its share of the genes
    with processes.in_step():
        mine = [table(*each) for each in genes[processes.rank() :: size]]
    shares = processes.gathered_objects(mine)
    return pl.concat([shares[place % size][place // size] for place in range(len(genes))])


def _encode(source: CohortBatches, gene: int, device: torch.device, rows: Int64[ndarray, " individual"]) -> Tensor:
    return source.encode(gene, rows, device)


def _outcome(task: NetworkTask, outcome: ExpressionOutcome) -> dict[str, Any]:
    return {
        "fold": task.fold,
        "gene": task.gene,
        "best_epoch": outcome.best,
        "tune_r2": outcome.history[outcome.best - 1].validation,
        "stopped": outcome.stopped,
        "history": [[each.step, each.train, each.validation] for each in outcome.history],
    }
