"""Scores priors on held-out windows: a run's own, another run's on the same windows, or anybody's per-variant variances."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from varfx.annotations.snpvar import read_variances
from varfx.errors import ConfigError, DataError
from varfx.genome.chromosomes import chrom_list
from varfx.genome.matching import Matching
from varfx.gwas.sumstats import read_sumstats
from varfx.ld import LDPanel, open_panel
from varfx.ld.windows import core_of_name
from varfx.prior.files import InputPaths, PriorInputs, inputs_of_run
from varfx.prior.inputs import assemble
from varfx.prior.run import Run, open_run
from varfx.prior.score import Observe, WindowScores, compare, null_sigma2, score_windows, summarise
from varfx.prior.simulation.truth import compare_with_truth
from varfx.prior.split import check_chroms
from varfx.progress import Progress, silent
from varfx.tracks.inputs import TrackInputs
from varfx.training.gwas.windows import PriorWindow, WindowData

logger = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An evaluation's numbers.

    Attributes:
        traits: one entry a trait, see `varfx.prior.score.summarise`, with the paired comparison where one was asked for.
        windows: one entry a window and trait: name, log_p, log_p_null, gain, rank.
        notes: what the reader should know.
    """

    traits: list[dict[str, Any]]
    windows: list[dict[str, Any]]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {"traits": self.traits, "windows": self.windows, "notes": self.notes}


def evaluate(
    run: PathLike | Run,
    *,
    inputs: PriorInputs | None = None,
    chrom: Sequence[str] = (),
    exclude_chrom: Sequence[str] = (),
    compare_with: PathLike | Run | None = None,
    truth: PathLike | None = None,
    seed: int = 0,
    progress: Progress = silent,
    **paths: Unpack[InputPaths],
) -> Evaluation:
    """Scores a run on its held-out windows.

    Args:
        run: the run, or its folder.
        inputs: files in place of the run's own; another panel must hold the same windows, unless `chrom` is given.
        chrom: chromosomes to score instead of the held-out windows.
        exclude_chrom: chromosomes to leave out.
        compare_with: another run to compare on the same windows, panel and summary statistics.
        truth: `truth.parquet` of `varfx prior simulate`: adds an entry `truth`, see `varfx.prior.simulation.truth`.
        seed: of the bootstrap.
        progress: told about each window.
        **paths: `inputs` as single arguments: `panel`, `sumstats` (one file per trait, in the run's order), `annotations`,
            `tracks`, `chain`.

    Raises:
        ConfigError: nothing is held out, or the runs do not have the same traits.
        DataError: an input of the run's own is not that of the fit.
        VarfxError: inputs that cannot be read.
    """
    given = inputs or PriorInputs.of(**paths)
    chrom, exclude_chrom = chrom_list(chrom), chrom_list(exclude_chrom)
    first = open_run(run)
    files, other_files = inputs_of_run(first, given)
    reference = files.open_panel()
    check_chroms(exclude_chrom, [core.chrom for core in reference.cores], option="exclude-chrom")
    windows, notes = windows_to_score(first, reference, chrom, exclude_chrom)
    notes += other_files
    signals = given.tracks_of_run(first)
    sigma2 = first.model.sigma2_values()
    against = None if truth is None else compare_with_truth(truth, reference, sigma2)
    scores, data = _score_run(first, reference, files, signals, windows, progress, observe=against)
    if given.panel is None and not given.sumstats:
        nulls = [float(trait["sigma2_null"]) for trait in first.record["traits"]]
    else:
        learned_from = set(first.record["split"]["train"])
        shared = [i for i, core in enumerate(reference.cores) if core.name in learned_from]
        nulls = null_sigma2(data, shared) if shared else [trait["sigma2_null"] for trait in first.record["traits"]]
        notes.append(
            "the null's sigma2 was refitted on the run's training windows of the given data"
            if shared
            else "the given panel has none of the run's training windows: the null's sigma2 is that of the fit"
        )
    traits = summarise(scores, first.trait_names, sigma2, nulls, seed=seed)
    for entry, trait, fitted in zip(traits, data.traits, first.record["traits"], strict=True):
        entry["alpha"], entry["n_ref"] = fitted["alpha"], trait.n_ref
        if against is not None:
            entry["truth"] = against.summarise(trait.n_ref, seed=seed)
    if compare_with is not None:
        second = open_run(compare_with)
        if len(second.trait_names) != len(first.trait_names):
            raise ConfigError(
                f"`compare` needs runs of the same traits: {first.trait_names} and {second.trait_names} differ."
            )
        if second.trait_names != first.trait_names:
            notes.append(
                f"{second.path} was fitted to {', '.join(second.trait_names)}, compared trait by trait in order"
            )
        seen = set(second.record["split"]["train"]) | set(second.record["split"]["validation"])
        learned = [reference.cores[index].name for index in windows if reference.cores[index].name in seen]
        if learned:
            notes.append(
                f"{second.path} was fitted on {len(learned)} of the {len(windows)} windows, first {learned[0]}: the comparison favours it."
            )
        same, _ = inputs_of_run(second, PriorInputs(panel=files.panel, sumstats=files.sumstats))
        other, _ = _score_run(second, reference, same, PriorInputs().tracks_of_run(second), windows, progress)
        for entry, difference in zip(traits, compare(scores, other, first.trait_names, seed=seed), strict=True):
            entry["compared_with"] = str(second.path)
            entry |= {key: value for key, value in difference.items() if key != "name"}
    return Evaluation(traits, _per_window(scores, data, nulls), notes)


def evaluate_variances(
    variances: PathLike,
    *,
    panel: PathLike,
    sumstats: PathLike,
    sigma2: float = 1.0,
    chrom: Sequence[str] = (),
    exclude_chrom: Sequence[str] = (),
    seed: int = 0,
    matching: Matching | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Scores anybody's per-variant prior on the same windows, by the same likelihood.

    The null's sigma2 is fitted on the windows that are not scored, or on the scored ones where there are no others.
    Variants of the panel that the file lacks have f = 0; how many is noted.

    Args:
        variances: PolyFun's `CHR SNP BP A1 A2 SNPVAR`, or a table with `variant, f`, or a file of `prior predict`.
        panel: an LD panel.
        sumstats: one trait.
        sigma2: residual variance that goes with the prior.
        chrom: chromosomes to score; by default all.
        exclude_chrom: chromosomes to leave out.
        seed: of the bootstrap.
        matching: how the trait is matched to the panel.
        progress: told about each window.

    Raises:
        VarfxError: inputs that cannot be read, negative variances, too little overlap.
    """
    if not (np.isfinite(sigma2) and sigma2 > 0):
        raise ConfigError(f"`sigma2` must be positive, got {sigma2}.")
    chrom, exclude_chrom = chrom_list(chrom), chrom_list(exclude_chrom)
    reference = open_panel(panel)
    check_chroms(exclude_chrom, [core.chrom for core in reference.cores], option="exclude-chrom")
    data, _, _ = assemble(
        reference,
        [read_sumstats(sumstats)],
        None,
        kind="constant",
        dtype=torch.float64,
        matching=matching or Matching(),
    )
    f = read_variances(variances, reference.variants)
    windows = _chosen(reference, chrom, exclude_chrom)
    usable = [index for index in windows if _observed(reference, data, index)]
    if not usable:
        raise DataError(f"none of the {len(windows)} windows holds an association of `{sumstats}`.")
    scored = set(windows)
    rest = [
        index
        for index, core in enumerate(reference.cores)
        if index not in scored and core.chrom not in exclude_chrom and _observed(reference, data, index)
    ]
    notes = [
        f"the null's sigma2 was fitted on {len(rest)} other windows"
        if rest
        else "the null's sigma2 was fitted on the scored windows: there are no others"
    ]
    missing = int(np.isnan(f).sum())
    if missing:
        notes.append(f"{missing} of {f.size} panel variants are not in {variances}: their f is 0")
    F = torch.from_numpy(np.nan_to_num(f, nan=0.0) * data.traits[0].n_ref)
    rows = {index: torch.from_numpy(reference.rows(index)[1]) for index in usable}

    def variance_of(window: PriorWindow) -> Tensor:
        return F[rows[window.index]][:, None]

    scores = score_windows(data, usable, variance_of, [sigma2], progress=progress)
    nulls = null_sigma2(data, rest or usable)
    return Evaluation(
        summarise(scores, [data.traits[0].name], [sigma2], nulls, seed=seed), _per_window(scores, data, nulls), notes
    )


def _score_run(
    run: Run,
    panel: LDPanel,
    files: PriorInputs,
    tracks: TrackInputs | None,
    windows: Sequence[int],
    progress: Progress,
    *,
    observe: Observe | None = None,
) -> tuple[WindowScores, WindowData]:
    data, _, _ = assemble(
        panel,
        files.read_sumstats(),
        files.read_annotations(),
        kind=run.model.config.kind,
        standardiser=run.standardiser,
        dtype=torch.float64,
        tracks=tracks,
        matching=files.matching,
    )
    model = run.model.in_double()
    device = "cuda" if model.num_tracks and torch.cuda.is_available() else "cpu"
    model.to(device)
    # The model gives F = N f for its own traits' N; other summary statistics may have another.
    ratio = torch.tensor(
        [trait.n_ref / fitted["n_ref"] for trait, fitted in zip(data.traits, run.record["traits"], strict=True)],
        dtype=torch.float64,
    )

    def variance_of(window: PriorWindow) -> Tensor:
        F: Tensor = model(window.features.to(device), window.heterozygosity.to(device))
        return ratio * F.cpu()

    scores = score_windows(data, windows, variance_of, model.sigma2_values(), observe=observe, progress=progress)
    return scores, data


def windows_to_score(
    run: Run, panel: LDPanel, chrom: Sequence[str], exclude_chrom: Sequence[str]
) -> tuple[list[int], list[str]]:
    """The windows of a run to score, its held-out ones by default, and what to note about them."""
    split = run.record["split"]
    names = [core.name for core in panel.cores]
    unknown = sorted({name for part in split.values() for name in part} - set(names))
    if unknown and not chrom:
        raise DataError(
            f"`{panel.path}` lacks {len(unknown)} of the run's windows, first {unknown[0]}: give the panel that the run was fitted on, "
            "or name chromosomes with --chrom."
        )
    if chrom:
        windows = _chosen(panel, chrom, exclude_chrom)
        used = [core_of_name(name) for name in (*split["train"], *split["validation"])]
        learned = [index for index in windows if any(panel.cores[index].overlaps(core) for core in used)]
        notes = (
            [f"{len(learned)} of the {len(windows)} windows were used in the fit: this is no held-out evaluation"]
            if learned
            else []
        )
        return windows, notes
    held = set(split["holdout"])
    windows = [i for i, core in enumerate(panel.cores) if core.name in held and core.chrom not in exclude_chrom]
    if not windows:
        raise ConfigError(
            "the run held out no windows (or all are excluded). Fit with --holdout-chrom, or name chromosomes with --chrom."
        )
    return windows, []


def _chosen(panel: LDPanel, chrom: Sequence[str], exclude_chrom: Sequence[str]) -> list[int]:
    have = [core.chrom for core in panel.cores]
    check_chroms(chrom, have, option="chrom")
    windows = [i for i, name in enumerate(have) if (not chrom or name in chrom) and name not in exclude_chrom]
    if not windows:
        raise ConfigError("no windows are left to score: `exclude-chrom` names all chromosomes of `chrom`.")
    return windows


def _observed(panel: LDPanel, data: WindowData, index: int) -> bool:
    return bool(data.traits[0].observed[panel.rows(index)[0]].any())


def _per_window(scores: WindowScores, data: WindowData, nulls: Sequence[float]) -> list[dict[str, Any]]:
    null = scores.log_p_null(nulls)
    return [
        {
            "window": data.panel.cores[index].name,
            "trait": trait.name,
            "log_p": float(scores.log_p[row, column]),
            "log_p_null": float(null[row, column]),
            "gain": float(scores.log_p[row, column] - null[row, column]),
            "rank": int(scores.rank[row, column]),
        }
        for row, index in enumerate(scores.windows)
        for column, trait in enumerate(data.traits)
        if scores.rank[row, column] > 0
    ]
