"""`fit_network`: a sequence model of expression for a cohort, trained per fold (and gene), with its predictions, as a run."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl

from varfx.device import device_in_turn, find_device
from varfx.errors import ConfigError
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.gene_list import gene_ids
from varfx.expression.network.config import FitConfig, NetworkChoice
from varfx.expression.network.coverage_files import read_manifest
from varfx.expression.network.fit_one import PARTS, PREDICTIONS_KIND, fit_one, start_network
from varfx.expression.network.indels import indel_files
from varfx.expression.network.tasks import NetworkTask, network_tasks
from varfx.expression.run import (
    MODELS,
    NETWORK,
    ExpressionRun,
    cohort_identity,
    open_run,
    run_folder,
    write_run,
)
from varfx.io import sealed
from varfx.io.run_folder import RESULT, RunFolder, identity_of
from varfx.io.workers import Job, SingleWorker, Workers, map_pieces
from varfx.models.expression import LoadedNetwork
from varfx.progress import Progress, silent
from varfx.training import processes

HISTORY = "history.csv"


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
        workers: processes that train one network each, of one gene or fold, side by side on one GPU or in turn on several; 1 trains in
            this process with all its threads, None is one per core.
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
        tasks = network_tasks(opened, config)
        indel_files(
            opened, config.indels, config.reference
        )  # files that cannot be read are refused before any is written
        device = device_here(training.device)
    with processes.first_holds(folder.out):
        processes.first_does(lambda: folder.check(resume=resume, overwrite=overwrite))
        with processes.in_step():
            # A checkpoint that does not fit is refused before any is written.
            start: LoadedNetwork | None = start_network(config)
        provenance = processes.first_does(lambda: _begin(opened, folder, config, resume=resume, overwrite=overwrite))
        if where is not None:
            start = None  # each worker makes its own
            _fit_elsewhere(opened, tasks, config, folder, where, progress)
        for number, task in enumerate(tasks):
            if not processes.of_first(_is_finished(folder, task)):
                start = start or start_network(config)
                fit_one(opened, task, config, start.network, folder, device, silent if task.single else progress)
                start = None  # its weights have been trained
            if where is None and len(tasks) > 1 and processes.rank() == 0:
                progress(number + 1, len(tasks), "networks")
        run = processes.first_does(lambda: _finish(opened, tasks, config, folder, provenance or {}))
        return run or open_run(folder.out)


def _settled(config: FitConfig, cohort: str | os.PathLike[str]) -> FitConfig:
    """The configuration with everything chosen that was left open."""
    config = replace(config, genes=gene_ids(config.genes), tune_genes=gene_ids(config.tune_genes))
    gpu = find_device(config.training.device).type == "cuda"
    open_window = isinstance(config.network, NetworkChoice) and config.network.window is None
    settled = config.settled(window=open_cohort(cohort).window if open_window else 0, gpu=gpu)
    if settled.target.coverage is None:
        return settled
    tracks = read_manifest(settled.target.coverage, open_cohort(cohort).people).tracks
    return replace(settled, network=replace(settled.sizes, coverage_tracks=tracks))


def _where(config: FitConfig, workers: int | None, scheduler: str | None) -> Workers | None:
    """Workers for networks trained in parallel; None trains them in sequence in this process."""
    if scheduler is None and workers == 1:
        return None
    if config.training.devices > 1 or config.training.num_nodes > 1:
        raise ConfigError(
            "`workers` and `scheduler` train many networks at the same time, `devices` and `num-nodes` one on many devices. "
            "Give one of the two."
        )
    return SingleWorker(workers=workers, scheduler=scheduler)


def _fit_elsewhere(
    cohort: Cohort,
    tasks: Sequence[NetworkTask],
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
    for _ in map_pieces(job, list(enumerate(todo)), where):
        progress(done := done + 1, len(tasks), "networks")


def _open_pieces(cohort: Path, config: FitConfig, folder: RunFolder) -> tuple[Cohort, FitConfig, RunFolder]:
    """State of a worker, kept between networks."""
    return open_cohort(cohort), config, folder


def _fit_piece(state: tuple[Cohort, FitConfig, RunFolder], piece: tuple[int, NetworkTask]) -> None:
    """Trains one network in a worker, unless it is finished; with several GPUs on the one whose turn it is."""
    (cohort, config, folder), (number, task) = state, piece
    if not _is_finished(folder, task):
        device = device_in_turn(config.training.device, number)
        config = replace(config, training=replace(config.training, device=str(device)))
        fit_one(cohort, task, config, start_network(config).network, folder, device, silent)


def _is_finished(folder: RunFolder, task: NetworkTask) -> bool:
    return (folder.building / PARTS / f"{task.stem}.json").is_file()


def _begin(cohort: Cohort, folder: RunFolder, config: FitConfig, *, resume: bool, overwrite: bool) -> dict[str, Any]:
    """Makes the run's folders, or leaves those of the interrupted run; returns the provenance."""
    inputs: dict[str, str | os.PathLike[str]] = {"cohort": cohort.path}
    if config.checkpoint is not None:
        inputs["checkpoint"] = config.checkpoint
    inputs |= {f"indels {number}": path for number, path in enumerate(config.indels, 1)}
    if config.reference is not None:
        inputs["reference"] = config.reference
    inputs |= {
        name: path for name, path in (("coverage", config.target.coverage), ("exons", config.target.exons)) if path
    }
    provenance = sealed.provenance(_jsonable(config), inputs)
    if config.target.coverage is not None:
        files = read_manifest(config.target.coverage, cohort.people)
        entry = {"path": str(config.target.coverage), "sha256": files.checksum()}
        provenance["inputs"]["files of coverage"] = entry
    folder.begin(identity_of(provenance), resume=resume, overwrite=overwrite)
    folder.below(PARTS)
    folder.below(RESULT, MODELS)
    return provenance


def _finish(
    cohort: Cohort, tasks: Sequence[NetworkTask], config: FitConfig, folder: RunFolder, provenance: dict[str, Any]
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
        "models": [config.label],
        "folds": sorted({task.fold for task in tasks}),
        "genes": list(dict.fromkeys(gene for task in tasks for gene in task.genes)),
        "heldout_genes": list(dict.fromkeys(gene for task in tasks for gene in task.heldout)),
        "tune_genes": list(dict.fromkeys(gene for task in tasks for gene in task.tuned)),
        "checkpoint_sha256": checkpoint and checkpoint["sha256"],
        "outcomes": [
            {name: value for name, value in each.items() if name not in ("history", "coverage")} for each in outcomes
        ],
        "coverage": [row for each in outcomes for row in each.get("coverage", [])],
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
    value["tune_genes"] = list(config.tune_genes)
    value["indels"] = [str(path) for path in config.indels]
    value["reference"] = None if config.reference is None else str(config.reference)
    value["checkpoint"] = None if config.checkpoint is None else str(config.checkpoint)
    for name in ("coverage", "exons"):
        value["target"][name] = None if value["target"][name] is None else str(value["target"][name])
    return value
