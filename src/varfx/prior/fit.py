"""`fit`: from a panel, summary statistics and annotations to a trained prior."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from varfx.device import for_float64
from varfx.errors import ConfigError
from varfx.io import sealed
from varfx.io.ledger import LedgerRow
from varfx.io.run_folder import RunFolder, identity_of
from varfx.ld import LDPanel
from varfx.models import ModelConfig, VariancePrior
from varfx.models.config import Kind
from varfx.prior.ancestries.inputs import AncestryInputs
from varfx.prior.ancestries.run import AncestryRun, open_ancestries, write_ancestries
from varfx.prior.config import SplitConfig
from varfx.prior.constant import constant_to_record
from varfx.prior.files import FitPaths, Paths, PriorInputs
from varfx.prior.fit_data import FitJob, assemble_members, open_sources
from varfx.prior.inputs import simulated_on
from varfx.prior.mixture_fit import MIXTURE, check_mixture, check_single, fit_mixture, mixture_to_record
from varfx.prior.option_file import OPTIONS, option_file
from varfx.prior.plausibility import sigma2_warning
from varfx.prior.quality import quality_warnings
from varfx.prior.run import ANCESTRIES, CHECKPOINTS, HISTORY, MIXTURE_HISTORY, Run, open_run, run_folder, write_run
from varfx.prior.score import null_sigma2
from varfx.prior.split import Split
from varfx.progress import Progress, silent
from varfx.training import TrainConfig, WindowData, prepare_objective, processes, start_at_constant
from varfx.training.gwas.config import check_compile
from varfx.training.gwas.joint import JointWindows
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
    run = fit_members(inputs, out, options, resume=resume, overwrite=overwrite, progress=progress)
    return run if isinstance(run, Run) else open_run(out)


def fit_members(
    inputs: PriorInputs | AncestryInputs,
    out: PathLike,
    options: FitOptions,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Run | AncestryRun:
    """`fit_inputs` to one panel, or to one per ancestry."""
    from varfx.training.launch import join  # loads Lightning

    if options.model.effects == "mixture" and isinstance(inputs, AncestryInputs):
        raise ConfigError("`--effects mixture` is for one panel. Leave it out, or the names of ancestries.")
    training, folder = options.training, run_folder(out)
    join(training.devices, training.num_nodes, training.device)
    with processes.in_step():
        sources = open_sources(inputs)
        tracks = inputs.tracks_for_fit(options.model)
    with processes.first_holds(folder.out):
        matching = {"palindromes": inputs.matching.palindromes, "min_overlap": inputs.matching.min_overlap}
        config = {**options.to_json(), "matching": matching}
        provenance = processes.first_does(lambda: sealed.provenance(config, inputs.named()))
        identity = identity_of(provenance or {"config": {}, "inputs": {}})
        processes.first_does(lambda: folder.check(resume=resume, overwrite=overwrite, identity=identity))
        with processes.in_step():
            job = assemble_members(sources, tracks, options, matching=inputs.matching, scratch=folder.scratch)
            for each in job.members:
                check_single(options.model, each.data)
        processes.first_does(lambda: folder.begin(identity, resume=resume, overwrite=overwrite))
        checkpoints = folder.below(CHECKPOINTS)
        prior, outcome, guesses = _train(job, options, checkpoints, resume=resume, progress=progress)
        record = {**_record(job, guesses), "config": config, "provenance": provenance}
        if prior.mixture is not None:
            (only,) = job.members
            second = fit_mixture(prior, only.data, only.split, training, checkpoints, resume=resume, progress=progress)
            record["mixture"] = _outcome(second)
        run = processes.first_does(lambda: _finish(folder, job, prior, outcome, record))
        return run or (open_run(folder.out) if isinstance(inputs, PriorInputs) else open_ancestries(folder.out))


def _train(
    job: FitJob, options: FitOptions, checkpoints: Path, *, resume: bool, progress: Progress
) -> tuple[VariancePrior, TrainOutcome, list[float] | None]:
    """The prior with its best weights, how training ended, and the heritabilities behind the objective's weights."""
    from varfx.training import train  # loads Lightning

    training = options.training
    prior = VariancePrior(
        options.model,
        0 if job.standardiser is None else len(job.standardiser.feature_names),
        job.num_traits,
        num_tracks=0 if job.tracks is None else job.tracks.num_channels,
        shared=bool(job.ancestries),
        seed=training.seed,
    )
    guesses = [prepare_objective(each.data, each.split.train, training.objective) for each in job.members]
    if not processes.of_first(resume and (checkpoints / LAST).is_dir()):
        processes.first_does(lambda: _start(prior, job, training, checkpoints))
        prior.load_state_dict(processes.of_first(prior.state_dict()))
    joint = JointWindows([each.data for each in job.members])
    splits = [each.split for each in job.members]
    learn, check = (joint.numbers(part) for part in ([s.train for s in splits], [s.validation for s in splits]))
    data = joint if len(job.members) > 1 else job.members[0].data
    outcome = train(prior, data, learn, check or learn, training, checkpoints, resume=resume, progress=progress)
    known = [each for each in guesses if each is not None]
    return prior, outcome, list(chain.from_iterable(known)) if known else None


def _start(prior: VariancePrior, job: FitJob, training: TrainConfig, checkpoints: Path) -> None:
    """Sets the prior to the constant prior of each trait, and keeps the latter's record where the likelihood found it."""
    from varfx.training.launch import device_here

    first = 0
    for each in job.members:
        start_at_constant(
            prior,
            each.data,
            each.split.train,
            mean_ld_score=_mean_ld_score(each.sources.panel),
            first=first,
            objective=training.objective,
            max_windows=training.start_windows,
            device=for_float64(device_here(training.device)),
        )
        first += len(each.data.traits)
    if training.objective == "likelihood":
        sealed.write_json(checkpoints / CONSTANT, {"traits": constant_to_record(prior)})


def _record(job: FitJob, guesses: list[float] | None) -> dict[str, Any]:
    """Description of the inputs in the run's record."""
    common = {"tracks": None if job.tracks is None else job.tracks.to_record(), "ballpark_h2": guesses}
    if not job.ancestries:
        return job.members[0].record | common
    return {ANCESTRIES: dict(zip(job.ancestries, (each.record for each in job.members), strict=True))} | common


def _finish(
    folder: RunFolder, job: FitJob, prior: VariancePrior, outcome: TrainOutcome, record: dict[str, Any]
) -> Run | AncestryRun:
    """The finished run, written in place of checkpoints and scratch files."""
    kept = folder.building / CHECKPOINTS / CONSTANT
    constant = sealed.read_json(kept)["traits"] if kept.is_file() else [None] * job.num_traits
    traits: list[dict[str, Any]] = []
    by_member: list[list[str]] = []
    for each in job.members:
        first, data = len(traits), each.data
        sigma2 = prior.sigma2_values()[first:]
        implausible = [sigma2_warning(trait.name, value) for trait, value in zip(data.traits, sigma2, strict=False)]
        foreign = [not simulated_on(own, data.panel) for own in each.sources.sumstats]
        misfits = [quality_warnings(data.panel, trait) for trait, own in zip(data.traits, foreign, strict=True) if own]
        by_member.append([*each.doubts, *(one for one in implausible if one), *chain.from_iterable(misfits)])
        nulls = null_sigma2(data, each.split.train)
        traits += _trait_records(prior, data, nulls, each.ledgers, constant[first:], first=first)
    warnings = list(chain.from_iterable(by_member))
    for warning in warnings:
        logger.warning(warning)
    for name, own in zip(job.ancestries, by_member, strict=False):
        record[ANCESTRIES][name]["warnings"] = own
    record = {
        "traits": traits,
        **record,
        "warnings": warnings,
        "objective": record["config"]["training"]["objective"],
        "outcome": {
            **_outcome(outcome),
            **_sampled([each.split for each in job.members], record["config"]["training"]["check_windows"]),
        },
    }
    shutil.copyfile(folder.building / CHECKPOINTS / HISTORY, folder.result / HISTORY)
    if prior.mixture is not None:
        shutil.copyfile(folder.building / CHECKPOINTS / MIXTURE / HISTORY, folder.result / MIXTURE_HISTORY)
        for trait, shared in zip(record["traits"], mixture_to_record(prior), strict=True):
            trait["mixture"] = shared
    sealed.write_text(folder.result / OPTIONS, option_file(record))
    if job.ancestries:
        return write_ancestries(folder, prior, job.standardiser, record)
    return write_run(folder, prior, job.standardiser, record)


def _outcome(outcome: TrainOutcome) -> dict[str, Any]:
    return {"best_step": outcome.best_step, "stopped": outcome.stopped, "steps": outcome.history[-1].step}


def _sampled(splits: Sequence[Split], most: int) -> dict[str, int]:
    """Numbers of validation windows, and of those that checks scored, where these were fewer."""
    of = sum(len(split.validation or split.train) for split in splits)
    return {"validation_windows": of, "checked_windows": most} if most < of else {}


def _trait_records(
    prior: VariancePrior,
    data: WindowData,
    nulls: Sequence[float],
    ledgers: Sequence[list[LedgerRow]],
    constant: Sequence[dict[str, float] | None],
    *,
    first: int,
) -> list[dict[str, Any]]:
    """Each trait's fitted numbers.

    Args:
        prior: of all traits.
        data: some of them, of which the first is the prior's number `first`.
        nulls: sigma2 of the null, per trait of the data.
        ledgers: what matching did, likewise.
        constant: the prior at which the fit began, if the likelihood found it, likewise.
        first: see `data`.
    """
    alpha, sigma2 = prior.alpha.detach()[first:], prior.sigma2_values()[first:]
    return [
        {
            "name": trait.name,
            "n_ref": trait.n_ref,
            "sigma2": sigma2[i],
            "sigma2_null": nulls[i],
            "alpha": float(alpha[i]),
            "alpha_per_allele": float(alpha[i]) - 1,
            "constant": constant[i],
            "matched": int(trait.observed.sum()),
            "ledger": ledgers[i],
        }
        for i, trait in enumerate(data.traits)
    ]


def _mean_ld_score(panel: LDPanel) -> float:
    return float(panel.variants["ld_score"].drop_nulls().mean() or 1.0)  # type: ignore[arg-type]


def _jsonable(config: Any) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}
