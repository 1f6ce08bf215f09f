"""Checks during training: best weights, early stopping, checkpoints, and their record; the same for priors and expression."""

from __future__ import annotations

import csv
import logging
import math
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
from torch import Tensor

from varfx.io import sealed
from varfx.progress import Progress
from varfx.training import processes
from varfx.training.checkpoint import read_checkpoint
from varfx.training.history import LAST, History
from varfx.training.loop import FitModule

NAME = "watch"  # of the callback in a checkpoint


@dataclass(eq=False)
class Watch(lightning.Callback):
    """Checks the weights when due, keeps the best, stops early, and writes checkpoints; holds no individual's data."""

    folder: Path
    progress: Progress
    total_steps: int  # at most
    patience: int  # checks without improvement before the fit ends
    resume: bool = False  # from `folder`/last
    step: int = 0  # done so far, in this session and those before it
    history: list[History] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_number: int = 0  # step or pass of the best check
    best_value: float = -math.inf
    hurdle: float = -math.inf  # value that the next check must exceed to reset `stale`
    stale: int = 0  # checks since the last improvement
    terminated: bool = False  # SIGTERM came; the fit ends after the step, with a checkpoint
    notes: dict[str, Any] = field(default_factory=dict)  # the module's
    saved: float = field(default_factory=time.monotonic)

    @property
    def state_key(self) -> str:
        """Its name in a checkpoint."""
        return NAME

    @property
    def early(self) -> bool:
        """Whether the checks say that it is enough."""
        return self.stale >= self.patience

    @property
    def done(self) -> bool:
        """True if all steps are done."""
        return self.early or self.step >= self.total_steps

    def setup(self, trainer: Any, module: FitModule, stage: str) -> None:
        """Goes on from the checkpoint, if there is one to go on from."""
        if processes.rank():
            logging.disable(logging.WARNING)  # the first process says it once
        if self.resume:
            self.load(read_checkpoint(self.folder / LAST), module)

    def load(self, checkpoint: dict[str, Any], module: FitModule | None = None) -> None:
        """Goes on from a checkpoint that is read; the module too, if given."""
        self.load_state_dict(checkpoint["callbacks"][NAME])
        if module is not None:
            module.resume(checkpoint, self.notes, self.step)

    def on_train_start(self, trainer: Any, module: FitModule) -> None:
        """Checks the starting weights, where that is wanted."""
        self._defer_sigterm()
        if module.checks_start and not self.history:
            self._check(module)

    def on_train_batch_end(self, trainer: Any, module: FitModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Counts the step, if it is complete; checks and saves where one is due."""
        if (batch_idx + 1) % module.batches_per_step:
            return
        self.step += 1
        error, stop, due = self._agree(module)
        if error:
            processes.raise_together(module.error)
        if self.step >= self.total_steps or module.check_due(self.step, self.history[-1].step if self.history else 0):
            self._check(module)
        if self.done or stop or due:
            self.notes = module.notes()
            trainer.save_checkpoint(self.folder / LAST)
            self.saved = time.monotonic()
        trainer.should_stop = self.done or stop
        self.progress(self.step, self.total_steps, f"steps{self._score()}")

    def _agree(self, module: FitModule) -> tuple[bool, bool, bool]:
        """Whether a process has an error, whether one was told to stop, and whether the first process's clock says to save."""
        due = module.save_due(self.step, time.monotonic() - self.saved)
        mine = (float(module.error is not None), float(self.terminated), float(due and not processes.rank()))
        error, stop, due = (any(values) for values in zip(*processes.gathered(mine, module.device), strict=True))
        return error, stop, due

    def _check(self, module: FitModule) -> None:
        number, train, validation, value = module.check(self.step)
        self.history.append(History(number, train, validation))
        if value > self.best_value:
            self.best_value, self.best_number = value, number
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in module.kept().items()}
        if value > self.hurdle:
            self.hurdle, self.stale = value + module.min_improvement, 0
        else:
            self.stale += 1

    def _score(self) -> str:
        """The validation score so far, as a remark for the progress."""
        if not self.history:
            return ""
        last = self.history[-1].validation
        best = "" if last >= self.best_value else f", best {self.best_value:.4g} at {self.best_number}"
        return f" (validation score {last:.4g} at {self.history[-1].step}{best})"

    def _defer_sigterm(self) -> None:
        """SIGTERM waits for the end of the step; a second one does what it did before. Lightning puts the handlers back.

        Lightning's own handler would exchange data in the middle of a step.
        """
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, frame: Any) -> None:
        if self.terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
        self.terminated = True

    def state_dict(self) -> dict[str, Any]:
        """The state that a checkpoint stores."""
        names = ("step", "best", "best_number", "best_value", "hurdle", "stale", "notes")
        history = [[entry.step, entry.train, entry.validation] for entry in self.history]
        return {**{name: getattr(self, name) for name in names}, "history": history}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        for name, value in state.items():
            setattr(self, name, value)
        self.history = [History(int(step), float(train), float(value)) for step, train, value in state["history"]]

    def __getstate__(self) -> dict[str, Any]:
        """For the processes that a fit starts, which read the checkpoint themselves."""
        return {**self.__dict__, "best": {}}


def write_history(path: Path, history: Sequence[History], columns: tuple[str, str, str]) -> None:
    """Writes the checks as CSV with these headings."""
    with sealed.atomic_path(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([entry.step, entry.train, entry.validation] for entry in history)
