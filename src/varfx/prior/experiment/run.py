"""Runs an experiment: shared files first, then the cells, each once; `results.json` and `table.tsv` at the end."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from varfx.data import files
from varfx.errors import ConfigError, StoreError
from varfx.prior.bootstrap import sum_interval
from varfx.prior.experiment.cells import Cell, cells_of, finished, run_cell
from varfx.prior.experiment.config import Experiment
from varfx.prior.experiment.materials import prepare
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
RESULTS, TABLE, BEGUN = "results.json", "table.tsv", "experiment.json"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an experiment found.

    Attributes:
        folder: where everything is.
        results: one entry a model, objective, trait and seed, as in `results.json`.
        summary: one entry a model and objective: means over traits and seeds, and gains with intervals.
    """

    folder: Path
    results: list[dict[str, Any]]
    summary: list[dict[str, Any]]


def run_experiment(
    experiment: Experiment,
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> Outcome:
    """Runs all cells that are not done, and writes the results.

    Args:
        experiment: from `read_experiment`.
        out: the folder: `data`, `cells`, `results.json`, `table.tsv`.
        workers: cells at the same time, each with its share of the processors; by default one per processor. Their
            processes import the main module: a script that calls this stands under `if __name__ == "__main__":`.
        resume: keep what an earlier run has finished.
        progress: told about windows, then cells.

    Raises:
        ConfigError: `workers` is not positive.
        StoreError: `out` holds an experiment that is not to be resumed, or on other data, or something else.
        VarfxError: inputs that cannot be read; a fit that fails.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"`workers` must be at least 1, got {workers}. Leave it out for one per processor.")
    folder = Path(out)
    _begin(folder, experiment, resume=resume)
    count = workers or os.cpu_count() or 1
    materials = prepare(experiment, folder, workers=count, progress=progress)
    cells = cells_of(experiment, materials)
    place = folder / "cells"
    done = {cell.name: kept for cell in cells if (kept := finished(cell, place)) is not None}
    if done:
        logger.info("%d of %d cells are done already", len(done), len(cells))
    todo = [cell for cell in cells if cell.name not in done]
    # Longest first, so that no process is left alone with a long cell at the end.
    todo.sort(key=lambda cell: ("constant", "linear", "mlp", "enformer").index(cell.entry.kind), reverse=True)

    def take(name: str, result: dict[str, Any]) -> None:
        done[name] = result
        progress(len(done), len(cells), "cells")

    _run(todo, place, min(count, len(todo)), take)
    results = [done[cell.name] for cell in cells]
    summary = summarise(experiment, results)
    files.write_json(folder / RESULTS, [{k: v for k, v in each.items() if k != "windows"} for each in results])
    files.write_text(folder / TABLE, table(results, summary).write_csv(separator="\t", float_precision=4))
    return Outcome(folder=folder, results=results, summary=summary)


def summarise(experiment: Experiment, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a model and objective, in order.

    `rmse_log_f`, `corr_log_f`: means over traits and seeds. `gain`: mean over seeds, summed over real traits or averaged over
    simulated ones. `difference`, `difference_ci95`: gain minus that of the reference model (trained by the experiment's last
    objective), in pairs of windows, where the experiment names one and there is one trait and seed.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in results:
        groups.setdefault((each["model"], each["objective"]), []).append(each)
    entries = []
    for (model, objective), rows in groups.items():
        traits = dict.fromkeys(row["trait"] for row in rows)
        entry: dict[str, Any] = {"model": model, "objective": objective, "num_weights": rows[0]["num_weights"]}
        entry["rmse_log_f"] = _mean([row["rmse_log_f"] for row in rows])
        entry["corr_log_f"] = _mean([row["corr_log_f"] for row in rows])
        entry["gain"] = _mean([row["gain"] for row in rows])
        entry["gain_ci95"] = rows[0]["gain_ci95"] if len(rows) == 1 else None
        entry["seconds"] = sum(row["seconds"] for row in rows)
        entry["by_trait"] = {
            trait: _mean([row["rmse_log_f" if experiment.truth else "gain"] for row in rows if row["trait"] == trait])
            for trait in traits
        }
        entries.append(entry)
    if experiment.reference is not None:
        base = groups[experiment.reference, _objective_of_reference(experiment)]
        for entry in entries:
            rows = groups[entry["model"], entry["objective"]]
            entry |= _difference(rows, base)
    return entries


def _objective_of_reference(experiment: Experiment) -> str:
    entry = next(each for each in experiment.models if each.name == experiment.reference)
    return (entry.objectives or experiment.objectives)[-1]


def _difference(rows: Sequence[dict[str, Any]], base: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The paired difference of gains over the windows of every trait, means over seeds."""
    differences: dict[tuple[str, str], list[float]] = {}
    for row, other in zip(rows, base, strict=False):
        if row["windows"].keys() != other["windows"].keys() or row["trait"] != other["trait"]:
            return {"difference": None, "difference_ci95": None}  # other windows: nothing to pair
        for name, value in row["windows"].items():
            differences.setdefault((row["trait"], name), []).append(value - other["windows"][name])
    values = np.array([np.mean(each) for each in differences.values()])
    interval = sum_interval(values)
    return {
        "difference": float(values.sum()),
        "difference_ci95": None if interval is None else list(interval),
    }


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


def _begin(folder: Path, experiment: Experiment, *, resume: bool) -> None:
    """Makes the folder, or accepts that of an earlier run on the same data.

    Raises:
        StoreError: it is another's, was not to be resumed, or its data were made by other options.
    """
    if not folder.parent.is_dir():
        raise StoreError(f"`{folder}` cannot be written: the folder `{folder.parent}` does not exist. Create it first.")
    data = _data_options(experiment)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / BEGUN).is_file():
            raise StoreError(f"`{folder}` exists and is no experiment. Choose another --out.")
        if not resume:
            raise StoreError(f"`{folder}` holds an experiment. Go on with --resume, or choose another --out.")
        earlier = files.read_json(folder / BEGUN)
        changed = [name for name, options in data.items() if earlier.get(name) != options]
        if changed:
            raise StoreError(
                f"`{folder}` was begun with another `{changed[0]}`, so that its data cannot be kept. Choose another --out."
            )
    folder.mkdir(exist_ok=True)
    files.write_json(folder / BEGUN, data)


def _data_options(experiment: Experiment) -> dict[str, str]:
    """What the files in `data` depend on; further truths and models may be added."""
    truth = experiment.truth
    return {
        "panel": repr(experiment.panel),
        "annotations": repr(experiment.annotations),
        "tracks": repr(experiment.tracks),
        "sumstats": repr(experiment.sumstats_n),
        "truth": "" if truth is None else repr((truth.network, truth.tracks, truth.signal)),
    }


def _run(todo: Sequence[Cell], place: Path, workers: int, take: Callable[[str, dict[str, Any]], None]) -> None:
    """Runs cells, in this process or in several."""
    if workers <= 1:
        for cell in todo:
            take(cell.name, run_cell(cell, place))
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=partial(_start, threads)) as pool:
        waiting = {pool.submit(run_cell, cell, place): cell for cell in todo}
        try:
            for future in as_completed(waiting):
                take(waiting[future].name, future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start(threads: int) -> None:
    """Gives a process its share of the processors."""
    torch.set_num_threads(threads)
