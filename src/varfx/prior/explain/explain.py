"""`explain`: what a fitted prior looks at, and what that is worth: attribution and permutation importance of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import polars as pl
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from varfx.device import find_float64_device
from varfx.errors import ConfigError
from varfx.genome.chromosomes import chrom_list
from varfx.io import sealed
from varfx.io.run_folder import RunFolder
from varfx.models import VariancePrior
from varfx.models.config import AttributionConfig
from varfx.prior.explain.attribution import Attributions, attribute_variants
from varfx.prior.explain.channels import EACH, ChannelGroup, Channels, channel_groups
from varfx.prior.explain.config import ExplainConfig
from varfx.prior.explain.importance import Features, permutation_importance
from varfx.prior.explain.selection import highest_variants, named_variants, sampled_variants
from varfx.prior.files import InputPaths, PriorInputs, inputs_of_run
from varfx.prior.held_out import windows_to_score
from varfx.prior.run import Run, folder_of, open_run
from varfx.prior.run_data import data_of_run, sample_size_ratio
from varfx.prior.split import check_chroms
from varfx.progress import Progress, silent
from varfx.training.gwas.windows import WindowData

logger = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]
KIND = "attribution"
TABLES = ("attribution", "channels", "profile", "bases")  # .parquet each, in the order of `Attributions`


@dataclass(frozen=True, eq=False)
class Explanation:
    """Explanation of a prior.

    Attributes:
        trait: whose f is attributed.
        attributions: contributions to its log f.
        importance: one entry a trait and group, see `varfx.prior.explain.importance.Importance.entries`; empty if left out.
        notes: what the reader should know.
        config: options, JSON-able.
    """

    trait: str
    attributions: Attributions
    importance: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)


class ExplainedOn(InputPaths, total=False):
    """Files and chromosomes of an explanation, as keyword arguments."""

    chrom: Sequence[str]
    exclude_chrom: Sequence[str]


def explain(
    run: PathLike | Run,
    *,
    variants: PathLike | None = None,
    trait: str | None = None,
    groups: PathLike | Mapping[str, Sequence[str]] = EACH,
    inputs: PriorInputs | None = None,
    config: ExplainConfig | None = None,
    integration: AttributionConfig | None = None,
    device: str = "auto",
    progress: Progress = silent,
    **paths: Unpack[ExplainedOn],
) -> Explanation:
    """Explanation of a run on its held-out windows.

    Args:
        run: the run, or its folder.
        variants: text file with the variants to explain, one per line: rsID, chrom:position or chrom:position:A:B.
        trait: whose f is attributed; by default the first. Importance is that of all traits.
        groups: what is permuted together, see `varfx.prior.explain.channels.channel_groups`.
        inputs: files in place of the run's own.
        config: which variants, and how channels are permuted.
        integration: of the contributions.
        device: of the computation: auto, cpu, cuda or cuda:N; for mps, which has no float64, the CPU.
        progress: told about variants and windows.
        **paths: `inputs` as single arguments (`panel`, `sumstats`, `annotations`, `tracks`, `chain`); `chrom`, chromosomes to look at
            instead of the held-out windows; and `exclude_chrom`, chromosomes to leave out.

    Raises:
        ConfigError: a model without channels, an unknown trait or group, both `variants` and `config.top`, no such device.
        DataError: an input of the run's own is not that of the fit.
        VarfxError: inputs that cannot be read.
    """
    config, integration = config or ExplainConfig(), integration or AttributionConfig()
    if variants is not None and config.top is not None:
        raise ConfigError("give either --variants or --top, one of the two.")
    where = find_float64_device(device)
    chrom, exclude = (
        chrom_list(paths.pop("chrom", ())),
        chrom_list(paths.pop("exclude_chrom", ()), option="exclude-chrom"),
    )
    given = inputs or PriorInputs.of(**paths)  # type: ignore[misc]  # without the two taken out above
    subject = _open(open_run(run), given, trait, (chrom, exclude), where)
    permuted = channel_groups(subject.channels, groups) if config.repeats else []
    rows, notes = _explained_rows(subject, variants, config, progress)
    found = attribute_variants(
        subject.model,
        subject.data,
        rows,
        subject.channels,
        trait=subject.trait,
        detail=config.detail,
        config=integration,
        progress=progress,
    )
    notes = [*subject.notes, *notes, *_incomplete(found, integration)]
    entries = _importance(subject, permuted, config, progress) if permuted else []
    options = {**vars(config), **vars(integration), "groups": _shown(groups)}
    return Explanation(subject.run.trait_names[subject.trait], found, entries, notes, options)


@dataclass(frozen=True, eq=False)
class _Subject:
    """A run on the windows on which it is explained.

    Attributes:
        run: the fitted prior.
        model: its network, in float64 on the device.
        data: its inputs.
        windows: the numbers of the windows.
        channels: its features and tracks.
        trait: number of the explained trait.
        notes: what the reader should know about the inputs.
        device: of the computation.
    """

    run: Run
    model: VariancePrior
    data: WindowData
    windows: Sequence[int]
    channels: Channels
    trait: int
    notes: list[str]
    device: torch.device


def _open(
    run: Run,
    given: PriorInputs,
    trait: str | None,
    chroms: tuple[tuple[str, ...], tuple[str, ...]],
    device: torch.device,
) -> _Subject:
    """The run with its data; `chroms` are those to look at, in place of the held-out windows, and those to leave out."""
    number = _trait_number(run, trait)
    if run.standardiser is None and not run.model.num_tracks:
        raise ConfigError(
            f"`{run.path}` is a constant model: it looks at nothing but frequency. Fit another with --model."
        )
    files, other_files = inputs_of_run(run, given)
    panel = files.open_panel()
    check_chroms(chroms[1], [core.chrom for core in panel.cores], option="exclude-chrom")
    windows, notes = windows_to_score(run, panel, *chroms)
    data = data_of_run(run, files, panel, tracks=given)
    channels = Channels(
        features=() if run.standardiser is None else run.standardiser.feature_names,
        tracks=() if data.tracks is None else data.tracks.channels,
    )
    model = run.model.in_double().to(device)
    return _Subject(run, model, data, windows, channels, number, notes + other_files, device)


def _explained_rows(
    subject: _Subject, variants: PathLike | None, config: ExplainConfig, progress: Progress
) -> tuple[Int[ndarray, " variant"], list[str]]:
    """Rows of the variants to explain: those named, those of highest f, or a random sample; and notes on those named."""
    panel, windows = subject.data.panel, subject.windows
    if variants is not None:
        return named_variants(panel, variants)
    if config.top is not None:
        chosen = highest_variants(
            subject.model, subject.data, windows, config.top, trait=subject.trait, progress=progress
        )
        return chosen, []
    return sampled_variants(panel, windows, config.sample, seed=config.seed), []


def _incomplete(found: Attributions, integration: AttributionConfig) -> list[str]:
    """A note on variants whose contributions do not add up to log f."""
    missed = found.num_unexplained(integration.tolerance)
    if not missed:
        return []
    worst = float(found.variants["unexplained"].abs().max())  # type: ignore[arg-type]
    return [
        f"{missed} of {found.variants.height} variants miss completeness by more than {integration.tolerance:g} after "
        f"{integration.max_steps} steps, at worst by {worst:.2g}: a larger --max-steps reduces it"
    ]


def _importance(
    subject: _Subject, groups: Sequence[ChannelGroup], config: ExplainConfig, progress: Progress
) -> list[dict[str, Any]]:
    """Entries of the permutation importance of each group and trait."""
    scale = sample_size_ratio(subject.run, subject.data)

    def variance_of(features: Features, heterozygosity: Tensor) -> Float[Tensor, "variant trait"]:
        F: Tensor = subject.model(features, heterozygosity)
        return scale.to(F.device) * F

    result = permutation_importance(
        subject.data,
        subject.windows,
        variance_of,
        subject.run.model.sigma2_values(),
        groups,
        scope=config.scope,
        repeats=config.repeats,
        seed=config.seed,
        device=subject.device,
        progress=progress,
    )
    return result.entries(subject.run.trait_names, seed=config.seed)


def explanation_folder(out: PathLike) -> RunFolder:
    """The folder of an explanation, finished or not."""
    return RunFolder(
        out=Path(out),
        holds="explanation",
        record="importance.json",
        made_by="varfx prior explain",
        resume_option=False,
    )


def write_explanation(explanation: Explanation, folder: Path, *, run: PathLike | Run) -> None:
    """Writes the tables into a folder: `attribution.parquet` and its aggregates, `importance.tsv` and `.json`.

    `channels.tsv` holds the channels once more, for other programs. The folder is not sealed yet, so that pictures can be
    added.
    """
    provenance = sealed.provenance(explanation.config, {"run": folder_of(run)})
    found = explanation.attributions
    for name, table in zip(TABLES, (found.variants, found.channels, found.profile, found.bases), strict=True):
        if table.height:
            metadata = {"trait": explanation.trait, "provenance": provenance}
            sealed.write_table(table, folder / f"{name}.parquet", kind=KIND, metadata=metadata)
    sealed.write_text(folder / "channels.tsv", found.channels.write_csv(separator="\t"))
    if explanation.importance:
        sealed.write_text(folder / "importance.tsv", importance_table(explanation.importance).write_csv(separator="\t"))
    record = {
        "trait": explanation.trait,
        "importance": explanation.importance,
        "notes": explanation.notes,
        "provenance": provenance,
    }
    sealed.write_json(folder / "importance.json", record)


def importance_table(entries: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Entries of importance as a table, the most important first."""
    rows = [
        {
            "trait": entry["trait"],
            "group": entry["group"],
            "importance": entry["importance"],
            "low": None if entry["importance_ci95"] is None else entry["importance_ci95"][0],
            "high": None if entry["importance_ci95"] is None else entry["importance_ci95"][1],
            "repeat_sd": entry["repeat_sd"],
            "windows": entry["n_windows"],
            "channels": ",".join(entry["channels"]),
        }
        for entry in entries
    ]
    order = list(dict.fromkeys(entry["trait"] for entry in entries))
    table = pl.DataFrame(rows, schema_overrides=dict.fromkeys(("low", "high", "repeat_sd"), pl.Float64()))
    return table.sort(
        pl.col("trait").replace_strict(order, range(len(order)), return_dtype=pl.Int64), -pl.col("importance"),
        maintain_order=True,
    )  # fmt: skip


def _trait_number(run: Run, trait: str | None) -> int:
    if trait is None:
        return 0
    if trait not in run.trait_names:
        raise ConfigError(f"`trait` = {trait} is none of the run's: {', '.join(run.trait_names)}.")
    return run.trait_names.index(trait)


def _shown(groups: PathLike | Mapping[str, Sequence[str]]) -> Any:
    return {name: list(each) for name, each in groups.items()} if isinstance(groups, Mapping) else str(groups)
