"""How a network is trained on people's sequences and expression."""

from __future__ import annotations

import math
from dataclasses import dataclass

from varfx.device import check_device
from varfx.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ExpressionTrainConfig:
    """How a network is trained on expression; the defaults are the paper's for the published weights."""

    epochs: int = 150
    """Passes over all training people of all genes at most; early stopping usually ends before."""
    learning_rate: float = 5e-6
    """AdamW's. 5e-6 suits the published weights; random weights need about 1e-3, a head or adapters alone 1e-3."""
    weight_decay: float = 0.01
    """AdamW's decay of all weights."""
    batch: int = 128
    """People of one gene whose loss makes a step; fewer where the cohort has fewer."""
    micro_batch: int = 32
    """People whose sequences are in memory at once; changes memory and speed, not the result."""
    keep_graphs: bool = False
    """Keep the graphs of all micro-batches instead of computing predictions twice: faster, memory of the whole batch."""
    max_gradient_norm: float = 0.05
    """Longer gradients are shortened to this."""
    patience: int = 20
    """Passes without a better mean R2 of the tuning people before training stops."""
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
    """Of the order of people, the augmentation and dropout."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "micro_batch", "patience", "devices", "num_nodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name.replace('_', '-')}` must be at least 1, got {getattr(self, name)}.")
        for name in ("learning_rate", "max_gradient_norm"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ConfigError(f"`{name.replace('_', '-')}` must be positive, got {getattr(self, name)}.")
        for name in ("weight_decay", "max_shift", "checkpoint_minutes"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"`{name.replace('_', '-')}` must not be negative, got {getattr(self, name)}.")
        check_device(self.device)
        if not 0 <= self.reverse_complement <= 1:
            raise ConfigError(f"`reverse-complement` must be from 0 to 1, got {self.reverse_complement}.")
