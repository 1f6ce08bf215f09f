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
from varfx.prior.effects.compare import HINT, Comparison, compare
from varfx.prior.effects.config import Effects, EffectsConfig
from varfx.prior.effects.convergence import CONVERGED
from varfx.prior.effects.learn import Learning
from varfx.prior.effects.posterior import effects_posterior
from varfx.prior.pairs import Cores
from varfx.prior.posterior import check_one_replicate, posterior_means
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
SURE = 2.0  # sampling errors by which a mixture must be likelier than the normal distribution
DISAGREE = 0.1  # share of windows whose chains may disagree before a word is said


@dataclass(frozen=True, eq=False)
class TraitEffects:
    """Effects of one trait on standardised genotypes, on the panel's rows.

    Attributes:
        name: of the trait.
        mean: posterior means.
        sd: posterior standard deviations; None for the normal distribution.
        pip: posterior probabilities of a sparse effect; None for the normal distribution.
        record: JSON-able: `effects` (the distribution used), for auto the `reason`, `evidence` per distribution in nats,
            `evidence_error`, `hyperparameters`, `windows` with their R-hat and sweeps.
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
    inclusion: Float[ndarray, " variant"] | None = None,
    where: Workers,
    folder: Path | None = None,
    progress: Progress = silent,
) -> TraitEffects:
    """Posterior effects of one trait under the distribution asked for; for auto the mixture where it is likelier than the normal distribution.

    Args:
        cores: the panel and the trait's associations.
        f: prior variances on the panel's rows.
        sigma2: residual variance of z.
        config: the distribution and the sampling.
        inclusion: each variant's prior chance of a sparse effect, where the prior knows it; by default it follows f.
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
    relative = None if inclusion is None else inclusion / inclusion.mean()
    record["inclusion"] = "variance" if inclusion is None else "the run's own head"
    found: Comparison | None = None
    if chosen != "normal":
        auto = chosen == "auto"
        learning = Learning(cores, f, sigma2, config.seed, relative)
        asked: tuple[Effects, ...] = ("mixture",) if auto else (chosen,)
        found = compare(learning, asked, only_if_hinted=auto, where=where, folder=folder, progress=progress)
        record |= {"evidence": found.evidence, "evidence_error": found.error, "one_effect_gain": found.one_effect}
        record |= {"windows_learned_by": found.windows, "windows_observed": found.observed}
        if auto:
            chosen, record["reason"] = _choice(found)
    record["effects"] = chosen
    if chosen == "normal" or found is None:
        mean = posterior_means(
            cores.panel, trait, f, sigma2, where=where, device=cores.device, folder=folder, progress=progress
        )
        return TraitEffects(trait.name, mean, None, None, record)
    shape = found.shapes[chosen]
    posterior = effects_posterior(
        cores, f, sigma2, shape, config, inclusion=relative, where=where, folder=folder, progress=progress
    )
    record |= {"hyperparameters": shape.to_dict(), "windows": posterior.windows}
    _note_convergence(trait.name, posterior.windows)
    return TraitEffects(trait.name, posterior.mean, posterior.sd, posterior.pip, record)


def _choice(found: Comparison) -> tuple[Effects, str]:
    """Normal or mixture, and why."""
    of = f"in {found.windows} of {found.observed} windows"
    if "mixture" not in found.evidence:
        return "normal", (
            f"one larger effect per stretch gains {found.one_effect:.1f} nats over none {of}, below {HINT:g}: no sign of larger "
            "effects"
        )
    gain, error = found.evidence["mixture"] - found.evidence["normal"], found.error["mixture"]
    likelier = gain > SURE * error
    return "mixture" if likelier else "normal", (
        f"the mixture's log evidence is {gain:+.1f} nats (sampling error {error:.1f}) over the normal distribution's {of}"
        + ("" if likelier else ": not likelier by two errors")
    )


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
