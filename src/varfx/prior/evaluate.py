"""Scores of a run on its held-out windows, beside the constant prior and, if asked for, another run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import polars as pl
import torch
from torch import Tensor

from varfx.device import find_float64_device
from varfx.errors import ConfigError
from varfx.genome.chromosomes import chrom_list
from varfx.ld import LDPanel
from varfx.prior.ancestries.run import AncestryRun, has_ancestries, open_ancestries, require_no_files
from varfx.prior.constant import MAX_WINDOWS, ConstantPrior, beside_constant, constant_of_record, fit_constant
from varfx.prior.files import InputPaths, PriorInputs, inputs_of_run
from varfx.prior.held_out import training_windows, windows_to_score
from varfx.prior.mixture_score import beside_mixture
from varfx.prior.run import Run, open_run
from varfx.prior.run_data import data_of_run, sample_size_ratio
from varfx.prior.score import Observe, WindowScores, compare, null_sigma2, score_windows, summarise
from varfx.prior.simulation.truth import TruthComparison, compare_with_truth
from varfx.prior.split import check_chroms
from varfx.progress import Progress, silent
from varfx.short_repr import short_repr
from varfx.training.gwas.windows import PriorWindow, WindowData

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An evaluation's numbers.

    Attributes:
        traits: one entry per trait, see `varfx.prior.score.summarise`; under `constant` the constant prior's gain and the paired
            difference from it; under `mixture`, of a run with sparse effects, how far a lower bound of their log density exceeds
            that of normal ones; the paired difference from another prior if asked for.
        windows: one entry per window and trait: name, log_p, log_p_null, gain, gain_constant, rank.
        notes: remarks for the reader.
    """

    __repr__ = short_repr

    traits: list[dict[str, Any]]
    windows: list[dict[str, Any]]
    notes: list[str]

    @property
    def frame(self) -> pl.DataFrame:
        """`windows` as a DataFrame."""
        return pl.DataFrame(self.windows, infer_schema_length=None)

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {"traits": self.traits, "windows": self.windows, "notes": self.notes}


def evaluate(
    run: PathLike | Run | AncestryRun,
    *,
    inputs: PriorInputs | None = None,
    chrom: Sequence[str] = (),
    exclude_chrom: Sequence[str] = (),
    compare_with: PathLike | Run | AncestryRun | None = None,
    truth: PathLike | None = None,
    calibrate: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
    **paths: Unpack[InputPaths],
) -> Evaluation:
    """Scores a run on its held-out windows.

    Args:
        run: the run, or its folder; of a run of several ancestries each is scored, under its name.
        inputs: files in place of the run's own; another panel must hold the same windows, unless `chrom` is given.
        chrom: chromosomes to score instead of the held-out windows.
        exclude_chrom: chromosomes to leave out.
        compare_with: another run to compare on the same windows, panel and summary statistics.
        truth: `truth.parquet` of `varfx prior simulate`: adds an entry `truth`, see `varfx.prior.simulation.truth`.
        calibrate: add `mean_chi2` and `calibration` to each trait: whether the prior's own probabilities are right, see
            `varfx.prior.simulation.truth`.
        seed: of the bootstrap.
        device: of the computation, in float64: auto, cpu, cuda or cuda:N; for mps, which has no float64, the CPU.
        progress: told about each window.
        **paths: `inputs` as single arguments: `panel`, `sumstats` (one file per trait, in the run's order), `annotations`,
            `tracks`, `chain`.

    Raises:
        ConfigError: nothing is held out, the runs do not have the same traits, or there is no such device.
        DataError: an input of the run's own is not that of the fit.
        VarfxError: inputs that cannot be read.
    """
    where = find_float64_device(device)
    given = inputs or PriorInputs.of(**paths)
    if has_ancestries(run):
        return _of_ancestries(
            run,
            given,
            chrom=chrom,
            exclude_chrom=exclude_chrom,
            compare_with=compare_with,
            truth=truth,
            calibrate=calibrate,
            seed=seed,
            device=device,
            progress=progress,
        )
    chrom, exclude_chrom = chrom_list(chrom), chrom_list(exclude_chrom, option="exclude-chrom")
    first = open_run(run)
    files, other_files = inputs_of_run(first, given)
    reference = files.open_panel()
    check_chroms(exclude_chrom, [core.chrom for core in reference.cores], option="exclude-chrom")
    windows, notes = windows_to_score(first, reference, chrom, exclude_chrom)
    notes += other_files + first.record.get("warnings", [])
    sigma2 = first.model.in_double().sigma2_values()
    against = None if truth is None else compare_with_truth(truth, reference, sigma2)
    watchers = _calibrations(reference, sigma2) if calibrate else []
    watch = _all_of([*watchers, *([] if against is None else [against])])
    scores, data = _score_run(first, files, reference, windows, where, progress, tracks=given, observe=watch)
    nulls, about_null = nulls_of_run(first, data, own=given.panel is None and not given.sumstats)
    traits = summarise(scores, first.trait_names, sigma2, nulls, seed=seed)
    constant, about_constant = _constant(first, data, where)
    constant_scores = constant.score(data, windows, device=where, progress=progress)
    beside_constant(traits, scores, constant_scores, constant.model.sigma2_values(), nulls, seed=seed)
    beside_mixture(traits, first, data, scores, device=where, progress=progress)
    notes += about_null + about_constant
    for entry, trait, fitted in zip(traits, data.traits, first.record["traits"], strict=True):
        entry |= {"alpha": fitted["alpha"], "alpha_per_allele": fitted["alpha"] - 1, "n_ref": trait.n_ref}
        if against is not None:
            entry["truth"] = against.summarise(trait.n_ref, seed=seed)
    for entry, trait, watcher in zip(traits, data.traits, watchers, strict=False):
        if watcher.windows:
            entry |= watcher.calibration(trait.n_ref, seed=seed)
    if compare_with is not None:
        second = open_run(compare_with)
        notes += _comparability(first, second, reference, windows)
        same, _ = inputs_of_run(second, PriorInputs(panel=files.panel, sumstats=files.sumstats))
        other, _ = _score_run(second, same, reference, windows, where, progress)
        for entry, difference in zip(traits, compare(scores, other, first.trait_names), strict=True):
            entry["compared_with"] = str(second.path)
            entry |= {key: value for key, value in difference.items() if key != "name"}
    return Evaluation(traits, per_window(scores, data, nulls, constant_scores), notes)


def _of_ancestries(run: PathLike | Run | AncestryRun, given: PriorInputs, **options: Any) -> Evaluation:
    """The evaluation of each ancestry of a run of several, whose files cannot be given."""
    from varfx.prior.ancestries.evaluate import evaluate_ancestries

    joint = open_ancestries(run)
    require_no_files(joint, given.named())
    if options["truth"] is not None:
        raise ConfigError(
            f"`--truth` is of one panel. Give one ancestry's run: {joint.path / next(iter(joint.members))}."
        )
    return evaluate_ancestries(joint, **options)


def _calibrations(panel: LDPanel, sigma2: Sequence[float]) -> list[TruthComparison]:
    """What watches each trait's windows where no truth is known."""
    unknown = np.full(panel.variants.height, np.nan)
    return [TruthComparison(panel=panel, f=unknown, sigma2=each, trait=number) for number, each in enumerate(sigma2)]


def _all_of(watchers: Sequence[Observe]) -> Observe | None:
    """One observer that tells all of them."""
    if not watchers:
        return None

    def observe(window: PriorWindow, F: Tensor) -> None:
        for each in watchers:
            each(window, F)

    return observe


def nulls_of_run(run: Run, data: WindowData, *, own: bool) -> tuple[list[float], list[str]]:
    """sigma2 of the null per trait, and notes: that of the fit, or refitted on the run's training windows of other data."""
    fitted = [float(trait["sigma2_null"]) for trait in run.record["traits"]]
    if own:
        return fitted, []
    shared = training_windows(run, data.panel)
    if not shared:
        return fitted, ["the given panel has none of the run's training windows: the null's sigma2 is that of the fit"]
    return null_sigma2(data, shared), ["the null's sigma2 was refitted on the run's training windows of the given data"]


def _constant(run: Run, data: WindowData, device: torch.device) -> tuple[ConstantPrior, list[str]]:
    """The constant prior at which the fit began; refitted for runs that did not keep it."""
    kept = constant_of_record(run.record["traits"])
    if kept is not None:
        return kept, []
    shared = training_windows(run, data.panel) or list(range(len(data.panel.cores)))
    fitted = fit_constant(data, shared, device=device)
    return fitted, [f"the constant prior was fitted for this evaluation, on up to {MAX_WINDOWS} training windows"]


def _comparability(first: Run, second: Run, panel: LDPanel, windows: Sequence[int]) -> list[str]:
    """Notes on how fair a comparison of two runs is.

    Raises:
        ConfigError: the runs have different numbers of traits.
    """
    if len(second.trait_names) != len(first.trait_names):
        raise ConfigError(
            f"`compare` needs runs of the same traits: {first.trait_names} and {second.trait_names} differ."
        )
    notes = []
    if second.trait_names != first.trait_names:
        notes.append(f"{second.path} was fitted to {', '.join(second.trait_names)}, compared trait by trait in order")
    seen = set(second.record["split"]["train"]) | set(second.record["split"]["validation"])
    learned = [panel.cores[index].name for index in windows if panel.cores[index].name in seen]
    if learned:
        notes.append(
            f"{second.path} was fitted on {len(learned)} of the {len(windows)} windows, first {learned[0]}: the comparison favours it."
        )
    return notes


def _score_run(
    run: Run,
    files: PriorInputs,
    panel: LDPanel,
    windows: Sequence[int],
    device: torch.device,
    progress: Progress,
    *,
    tracks: PriorInputs | None = None,
    observe: Observe | None = None,
) -> tuple[WindowScores, WindowData]:
    """A run's scores of some windows, and their data; `tracks` names another store than the run's."""
    data = data_of_run(run, files, panel, tracks=tracks or PriorInputs())
    model = run.model.in_double().to(device)
    ratio = sample_size_ratio(run, data).to(device)

    def variance_of(window: PriorWindow) -> Tensor:
        F: Tensor = model(window.features, window.heterozygosity)
        return ratio * F

    sigma2 = model.sigma2_values()
    scores = score_windows(data, windows, variance_of, sigma2, observe=observe, device=device, progress=progress)
    return scores, data


def per_window(
    scores: WindowScores, data: WindowData, nulls: Sequence[float], constant: WindowScores
) -> list[dict[str, Any]]:
    """One JSON-able entry per window and trait with data."""
    null = scores.log_p_null(nulls)
    return [
        {
            "window": data.panel.cores[index].name,
            "trait": trait.name,
            "log_p": float(scores.log_p[row, column]),
            "log_p_null": float(null[row, column]),
            "gain": float(scores.log_p[row, column] - null[row, column]),
            "gain_constant": float(constant.log_p[row, column] - null[row, column]),
            "rank": int(scores.rank[row, column]),
        }
        for row, index in enumerate(scores.windows)
        for column, trait in enumerate(data.traits)
        if scores.rank[row, column] > 0
    ]
