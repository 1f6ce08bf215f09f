"""Starting point of training: the constant model's optimum, by quasi-Newton steps from the mean chi-square.

The constant model has three numbers per trait (scale, alpha, log sigma2). Its optimum costs some twenty passes over the
training windows, and saves the many more that stochastic steps at the paper's small learning rates would take for them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy import ndarray
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor

from varfx.ld.gaps import LEAST_RANK
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood import exact
from varfx.likelihood.stochastic import stochastic
from varfx.models import VariancePrior
from varfx.models.prior import MIN_HETEROZYGOSITY
from varfx.training.gwas.config import Objective
from varfx.training.gwas.objective import chi2_score
from varfx.training.gwas.placement import Placement
from varfx.training.gwas.windows import WindowData, in_background

logger = logging.getLogger(__name__)
PROBES = 8  # for each window of rank 512 and more
MANY, FEW = 32, 8  # so many large windows are begun on every eighth of them
NATS = 0.05  # of log p of all windows, that a last step may leave
Loss = Callable[[ndarray, Sequence[int]], tuple[float, ndarray]]
BOUNDS = ((-30.0, 10.0), (-2.0, 3.0), (math.log(0.05), math.log(20.0)))  # of scale, alpha, log sigma2


def scale_from_chi2(mean_chi2: float, mean_ld_score: float) -> float:
    """Log of N f of a constant prior, from `E chi2 = 1 + N f l` (LD score regression with intercept 1)."""
    return math.log(max(mean_chi2 - 1.0, 1e-3) / max(mean_ld_score, 1.0))


def start_at_constant(
    model: VariancePrior,
    data: WindowData,
    windows: Sequence[int],
    *,
    mean_ld_score: float,
    first: int = 0,
    objective: Objective = "likelihood",
    max_windows: int = 64,
    steps: int = 30,
    device: torch.device | str = "cpu",
) -> None:
    """Sets scale, alpha and sigma2 of each trait near the constant model's optimum on (some of) the windows.

    Args:
        model: changed in place; its network should still score 0 everywhere.
        data: windows and traits.
        windows: training windows.
        mean_ld_score: of the panel, for the first guess.
        first: number of the data's first trait in the model.
        objective: whose optimum is sought; `prepare_objective` must have been called.
        max_windows: at most so many windows, evenly spaced, are used.
        steps: of L-BFGS-B.
        device: where the likelihood is computed, in at least float32; of windows of rank 512 and more by 8 fixed probes.
    """
    place = Placement(torch.device(device))
    chosen = [windows[i] for i in np.unique(np.linspace(0, len(windows) - 1, max_windows).astype(int))]
    rows = np.concatenate([data.panel.rows(index)[0] for index in chosen])
    for number, trait in enumerate(data.traits):
        z = trait.z[rows][np.isfinite(trait.z[rows])]  # of the training windows alone: nothing held out may leak in
        if not z.size:
            logger.warning("%s has no association in the training windows", trait.name)
            continue
        guess = np.array([scale_from_chi2(float(np.mean(z**2)), mean_ld_score), 0.0, 0.0])

        def loss(values: ndarray, windows: Sequence[int], trait: int = number) -> tuple[float, ndarray]:
            return _objective(values, data, windows, trait, objective, place)

        terms = _terms(data, chosen)
        best = _by_few(loss, guess, chosen, terms, steps) if terms else _bounded(loss, guess, chosen, steps).x
        logger.info("%s: constant start scale %.3f alpha %.3f sigma2 %.3f", trait.name, *best[:2], math.exp(best[2]))
        with torch.no_grad():
            for parameter, value in zip((model.scale, model.alpha, model.log_sigma2), best, strict=True):
                parameter[first + number] = float(value)


def _bounded(loss: Loss, start: ndarray, windows: Sequence[int], steps: int) -> OptimizeResult:
    return minimize(
        loss, start, args=(windows,), jac=True, method="L-BFGS-B", bounds=BOUNDS, options={"maxiter": steps}
    )


def _terms(data: WindowData, windows: Sequence[int]) -> int:
    """Number of whitened associations in many large windows; 0 for few, or where each costs little."""
    if len(windows) < MANY:
        return 0
    ranks = data.panel.windows["rank"].to_numpy()[list(windows)]
    return int(ranks.sum()) if ranks.mean() >= LEAST_RANK else 0


def _by_few(loss: Loss, guess: ndarray, windows: Sequence[int], terms: int, steps: int) -> ndarray:
    """The optimum on many windows: that on an eighth of them, whose curvature then makes a quasi-Newton step on all a Newton step.

    Steps end once the next would gain less than `NATS`. Where the search leaves the bounds, it is done within them on all windows.
    """
    few = _bounded(loss, guess, windows[::FEW], steps)
    values, vectors = np.linalg.eigh(few.hess_inv.todense())
    turn = vectors * np.sqrt(
        np.maximum(values, 1e-12 * values[-1])
    )  # x = few.x + turn y, with a curvature of about 1 in each y

    def turned(y: ndarray) -> tuple[float, ndarray]:
        value, gradient = loss(few.x + turn @ y, windows)
        return value, turn.T @ gradient

    gtol = math.sqrt(2 * NATS / terms)
    found = minimize(turned, np.zeros(3), jac=True, method="BFGS", options={"maxiter": steps, "gtol": gtol, "norm": 2})
    best = few.x + turn @ found.x
    inside = all(low < value < high for value, (low, high) in zip(best, BOUNDS, strict=True))
    return np.asarray(best if inside else _bounded(loss, few.x, windows, steps).x)


def _objective(
    values: ndarray, data: WindowData, windows: Sequence[int], trait: int, objective: Objective, place: Placement
) -> tuple[float, ndarray]:
    """Minus the mean score (log p) per association that it counts, and its gradient."""
    scale, alpha, log_sigma2 = (torch.tensor(float(value), dtype=torch.float64, requires_grad=True) for value in values)
    total = torch.zeros((), dtype=torch.float64)
    count = 0
    for window in in_background(data, windows, tracks=False, place=place):
        whitened = window.traits[trait]
        if whitened is None:
            continue
        log_heterozygosity = (4 * window.heterozygosity.double().clamp_min(MIN_HETEROZYGOSITY)).log()
        F = (scale.to(place.device) + alpha.to(place.device) * log_heterozygosity).exp()
        chi2 = window.chi2[trait] if window.chi2 else None
        if objective == "likelihood":
            total = total + _log_p(whitened, F, log_sigma2.exp(), window.index).double().cpu()
            count += whitened.num_terms
        elif chi2 is not None:
            total = total + chi2_score(chi2, F, log_sigma2.exp(), objective).double().cpu()
            count += chi2.num_observed
    loss = -total / max(count, 1)
    gradient = torch.autograd.grad(loss, (scale, alpha, log_sigma2))
    return float(loss.detach()), np.array([float(part) for part in gradient])


def _log_p(window: WhitenedWindow, F: Tensor, sigma2: Tensor, index: int) -> Tensor:
    """Log p of a window; of large ones by probes, the same in every round, so that the optimum is that of a smooth function."""
    if window.replicates > 1 or window.rank < LEAST_RANK:
        return exact(window, F, sigma2, dtype=torch.promote_types(window.w.dtype, torch.float32)).log_p
    probes = torch.Generator().manual_seed(index)
    return stochastic(
        window, F.float(), sigma2, generator=probes, num_probes=PROBES, rtol=1e-3, dtype=torch.float32
    ).log_p
