"""`fit_ancestries`: one network for one trait in several ancestries, each with its own panel, scale, alpha and sigma2."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Unpack

from varfx.io.frames import Source
from varfx.models import ModelConfig
from varfx.models.config import Kind
from varfx.prior.ancestries.inputs import AncestryInputs, CommonPaths
from varfx.prior.ancestries.run import AncestryRun, open_ancestries
from varfx.prior.config import SplitConfig
from varfx.prior.fit import FitOptions, fit_members
from varfx.progress import Progress, silent
from varfx.training import TrainConfig

PathLike = str | os.PathLike[str]


def fit_ancestries(
    panels: Mapping[str, PathLike],
    sumstats: Mapping[str, Source],
    out: PathLike,
    *,
    annotations: Mapping[str, Source] | Source | None = None,
    model: ModelConfig | Kind | None = None,
    training: TrainConfig | None = None,
    split: SplitConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
    **common: Unpack[CommonPaths],
) -> AncestryRun:
    """Fits a prior of one trait in several ancestries and writes the run, a folder with a run per ancestry.

        log p = sum over ancestries a and windows of log N(w_a; 0, B_a F_a B_a' + sigma2_a I)
        F_am = exp(scale_a) (4 p_am (1 - p_am))^alpha_a link(score_m)

    Args:
        panels: LD panel of each ancestry, by its name.
        sumstats: summary statistics of the trait in each.
        out: the run's folder.
        annotations: of each panel's variants by ancestry, or one table that has the variants of all panels.
        model: which network, in full or by its kind alone ("linear").
        training: steps and learning rates.
        split: held-out and validation windows; regions are the same in all ancestries.
        resume: continue an interrupted fit in `out`.
        overwrite: replace a finished run in `out`.
        progress: told about each step.
        **common: `tracks`, `chain`, `palindromes`, `min_overlap`, see `varfx.prior.files.PriorInputs`.

    Raises:
        VarfxError: names that do not go together, inputs of another kind, too little overlap, a split without training windows.
    """
    model = ModelConfig(kind=model) if isinstance(model, str) else model or ModelConfig()
    options = FitOptions(model=model, training=training or TrainConfig(), split=split or SplitConfig())
    inputs = AncestryInputs.of(panels, sumstats, annotations, **common)
    run = fit_members(inputs, out, options, resume=resume, overwrite=overwrite, progress=progress)
    return run if isinstance(run, AncestryRun) else open_ancestries(out)
