"""Interface of a fit to the one training loop: steps of a LightningModule, and checks that decide which weights are kept."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from typing import Any

import lightning
from torch import Tensor

from varfx.errors import VarfxError
from varfx.training.session import quiet


class FitModule(lightning.LightningModule, ABC):
    """Base of the modules that `varfx.training.session.run` trains; `varfx.training.watch.Watch` calls what is declared here.

    Attributes:
        first_step: optimiser steps done before this session.
        total_steps: optimiser steps at most; the watch has it too.
        batches_per_step: batches of this process that make an optimiser step.
        min_improvement: by which a check's value must exceed the best to count as an improvement.
        checks_start: whether the starting weights are checked too.
        error: what went wrong in this process since the last step; raised in all processes after it.
    """

    first_step = 0
    total_steps = 0
    batches_per_step = 1
    min_improvement = 0.0
    checks_start = False
    error: VarfxError | None = None
    checkpoint: dict[str, Any] | None = None  # that the optimiser goes on from

    @abstractmethod
    def check_due(self, step: int, last: int) -> bool:
        """True if the weights after `step` are due for a check; those after `last` were the last ones checked."""

    @abstractmethod
    def save_due(self, step: int, seconds: float) -> bool:
        """True if a checkpoint is due after `step`, `seconds` after the last one."""

    @abstractmethod
    def check(self, step: int) -> tuple[int, float, float, float]:
        """Number (step or pass), training score, validation score, and the value by which weights are kept; the same in all
        processes.

        Raises:
            VarfxError: the fit diverged.
        """

    @abstractmethod
    def kept(self) -> dict[str, Tensor]:
        """The weights that the best check keeps."""

    def notes(self) -> dict[str, Any]:
        """Further contents of a checkpoint (numbers and lists) beside weights, optimiser and watch; equal in all processes."""
        return {}

    def resume(self, checkpoint: dict[str, Any], notes: dict[str, Any], step: int) -> None:
        """Goes on from a checkpoint, before the optimiser is made."""
        self.checkpoint = checkpoint
        self.first_step = step
        self.load_state_dict(checkpoint["state_dict"])

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to other processes by value: torch would put tensors into /dev/shm, which containers keep small."""
        return _arrive, (type(self), pickle.dumps(self.__getstate__()))


def _arrive(kind: type[FitModule], content: bytes) -> FitModule:
    """A module in the process that was started to train it, which is to be as quiet as its caller."""
    quiet()
    module = kind.__new__(kind)
    module.__setstate__(pickle.loads(content))
    return module
