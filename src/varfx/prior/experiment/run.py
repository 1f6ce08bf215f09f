"""Runs an experiment: shared files first, then the cells, each once; `results.json` and `table.tsv` at the end."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from varfx.bootstrap import listed, student_interval, sum_interval
from varfx.device import check_device, find_device
from varfx.io import sealed
from varfx.io.output_lock import one_writer
from varfx.io.workers import Job, Workers, map_pieces
from varfx.io.working_folder import WorkingFolder
from varfx.prior.experiment.cells import Cell, cells_of, finished, run_cell
from varfx.prior.experiment.config import Experiment
from varfx.prior.experiment.materials import prepare
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
RESULTS, TABLE, BEGUN = "results.json", "table.tsv", "experiment.json"


@dataclass(frozen=True, eq=False)
class Outcome:
    """Results of an experiment.

    Attributes:
        folder: where everything is.
        results: one entry a model, objective, trait and seed, as in `results.json`.
        summary: one entry a model and objective: means over traits and seeds, and gains with intervals.
    """

    folder: Path
    results: list[dict[str, Any]]
    summary: list[dict[str, Any]]


@one_writer
def run_experiment(
    experiment: Experiment,
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Outcome:
    """Runs all cells that are not done, and writes the results.

    Args:
        experiment: from `read_experiment`.
        out: the folder: `data`, `cells`, `results.json`, `table.tsv`.
        workers: cells at the same time, each with its share of the processors; by default one per processor.
        scheduler: address of a running dask.distributed scheduler whose workers see the same files; in place of
            `workers`.
        device: of all fits and evaluations, unless it is auto, in place of `training.device`; cells at the same time share a GPU.
        resume: keep what an earlier run has finished, on whatever device.
        overwrite: remove an earlier experiment in `out` first.
        progress: told about windows, then cells.

    Raises:
        ConfigError: `workers` is not positive, no scheduler answers, or there is no such device.
        WorkerError: workers or the scheduler were lost; finished cells are kept.
        StoreError: `out` holds an experiment that is not to be resumed, or on other data, or something else.
        VarfxError: inputs that cannot be read; a fit that fails.
    """
    where = Workers(workers=workers, scheduler=scheduler)
    if scheduler is None:
        find_device(device)  # now, and not in a worker after minutes
    else:
        check_device(device)
    folder = Path(out)
    working = WorkingFolder(out=folder, holds="experiment", begun=BEGUN, results=RESULTS)
    working.begin(_data_options(experiment), resume=resume, overwrite=overwrite)
    materials = prepare(experiment, folder, where, device=device if scheduler is None else "auto", progress=progress)
    cells = cells_of(experiment, materials, device=device)
    place = folder / "cells"
    done = {cell.name: kept for cell in cells if (kept := finished(cell, place)) is not None}
    if done:
        logger.info("%d of %d cells are done already", len(done), len(cells))
    todo = [cell for cell in cells if cell.name not in done]
    # Longest first, so that no process is left alone with a long cell at the end.
    todo.sort(key=lambda cell: ("constant", "linear", "mlp", "enformer").index(cell.entry.kind), reverse=True)

    job = Job(
        function=_run_cell,
        start=Path,
        arguments=(place.absolute(),),
        what="cells",
        finished=len(done),
        again="Give the same command again with --resume: finished cells are kept.",
        folder=folder / "data",
        threads=None,
    )
    for name, result in map_pieces(job, todo, where):
        done[name] = result
        progress(len(done), len(cells), "cells")
    results = [done[cell.name] for cell in cells]
    summary = summarise(experiment, results)
    sealed.write_json(folder / RESULTS, [{k: v for k, v in each.items() if k != "windows"} for each in results])
    sealed.write_text(folder / TABLE, table(results, summary).write_csv(separator="\t", float_precision=4))
    return Outcome(folder=folder, results=results, summary=summary)


def summarise(experiment: Experiment, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a model and objective, in order; all numbers are means over traits (or truths) and seeds.

    Gains have a 95 % interval over windows. `difference` is the gain minus that of the reference model, trained by its last
    objective, in pairs of windows; there is none without a reference, or where the windows are others.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in results:
        groups.setdefault((each["model"], each["objective"]), []).append(each)
    base = None
    if experiment.reference is not None:
        entry_of = next(each for each in experiment.models if each.name == experiment.reference)
        base = _by_window(groups[experiment.reference, (entry_of.objectives or experiment.objectives)[-1]])
    entries = []
    for (model, objective), rows in groups.items():
        entry: dict[str, Any] = {"model": model, "objective": objective, "num_weights": rows[0]["num_weights"]}
        for name in ("rmse_log_f", "corr_log_f", "gain"):
            entry[name] = _mean([row[name] for row in rows])
        gains = _by_window(rows)
        entry["gain_ci95"] = listed(sum_interval(np.array(list(gains.values()))))
        entry["seconds"] = sum(row["seconds"] for row in rows)
        what = "rmse_log_f" if experiment.truth else "gain"
        traits = dict.fromkeys(row["trait"] for row in rows)
        entry["by_trait"] = {name: _mean([row[what] for row in rows if row["trait"] == name]) for name in traits}
        if base is not None:
            pairs = [gains[name] - base[name] for name in gains] if gains.keys() == base.keys() else []
            entry["difference"] = sum(pairs) if pairs else None
            entry["difference_ci95"] = listed(student_interval(np.array(pairs)))
        entries.append(entry)
    return entries


def _by_window(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The gain of each window, averaged over fits."""
    gains: dict[str, float] = {}
    for row in rows:
        for name, value in row["windows"].items():
            gains[name] = gains.get(name, 0.0) + value / len(rows)
    return gains


def table(results: Sequence[dict[str, Any]], summary: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """One row a model and objective; a column for each trait or truth where there are several."""
    simulated = any(each["rmse_log_f"] is not None for each in results)
    rows = []
    for entry in summary:
        row: dict[str, Any] = {
            "model": entry["model"],
            "objective": entry["objective"],
            "weights": entry["num_weights"],
        }
        if simulated:
            row |= {"rmse_log_f": entry["rmse_log_f"]}
            row |= {f"rmse_log_f ({trait})": value for trait, value in entry["by_trait"].items()}
            row |= {"corr_log_f": entry["corr_log_f"]}
        row |= {"gain": entry["gain"]}
        if not simulated:
            row |= {f"gain ({trait})": value for trait, value in entry["by_trait"].items()}
        row |= _bounds("gain", entry["gain_ci95"])
        if "difference" in entry:
            row |= {"difference": entry["difference"], **_bounds("difference", entry["difference_ci95"])}
        row["seconds"] = entry["seconds"]
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def _bounds(name: str, bounds: Sequence[float] | None) -> dict[str, float | None]:
    low, high = (None, None) if bounds is None else bounds
    return {f"{name} low": low, f"{name} high": high}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _data_options(experiment: Experiment) -> dict[str, str]:
    """Options on which the files in `data` depend; further truths and models may be added."""
    truth = experiment.truth
    return {
        "panel": repr(experiment.panel),
        "annotations": repr(experiment.annotations),
        "tracks": repr(experiment.tracks),
        "sumstats": repr(experiment.sumstats_n),
        "truth": "" if truth is None else repr((truth.network, truth.tracks, truth.signal)),
    }


def _run_cell(place: Path, cell: Cell) -> tuple[str, dict[str, Any]]:
    """Name and result of one cell, from its folder if it is finished there."""
    return cell.name, finished(cell, place) or run_cell(cell, place)
