"""The constant prior beside every other: the same variance for all variants but for their frequency, fitted on the same windows.

A gain over no heritability is easily had. What annotations or tracks add is the paired difference from this prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from varfx.models import ModelConfig, VariancePrior
from varfx.prior.score import CPU, WindowScores, compare, score_windows, summarise
from varfx.progress import Progress, silent
from varfx.training.gwas.start import start_at_constant
from varfx.training.gwas.windows import PriorWindow, WindowData

MAX_WINDOWS = 24  # of those that a constant prior is fitted on when an evaluation has to


@dataclass(frozen=True, eq=False)
class ConstantPrior:
    """Constant priors of some traits.

    Attributes:
        model: of all traits, in float64.
        n_ref: the sample sizes that its F = N f refers to.
    """

    model: VariancePrior
    n_ref: tuple[float, ...]

    def score(
        self, data: WindowData, windows: Sequence[int], *, device: torch.device = CPU, progress: Progress = silent
    ) -> WindowScores:
        """The windows' scores under the prior, computed on the device; f is kept where the data have another N."""
        ratio = torch.tensor([trait.n_ref / n for trait, n in zip(data.traits, self.n_ref, strict=True)]).double()

        def variance_of(window: PriorWindow) -> Tensor:
            none = torch.zeros(len(window.heterozygosity), 0, dtype=torch.float64)
            F: Tensor = self.model(none, window.heterozygosity.double().cpu())
            return ratio * F

        sigma2 = self.model.sigma2_values()
        return score_windows(data, windows, variance_of, sigma2, tracks=False, device=device, progress=progress)


def fit_constant(
    data: WindowData, windows: Sequence[int], *, max_windows: int = MAX_WINDOWS, device: torch.device = CPU
) -> ConstantPrior:
    """The constant prior of largest likelihood on (some of) the windows, computed on the device in float64."""
    model = VariancePrior(ModelConfig(kind="constant"), 0, len(data.traits)).double()
    mean_ld_score = float(np.mean(data.ld_scores))
    start_at_constant(model, data, windows, mean_ld_score=mean_ld_score, max_windows=max_windows, device=device)
    return ConstantPrior(model, tuple(trait.n_ref for trait in data.traits))


def constant_of_record(traits: Sequence[Mapping[str, Any]]) -> ConstantPrior | None:
    """The constant prior at which a fit began, from the run's record; None for runs of an older version."""
    if not all(trait.get("constant") for trait in traits):
        return None
    model = VariancePrior(ModelConfig(kind="constant"), 0, len(traits)).double()
    with torch.no_grad():
        for name in ("scale", "alpha", "log_sigma2"):
            getattr(model, name).copy_(torch.tensor([trait["constant"][name] for trait in traits]).double())
    return ConstantPrior(model, tuple(float(trait["n_ref"]) for trait in traits))


def constant_to_record(model: VariancePrior) -> list[dict[str, float]]:
    """Record of a model that scores 0 everywhere, one entry per trait, for `constant_of_record`."""
    names = ("scale", "alpha", "log_sigma2")
    return [{name: float(getattr(model, name).detach()[i]) for name in names} for i in range(len(model.scale))]


def beside_constant(
    entries: Sequence[dict[str, Any]],
    scores: WindowScores,
    constant: WindowScores,
    sigma2: Sequence[float],
    sigma2_null: Sequence[float],
    *,
    seed: int = 0,
) -> None:
    """Adds the constant prior's gain, and the paired difference from it, to the entries of `summarise`."""
    names = [entry["name"] for entry in entries]
    summaries = summarise(constant, names, sigma2, sigma2_null, seed=seed)
    for entry, summary, difference in zip(entries, summaries, compare(scores, constant, names), strict=True):
        entry["constant"] = {
            "gain": summary["gain"],
            "gain_ci95": summary["gain_ci95"],
            "sigma2": summary["sigma2"],
            "difference": difference["difference"],
            "difference_ci95": difference["difference_ci95"],
        }
