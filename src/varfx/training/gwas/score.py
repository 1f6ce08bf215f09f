"""Training score of one window: log p, or another objective's score, summed over traits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from varfx.errors import DataError
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood import exact
from varfx.models import VariancePrior
from varfx.training.gwas.config import Objective
from varfx.training.gwas.objective import chi2_score
from varfx.training.gwas.windows import PriorWindow

Likelihood = Callable[[WhitenedWindow, Tensor, Tensor], Tensor]  # (window, F, sigma2) -> log p
DIVERGED = (
    "the fit diverged: its variances or its likelihood are not finite any more. Lower --learning-rate and "
    "--learning-rate-scalars, or take --link softplus."
)


def exactly(window: WhitenedWindow, F: Tensor, sigma2: Tensor) -> Tensor:
    """The exact log p of one window and trait, in the precision of F."""
    return exact(window, F, sigma2, dtype=F.dtype).log_p


def total_log_p(model: VariancePrior, window: PriorWindow, likelihood: Likelihood = exactly) -> tuple[Tensor, int]:
    """Log p of a window summed over its traits, in nats, and its number of independent associations.

    Args:
        model: the prior.
        window: data.
        likelihood: log p of one trait, given F and sigma2.

    Raises:
        DataError: the model's weights are no longer finite.
    """
    F, sigma2 = _variances(model, window)
    total = F.new_zeros(())
    for number, trait in enumerate(window.traits):
        if trait is not None:
            total = total + likelihood(trait, F[:, number], sigma2[number])
    return total, window.rank


def total_score(
    model: VariancePrior, window: PriorWindow, objective: Objective, likelihood: Likelihood = exactly
) -> tuple[Tensor, int]:
    """Training score of a window, summed over its traits, and the number of associations in it.

    Raises:
        DataError: the model's weights are no longer finite.
    """
    if objective == "likelihood":
        return total_log_p(model, window, likelihood)
    F, sigma2 = _variances(model, window)
    total, count = F.new_zeros(()), 0
    for number, trait in enumerate(window.chi2):
        if trait is not None:
            total = total + chi2_score(trait, F[:, number], sigma2[number], objective)
            count += trait.num_observed
    return total, count


def _variances(model: VariancePrior, window: PriorWindow) -> tuple[Tensor, Tensor]:
    F, sigma2 = model(window.features, window.heterozygosity), model.sigma2
    check_finite(F, sigma2)
    return F, sigma2


def check_finite(*values: Tensor) -> None:
    """Checks outputs of a model.

    Raises:
        DataError: some are not finite.
    """
    if not all(bool(torch.isfinite(each).all()) for each in values):
        raise DataError(DIVERGED)
