"""Fits a prior by stochastic steps on windows, with Lightning: warm-up, early stopping, checkpoints, resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from lightning.fabric.plugins.environments import LightningEnvironment

from varfx.errors import ConfigError
from varfx.models import VariancePrior
from varfx.progress import Progress, silent
from varfx.training.checkpoint import SafetensorsCheckpointIO
from varfx.training.config import TrainConfig
from varfx.training.module import WATCH, PriorModule
from varfx.training.session import honest_interrupt, quiet_lightning
from varfx.training.watch import LAST, History, Watch, write_history
from varfx.training.windows import WindowData


@dataclass(frozen=True, eq=False)
class TrainOutcome:
    """What training left.

    Attributes:
        history: one entry a check.
        best_step: the step whose weights were kept.
        stopped: why training ended: "early" or "max_steps".
    """

    history: list[History]
    best_step: int
    stopped: str


def train(
    model: VariancePrior,
    data: WindowData,
    train_windows: Sequence[int],
    validation_windows: Sequence[int],
    config: TrainConfig,
    folder: Path,
    *,
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
        resume: go on from `folder`/last; bit-identical to never having stopped, on the CPU.
        progress: told about each step.

    Raises:
        ConfigError: a part of the split is empty.
    """
    for name, part in (("training", train_windows), ("validation", validation_windows)):
        if not part:
            raise ConfigError(
                f"no {name} windows are left by the split. Hold out fewer chromosomes, or use smaller --core windows."
            )
    io, watch = SafetensorsCheckpointIO(), Watch(folder, config, progress)
    checkpoint = io.load_checkpoint(folder / LAST) if resume and (folder / LAST).is_dir() else None
    module = PriorModule(model, data, train_windows, validation_windows, config, checkpoint)
    if checkpoint is not None:  # Lightning's own resume depends on its version for where in an epoch it goes on
        module.load_state_dict(checkpoint["state_dict"])
        watch.load_state_dict(checkpoint["callbacks"][WATCH])
    if not watch.done:
        with quiet_lightning(), honest_interrupt():
            lightning.Trainer(
                accelerator="cuda" if torch.cuda.is_available() else "cpu",
                devices=1,
                max_epochs=1,
                callbacks=[watch],
                plugins=[io, LightningEnvironment()],  # one process, whatever a cluster's variables say
                gradient_clip_val=config.max_gradient_norm,
                default_root_dir=folder,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            ).fit(module)
    model.cpu().load_state_dict(watch.best)
    write_history(folder / "history.csv", watch.history, config.objective)
    stopped = "early" if watch.early else "max_steps"
    return TrainOutcome(history=watch.history, best_step=watch.best_step, stopped=stopped)
