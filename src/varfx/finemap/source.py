"""Where the prior of a fine-mapping comes from: a run of `varfx prior fit`, a file of variances, or nowhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from varfx.annotations.snpvar import build_of_variances, read_sigma2, read_variances
from varfx.errors import ConfigError, DataError
from varfx.genome.builds import require_same_build
from varfx.gwas.sumstats import SumStats
from varfx.io.frames import Source, as_path
from varfx.ld import LDPanel
from varfx.prior.files import PriorInputs, inputs_of_run
from varfx.prior.held_out import learned_variants
from varfx.prior.inputs import AlignedTrait, align_trait, panel_variants
from varfx.prior.predict import inclusion, variances
from varfx.prior.run import Run, open_run
from varfx.short_repr import short_repr

PathLike = str | os.PathLike[str]
Kind = Literal["run", "snpvar", "uniform"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A trait on a panel, with the prior of its effects.

    Attributes:
        panel: the LD panel.
        sumstats: the associations as read.
        trait: the associations on the panel's rows.
        kind: where f comes from.
        f: variance of each effect on standardised genotypes, NaN where unknown; None for a uniform prior.
        inclusion: prior probability of a sparse effect, by which a run fitted with it weights the variants; else None, and they are
            weighted by f.
        sigma2: residual variance that goes with f.
        learned: variants whose own associations taught f; None where that is not known.
        notes: remarks for the reader.
        files: each input by name, for provenance.
    """

    __repr__ = short_repr

    panel: LDPanel
    sumstats: SumStats
    trait: AlignedTrait
    kind: Kind
    f: Float[ndarray, " variant"] | None
    inclusion: Float[ndarray, " variant"] | None = None
    sigma2: float
    learned: Bool[ndarray, " variant"] | None
    notes: list[str]
    files: dict[str, str]


def study_of_run(run: PathLike | Run, given: PriorInputs, trait: str | None = None) -> Study:
    """The study of a fitted prior, on its own files or those given.

    Raises:
        ConfigError: the run has several traits and none is named, or not this one.
        DataError: a file of the run's own is not that of the fit.
    """
    fitted = open_run(run)
    names = fitted.trait_names
    if trait is None and len(names) > 1:
        raise ConfigError(f"the run has {len(names)} traits: name one with --trait ({', '.join(names[:5])}).")
    if trait is not None and trait not in names:
        raise ConfigError(f"the run has no trait `{trait}`. Its traits are {', '.join(names[:5])}.")
    number = 0 if trait is None else names.index(trait)
    files, notes = inputs_of_run(fitted, given)
    panel = files.open_panel()
    every = files.read_sumstats()
    _check_single(every[number])
    aligned = [align_trait(each, panel, files.matching) for each in every]
    variants = panel_variants(panel, aligned)
    features = files.read_annotations(), given.tracks_of_run(fitted)
    f, chances = variances(fitted, variants, *features)[:, number], inclusion(fitted, variants, *features)
    own = given.panel is None and not given.sumstats
    return Study(
        panel=panel,
        sumstats=every[number],
        trait=aligned[number],
        kind="run",
        f=f,
        inclusion=None if chances is None else chances[:, number],
        sigma2=float(fitted.model.sigma2_values()[number]),
        learned=learned_variants(fitted, variants) if own or not notes else None,
        notes=notes
        if chances is None
        else [*notes, "variants are weighted by the run's probabilities of a sparse effect"],
        files={"run": str(fitted.path), "panel": str(files.panel), "sumstats": str(files.sumstats[number])},
    )


def study_of_variances(variances: Source, given: PriorInputs, *, allow_missing: bool = False) -> Study:
    """The study of anybody's per-variant variances.

    Raises:
        DataError: variants with an association lack a variance, unless `allow_missing`.
        ConfigError: no panel, or not one file of summary statistics.
    """
    panel, sumstats, trait = _given(given, "--snpvar")
    path = as_path(variances)
    require_same_build(str(path), build_of_variances(path), str(panel.path), panel.build)
    f = read_variances(path, panel.variants)
    lacking = np.flatnonzero(np.isnan(f) & trait.data.observed)
    notes = []
    if lacking.size:
        row = panel.variants.row(int(lacking[0]), named=True)
        what = f"{lacking.size} of {int(trait.data.observed.sum())} variants with an association are not in {path}"
        if not allow_missing:
            raise DataError(
                f"{what}, first {row['chrom']}:{row['position']} {row['variant_id']}: they could never be found causal. Give a file "
                "with all variants, or --allow-missing."
            )
        notes.append(f"{what}: they can hardly be found causal")
    sigma2 = read_sigma2(path)
    notes.append(
        "whether f was learned from these very associations is not known: if it was, cross-fit it (`varfx prior predict --cross-fit K`)"
    )
    return Study(
        panel=panel,
        sumstats=sumstats,
        trait=trait,
        kind="snpvar",
        f=np.nan_to_num(f),
        sigma2=1.0 if sigma2 is None else sigma2,
        learned=None,
        notes=notes,
        files={"snpvar": str(path), "panel": str(given.panel), "sumstats": str(given.sumstats[0])},
    )


def study_without_prior(given: PriorInputs) -> Study:
    """The study with equal prior weights.

    Raises:
        ConfigError: no panel, or not one file of summary statistics.
    """
    panel, sumstats, trait = _given(given, "--uniform")
    return Study(
        panel=panel,
        sumstats=sumstats,
        trait=trait,
        kind="uniform",
        f=None,
        sigma2=1.0,
        learned=None,
        notes=[],
        files={"panel": str(given.panel), "sumstats": str(given.sumstats[0])},
    )


def _given(given: PriorInputs, option: str) -> tuple[LDPanel, SumStats, AlignedTrait]:
    if given.panel is None or len(given.sumstats) != 1:
        raise ConfigError(f"`{option}` needs --panel and one --sumstats.")
    panel, (sumstats,) = given.open_panel(), given.read_sumstats()
    _check_single(sumstats)
    return panel, sumstats, align_trait(sumstats, panel, given.matching)


def _check_single(sumstats: SumStats) -> None:
    if sumstats.replicates > 1:
        raise ConfigError(f"`{sumstats.trait}` holds {sumstats.replicates} replicates: fine-mapping needs one.")
