"""Fits a prior by stochastic steps on windows, with Lightning: warm-up, early stopping, checkpoints, resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from varfx.errors import ConfigError
from varfx.models import TrackEnformer, VariancePrior
from varfx.progress import Progress, silent
from varfx.short_repr import short_repr
from varfx.training import processes
from varfx.training.gwas.config import UNITS, TrainConfig, check_compile
from varfx.training.gwas.module import PriorModule
from varfx.training.gwas.windows import Windows
from varfx.training.history import LAST, History
from varfx.training.launch import join
from varfx.training.session import run
from varfx.training.watch import Watch, write_history


@dataclass(frozen=True, eq=False)
class TrainOutcome:
    """Result of training.

    Attributes:
        history: one entry a check.
        best_step: the step whose weights were kept.
        stopped: why training ended: "early" or "max_steps".
    """

    __repr__ = short_repr

    history: list[History]
    best_step: int
    stopped: str


def train(
    model: VariancePrior,
    data: Windows,
    train_windows: Sequence[int],
    validation_windows: Sequence[int],
    config: TrainConfig,
    folder: Path,
    *,
    mixture: bool = False,
    resume: bool = False,
    progress: Progress = silent,
) -> TrainOutcome:
    """Trains `model` in place and leaves it with the weights that did best on the validation windows.

    Args:
        model: the prior, at its starting values.
        data: windows, traits and features.
        train_windows: numbers of the panel's windows to learn from.
        validation_windows: numbers of the windows that decide when to stop and which weights to keep.
        config: steps, learning rates, patience, seed.
        folder: where checkpoints go (`last`), and `history.csv`.
        mixture: train both heads by the evidence lower bound, from the weights of a normal fit.
        resume: go on from `folder`/last; bit-identical to never having stopped, on the CPU.
        progress: told about each step.

    Raises:
        ConfigError: a part of the split is empty, or there are too few devices.
        DataError: the fit diverged.
    """
    for name, part in (("training", train_windows), ("validation", validation_windows)):
        if not part:
            raise ConfigError(
                f"no {name} windows are left by the split. Hold out fewer chromosomes, or use smaller --core windows."
            )
    check_compile(model.config, config)
    join(config.devices, config.num_nodes, config.device)
    if not mixture and not (resume and (folder / LAST).is_dir()):
        _calibrate(model, data, train_windows)
    module = PriorModule(model, data, train_windows, validation_windows, config, mixture=mixture)
    watch = Watch(folder, progress, module.total_steps, config.patience, resume)
    run(
        module,
        watch,
        device=config.device,
        devices=config.devices,
        num_nodes=config.num_nodes,
        accumulate_grad_batches=module.batches_per_step,
        gradient_clip_val=config.max_gradient_norm,
    )
    model.cpu().load_state_dict(watch.best)
    unit = "bound" if mixture else UNITS[config.objective]
    columns = ("step", f"train_{unit}_per_association", f"validation_{unit}_per_association")
    processes.first_does(lambda: write_history(folder / "history.csv", watch.history, columns))
    stopped = "early" if watch.early else "max_steps"
    return TrainOutcome(history=watch.history, best_step=watch.best_number, stopped=stopped)


def _calibrate(model: VariancePrior, data: Windows, windows: Sequence[int]) -> None:
    """Sets the statistics of an Enformer's normalisation layers from a training window; random weights have none."""
    if isinstance(model.network, TrackEnformer):
        features = data[windows[0]].features
        assert not isinstance(features, Tensor)
        model.network.eval()
        model.network.calibrate(features)
        model.network.train()
