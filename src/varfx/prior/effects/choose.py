"""Choice of the effect distribution of one trait, by evidence lower bound, and its posterior."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from varfx.io.workers import Workers
from varfx.prior.effects.config import Effects, EffectsConfig
from varfx.prior.effects.convergence import CONVERGED
from varfx.prior.effects.learn import Learning, evidence_of, learn_shape
from varfx.prior.effects.posterior import effects_posterior
from varfx.prior.effects.shape import MIXTURE_SIZES, SPIKE_SLAB_SIZE, EffectShape
from varfx.prior.pairs import Cores
from varfx.prior.posterior import check_one_replicate, posterior_means
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
SIZES: dict[Effects, tuple[float, ...]] = {"spike-slab": SPIKE_SLAB_SIZE, "mixture": MIXTURE_SIZES}
DISAGREE = 0.1  # share of windows whose chains may disagree before a word is said


@dataclass(frozen=True, eq=False)
class TraitEffects:
    """Effects of one trait on standardised genotypes, on the panel's rows.

    Attributes:
        name: of the trait.
        mean: posterior means.
        sd: posterior standard deviations; None for the normal distribution.
        pip: posterior probabilities of a sparse effect; None for the normal distribution.
        record: JSON-able: `effects` (the distribution used), `evidence` per distribution in nats, `hyperparameters`, `windows` with
            their R-hat and sweeps.
    """

    name: str
    mean: Float[ndarray, " variant"]
    sd: Float[ndarray, " variant"] | None
    pip: Float[ndarray, " variant"] | None
    record: dict[str, Any]


def trait_effects(
    cores: Cores,
    f: Float[ndarray, " variant"],
    sigma2: float,
    config: EffectsConfig,
    *,
    where: Workers,
    folder: Path | None = None,
    progress: Progress = silent,
) -> TraitEffects:
    """Posterior effects of one trait under the distribution asked for, or the one of the largest evidence.

    Args:
        cores: the panel and the trait's associations.
        f: prior variances on the panel's rows.
        sigma2: residual variance of z.
        config: the distribution and the sampling.
        where: processes of this machine, each with the memory of two windows, or a scheduler.
        folder: existing folder that all workers of a scheduler see; by default the current one.
        progress: told about each window.

    Raises:
        ConfigError: the trait holds replicates.
        WorkerError: workers or the scheduler were lost.
    """
    trait = cores.trait
    check_one_replicate(trait)
    chosen: Effects = config.effects
    record: dict[str, Any] = {"name": trait.name, "sigma2": sigma2, "n_ref": trait.n_ref}
    shapes: dict[Effects, EffectShape] = {}
    if chosen != "normal":
        learning = Learning(cores, f, sigma2, config.seed)
        asked = tuple(SIZES) if chosen == "auto" else (chosen,)
        shapes = {name: learn_shape(learning, SIZES[name], where=where, folder=folder) for name in asked}
        evidence = evidence_of(learning, tuple(shapes.values()), where=where, folder=folder)
        record["evidence"] = dict(zip(("normal", *shapes), evidence, strict=True))
        record["windows_learned_by"] = len(learning.windows())
    if chosen == "auto":
        chosen = max(record["evidence"], key=record["evidence"].__getitem__)
    record["effects"] = chosen
    if chosen == "normal":
        mean = posterior_means(
            cores.panel, trait, f, sigma2, where=where, device=cores.device, folder=folder, progress=progress
        )
        return TraitEffects(trait.name, mean, None, None, record)
    found = effects_posterior(cores, f, sigma2, shapes[chosen], config, where=where, folder=folder, progress=progress)
    record |= {"hyperparameters": shapes[chosen].to_dict(), "windows": found.windows}
    _note_convergence(trait.name, found.windows)
    return TraitEffects(trait.name, found.mean, found.sd, found.pip, record)


def _note_convergence(name: str, windows: list[dict[str, Any]]) -> None:
    """Warns where the chains of many windows disagree."""
    r_hat = np.array([window["r_hat"] for window in windows])
    apart = r_hat > CONVERGED
    if apart.sum() > DISAGREE * apart.size:
        worst = windows[int(r_hat.argmax())]
        logger.warning(
            "`%s`: the Markov chains of %d of %d windows disagree (R-hat above %.1f), most at %s (%.2f): give more --sweeps",
            *(name, apart.sum(), apart.size, CONVERGED, worst["cores"], worst["r_hat"]),
        )
