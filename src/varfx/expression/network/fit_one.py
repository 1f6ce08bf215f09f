"""`fit_one`: one network of a run, from first weights to the files of an unfinished run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
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
from varfx.expression.network.coverage import CohortCoverage, coverage_metrics, read_coverage
from varfx.expression.network.coverage_files import read_manifest
from varfx.expression.network.indels import indel_files
from varfx.expression.network.reference_only import ReferenceGenes
from varfx.expression.network.tasks import NetworkTask
from varfx.expression.run import MODELS, PREDICTION_SCHEMA
from varfx.io import sealed
from varfx.io.run_folder import RunFolder
from varfx.models.coverage import CoverageNetwork, Predictor
from varfx.models.expression import ExpressionNetwork, LoadedNetwork, load_trunk
from varfx.models.expression_config import ExpressionNetworkConfig
from varfx.models.trunk import Trunk
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
        trunk, checksum = load_trunk(config.checkpoint, config.sizes)
        return LoadedNetwork(new_network(config.sizes, generator, trunk), checksum)
    return LoadedNetwork(new_network(config.sizes, generator), "")


def new_network(
    sizes: ExpressionNetworkConfig, generator: torch.Generator | None = None, trunk: Trunk | None = None
) -> ExpressionNetwork:
    """A network of expression, or of coverage, with a fresh head."""
    kind = CoverageNetwork if sizes.coverage_tracks else ExpressionNetwork
    return kind(sizes, generator=generator, trunk=trunk)


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
    genes_of = _sources(cohort, task, config)
    data = genes_of(task.genes)
    learned, tuning = training_data(cohort, task, config, data, genes_of)
    checkpoints = folder.below(CHECKPOINTS, task.stem)
    resumed = processes.of_first((checkpoints / "last").is_dir())
    network.to(device)
    if config.checkpoint is None and not resumed and config.sizes.norm in ("running", "frozen"):
        calibrate(network, learned, seed=config.training.seed)
    if isinstance(network, CoverageNetwork) and isinstance(data, CohortCoverage) and not resumed:
        network.start_at(data.mean_target().to(device))
    with chosen_threads(network, config.training.people_at_once, device):
        outcome = _train(network, learned, tuning, config, checkpoints, progress)
    network.to(device)
    sources = [("hop", data), ("hogp", genes_of(task.heldout))]
    table = _predictions(cohort, task, config, network, sources, device)
    record = {**_outcome(task, outcome), "coverage": _coverage(cohort, task, config, network, sources)}
    processes.first_does(lambda: _write_one(task, folder, network, table, record))


def _sources(cohort: Cohort, task: NetworkTask, config: FitConfig) -> Callable[[tuple[str, ...]], CohortBatches]:
    """Makes batches of some of the network's genes, of expression or of coverage, which is read here."""
    target, window, size, seed = config.target, config.sizes.window, config.train_size, config.training.seed
    indels = indel_files(cohort, config.indels, config.reference)
    if target.coverage is None:
        return lambda genes: CohortBatches(
            cohort, genes, task.fold, window=window, phased=config.phased, train_size=size, seed=seed, indels=indels
        )
    store = read_coverage(
        cohort,
        read_manifest(target.coverage, cohort.people),
        (*task.genes, *task.heldout, *task.tuned),
        window=window,
        bin_size=config.sizes.trunk().bin_size,
        train=cohort.fold(task.fold).thinned(size, seed).train,
        exons=target.exons,
        scale=target.coverage_scale,
        clip=target.clip_soft,
    )
    return lambda genes: CohortCoverage(
        cohort,
        genes,
        task.fold,
        store=store,
        window=window,
        phased=config.phased,
        train_size=size,
        seed=seed,
        indels=indels,
    )


def _train(
    network: ExpressionNetwork,
    learned: GeneBatches,
    tuning: GeneBatches | None,
    config: FitConfig,
    checkpoints: Path,
    progress: Progress,
) -> ExpressionOutcome:
    from varfx.training.people.fit import train_coverage, train_expression  # loads Lightning

    if not isinstance(network, CoverageNetwork):
        return train_expression(
            network, learned, config.training, checkpoints, tuning=tuning, resume=True, progress=progress
        )
    from varfx.training.people.coverage import CoverageLoss, CoverageModule

    assert isinstance(learned, CohortCoverage)
    assert tuning is None or isinstance(tuning, CohortCoverage)
    loss = CoverageLoss(
        total_weight=config.target.total_weight,
        difference_weight=config.target.difference_weight,
        frozen_epochs=config.target.frozen_epochs or 0,
    )
    module = CoverageModule(network, learned, config.training, loss, tuning)
    return train_coverage(module, checkpoints, resume=True, progress=progress)


def training_data(
    cohort: Cohort,
    task: NetworkTask,
    config: FitConfig,
    data: CohortBatches,
    genes_of: Callable[[tuple[str, ...]], CohortBatches],
) -> tuple[GeneBatches, GeneBatches | None]:
    """What the network learns from, and, where stopping has genes of its own, these.

    Args:
        cohort: the cohort.
        task: the network.
        config: whether the reference alone is learned from.
        data: the training genes.
        genes_of: makes batches of others.
    """
    if config.reference_only:
        return ReferenceGenes(
            cohort, task.genes, task.tuned, task.fold, config.sizes.window, config.training.seed
        ), None
    return data, genes_of(task.tuned) if task.tuned else None


def _write_one(
    task: NetworkTask, folder: RunFolder, network: ExpressionNetwork, table: pl.DataFrame, record: dict[str, Any]
) -> None:
    part = folder.building / PARTS / task.stem
    sealed.write_table(table, part.with_name(f"{task.stem}.parquet"), kind=PREDICTIONS_KIND, metadata={})
    sealed.write_tensors(folder.result / MODELS / f"{task.stem}.safetensors", network.state_dict())
    sealed.write_json(part.with_name(f"{task.stem}.json"), record)
    sealed.remove(folder.building / CHECKPOINTS / task.stem)


def _predictions(
    cohort: Cohort,
    task: NetworkTask,
    config: FitConfig,
    network: ExpressionNetwork,
    sources: Sequence[tuple[str, CohortBatches]],
    device: torch.device,
) -> pl.DataFrame:
    """Tuning and test individuals' predictions, of training genes (hop) and held-out genes (hogp)."""
    fold = cohort.fold(task.fold)
    rows = np.concatenate([fold.tune, fold.test])
    parts = ["tune"] * fold.tune.size + ["test"] * fold.test.size
    names = [cohort.people[row] for row in rows]
    genes = [(split, source, number) for split, source in sources for number in range(source.num_genes)]

    def table(split: str, source: CohortBatches, number: int) -> pl.DataFrame:
        values = predict(
            _predictor(network, source, number),
            partial(_encode, source, number, device),
            rows,
            micro_batch=config.training.people_at_once,
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


def _predictor(network: ExpressionNetwork, source: CohortBatches, gene: int) -> Predictor:
    """What maps sequences of a gene to its expression."""
    if isinstance(network, CoverageNetwork) and isinstance(source, CohortCoverage):
        return source.totals(gene, network)
    return network


def _coverage(
    cohort: Cohort,
    task: NetworkTask,
    config: FitConfig,
    network: ExpressionNetwork,
    sources: Sequence[tuple[str, CohortBatches]],
) -> list[dict[str, Any]]:
    """Of a network of coverage, a record per gene: its exons' bins and scale, and scores in test individuals."""
    if not isinstance(network, CoverageNetwork):
        return []
    rows, found = cohort.fold(task.fold).test, []
    for split, source in sources:
        assert isinstance(source, CohortCoverage)
        for gene in range(source.num_genes):
            scores = coverage_metrics(network, source, gene, rows, config.training.people_at_once)
            found.append({"fold": task.fold, "split": split, **source.record(gene), **scores})
    return found


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
