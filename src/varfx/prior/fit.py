"""`fit`: from a panel, summary statistics and annotations to a trained prior."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from varfx.errors import ConfigError, StoreError
from varfx.io import sealed
from varfx.io.run_folder import check_run_folder
from varfx.ld import LDPanel
from varfx.models import ModelConfig, VariancePrior
from varfx.models.config import Kind
from varfx.prior.config import SplitConfig
from varfx.prior.files import PriorInputs
from varfx.prior.inputs import assemble
from varfx.prior.plausibility import sigma2_warning
from varfx.prior.run import CHECKPOINTS, HISTORY, RECORD, Run, write_run
from varfx.prior.score import null_sigma2
from varfx.prior.signs import check_signs
from varfx.prior.split import split_windows
from varfx.progress import Progress, silent
from varfx.training import TrainConfig, WindowData, prepare_objective, start_at_constant
from varfx.training.gwas.config import check_compile

logger = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]
BEGUN = "begun.json"  # options and inputs of an unfinished run


class FitPaths(TypedDict, total=False):
    """Further inputs of `fit`, by name."""

    annotations: PathLike | None
    tracks: PathLike | None
    chain: PathLike | None


def fit(
    panel: PathLike,
    sumstats: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    model: ModelConfig | Kind | None = None,
    training: TrainConfig | None = None,
    split: SplitConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
    **inputs: Unpack[FitPaths],
) -> Run:
    """Fits a prior by the full marginal likelihood (or another objective) and writes the run.

    Args:
        panel: LD panel.
        sumstats: summary statistics, one file per trait; several traits share one network with an output each.
        out: the run's folder.
        model: which network, in full or by its kind alone ("linear").
        training: steps and learning rates.
        split: held-out and validation windows.
        resume: continue an interrupted fit in `out`.
        overwrite: replace a finished run in `out`.
        progress: told about each step.
        **inputs: `annotations`, `tracks` and `chain`, see `varfx.prior.files.PriorInputs`.

    Raises:
        VarfxError: inputs of another kind, too little overlap, a split without training windows.
    """
    return fit_inputs(
        PriorInputs.of(panel=panel, sumstats=sumstats, **inputs),
        out,
        model=ModelConfig(kind=model) if isinstance(model, str) else model,
        training=training,
        split=split,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )


def fit_inputs(
    inputs: PriorInputs,
    out: PathLike,
    *,
    model: ModelConfig | None = None,
    training: TrainConfig | None = None,
    split: SplitConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Run:
    """`fit` with its inputs as one object."""
    from varfx.training import train  # loads Lightning

    model, training, split = model or ModelConfig(), training or TrainConfig(), split or SplitConfig()
    split = split if split.seed is not None else replace(split, seed=training.seed)
    check_compile(model, training)
    reference, associations, channels = inputs.open_panel(), inputs.read_sumstats(), inputs.read_annotations()
    _check_names([each.trait for each in associations])
    signals = inputs.tracks_for_fit(model)
    config = {"model": _jsonable(model), "training": asdict(training), "split": _jsonable(split)}
    provenance = sealed.provenance(config, inputs.named())
    folder = Path(out)
    check_out(folder, resume=resume, overwrite=overwrite)
    data, standardiser, ledgers = assemble(
        reference,
        associations,
        channels,
        kind=model.kind,
        scratch=folder / "scratch",
        tracks=signals,
        processes=training.devices,
    )
    parts = split_windows(reference.windows, split, flank=reference.flank, has_data=_has_data(reference, data))
    if data.tracks is not None:
        used = sorted(parts.train + parts.validation + parts.holdout)
        data.tracks.require([reference.rows(i)[1] for i in used], [reference.cores[i].name for i in used])
    doubts = [check_signs(reference, trait, parts.train).warning(trait.name) for trait in data.traits]
    _begin(folder, provenance, resume=resume)
    prior = VariancePrior(
        model,
        0 if standardiser is None else len(standardiser.feature_names),
        len(data.traits),
        num_tracks=0 if signals is None else signals.num_channels,
        seed=training.seed,
    )
    guesses = prepare_objective(data, parts.train, training.objective)
    checkpoints = folder / CHECKPOINTS
    if not (resume and (checkpoints / "last").is_dir()):
        start_at_constant(
            prior,
            data,
            parts.train,
            mean_ld_score=_mean_ld_score(reference),
            objective=training.objective,
            max_windows=training.start_windows,
        )
    outcome = train(
        prior,
        data,
        parts.train,
        parts.validation or parts.train,
        training,
        checkpoints,
        resume=resume,
        progress=progress,
    )
    doubts += [sigma2_warning(trait.name, prior.sigma2_values()[i]) for i, trait in enumerate(data.traits)]
    warnings = [doubt for doubt in doubts if doubt is not None]
    for warning in warnings:
        logger.warning(warning)
    sealed.remove(folder / "scratch")
    window_names = reference.windows["name"].to_list()
    record = {
        "traits": _trait_records(prior, data, null_sigma2(data, parts.train), ledgers),
        "split": {part: [window_names[index] for index in windows] for part, windows in asdict(parts).items()},
        "panel": str(reference.path.resolve()),
        "sumstats": [str(path.resolve()) for path in inputs.sumstats],
        "annotations": None if inputs.annotations is None else str(inputs.annotations.resolve()),
        "tracks": None if signals is None else signals.to_record(),
        "config": config,
        "warnings": warnings,
        "objective": training.objective,
        "ballpark_h2": guesses,
        "outcome": {"best_step": outcome.best_step, "stopped": outcome.stopped, "steps": outcome.history[-1].step},
        "provenance": provenance,
    }
    (checkpoints / HISTORY).replace(folder / HISTORY)
    sealed.remove(checkpoints)
    sealed.remove(folder / BEGUN)
    return write_run(folder, prior, standardiser, record)


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{names.count(name)} of {len(names)} summary statistics are of a trait called `{name}`. Name one otherwise with "
                "`varfx sumstats clean --trait`."
            )


def _trait_records(
    prior: VariancePrior, data: WindowData, nulls: Sequence[float], ledgers: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Each trait's fitted numbers."""
    return [
        {
            "name": trait.name,
            "n_ref": trait.n_ref,
            "sigma2": prior.sigma2_values()[i],
            "sigma2_null": nulls[i],
            "alpha": float(prior.alpha.detach()[i]),
            "alpha_per_allele": float(prior.alpha.detach()[i]) - 1,
            "matched": int(trait.observed.sum()),
            "ledger": ledgers[i],
        }
        for i, trait in enumerate(data.traits)
    ]


def _has_data(panel: LDPanel, data: WindowData) -> Bool[ndarray, " window"]:
    """Windows in which a trait has an association; the number of the others is logged."""
    observed = np.any([trait.observed for trait in data.traits], axis=0)
    has_data = np.array([observed[panel.rows(index)[0]].any() for index in range(len(panel.cores))])
    if not has_data.all():
        logger.warning("%d of %d windows hold no association and are left out", (~has_data).sum(), has_data.size)
    return has_data


def check_out(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Checks that a run may be written to `out`; changes nothing.

    Raises:
        StoreError: it would destroy a run or something else, or its folder does not exist.
    """
    started = (out / CHECKPOINTS / "last").is_dir()
    check_run_folder(out, record=RECORD, begun=BEGUN, started=started, resume=resume, overwrite=overwrite)


def _begin(out: Path, provenance: dict[str, Any], *, resume: bool) -> None:
    """Makes the run's folder, or leaves that of the interrupted fit which is to go on.

    Raises:
        StoreError: the interrupted fit had other options or inputs.
    """
    begun = out / BEGUN
    checksums = {name: entry["sha256"] for name, entry in provenance["inputs"].items()}
    identity = {"config": provenance["config"], "inputs": checksums}
    if begun.is_file() and resume:
        earlier = sealed.read_json(begun)
        if earlier != identity:
            raise StoreError(
                f"`{out}` was begun with other options or inputs ({_difference(earlier, identity)}), so it cannot be resumed. "
                "Repeat the earlier command, or start anew with --overwrite."
            )
        return
    sealed.remove(out)
    out.mkdir()
    sealed.write_json(begun, identity)
    (out / CHECKPOINTS).mkdir()


def _difference(earlier: dict[str, Any], identity: dict[str, Any]) -> str:
    """The first thing that differs, in words."""
    for name in sorted({*earlier["inputs"], *identity["inputs"]}):
        if earlier["inputs"].get(name) != identity["inputs"].get(name):
            return f"input {name}"
    for group, options in identity["config"].items():
        for name, value in options.items():
            if earlier["config"].get(group, {}).get(name) != value:
                return f"{name.replace('_', '-')} was {earlier['config'].get(group, {}).get(name)}, now {value}"
    return "another version of varfx"


def _mean_ld_score(panel: LDPanel) -> float:
    return float(panel.variants["ld_score"].drop_nulls().mean() or 1.0)  # type: ignore[arg-type]


def _jsonable(config: Any) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}
