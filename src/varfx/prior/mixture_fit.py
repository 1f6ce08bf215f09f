"""Second half of a fit with sparse effects: both heads, by the evidence lower bound, from the weights of the normal fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from varfx.device import for_float64
from varfx.errors import ConfigError
from varfx.models import ModelConfig, VariancePrior
from varfx.models.mixture_head import SIZES
from varfx.prior.split import Split
from varfx.progress import Progress
from varfx.training import TrainConfig, WindowData, processes
from varfx.training.history import LAST

if TYPE_CHECKING:
    from varfx.training import TrainOutcome

MIXTURE = "mixture"  # folder of its checkpoints, in that of the normal fit's


def check_mixture(model: ModelConfig, training: TrainConfig) -> None:
    """Checks that the options fit each other.

    Raises:
        ConfigError: a mixture with another objective than the likelihood.
    """
    if model.effects == "mixture" and training.objective != "likelihood":
        raise ConfigError(
            f"`--effects mixture` begins with a fit by the likelihood, but `--objective` is {training.objective}. Leave one of them out."
        )


def check_single(model: ModelConfig, data: WindowData) -> None:
    """Checks that a mixture's traits have one replicate each.

    Raises:
        ConfigError: one has several.
    """
    for trait in data.traits:
        if model.effects == "mixture" and trait.replicates > 1:
            raise ConfigError(
                f"`{trait.name}` holds {trait.replicates} replicates: `--effects mixture` needs summary statistics with one."
            )


def fit_mixture(
    prior: VariancePrior,
    data: WindowData,
    parts: Split,
    training: TrainConfig,
    checkpoints: Path,
    *,
    resume: bool,
    progress: Progress,
) -> TrainOutcome:
    """Trains both heads; the prior, with the weights of its normal fit, is changed in place.

    Args:
        prior: with both heads.
        data: windows and traits, without replicates.
        parts: training and validation windows.
        training: steps and learning rates, those of the normal fit.
        checkpoints: folder of the normal fit's checkpoints.
        resume: go on from this half's own checkpoint.
        progress: told about each step.
    """
    from varfx.training import train  # loads Lightning
    from varfx.training.gwas.mixture import start_mixture
    from varfx.training.launch import device_here

    folder = checkpoints / MIXTURE
    processes.first_does(lambda: folder.mkdir(exist_ok=True))
    if not processes.of_first(resume and (folder / LAST).is_dir()):
        device = for_float64(device_here(training.device))
        processes.first_does(lambda: start_mixture(prior, data, parts.train, device=device))
        prior.load_state_dict(processes.of_first(prior.state_dict()))
    validation = parts.validation or parts.train
    return train(prior, data, parts.train, validation, training, folder, mixture=True, resume=resume, progress=progress)


def mixture_to_record(prior: VariancePrior) -> list[dict[str, Any]]:
    """What all variants share, per trait, JSON-able; empty without a second head."""
    head = prior.mixture
    if head is None:
        return []
    return [
        {
            "background": float(head.background.detach()[i]),
            "slab_probabilities": [float(value) for value in head.slabs.detach()[i]],
            "slab_sizes": list(SIZES),
        }
        for i in range(len(prior.scale))
    ]
