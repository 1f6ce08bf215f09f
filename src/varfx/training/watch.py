"""Checks of the validation windows during training: best weights, early stopping, checkpoints, and their record."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
from torch import Tensor

from varfx.errors import DataError
from varfx.io import sealed
from varfx.progress import Progress
from varfx.training import ranks
from varfx.training.gwas.config import UNITS, Objective, TrainConfig
from varfx.training.gwas.module import COSTS, WATCH, PriorModule
from varfx.training.gwas.score import DIVERGED

LAST = "last"  # the checkpoint's name


@dataclass(frozen=True)
class History:
    """One check of the training: the mean log p per independent association, or of another objective's score per association.

    Attributes:
        step: optimiser steps done.
        train: on the training windows since the last check, as they were visited; NaN at step 0.
        validation: on the validation windows.
    """

    step: int
    train: float
    validation: float


@dataclass(eq=False)
class Watch(lightning.Callback):
    """Checks the validation windows, keeps the best weights, stops early, and writes checkpoints."""

    folder: Path
    config: TrainConfig
    progress: Progress
    step: int = 0  # done so far, in this session and those before it
    history: list[History] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_step: int = 0
    best_value: float = -math.inf  # total nats on the validation windows
    hurdle: float = -math.inf  # what the next check must exceed so as not to be stale
    stale: int = 0
    seen: list[list[float]] = field(default_factory=list)  # the modules' of all processes, as of the last checkpoint
    costs: dict[str, list[float]] = field(default_factory=dict)  # the module's; empty where the engine is fixed

    @property
    def state_key(self) -> str:
        """Its name in a checkpoint."""
        return WATCH

    @property
    def early(self) -> bool:
        """Whether the validation windows say that it is enough."""
        return self.stale >= self.config.patience

    @property
    def done(self) -> bool:
        """Whether no step is left."""
        return self.early or self.step >= self.config.max_steps

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Checks the starting weights, unless a checkpoint has."""
        if self.seen:
            score, count = self.seen[ranks.rank()]
            module.seen = (score, int(count))
        self.costs = {} if module.costs is None else module.costs.to_json()
        if not self.history:
            self._check(module)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Counts the step, if it is complete; checks and saves where one is due."""
        if (batch_idx + 1) % (self.config.step_windows // ranks.world()):
            return
        self.step += 1
        last = self.step >= self.config.max_steps
        if last or self.step % self.config.check_every == 0:
            pass_steps = -(-len(module.train_windows) // self.config.step_windows)
            if last or self.step - self.history[-1].step >= pass_steps:
                self._check(module)
            self.seen = ranks.gathered(module.seen, module.device)
            trainer.save_checkpoint(self.folder / LAST)
            trainer.should_stop = self.done
        self.progress(self.step, self.config.max_steps, "steps")

    def _check(self, module: PriorModule) -> None:
        parts = ranks.gathered(module.seen, module.device)
        nats, count = sum(part[0] for part in parts), sum(part[1] for part in parts)
        module.seen = (0.0, 0)
        value, associations = module.validate()
        if not math.isfinite(value):
            raise DataError(DIVERGED)
        train = nats / count if count else math.nan
        self.history.append(History(self.step, train, value / max(associations, 1)))
        if value > self.best_value:
            self.best_value, self.best_step = value, self.step
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in module.model.state_dict().items()}
        if value > self.hurdle:
            self.hurdle, self.stale = value + self.config.min_improvement, 0
        else:
            self.stale += 1

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {
            "step": self.step,
            "history": [[entry.step, entry.train, entry.validation] for entry in self.history],
            "best": self.best,
            "best_step": self.best_step,
            "best_value": self.best_value,
            "hurdle": self.hurdle,
            "stale": self.stale,
            "seen": self.seen,
            COSTS: self.costs,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self.step = int(state["step"])
        self.history = [History(int(step), float(train), float(value)) for step, train, value in state["history"]]
        self.best, self.best_step = dict(state["best"]), int(state["best_step"])
        self.best_value, self.hurdle, self.stale = (
            float(state["best_value"]),
            float(state["hurdle"]),
            int(state["stale"]),
        )
        self.seen = [[float(value) for value in part] for part in state["seen"]]


def write_history(path: Path, history: Sequence[History], objective: Objective) -> None:
    """Writes the checks as CSV; the headings name the objective's unit."""
    with sealed.atomic_path(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *(f"{part}_{UNITS[objective]}_per_association" for part in ("train", "validation"))])
        writer.writerows([entry.step, entry.train, entry.validation] for entry in history)
