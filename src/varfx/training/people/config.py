"""Configuration of the training on individuals' sequences and expression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from varfx.device import check_device
from varfx.errors import ConfigError

Loss = Literal["both", "mse", "pairwise"]


@dataclass(frozen=True, kw_only=True)
class ExpressionTrainConfig:
    """Configuration of the training on expression; the defaults are the paper's for the published weights."""

    epochs: int = 150
    """Passes over all training individuals of all genes at most; early stopping usually ends before."""
    learning_rate: float | None = None
    """AdamW's: by default 5e-6 for the published weights, 1e-3 for random weights, a head alone or adapters."""
    weight_decay: float = 0.01
    """AdamW's decay of all weights."""
    loss: Loss = "both"
    """Half the mean squared error plus half the mean squared error of all pairs' differences (both), or one of them alone: with
    pairwise nothing determines a gene's mean, so that tuning predictions are centred before R2 is taken."""
    batch: int = 128
    """Individuals of one gene whose loss makes a step; fewer where the cohort has fewer."""
    micro_batch: int | None = None
    """Individuals whose sequences are in memory at once, by default 32 on a GPU, 4 elsewhere; the result does not depend on it."""
    keep_graphs: bool = False
    """Keep the graphs of all micro-batches instead of computing predictions twice: faster, memory of the whole batch."""
    max_gradient_norm: float = 0.05
    """Longer gradients are shortened to this."""
    patience: int = 20
    """Passes without a better mean R2 of the tuning individuals before training stops."""
    reverse_complement: float = 0.0
    """Probability that a batch's sequences are turned to the other strand."""
    max_shift: int = 0
    """A batch's sequences are shifted by up to so many bases."""
    device: str = "auto"
    """Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps."""
    devices: int = 1
    """Processes per machine that train one network together, each on its share of a batch: one per GPU, or on the CPU."""
    num_nodes: int = 1
    """Machines that train together, each with `devices` processes, started by torchrun or srun."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints, which are written at the end of a step."""
    seed: int = 0
    """Of the order of individuals, the augmentation and dropout."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "micro_batch", "patience", "devices", "num_nodes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"`{name.replace('_', '-')}` must be at least 1, got {value}.")
        for name in ("learning_rate", "max_gradient_norm"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"`{name.replace('_', '-')}` must be positive, got {value}.")
        for name in ("weight_decay", "max_shift", "checkpoint_minutes"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"`{name.replace('_', '-')}` must not be negative, got {getattr(self, name)}.")
        if self.loss not in get_args(Loss):
            raise ConfigError(f"`loss` must be both, mse or pairwise, got {self.loss!r}.")
        check_device(self.device)
        if not 0 <= self.reverse_complement <= 1:
            raise ConfigError(f"`reverse-complement` must be from 0 to 1, got {self.reverse_complement}.")

    @property
    def loss_weights(self) -> tuple[float, float]:
        """Weights of the individuals' and of the pairs' mean squared error."""
        return {"both": (0.5, 0.5), "mse": (1.0, 0.0), "pairwise": (0.0, 1.0)}[self.loss]

    @property
    def rate(self) -> float:
        """The learning rate; where none was chosen, that of the published weights."""
        return 5e-6 if self.learning_rate is None else self.learning_rate

    @property
    def people_at_once(self) -> int:
        """Individuals in memory at once."""
        return 32 if self.micro_batch is None else self.micro_batch
