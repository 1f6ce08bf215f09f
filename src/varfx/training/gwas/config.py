"""Configuration of the training of priors, checked on construction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from varfx.device import check_device
from varfx.errors import ConfigError
from varfx.likelihood.config import Engine, check_engine
from varfx.models.config import ModelConfig

if TYPE_CHECKING:
    import torch

Objective = Literal["likelihood", "ldsr", "composite"]
UNITS: dict[Objective, str] = {"likelihood": "log_p", "ldsr": "quasi_nats", "composite": "composite_log_p"}
Precision = Literal["float32", "float64"]
Decay = Literal["none", "cosine"]
COUNTS = (
    "max_steps",
    "windows_per_step",
    "devices",
    "num_nodes",
    "patience",
    "check_every",
    "check_windows",
    "start_windows",
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Configuration of the training of a prior. Learning rates and warm-up are those of the paper's appendix B.5."""

    objective: Objective = "likelihood"
    """Objective: likelihood; for comparison ldsr (LD score regression, paper B.6) or composite (windows of size 1)."""
    engine: Engine = "auto"
    """Engine of the likelihood of training windows: auto (the fastest per window), exact, or stochastic (random probes).
    Validation windows are always computed exactly."""
    gradient_error: float = 0.1
    """Relative error of a window's gradient that stochastic may have."""
    precision: Precision = "float32"
    """Of the likelihood."""
    max_steps: int = 5000
    """Optimiser steps at most; early stopping usually ends before."""
    learning_rate: float | None = None
    """Of the network's weights: by default 0.002 for constant and linear, 0.001 for mlp, 0.0001 for enformer. Except for
    enformer, also of scale."""
    learning_rate_scalars: float = 2e-4
    """Of alpha and sigma2, and for enformer of scale."""
    weight_decay: float = 0.01
    """AdamW's decay of the network's weights; scale, alpha and sigma2 are not decayed."""
    warmup_steps: int = 100
    """Steps of linear warm-up."""
    learning_rate_decay: Decay = "none"
    """Decay of the learning rates after warm-up: none, or cosine to 0 at `max_steps`."""
    start_windows: int = 64
    """At most so many training windows, evenly spaced, on which the constant model's optimum is found to start from."""
    windows_per_step: int | None = None
    """Windows whose gradients make one step, over all processes; by default one per process. One is in memory at a time."""
    device: str = "auto"
    """Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps."""
    devices: int = 1
    """Processes per machine that train together, each on its share of a step's windows: one per GPU, or on the CPU."""
    num_nodes: int = 1
    """Machines that train together, each with `devices` processes, started by torchrun or srun."""
    compile: bool = False
    """Compile an enformer (`torch.compile`): slower start, faster steps. Results differ by rounding."""
    patience: int = 10
    """Checks of the validation windows without improvement before training stops."""
    min_improvement: float = 0.1
    """Nats on the validation windows, summed, that count as an improvement (under ldsr: quarter weighted squares)."""
    check_windows: int = 128
    """Largest number of validation windows, evenly spaced, that each check scores; with more, their score stands for all."""
    check_every: int = 50
    """Steps between checkpoints, and between checks of the validation windows where a pass over the training windows
    takes no longer; else there is one check a pass."""
    max_gradient_norm: float = 1.0
    """Gradients (of the mean log p per association) above this norm are shortened to it."""
    seed: int = 0
    """Of the first weights and of the order of the windows."""

    def __post_init__(self) -> None:
        if self.objective not in get_args(Objective):
            raise ConfigError(f"`objective` must be {', '.join(get_args(Objective))}, got {self.objective!r}.")
        check_engine(self.engine)
        if self.precision not in get_args(Precision):
            raise ConfigError(f"`precision` must be {' or '.join(get_args(Precision))}, got {self.precision!r}.")
        if self.learning_rate_decay not in get_args(Decay):
            raise ConfigError(f"`learning-rate-decay` must be none or cosine, got {self.learning_rate_decay!r}.")
        for name in COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"`{name.replace('_', '-')}` must be at least 1, got {value}.")
        check_device(self.device)
        if self.step_windows % self.processes:
            nodes = (
                f" x `num-nodes` = {self.devices} x {self.num_nodes}" if self.num_nodes > 1 else f" = {self.devices}"
            )
            raise ConfigError(
                f"`windows-per-step` must be a multiple of `devices`{nodes}, got {self.windows_per_step}: each takes the same number."
            )
        for name in ("gradient_error", "learning_rate", "learning_rate_scalars", "max_gradient_norm"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"`{name.replace('_', '-')}` must be positive, got {value}.")
        if self.warmup_steps < 0 or self.weight_decay < 0:
            raise ConfigError("`warmup-steps` and `weight-decay` must not be negative.")

    def learning_rate_factor(self, step: int) -> float:
        """Factor of the learning rates after `step` steps: warm-up times decay."""
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        if self.learning_rate_decay == "none":
            return warm
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.max_steps)))

    @property
    def processes(self) -> int:
        """Processes that train together, on all machines."""
        return self.devices * self.num_nodes

    @property
    def step_windows(self) -> int:
        """Windows whose gradients make one step, over all processes."""
        return self.processes if self.windows_per_step is None else self.windows_per_step

    @property
    def dtype(self) -> torch.dtype:
        """The likelihood's precision."""
        import torch

        return torch.float64 if self.precision == "float64" else torch.float32


def check_compile(model: ModelConfig, config: TrainConfig) -> None:
    """Refuses to compile what would gain nothing.

    Raises:
        ConfigError: the model is no enformer.
    """
    if config.compile and model.kind != "enformer":
        raise ConfigError(f"`compile` is for enformer; {model.kind} would gain nothing.")
