"""What is done after each pass over people: tuning R2, best weights, early stopping, checkpoints, and their record."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from torch import Tensor, nn

from varfx.io import sealed
from varfx.progress import Progress
from varfx.training.people.config import ExpressionTrainConfig
from varfx.training.people.module import WATCH, ExpressionModule

LAST = "last"  # the checkpoint's name


@dataclass(frozen=True)
class Epoch:
    """One pass.

    Attributes:
        number: from 1.
        train_loss: mean of the batches' losses, as they were met.
        tune_r2: mean over genes of the tuning people's R2 (see `mean_r2`).
    """

    number: int
    train_loss: float
    tune_r2: float


@dataclass(eq=False)
class ExpressionWatch(lightning.Callback):
    """After each pass: the tuning people's R2, the best weights, early stopping, a checkpoint. Holds no person's data."""

    folder: Path
    config: ExpressionTrainConfig
    steps_per_epoch: int
    progress: Progress
    step: int = 0  # done so far, in this session and those before it
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)  # what learns, and statistics
    best_epoch: int = 0
    best_value: float = -math.inf
    saved: float = field(default_factory=time.monotonic)

    @property
    def state_key(self) -> str:
        """Its name in a checkpoint."""
        return WATCH

    @property
    def early(self) -> bool:
        """Whether the tuning people say that it is enough."""
        return bool(self.history) and self.history[-1].number - self.best_epoch >= self.config.patience

    @property
    def done(self) -> bool:
        """Whether no pass is left."""
        return self.early or len(self.history) >= self.config.epochs

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Counts the step; at the end of a pass checks, and saves where it is time to."""
        self.step += 1
        if self.step % self.steps_per_epoch == 0:
            self._check(module)
            due = time.monotonic() - self.saved >= 60 * self.config.checkpoint_minutes
            if trainer.strategy.broadcast(due or self.done):
                trainer.save_checkpoint(self.folder / LAST)
                self.saved = time.monotonic()
            trainer.should_stop = self.done
        self.progress(self.step, self.config.epochs * self.steps_per_epoch, "steps")

    def _check(self, module: ExpressionModule) -> None:
        value = module.tune_r2()
        self.history.append(Epoch(len(self.history) + 1, float(np.mean(module.losses)), value))
        module.losses = []
        if value > self.best_value:
            self.best_value, self.best_epoch = value, len(self.history)
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in learned(module.network).items()}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {
            "step": self.step,
            "history": [[epoch.number, epoch.train_loss, epoch.tune_r2] for epoch in self.history],
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self.step = int(state["step"])
        self.history = [Epoch(int(number), float(loss), float(r2)) for number, loss, r2 in state["history"]]
        self.best, self.best_epoch = dict(state["best"]), int(state["best_epoch"])
        self.best_value = float(state["best_value"])


def learned(network: nn.Module) -> dict[str, Tensor]:
    """What training may change: parameters that learn, and statistics."""
    learning = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    return {**learning, **dict(network.named_buffers())}


def write_history(path: Path, history: Sequence[Epoch]) -> None:
    """Writes the passes as CSV."""
    with sealed.atomic_path(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "train_loss", "tune_r2"])
        writer.writerows([epoch.number, epoch.train_loss, epoch.tune_r2] for epoch in history)
