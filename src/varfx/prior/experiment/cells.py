"""One cell of an experiment: a model trained by one objective on one trait with one seed, and what it is worth."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from varfx.errors import ConfigError
from varfx.genome.matching import Matching
from varfx.io import sealed
from varfx.models import ModelConfig, TrackEnformerConfig
from varfx.prior.config import SplitConfig
from varfx.prior.evaluate import evaluate
from varfx.prior.experiment.config import Entry, Experiment
from varfx.prior.experiment.materials import Materials, Trait
from varfx.prior.fit import fit
from varfx.training import Objective, TrainConfig

RESULT = "result.json"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Inputs of one fit.

    Attributes:
        name: of its folder.
        entry: the model.
        objective: what is climbed.
        trait: on what.
        seed: of first weights and window order.
        panel: LD.
        annotations: features, if any.
        tracks: signals, if the model sees them.
        chain: from the panel's build to theirs.
        split: what is held out.
        training: steps and learning rates.
        matching: how the trait is matched to the panel.
    """

    name: str
    entry: Entry
    objective: Objective
    trait: Trait
    seed: int
    panel: Path
    annotations: Path | None
    tracks: Path | None
    chain: Path | None
    split: SplitConfig
    training: TrainConfig
    matching: Matching


def cells_of(experiment: Experiment, materials: Materials, *, device: str = "auto") -> list[Cell]:
    """All cells, trait by trait; a device other than auto takes the place of that in the experiment's options of training.

    Raises:
        ConfigError: options of training that cannot be.
    """
    cells = []
    for trait in materials.traits:
        for entry in experiment.models:
            for objective in entry.objectives or experiment.objectives:
                for seed in experiment.seeds:
                    sees = entry.annotations and entry.kind != "constant"
                    cells.append(
                        Cell(
                            name="_".join(_word(part) for part in (trait.name, entry.name, objective, str(seed))),
                            entry=entry,
                            objective=objective,
                            trait=trait,
                            seed=seed,
                            panel=materials.panel[entry.flank],
                            annotations=materials.annotations.get(entry.without) if sees else None,
                            tracks=materials.tracks if entry.tracks and entry.kind != "constant" else None,
                            chain=materials.chain if entry.tracks and entry.kind != "constant" else None,
                            split=experiment.split,
                            training=_training(experiment, entry, objective, seed, device),
                            matching=Matching(palindromes=experiment.palindromes, min_overlap=experiment.min_overlap),
                        )
                    )
    return cells


def identity(cell: Cell) -> dict[str, Any]:
    """Identity of a finished cell: options and checksums of its files; a cell of another identity is not kept."""
    inputs = {"panel": cell.panel / sealed.MANIFEST, "sumstats": cell.trait.sumstats}
    inputs |= {} if cell.annotations is None else {"annotations": cell.annotations}
    inputs |= {} if cell.tracks is None else {"tracks": cell.tracks / sealed.MANIFEST}
    options: dict[str, Any] = {
        "entry": cell.entry,
        "objective": cell.objective,
        "seed": cell.seed,
        "split": cell.split,
        "training": replace(cell.training, device="auto"),  # wherever it was computed
    }
    if cell.matching != Matching():  # cells of earlier versions, which had no other, are kept
        options["matching"] = cell.matching
    return {"options": repr(options), "inputs": {name: sealed.sha256(path) for name, path in inputs.items()}}


def run_cell(cell: Cell, folder: Path) -> dict[str, Any]:
    """Fits and evaluates; the run and `result.json` stay in `folder`/NAME.

    Returns:
        The cell's entry of `results.json`, with `windows` (gain by window) for paired differences.
    """
    place = folder / cell.name
    place.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    run = fit(
        cell.panel,
        [cell.trait.sumstats],
        place / "run",
        annotations=cell.annotations,
        tracks=cell.tracks,
        chain=cell.chain,
        model=model_of(cell.entry),
        training=cell.training,
        split=cell.split,
        palindromes=cell.matching.palindromes,
        min_overlap=cell.matching.min_overlap,
        overwrite=True,
    )
    seconds = time.perf_counter() - started
    scored = evaluate(place / "run", truth=cell.trait.truth, device=cell.training.device)
    (trait,) = scored.traits
    truth = trait.get("truth")
    k = cell.trait.replicates
    result: dict[str, Any] = {
        "model": cell.entry.name,
        "objective": cell.objective,
        "seed": cell.seed,
        "trait": cell.trait.name,
        "rmse_log_f": None if truth is None else truth["rmse_log_f"],
        "rmse_log_f_ci95": None if truth is None else truth["rmse_log_f_ci95"],
        "corr_log_f": None if truth is None else truth["corr_log_f"],
        "gain": trait["gain"] / k,
        "gain_ci95": None if trait["gain_ci95"] is None else [bound / k for bound in trait["gain_ci95"]],
        "replicates": k,
        "truth": cell.trait.seed,
        "linear_r2_of_truth": cell.trait.linear_r2,
        "mean_chi2": None if truth is None else truth["mean_chi2"],
        "sigma2": trait["sigma2"],
        "alpha": trait["alpha"],
        "num_weights": sum(weights.numel() for weights in run.model.network.parameters()),
        "steps": run.record["outcome"]["steps"],
        "best_step": run.record["outcome"]["best_step"],
        "seconds": round(seconds, 1),
        "windows": {entry["window"]: entry["gain"] / k for entry in scored.windows},
    }
    sealed.write_json(place / RESULT, {"identity": identity(cell), "result": result})
    return result


def finished(cell: Cell, folder: Path) -> dict[str, Any] | None:
    """The result of a cell that is done; None if it is not, or was made from something else."""
    path = folder / cell.name / RESULT
    if not path.is_file():
        return None
    kept = sealed.read_json(path)
    result: dict[str, Any] = kept["result"]
    return result if kept["identity"] == identity(cell) else None


def model_of(entry: Entry) -> ModelConfig:
    """The network of an entry."""
    enformer = TrackEnformerConfig(
        window=entry.window,
        width=entry.width,
        depth=entry.depth,
        heads=entry.heads,
        num_downsamples=entry.downsamples,
    )
    return ModelConfig(kind=entry.kind, link=entry.link, hidden=entry.hidden, enformer=enformer)


def _training(experiment: Experiment, entry: Entry, objective: Objective, seed: int, device: str) -> TrainConfig:
    options = {**experiment.training, **experiment.per_objective.get(objective, {}), **entry.training}
    options |= {} if device == "auto" else {"device": device}
    known = {each.name for each in fields(TrainConfig)} - {"objective", "seed"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigError(f"`training` has the unknown key `{unknown[0]}`. Known are {', '.join(sorted(known))}.")
    try:
        return TrainConfig(**options, objective=objective, seed=seed)
    except TypeError as error:
        raise ConfigError(f"`training` of `{entry.name}`: {error}.") from None


def _word(text: str) -> str:
    """Text as part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in text)
