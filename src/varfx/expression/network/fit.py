"""`fit_network`: a sequence model of expression for a cohort, trained per fold (and gene), with its predictions, as a run."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import safetensors.torch
import torch
from jaxtyping import Int64
from numpy import ndarray
from torch import Tensor

from varfx.device import find_device
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.gene_list import gene_ids
from varfx.expression.network.batches import CohortBatches, check_window
from varfx.expression.network.config import FitConfig, NetworkChoice
from varfx.expression.run import (
    MODELS,
    NETWORK,
    PREDICTION_SCHEMA,
    ExpressionRun,
    cohort_identity,
    open_run,
    run_folder,
    write_run,
)
from varfx.io import sealed
from varfx.io.file_names import as_file_name
from varfx.io.run_folder import RESULT, RunFolder, identity_of
from varfx.io.workers import Job, Workers, map_pieces
from varfx.models.config import ExpressionNetworkConfig
from varfx.models.expression import ExpressionNetwork, LoadedNetwork, load_network
from varfx.progress import Progress, silent
from varfx.training import processes
from varfx.training.people.predict import calibrate, predict

if TYPE_CHECKING:
    from varfx.training.people.fit import ExpressionOutcome

HISTORY = "history.csv"
PARTS = "parts"  # of an unfinished run: what each finished network left
CHECKPOINTS = "checkpoints"  # of the network that is being trained
PREDICTIONS_KIND = "expression predictions"


@dataclass(frozen=True)
class _Task:
    """One network.

    Attributes:
        fold: number of the fold.
        genes: trained on.
        heldout: only predicted.
        single: whether it is the network of one gene.
    """

    fold: int
    genes: tuple[str, ...]
    heldout: tuple[str, ...]
    single: bool

    @property
    def gene(self) -> str | None:
        """The gene whose network it is, if it is one gene's."""
        return self.genes[0] if self.single else None

    @property
    def stem(self) -> str:
        """Of its files."""
        return _stem(self.fold, self.gene)


def fit_network(
    cohort: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: FitConfig | None = None,
    *,
    workers: int | None = 1,
    scheduler: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> ExpressionRun:
    """Trains networks on a cohort and writes the run.

    Args:
        cohort: made by `varfx expr prepare`.
        out: the run's folder.
        config: what is trained. The network's window must be the cohort's, or shorter.
        workers: processes that train one network each, of one gene or fold; 1 trains in this process with all its threads,
            None is one per core.
        scheduler: address of a running dask.distributed scheduler whose workers see the same files; in place of
            `workers`.
        resume: go on with an interrupted run in `out`.
        overwrite: replace a finished run in `out`.
        progress: told about steps and networks.

    Raises:
        ConfigError: `workers` or `scheduler` together with several devices per network.
        WorkerError: workers or the scheduler were lost; finished networks are kept.
        VarfxError: files that are not what they should be, genes or folds that the cohort does not have, too few individuals.
    """
    from varfx.training.launch import device_here, join  # loads Lightning

    config = _settled(config or FitConfig(), cohort)
    training, folder = config.training, run_folder(out)
    where = _where(config, workers, scheduler)
    join(training.devices, training.num_nodes, training.device)
    with processes.in_step():
        opened = open_cohort(cohort)
        tasks = _tasks(opened, config)
        device = device_here(training.device)
    with processes.first_holds(folder.out):
        processes.first_does(lambda: folder.check(resume=resume, overwrite=overwrite))
        with processes.in_step():
            # A checkpoint that does not fit is refused before any is written.
            start: LoadedNetwork | None = _start(config)
        provenance = processes.first_does(lambda: _begin(opened, folder, config, resume=resume, overwrite=overwrite))
        if where is not None:
            start = None  # each worker makes its own
            _fit_elsewhere(opened, tasks, config, folder, where, progress)
        for number, task in enumerate(tasks):
            if not processes.of_first(_is_finished(folder, task)):
                start = start or _start(config)
                _fit_one(opened, task, config, start.network, folder, device, silent if task.single else progress)
                start = None  # its weights have been trained
            if where is None and len(tasks) > 1 and processes.rank() == 0:
                progress(number + 1, len(tasks), "networks")
        run = processes.first_does(lambda: _finish(opened, tasks, config, folder, provenance or {}))
        return run or open_run(folder.out)


def _settled(config: FitConfig, cohort: str | os.PathLike[str]) -> FitConfig:
    """The configuration with everything chosen that was left open."""
    config = replace(config, genes=gene_ids(config.genes))
    gpu = find_device(config.training.device).type == "cuda"
    open_window = isinstance(config.network, NetworkChoice) and config.network.window is None
    return config.settled(window=open_cohort(cohort).window if open_window else 0, gpu=gpu)


def _where(config: FitConfig, workers: int | None, scheduler: str | None) -> Workers | None:
    """Workers for networks trained in parallel; None trains them in sequence in this process."""
    if scheduler is None and workers == 1:
        return None
    if config.training.devices > 1 or config.training.num_nodes > 1:
        raise ConfigError(
            "`workers` and `scheduler` train many networks at the same time, `devices` and `num-nodes` one on many devices. "
            "Give one of the two."
        )
    return Workers(workers=None if scheduler is not None and workers == 1 else workers, scheduler=scheduler)


def _fit_elsewhere(
    cohort: Cohort,
    tasks: Sequence[_Task],
    config: FitConfig,
    folder: RunFolder,
    where: Workers,
    progress: Progress,
) -> None:
    """Trains the networks that are not finished, one per piece, in other processes."""
    todo = [task for task in tasks if not _is_finished(folder, task)]
    done = len(tasks) - len(todo)
    job = Job(
        function=_fit_piece,
        start=_open_pieces,
        arguments=(cohort.path.absolute(), config, replace(folder, out=folder.out.absolute())),
        what="networks",
        finished=done,
        again="Give the same command again with --resume: finished networks are kept.",
        folder=folder.building,
        threads=None,
    )
    for _ in map_pieces(job, todo, where):
        progress(done := done + 1, len(tasks), "networks")


def _open_pieces(cohort: Path, config: FitConfig, folder: RunFolder) -> tuple[Cohort, FitConfig, RunFolder]:
    """State of a worker, kept between networks."""
    return open_cohort(cohort), config, folder


def _fit_piece(state: tuple[Cohort, FitConfig, RunFolder], task: _Task) -> None:
    """Trains one network in a worker, unless it is finished."""
    from varfx.training.launch import device_here

    cohort, config, folder = state
    if not _is_finished(folder, task):
        device = device_here(config.training.device)
        _fit_one(cohort, task, config, _start(config).network, folder, device, silent)


def _is_finished(folder: RunFolder, task: _Task) -> bool:
    return (folder.building / PARTS / f"{task.stem}.json").is_file()


def _begin(cohort: Cohort, folder: RunFolder, config: FitConfig, *, resume: bool, overwrite: bool) -> dict[str, Any]:
    """Makes the run's folders, or leaves those of the interrupted run; returns the provenance."""
    inputs: dict[str, str | os.PathLike[str]] = {"cohort": cohort.path}
    if config.checkpoint is not None:
        inputs["checkpoint"] = config.checkpoint
    provenance = sealed.provenance(_jsonable(config), inputs)
    folder.begin(identity_of(provenance), resume=resume, overwrite=overwrite)
    folder.below(PARTS)
    folder.below(RESULT, MODELS)
    return provenance


def open_network(run: ExpressionRun, fold: int, gene_id: str | None = None) -> ExpressionNetwork:
    """A trained network of a run, in evaluation mode on the CPU.

    Args:
        run: of kind "expression network".
        fold: number of the fold.
        gene_id: of a run with a network for each gene; not looked at otherwise.

    Raises:
        DataError: the run is of another kind, or has no such network.
    """
    if run.kind != NETWORK:
        raise DataError(f"`{run.path}` holds {run.kind}, where a run of `varfx expr fit` is needed.")
    stem = _stem(fold, gene_id if run.record["config"]["single_gene"] else None)
    path = run.path / MODELS / f"{stem}.safetensors"
    if not path.is_file():
        stems = sorted(file.stem for file in (run.path / MODELS).iterdir())
        raise DataError(f"`{run.path}` has no network {stem}; it has {len(stems)}, first {stems[0]}.")
    network = ExpressionNetwork(ExpressionNetworkConfig(**run.record["config"]["network"]))
    network.load_state_dict(safetensors.torch.load_file(path))
    return network.eval()


def _tasks(cohort: Cohort, config: FitConfig) -> list[_Task]:
    """A network to be trained.

    Raises:
        ConfigError: no such fold; the window is longer than the cohort's; haplotypes of a cohort without.
        DataError: genes that the cohort does not have; nothing to train on; too few individuals.
    """
    if check_window(cohort, config.sizes.window) and config.phased and not cohort.phased:
        raise ConfigError(f"`phased` needs haplotypes, and `{cohort.path}` has none. Prepare it from phased genotypes.")
    folds = config.folds or tuple(range(cohort.num_folds))
    for number in folds:
        fold = cohort.fold(number)
        if fold.train.size < 2 or not fold.tune.size:
            raise DataError(
                f"fold {number} has {fold.train.size} training and {fold.tune.size} tuning individuals; at least 2 and 1 are needed. "
                "Prepare the cohort with other shares."
            )
    absent = [name for name in config.genes if not _has(cohort, name)]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(config.genes)} genes are not in `{cohort.path}`, first {absent[0]}. Give Ensembl ids of "
            f"its {cohort.genes.height} genes (genes.parquet), one a line."
        )
    chosen = dict.fromkeys(cohort.gene(name).gene_id for name in config.genes)
    if config.single_gene:
        genes = tuple(chosen) or cohort.genes_train
        tasks = [_Task(fold, (gene,), (), True) for fold in folds for gene in genes]
    else:
        genes = tuple(gene for gene in cohort.genes_train if not chosen or gene in chosen)
        heldout = tuple(gene for gene in cohort.genes_heldout if gene in chosen) or cohort.genes_heldout
        tasks = [_Task(fold, genes, heldout, False) for fold in folds]
    if not genes:
        raise DataError(
            f"no gene to train on: all {len(chosen) or cohort.genes.height} are held out. Name others with --genes, or train each "
            "by itself with --single-gene."
        )
    return tasks


def _has(cohort: Cohort, gene_id: str) -> bool:
    try:
        cohort.gene_row(gene_id)
    except DataError:
        return False
    return True


def _stem(fold: int, gene_id: str | None = None) -> str:
    return f"fold{fold}" if gene_id is None else f"{as_file_name(gene_id)}.fold{fold}"


def _start(config: FitConfig) -> LoadedNetwork:
    """The network before training."""
    generator = torch.Generator().manual_seed(config.training.seed)
    if config.checkpoint is not None:
        return load_network(config.checkpoint, config.sizes, generator=generator)
    return LoadedNetwork(ExpressionNetwork(config.sizes, generator=generator), "")


def _fit_one(
    cohort: Cohort,
    task: _Task,
    config: FitConfig,
    network: ExpressionNetwork,
    folder: RunFolder,
    device: torch.device,
    progress: Progress,
) -> None:
    """Trains one network, and writes its weights, predictions and history; the last file marks it as finished."""
    from varfx.training.people.fit import train_expression  # loads Lightning

    data = CohortBatches(cohort, task.genes, task.fold, window=config.sizes.window, phased=config.phased)
    checkpoints = folder.below(CHECKPOINTS, task.stem)
    resumed = processes.of_first((checkpoints / "last").is_dir())
    network.to(device)
    if config.checkpoint is None and not resumed and config.sizes.norm in ("running", "frozen"):
        calibrate(network, data, seed=config.training.seed)
    outcome = train_expression(network, data, config.training, checkpoints, resume=True, progress=progress)
    network.to(device)
    table = _predictions(cohort, task, config, network, data, device)
    processes.first_does(lambda: _write_one(task, folder, network, table, outcome))


def _write_one(
    task: _Task, folder: RunFolder, network: ExpressionNetwork, table: pl.DataFrame, outcome: ExpressionOutcome
) -> None:
    part = folder.building / PARTS / task.stem
    sealed.write_table(table, part.with_name(f"{task.stem}.parquet"), kind=PREDICTIONS_KIND, metadata={})
    sealed.write_tensors(folder.result / MODELS / f"{task.stem}.safetensors", network.state_dict())
    sealed.write_json(part.with_name(f"{task.stem}.json"), _outcome(task, outcome))
    sealed.remove(folder.building / CHECKPOINTS / task.stem)


def _predictions(
    cohort: Cohort,
    task: _Task,
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
    heldout = CohortBatches(cohort, task.heldout, task.fold, window=config.sizes.window, phased=config.phased)
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
            "model": config.name,
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


def _outcome(task: _Task, outcome: ExpressionOutcome) -> dict[str, Any]:
    return {
        "fold": task.fold,
        "gene": task.gene,
        "best_epoch": outcome.best,
        "tune_r2": outcome.history[outcome.best - 1].validation,
        "stopped": outcome.stopped,
        "history": [[each.step, each.train, each.validation] for each in outcome.history],
    }


def _finish(
    cohort: Cohort, tasks: Sequence[_Task], config: FitConfig, folder: RunFolder, provenance: dict[str, Any]
) -> ExpressionRun:
    """Joins what the networks left, and seals the run."""
    outcomes = [sealed.read_json(folder.building / PARTS / f"{task.stem}.json") for task in tasks]
    predictions = pl.concat(
        [
            sealed.read_table(folder.building / PARTS / f"{task.stem}.parquet", kind=PREDICTIONS_KIND)[0]
            for task in tasks
        ]
    )
    with (
        sealed.atomic_path(folder.result / HISTORY) as unfinished,
        open(unfinished, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["fold", "gene_id", "epoch", "train_loss", "tune_r2"])
        writer.writerows(_history_rows(outcomes))
    checkpoint = provenance["inputs"].get("checkpoint")
    record = {
        "kind": NETWORK,
        **cohort_identity(cohort.path),
        "models": [config.name],
        "folds": sorted({task.fold for task in tasks}),
        "genes": list(dict.fromkeys(gene for task in tasks for gene in task.genes)),
        "heldout_genes": list(dict.fromkeys(gene for task in tasks for gene in task.heldout)),
        "checkpoint_sha256": checkpoint and checkpoint["sha256"],
        "outcomes": [{name: value for name, value in each.items() if name != "history"} for each in outcomes],
        "config": _jsonable(config),
        "provenance": provenance,
    }
    return write_run(folder.out, record=record, predictions=predictions)


def _history_rows(outcomes: Sequence[dict[str, Any]]) -> Iterator[list[Any]]:
    for each in outcomes:
        for row in each["history"]:
            yield [each["fold"], each["gene"] or "", *row]


def _jsonable(config: FitConfig) -> dict[str, Any]:
    value = asdict(config)
    value["folds"], value["genes"] = list(config.folds), list(config.genes)
    value["checkpoint"] = None if config.checkpoint is None else str(config.checkpoint)
    return value
