"""Fit of a prior with sparse effects: the bound of a window as its training score, and where the training begins.

A step's window is brought to its best q(s) (E-step), and the network follows the gradient of the bound at that q: variational
expectation maximisation, one window at a time. The residual variance stays that of the normal fit.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy import ndarray
from scipy.optimize import minimize
from torch import Tensor

from varfx.likelihood.mixture import MixturePrior, lower_bound
from varfx.models import VariancePrior
from varfx.models.mixture_head import SIZES
from varfx.models.prior import score_slope
from varfx.training.gwas.placement import Placement
from varfx.training.gwas.score import check_finite
from varfx.training.gwas.windows import PriorWindow, WindowData, in_background

logger = logging.getLogger(__name__)
SHARED = (
    0.5  # exponent a at which the training begins: half of log F goes into the chance of an effect, half into its size
)
BOUNDS = (
    (-12.0, 3.0),
    (-8.0, 8.0),
    *[(-12.0, 12.0)] * len(SIZES),
)  # of offset, logit of the background, logits of the slabs
MOST_WINDOWS = 12
MOST_STEPS = 12


def mixture_priors(model: VariancePrior, window: PriorWindow) -> list[MixturePrior]:
    """Effect distribution of each trait in a window.

    Raises:
        ConfigError: the model's effects are normal.
        DataError: the model's weights are no longer finite.
    """
    F, log_odds = model.both_heads(window.features, window.heterozygosity)
    check_finite(F, log_odds, model.sigma2)
    assert model.mixture is not None
    background, slabs = model.mixture.background, model.mixture.slabs
    return [
        MixturePrior(F[:, i], log_odds[:, i], background[i], slabs[i], sizes=SIZES) for i in range(len(model.scale))
    ]


def total_bound(model: VariancePrior, window: PriorWindow, dtype: torch.dtype) -> tuple[Tensor, int]:
    """Evidence lower bound of a window summed over its traits, in nats, and its number of independent associations.

    Args:
        model: a prior with both heads.
        window: data, without replicates.
        dtype: of the products.

    Raises:
        DataError: the model's weights are no longer finite, or a covariance cannot be factorised.
    """
    total = window.heterozygosity.new_zeros((), dtype=torch.float64)
    sigma2 = model.sigma2_values()
    for number, (trait, prior) in enumerate(zip(window.traits, mixture_priors(model, window), strict=True)):
        if trait is not None:
            total = total + lower_bound(trait, prior, sigma2[number], dtype=dtype)
    return total, window.rank


@torch.no_grad()
def split_scores(model: VariancePrior) -> None:
    """Gives the second head the share `SHARED` of the first one's log variance, frequency included; changes the model."""
    assert model.mixture is not None
    traits = len(model.scale)
    model.mixture.alpha.copy_(SHARED * model.alpha)
    for weight in list(model.network.parameters())[-1:]:  # of the output layer, which has no bias
        weight[traits:] = SHARED * score_slope(model.config.link) * weight[:traits]


def start_mixture(
    model: VariancePrior, data: WindowData, windows: Sequence[int], *, device: torch.device | str = "cpu"
) -> None:
    """Sets the second head from the first, and what all variants share near its optimum on (some of) the windows.

    Args:
        model: after its normal fit; changed in place.
        data: windows and traits.
        windows: training windows.
        device: where the products are computed.
    """
    split_scores(model)
    place = Placement(torch.device(device))
    model.to(device).eval()
    chosen = [windows[i] for i in np.unique(np.linspace(0, len(windows) - 1, MOST_WINDOWS).astype(int))]
    for number, trait in enumerate(data.traits):
        head = model.mixture
        assert head is not None
        shared = [head.offset, head.background_logit, head.slab_logits]
        guess = np.concatenate([each.detach()[number].reshape(-1).cpu().numpy() for each in shared]).astype(float)
        found = minimize(
            _objective,
            guess,
            args=(model, data, chosen, number, place),
            jac=True,
            method="L-BFGS-B",
            bounds=BOUNDS,
            options={"maxiter": MOST_STEPS, "maxfun": 2 * MOST_STEPS},
        )
        _assign(shared, number, found.x)
        logger.info("%s: mixture starts with background %.2f", trait.name, float(head.background.detach()[number]))
    model.cpu().train()


def _assign(shared: Sequence[torch.nn.Parameter], number: int, values: ndarray) -> None:
    offset, background, slabs = shared
    with torch.no_grad():
        offset[number], background[number] = float(values[0]), float(values[1])
        slabs[number] = torch.from_numpy(values[2:])


def _objective(
    values: ndarray, model: VariancePrior, data: WindowData, windows: Sequence[int], number: int, place: Placement
) -> tuple[float, ndarray]:
    """Minus the mean bound per association of one trait, and its gradient."""
    head = model.mixture
    assert head is not None
    shared = [head.offset, head.background_logit, head.slab_logits]
    _assign(shared, number, values)
    total, count, slope = 0.0, 0, np.zeros(len(values))
    for window in in_background(data, windows, place=place):
        whitened = window.traits[number]
        if whitened is None:
            continue
        dtype = torch.promote_types(whitened.w.dtype, torch.float32)
        prior = mixture_priors(model, window)[number]
        bound = lower_bound(whitened, prior, model.sigma2_values()[number], dtype=dtype)
        slopes = torch.autograd.grad(bound, shared)
        total, count = total + float(bound.detach()), count + whitened.num_terms
        slope += np.concatenate([each[number].reshape(-1).double().cpu().numpy() for each in slopes])
    return -total / max(count, 1), -slope / max(count, 1)
