"""Held-out windows under the sparse effects of a run: a lower bound of their log density, beside the normal one with the same f."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from varfx.bootstrap import listed, student_interval
from varfx.likelihood.mixture import lower_bound
from varfx.prior.run import Run
from varfx.prior.run_data import sample_size_ratio
from varfx.prior.score import WindowScores
from varfx.progress import Progress, silent
from varfx.training.gwas.mixture import mixture_priors
from varfx.training.gwas.placement import Placement
from varfx.training.gwas.windows import WindowData, in_background


def beside_mixture(
    entries: list[dict[str, Any]],
    run: Run,
    data: WindowData,
    scores: WindowScores,
    *,
    device: torch.device,
    progress: Progress = silent,
) -> None:
    """Adds `mixture` to the entries of `summarise`: nats by which the bound exceeds the normal log density, with a 95 % interval.

    Nothing is added for a run with normal effects, or for associations with replicates.
    """
    if run.model.mixture is None or any(trait.replicates > 1 for trait in data.traits):
        return
    bounds = _bounds(run, data, scores.windows, device, progress)
    for column, entry in enumerate(entries):
        apart = (bounds - scores.log_p)[scores.rank[:, column] > 0, column]
        entry["mixture"] = {
            "log_p_bound": float(bounds[:, column].sum()),
            "difference": float(apart.sum()),
            "difference_ci95": listed(student_interval(apart)),
        }


@torch.no_grad()
def _bounds(
    run: Run, data: WindowData, windows: tuple[int, ...], device: torch.device, progress: Progress
) -> Float[ndarray, "window trait"]:
    """The bound of each window and trait, in float64; 0 where a trait has no data."""
    model, ratio = run.model.in_double().to(device), sample_size_ratio(run, data).to(device)
    sigma2 = model.sigma2_values()
    found = np.zeros((len(windows), len(data.traits)))
    for row, window in enumerate(in_background(data, windows, place=Placement(device, room=0))):
        for column, (trait, prior) in enumerate(zip(window.traits, mixture_priors(model, window), strict=True)):
            if trait is not None:
                own = replace(prior, F=prior.F * ratio[column])
                found[row, column] = float(lower_bound(trait, own, sigma2[column]))
        progress(row + 1, len(windows), "windows under sparse effects")
    return found
