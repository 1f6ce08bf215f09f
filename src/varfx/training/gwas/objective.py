"""Training objectives: the likelihood, or one of the two objectives that treat associations one at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from varfx.likelihood.chi2 import Chi2Window
from varfx.likelihood.composite import composite
from varfx.likelihood.ldsr import ballpark_h2, ldsr
from varfx.training.gwas.config import Objective
from varfx.training.gwas.windows import WindowData


def chi2_score(
    window: Chi2Window, F: Float[Tensor, " variant"], sigma2: float | Tensor, objective: Objective
) -> Float[Tensor, ""]:
    """The score of one window and trait under `ldsr` or `composite`: larger is better, in units comparable with nats."""
    return ldsr(window, F, sigma2).quasi_nats if objective == "ldsr" else composite(window, F, sigma2).composite_log_p


def prepare_objective(data: WindowData, windows: Sequence[int], objective: Objective) -> list[float] | None:
    """Makes the windows carry what the objective needs; for `ldsr` and `composite` the ballpark h2 behind the weights.

    Args:
        data: windows and traits.
        windows: training windows; h2 is guessed from their associations alone, once, so that the weights stay fixed.
        objective: what will be trained.

    Returns:
        The ballpark h2 of each trait, or None if it is not needed.
    """
    if objective == "likelihood":
        return None
    variants = data.panel.variants
    rows = np.concatenate([data.panel.rows(index)[0] for index in windows])
    score = data.ld_scores[rows]
    guesses = []
    for trait in data.traits:
        seen = trait.observed[rows]
        chi2 = (trait.z[rows][seen].reshape(seen.sum(), trait.replicates) ** 2).mean(1)
        found = chi2, score[seen], trait.n[rows][seen]
        guesses.append(ballpark_h2(*found, num_variants=variants.height) if seen.any() else 0.0)
    data.carry_chi2(guesses)
    return guesses
