"""`fit`: from a panel, summary statistics and annotations to a trained prior."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from varfx.annotations import Annotations, Standardiser
from varfx.device import for_float64
from varfx.errors import ConfigError
from varfx.genome.matching import Matching
from varfx.gwas.sumstats import SumStats
from varfx.io import sealed
from varfx.io.ledger import LedgerRow
from varfx.io.run_folder import RunFolder, identity_of
from varfx.ld import LDPanel
from varfx.models import ModelConfig, VariancePrior
from varfx.models.config import Kind
from varfx.prior.config import SplitConfig
from varfx.prior.constant import constant_to_record
from varfx.prior.files import FitPaths, Paths, PriorInputs
from varfx.prior.inputs import assemble, simulated_on
from varfx.prior.mixture_fit import MIXTURE, check_mixture, check_single, fit_mixture, mixture_to_record
from varfx.prior.option_file import OPTIONS, option_file
from varfx.prior.plausibility import sigma2_warning
from varfx.prior.quality import quality_warnings
from varfx.prior.run import CHECKPOINTS, HISTORY, MIXTURE_HISTORY, Run, open_run, run_folder, write_run
from varfx.prior.score import null_sigma2
from varfx.prior.signs import check_signs
from varfx.prior.split import Split, split_windows
from varfx.progress import Progress, silent
from varfx.tracks.inputs import TrackInputs
from varfx.training import TrainConfig, WindowData, prepare_objective, processes, start_at_constant
from varfx.training.gwas.config import check_compile
from varfx.training.history import LAST

if TYPE_CHECKING:
    from varfx.training import TrainOutcome

logger = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]
CONSTANT = "constant.json"  # beside the checkpoints: the constant prior at which the fit began


def fit(
    panel: PathLike,
    sumstats: Paths,
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
        sumstats: summary statistics, one file or DataFrame per trait, or a mapping from names of traits; several traits share one
            network with an output each.
        out: the run's folder.
        model: which network, in full or by its kind alone ("linear").
        training: steps and learning rates.
        split: held-out and validation windows.
        resume: continue an interrupted fit in `out`.
        overwrite: replace a finished run in `out`.
        progress: told about each step.
        **inputs: `annotations`, `tracks`, `chain`, `palindromes`, `min_overlap`, see `varfx.prior.files.PriorInputs`.

    Raises:
        VarfxError: inputs of another kind, too little overlap, a split without training windows.
    """
    model = ModelConfig(kind=model) if isinstance(model, str) else model or ModelConfig()
    options = FitOptions(model=model, training=training or TrainConfig(), split=split or SplitConfig())
    given = PriorInputs.of(panel=panel, sumstats=sumstats, **inputs)
    return fit_inputs(given, out, options, resume=resume, overwrite=overwrite, progress=progress)


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Network, training and split of one fit."""

    model: ModelConfig
    training: TrainConfig
    split: SplitConfig

    def __post_init__(self) -> None:
        check_compile(self.model, self.training)
        check_mixture(self.model, self.training)
        if self.split.seed is None:
            object.__setattr__(self, "split", replace(self.split, seed=self.training.seed))

    def to_json(self) -> dict[str, Any]:
        """All options by group, as in a run's record."""
        return {"model": _jsonable(self.model), "training": asdict(self.training), "split": _jsonable(self.split)}


def fit_inputs(
    inputs: PriorInputs,
    out: PathLike,
    options: FitOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Run:
    """`fit` with inputs and options as objects; under torchrun or srun, in all processes, of which the first writes."""
    from varfx.training.launch import join  # loads Lightning

    training, folder = options.training, run_folder(out)
    join(training.devices, training.num_nodes, training.device)
    with processes.in_step():
        sources = _open(inputs, options.model)
    with processes.first_holds(folder.out):
        matching = {"palindromes": inputs.matching.palindromes, "min_overlap": inputs.matching.min_overlap}
        config = {**options.to_json(), "matching": matching}
        provenance = processes.first_does(lambda: sealed.provenance(config, inputs.named()))
        identity = identity_of(provenance or {"config": {}, "inputs": {}})
        processes.first_does(lambda: folder.check(resume=resume, overwrite=overwrite, identity=identity))
        with processes.in_step():
            job = _assemble(sources, options, scratch=folder.scratch)
        processes.first_does(lambda: folder.begin(identity, resume=resume, overwrite=overwrite))
        checkpoints = folder.below(CHECKPOINTS)
        prior, outcome, guesses = _train(job, options, checkpoints, resume=resume, progress=progress)
        record = {**_record(inputs, job, guesses), "config": config, "provenance": provenance}
        if prior.mixture is not None:
            second = fit_mixture(prior, job.data, job.split, training, checkpoints, resume=resume, progress=progress)
            record["mixture"] = _outcome(second)
        run = processes.first_does(lambda: _finish(folder, job, prior, outcome, record))
        return run or open_run(folder.out)


@dataclass(frozen=True, eq=False)
class _Sources:
    """Contents of the inputs."""

    panel: LDPanel
    sumstats: list[SumStats]
    annotations: Annotations | None
    tracks: TrackInputs | None
    matching: Matching


@dataclass(frozen=True, eq=False)
class _Job:
    """Data of a fit on the panel's rows, and the use of its windows."""

    sources: _Sources
    data: WindowData
    standardiser: Standardiser | None
    ledgers: list[list[LedgerRow]]
    split: Split
    doubts: list[str]  # that a trait's alleles are those of the panel


def _open(inputs: PriorInputs, model: ModelConfig) -> _Sources:
    """Reads what is read at once."""
    panel, associations, channels = inputs.open_panel(), inputs.read_sumstats(), inputs.read_annotations()
    _check_names([each.trait for each in associations])
    return _Sources(panel, list(associations), channels, inputs.tracks_for_fit(model), inputs.matching)


def _assemble(sources: _Sources, options: FitOptions, *, scratch: Path) -> _Job:
    """The data on the panel's rows, and the split of its windows."""
    panel = sources.panel
    data, standardiser, ledgers = assemble(
        panel,
        sources.sumstats,
        sources.annotations,
        kind=options.model.kind,
        scratch=scratch,
        tracks=sources.tracks,
        processes=options.training.devices,
        matching=sources.matching,
    )
    check_single(options.model, data)
    parts = split_windows(panel.windows, options.split, flank=panel.flank, has_data=_has_data(panel, data))
    if data.tracks is not None:
        used = sorted(parts.train + parts.validation + parts.holdout)
        data.tracks.require([panel.rows(i)[1] for i in used], [panel.cores[i].name for i in used])
    doubts = [check_signs(panel, trait, parts.train).warning(trait.name) for trait in data.traits]
    return _Job(sources, data, standardiser, ledgers, parts, [doubt for doubt in doubts if doubt is not None])


def _train(
    job: _Job, options: FitOptions, checkpoints: Path, *, resume: bool, progress: Progress
) -> tuple[VariancePrior, TrainOutcome, list[float] | None]:
    """The prior with its best weights, how training ended, and the heritabilities behind the objective's weights."""
    from varfx.training import train  # loads Lightning
    from varfx.training.launch import device_here

    data, parts, signals, training = job.data, job.split, job.sources.tracks, options.training
    prior = VariancePrior(
        options.model,
        0 if job.standardiser is None else len(job.standardiser.feature_names),
        len(data.traits),
        num_tracks=0 if signals is None else signals.num_channels,
        seed=training.seed,
    )
    guesses = prepare_objective(data, parts.train, training.objective)
    if not processes.of_first(resume and (checkpoints / LAST).is_dir()):
        start = partial(
            start_at_constant,
            prior,
            data,
            parts.train,
            mean_ld_score=_mean_ld_score(job.sources.panel),
            objective=training.objective,
            max_windows=training.start_windows,
            device=for_float64(device_here(training.device)),
        )
        processes.first_does(start)
        if training.objective == "likelihood":
            processes.first_does(
                lambda: sealed.write_json(checkpoints / CONSTANT, {"traits": constant_to_record(prior)})
            )
        prior.load_state_dict(processes.of_first(prior.state_dict()))
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
    return prior, outcome, guesses


def _record(inputs: PriorInputs, job: _Job, guesses: list[float] | None) -> dict[str, Any]:
    """Description of the inputs in the run's record."""
    panel, signals = job.sources.panel, job.sources.tracks
    window_names = panel.windows["name"].to_list()
    return {
        "split": {part: [window_names[index] for index in windows] for part, windows in asdict(job.split).items()},
        "panel": str(panel.path.resolve()),
        "build": panel.build or next((each.build for each in job.sources.sumstats if each.build is not None), None),
        "sumstats": [str(path.resolve()) for path in inputs.sumstats],
        "annotations": None if inputs.annotations is None else str(inputs.annotations.resolve()),
        "tracks": None if signals is None else signals.to_record(),
        "ballpark_h2": guesses,
    }


def _finish(folder: RunFolder, job: _Job, prior: VariancePrior, outcome: TrainOutcome, record: dict[str, Any]) -> Run:
    """The finished run, written in place of checkpoints and scratch files."""
    data = job.data
    implausible = [sigma2_warning(trait.name, prior.sigma2_values()[i]) for i, trait in enumerate(data.traits)]
    foreign = [not simulated_on(each, data.panel) for each in job.sources.sumstats]
    misfits = [quality_warnings(data.panel, trait) for trait, own in zip(data.traits, foreign, strict=True) if own]
    warnings = [*job.doubts, *(each for each in implausible if each is not None), *chain.from_iterable(misfits)]
    for warning in warnings:
        logger.warning(warning)
    kept = folder.building / CHECKPOINTS / CONSTANT
    constant = sealed.read_json(kept)["traits"] if kept.is_file() else [None] * len(data.traits)
    record = {
        "traits": _trait_records(prior, data, null_sigma2(data, job.split.train), job.ledgers, constant),
        **record,
        "warnings": warnings,
        "objective": record["config"]["training"]["objective"],
        "outcome": _outcome(outcome),
    }
    shutil.copyfile(folder.building / CHECKPOINTS / HISTORY, folder.result / HISTORY)
    if prior.mixture is not None:
        shutil.copyfile(folder.building / CHECKPOINTS / MIXTURE / HISTORY, folder.result / MIXTURE_HISTORY)
        for trait, shared in zip(record["traits"], mixture_to_record(prior), strict=True):
            trait["mixture"] = shared
    sealed.write_text(folder.result / OPTIONS, option_file(record))
    return write_run(folder, prior, job.standardiser, record)


def _outcome(outcome: TrainOutcome) -> dict[str, Any]:
    return {"best_step": outcome.best_step, "stopped": outcome.stopped, "steps": outcome.history[-1].step}


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{names.count(name)} of {len(names)} summary statistics are of a trait called `{name}`. Name one otherwise with "
                "`varfx sumstats clean --trait`."
            )


def _trait_records(
    prior: VariancePrior,
    data: WindowData,
    nulls: Sequence[float],
    ledgers: Sequence[list[LedgerRow]],
    constant: Sequence[dict[str, float] | None],
) -> list[dict[str, Any]]:
    """Each trait's fitted numbers; `constant` is the prior at which the fit began, if the likelihood found it."""
    return [
        {
            "name": trait.name,
            "n_ref": trait.n_ref,
            "sigma2": prior.sigma2_values()[i],
            "sigma2_null": nulls[i],
            "alpha": float(prior.alpha.detach()[i]),
            "alpha_per_allele": float(prior.alpha.detach()[i]) - 1,
            "constant": constant[i],
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


def _mean_ld_score(panel: LDPanel) -> float:
    return float(panel.variants["ld_score"].drop_nulls().mean() or 1.0)  # type: ignore[arg-type]


def _jsonable(config: Any) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}
