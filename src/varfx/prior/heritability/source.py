"""Where variances come from that heritability is asked of: a run, a cross-fit of it, or anybody's file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from varfx.annotations.features import Features, HeldFeatures, no_features
from varfx.annotations.snpvar import read_variances
from varfx.device import find_device
from varfx.errors import ConfigError, DataError
from varfx.genome.chromosomes import chrom_list
from varfx.ld import LDPanel
from varfx.models.config import Link
from varfx.models.prior import MIN_HETEROZYGOSITY, log_link
from varfx.prior.cross_fit import cross_fit
from varfx.prior.files import PriorInputs, inputs_of_run
from varfx.prior.held_out import has_association
from varfx.prior.heritability.config import WindowChoice
from varfx.prior.heritability.stacked import Columns, Scaled, Stacked, times
from varfx.prior.inputs import align_trait, assemble, heterozygosity, panel_variants, raw_features, simulated_on
from varfx.prior.predict import variances
from varfx.prior.quality import quality_warnings
from varfx.prior.run import Run, open_run
from varfx.prior.split import check_chroms
from varfx.progress import Progress, silent
from varfx.training.gwas.windows import WindowData

PathLike = str | os.PathLike[str]
FEW_WINDOWS = 20  # below which no standard error is given
PARAMETRIC = ("constant", "linear")


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnDirections:
    """Directions in which a model of few coefficients can move, so that their sampling error is counted.

    Attributes:
        names: `alpha`, then the features.
        values: d log f / d coefficient of panel variants, in memory or of some at a time.
        coefficients: the fitted ones.
        slope: d log f / d score; a new annotation of the model would move f along its product with this.
    """

    names: tuple[str, ...]
    values: Columns
    coefficients: Float[ndarray, " direction"]
    slope: Float[ndarray, " variant"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PriorSource:
    """Variances of a panel's variants, and the windows whose associations calibrate them.

    Attributes:
        name: of the prior, for messages.
        trait: its name.
        panel: the LD panel.
        data: windows of the one trait, in float64.
        variants: the panel's variants, `eaf` filled from the GWAS.
        f: variance of each variant's effect.
        sigma2: residual variance to start from.
        own: directions of a constant or linear model; None for others.
        windows: numbers of the windows with associations.
        counted: variants that a core of a window not excluded owns: each counts once in the heritability.
        notes: remarks for the reader.
        inputs: files by name, for the provenance.
    """

    name: str
    trait: str
    panel: LDPanel
    data: WindowData
    variants: pl.DataFrame
    f: Float[ndarray, " variant"]
    sigma2: float
    own: OwnDirections | None
    windows: tuple[int, ...]
    counted: Bool[ndarray, " variant"]
    notes: tuple[str, ...]
    inputs: dict[str, Path] = field(default_factory=dict)

    @property
    def n_ref(self) -> float:
        """Sample size that F = n_ref f refers to."""
        return self.data.traits[0].n_ref

    @cached_property
    def panel_rows(self) -> dict[int, Int[ndarray, " panel"]]:
        """Panel rows of core and flank of each calibrating window."""
        return {index: self.panel.rows(index)[1] for index in self.windows}

    @property
    def seen(self) -> Bool[ndarray, " variant"]:
        """Variants of the calibrating windows, flanks included."""
        found = np.zeros(self.f.size, dtype=bool)
        for rows in self.panel_rows.values():
            found[rows] = True
        return found


def source_of_run(
    run: PathLike | Run,
    *,
    inputs: PriorInputs | None = None,
    trait: str | None = None,
    windows: WindowChoice = "auto",
    exclude_chrom: Sequence[str] = (),
    device: str = "auto",
) -> PriorSource:
    """The variances of a run.

    Args:
        run: the run, or its folder.
        inputs: files in place of the run's own; `annotations` are its features.
        trait: one of the run's; by default the first.
        windows: see `HeritabilityConfig`.
        exclude_chrom: chromosomes left out, with those that the fit left out.
        device: of the network.

    Raises:
        ConfigError: an unknown trait or chromosome, or no held-out windows where these are asked for.
        DataError: an input of the run's own is not that of the fit.
    """
    fitted = open_run(run)
    files, notes = inputs_of_run(fitted, inputs or PriorInputs())
    number = trait_number(fitted, trait)
    one = replace(files, sumstats=(files.sumstats[number],))
    panel, data, variants, _ = _panel_data(one)
    annotations, tracks = files.read_annotations(), files.tracks_of_run(fitted)
    f = variances(fitted, variants, annotations, tracks, device=find_device(device))[:, number]
    own = None
    if fitted.model.config.kind in PARAMETRIC:
        features: Features = no_features(variants.height)
        if fitted.standardiser is not None:
            channels = raw_features(variants, annotations, tracks)
            features = fitted.standardiser.features(channels)
        own = _own_directions(fitted, number, features, heterozygosity(variants))
    excluded = (
        *chrom_list(exclude_chrom, option="exclude-chrom"),
        *fitted.record["config"]["split"].get("exclude_chrom", ()),
    )
    usable, counted = _usable(panel, data, excluded)
    chosen, about = _windows_of_run(fitted, panel, usable, windows, parametric=own is not None)
    if len(fitted.trait_names) > 1:
        notes = [*notes, f"the trait is {fitted.trait_names[number]}, of {', '.join(fitted.trait_names)} (--trait)"]
    return PriorSource(
        name=str(fitted.path),
        trait=fitted.trait_names[number],
        panel=panel,
        data=data,
        variants=variants,
        f=f,
        sigma2=fitted.model.in_double().sigma2_values()[number],
        own=own,
        windows=chosen,
        counted=counted,
        notes=(*notes, *about, *fit_warnings(fitted.record, data.traits[0].name)),
        inputs={"run": fitted.path, **one.named()},
    )


def source_of_cross_fit(
    run: PathLike | Run,
    folder: PathLike,
    *,
    folds: int,
    inputs: PriorInputs | None = None,
    trait: str | None = None,
    exclude_chrom: Sequence[str] = (),
    device: str = "auto",
    progress: Progress = silent,
) -> PriorSource:
    """The variances of a run's model fitted anew per fold of chromosomes, each variant's from a fit that has not seen it.

    Raises:
        ConfigError: a number of folds that does not fit the chromosomes.
        VarfxError: see `varfx.prior.cross_fit.cross_fit`.
    """
    fitted = open_run(run)
    files, notes = inputs_of_run(fitted, inputs or PriorInputs())
    number = trait_number(fitted, trait)
    table = cross_fit(fitted, folder, folds=folds, inputs=inputs, device=device, progress=progress)
    suffix = "" if len(fitted.trait_names) == 1 else f".{fitted.trait_names[number]}"
    one = replace(files, sumstats=(files.sumstats[number],))
    panel, data, variants, _ = _panel_data(one)
    excluded = (
        *chrom_list(exclude_chrom, option="exclude-chrom"),
        *fitted.record["config"]["split"].get("exclude_chrom", ()),
    )
    usable, counted = _usable(panel, data, excluded)
    return PriorSource(
        name=f"{fitted.path}, cross-fitted",
        trait=fitted.trait_names[number],
        panel=panel,
        data=data,
        variants=variants,
        f=table[f"f{suffix}"].to_numpy(),
        sigma2=float(table[f"sigma2{suffix}"].to_numpy().mean()),
        own=None,
        windows=tuple(usable),
        counted=counted,
        notes=(
            *notes,
            f"cross-fitted in {folds} folds: no variant's f has seen the associations of its chromosome",
            *fit_warnings(fitted.record, data.traits[0].name),
        ),
        inputs={"run": fitted.path, **one.named()},
    )


def source_of_variances(path: PathLike, *, inputs: PriorInputs, exclude_chrom: Sequence[str] = ()) -> PriorSource:
    """Anybody's variances, with a panel and the summary statistics of one trait.

    Variants of the panel that the file lacks have f = 0; how many is noted.

    Raises:
        ConfigError: no panel, or not one file of summary statistics.
        VarfxError: files that cannot be read.
    """
    if inputs.panel is None or len(inputs.sumstats) != 1:
        raise ConfigError("`--snpvar` needs --panel and one --sumstats.")
    panel, data, variants, foreign = _panel_data(inputs)
    found = read_variances(path, panel.variants)
    missing = int(np.isnan(found).sum())
    usable, counted = _usable(panel, data, chrom_list(exclude_chrom, option="exclude-chrom"))
    notes = [f"whether {path} was learned from these associations is not known: if so, enrichments lean towards it"]
    if foreign:
        notes += quality_warnings(panel, data.traits[0])
    if missing:
        notes.append(f"{missing:,} of {found.size:,} panel variants are not in {path}: their f is 0")
    return PriorSource(
        name=str(path),
        trait=data.traits[0].name,
        panel=panel,
        data=data,
        variants=variants,
        f=np.nan_to_num(found, nan=0.0),
        sigma2=1.0,
        own=None,
        windows=tuple(usable),
        counted=counted,
        notes=tuple(notes),
        inputs={"snpvar": Path(path), **inputs.named()},
    )


def trait_number(run: Run, trait: str | None) -> int:
    """The place of a trait among a run's; the first by default.

    Raises:
        ConfigError: an unknown trait.
    """
    if trait is None:
        return 0
    if trait not in run.trait_names:
        raise ConfigError(f"`trait` {trait!r} is not one of the run's: {', '.join(run.trait_names)}.")
    return run.trait_names.index(trait)


def fit_warnings(record: Mapping[str, Any], trait: str) -> list[str]:
    """What the fit of a run said of the LD under a trait's associations (`quality_warnings`)."""
    return [f"the fit warned of {each}" for each in record.get("warnings", ()) if each.startswith(f"{trait}: ")]


def _panel_data(files: PriorInputs) -> tuple[LDPanel, WindowData, pl.DataFrame, bool]:
    """The panel, its windows with one trait, its variants with known frequencies, and whether the associations were not simulated on it."""
    panel = files.open_panel()
    associations = files.read_sumstats()
    if associations[0].z.ndim != 1:
        raise ConfigError(
            f"`{associations[0].trait}` holds replicates: heritability needs summary statistics with one."
        )
    data = assemble(panel, associations, None, kind="constant", dtype=torch.float64, matching=files.matching)
    foreign = not simulated_on(associations[0], panel)
    if panel.variants["eaf"].null_count():
        return panel, data, panel_variants(panel, [align_trait(associations[0], panel, files.matching)]), foreign
    return panel, data, panel.variants, foreign


def _usable(panel: LDPanel, data: WindowData, excluded: Sequence[str]) -> tuple[list[int], Bool[ndarray, " variant"]]:
    """Windows with associations, and variants that a core owns, without excluded chromosomes."""
    check_chroms(excluded, [core.chrom for core in panel.cores], option="exclude-chrom")
    counted = np.zeros(panel.variants.height, dtype=bool)
    kept = [index for index, core in enumerate(panel.cores) if core.chrom not in excluded]
    for index in kept:
        counted[panel.rows(index)[0]] = True
    usable = [index for index in kept if has_association(panel, data, index)]
    if not usable:
        raise DataError(f"none of the {len(kept)} windows holds an association of `{data.traits[0].name}`.")
    return usable, counted


def _windows_of_run(
    run: Run, panel: LDPanel, usable: Sequence[int], choice: WindowChoice, *, parametric: bool
) -> tuple[tuple[int, ...], list[str]]:
    """The windows that calibrate a run, and notes."""
    split = run.record["split"]
    held = {*split["holdout"]}
    learned = {*split["train"], *split["validation"]}
    unseen = tuple(index for index in usable if panel.cores[index].name in held)
    if choice == "held-out" and not unseen:
        raise ConfigError(
            "the run held out no windows. Fit with --holdout-chrom or --holdout-fraction, or use --cross-fit K or --windows all."
        )
    if choice == "held-out" or (choice == "auto" and not parametric and len(unseen) >= FEW_WINDOWS):
        return unseen, [f"calibrated on the {len(unseen)} held-out windows, which the fit has not seen"]
    again = sum(panel.cores[index].name in learned for index in usable)
    if parametric or not again:
        return tuple(usable), []
    return tuple(usable), [
        f"the associations of {again} of {len(usable)} windows are used twice, by the fit and here: the network's own shape is trusted too "
        f"much there ({len(unseen)} windows are held out, {FEW_WINDOWS} are needed). --cross-fit K avoids that"
    ]


def _own_directions(run: Run, number: int, features: Features, p: Float[ndarray, " variant"]) -> OwnDirections:
    """Directions of alpha and of the weights of a linear model."""
    model = run.model.in_double().cpu()
    alpha = float(model.alpha.detach()[number])
    log_p = np.log(4 * np.maximum(p, MIN_HETEROZYGOSITY))[:, None]
    if model.config.kind == "constant" or run.standardiser is None:
        return OwnDirections(names=("alpha",), values=log_p, coefficients=np.array([alpha]), slope=np.ones(len(p)))
    weights = dict(model.network.named_parameters())["weights.weight"].detach()[number].double()
    slope = link_slope(times(features, weights.numpy()), model.config.link)
    return OwnDirections(
        names=("alpha", *run.standardiser.feature_names),
        values=Stacked((HeldFeatures(log_p), Scaled(features, slope))),
        coefficients=np.r_[alpha, weights.numpy()],
        slope=slope,
    )


def link_slope(score: Float[ndarray, " variant"], link: Link) -> Float[ndarray, " variant"]:
    """d log f / d score of each variant."""
    scores = torch.from_numpy(score).double().requires_grad_()
    (slope,) = torch.autograd.grad(log_link(scores, link).sum(), scores)
    return np.asarray(slope.numpy())


def describe(source: PriorSource) -> dict[str, Any]:
    """What a source is, JSON-able."""
    return {
        "prior": source.name,
        "trait": source.trait,
        "n_ref": source.n_ref,
        "n_windows": len(source.windows),
        "n_variants": int(source.counted.sum()),
    }
