"""`fit`: from a panel, summary statistics and annotations to a trained prior."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from varfx.annotations import read_annotations
from varfx.errors import ConfigError, StoreError
from varfx.gwas.sumstats import read_sumstats
from varfx.io import sealed
from varfx.io.run_folder import check_run_folder
from varfx.ld import LDPanel, open_panel
from varfx.models import ModelConfig, VariancePrior
from varfx.prior.config import SplitConfig
from varfx.prior.inputs import assemble
from varfx.prior.plausibility import sigma2_warning
from varfx.prior.run import CHECKPOINTS, HISTORY, RECORD, Run, write_run
from varfx.prior.score import null_sigma2
from varfx.prior.signs import check_signs
from varfx.prior.split import split_windows
from varfx.progress import Progress, silent
from varfx.tracks.inputs import tracks_for_fit
from varfx.training import TrainConfig, WindowData, prepare_objective, start_at_constant
from varfx.training.gwas.config import check_compile

logger = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]
BEGUN = "begun.json"  # options and inputs of an unfinished run


def fit(
    panel: PathLike,
    sumstats: Sequence[PathLike],
    out: PathLike,
    *,
    annotations: PathLike | None = None,
    tracks: PathLike | None = None,
    chain: PathLike | None = None,
    model: ModelConfig | None = None,
    training: TrainConfig | None = None,
    split: SplitConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Run:
    """Fits a prior by the full marginal likelihood (or another objective) and writes the run.

    Args:
        panel: an LD panel.
        sumstats: one file a trait; several share one network with an output each.
        out: the run's folder.
        annotations: channels of the panel's variants; by default minor-allele frequency and LD score.
        tracks: a track store: read base by base by an enformer, as window averages by linear and mlp.
        chain: a chain file from the panel's genome build to the tracks', where they differ.
        model: which network.
        training: steps and learning rates.
        split: what is held out.
        resume: go on with an interrupted fit in `out`.
        overwrite: replace a finished run in `out`.
        progress: told about each step.

    Raises:
        VarfxError: files that are not what they should be, too little overlap, a split without windows.
    """
    from varfx.training import train  # loads Lightning

    model, training, split = model or ModelConfig(), training or TrainConfig(), split or SplitConfig()
    check_compile(model, training)
    if not sumstats:
        raise ConfigError("no summary statistics are given. Name at least one file with --sumstats.")
    reference = open_panel(panel)
    associations = [read_sumstats(path) for path in sumstats]
    names = [each.trait for each in associations]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{names.count(name)} of {len(names)} summary statistics are of a trait called `{name}`. Name one otherwise with "
                "`varfx sumstats clean --trait`."
            )
    channels = None if annotations is None else read_annotations(annotations)
    signals = tracks_for_fit(tracks, chain, kind=model.kind, window=model.enformer.window)
    config = {"model": _jsonable(model), "training": asdict(training), "split": _jsonable(split)}
    inputs = {"panel": panel, **{f"sumstats.{i}": path for i, path in enumerate(sumstats)}}
    inputs |= {
        name: path
        for name, path in (("annotations", annotations), ("tracks", tracks), ("chain", chain))
        if path is not None
    }
    provenance = sealed.provenance(config, inputs)
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
    nulls = null_sigma2(data, parts.train)
    doubts += [sigma2_warning(trait.name, prior.sigma2_values()[i]) for i, trait in enumerate(data.traits)]
    warnings = [doubt for doubt in doubts if doubt is not None]
    for warning in warnings:
        logger.warning(warning)
    sealed.remove(folder / "scratch")
    window_names = reference.windows["name"].to_list()
    record = {
        "traits": [
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
        ],
        "split": {part: [window_names[index] for index in windows] for part, windows in asdict(parts).items()},
        "panel": str(Path(panel).resolve()),
        "sumstats": [str(Path(path).resolve()) for path in sumstats],
        "annotations": None if annotations is None else str(Path(annotations).resolve()),
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
