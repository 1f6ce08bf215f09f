"""Fits a prior by stochastic steps on windows, with Lightning: warm-up, early stopping, checkpoints, resume."""

from __future__ import annotations

import contextlib
import csv
import logging
import math
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import lightning
import numpy as np
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from torch import Tensor

from varfx.data import files
from varfx.errors import ConfigError, DataError
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood import Engine, evaluate, exact
from varfx.likelihood.auto import check_engine
from varfx.likelihood.cost_model import CostModel, calibrated
from varfx.models import VariancePrior
from varfx.progress import Progress, silent
from varfx.training.checkpoint import SafetensorsCheckpointIO
from varfx.training.objective import UNITS, Objective, check_objective, chi2_score
from varfx.training.windows import PriorWindow, WindowData, in_background

logger = logging.getLogger(__name__)
LAST = "last"  # the checkpoint's name
WATCH = "watch"  # the callback's part of a checkpoint
COSTS = "costs"  # the engines' predicted times, likewise: a resumed fit must choose as it did before
Precision = Literal["float32", "float64"]
Likelihood = Callable[[WhitenedWindow, Tensor, Tensor], Tensor]  # (window, F, sigma2) -> log p
DIVERGED = (
    "the fit diverged: its variances or its likelihood are not finite any more. Lower --learning-rate and "
    "--learning-rate-scalars, or take --link softplus."
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a prior is trained. Learning rates and warm-up are those of the paper's appendix B.5."""

    objective: Objective = "likelihood"
    """What is climbed: likelihood; for comparison ldsr (LD score regression, paper B.6) or composite (windows of size 1)."""
    engine: Engine = "auto"
    """How the likelihood of a training window is computed: auto takes the fastest; exact, or stochastic (random probes).
    Validation windows are always computed exactly."""
    gradient_error: float = 0.1
    """Relative error of a window's gradient that stochastic may have."""
    precision: Precision = "float32"
    """Of the likelihood."""
    max_steps: int = 5000
    """Optimiser steps at most; early stopping usually ends before."""
    learning_rate: float | None = None
    """Of the network's weights: by default 0.002 for constant and linear, 0.001 for mlp."""
    learning_rate_scalars: float = 2e-4
    """Of scale, alpha and sigma2."""
    weight_decay: float = 0.01
    """AdamW's decay of the network's weights; scale, alpha and sigma2 are not decayed."""
    warmup_steps: int = 100
    """Steps of linear warm-up."""
    windows_per_step: int = 1
    """Windows whose gradients make one step."""
    patience: int = 10
    """Checks of the validation windows without improvement before training stops."""
    min_improvement: float = 0.1
    """Nats on the validation windows, summed, that count as an improvement (under ldsr: quarter weighted squares)."""
    check_every: int = 50
    """Steps between checkpoints, and between checks of the validation windows where a pass over the training windows
    takes no longer; else there is one check a pass."""
    max_gradient_norm: float = 1.0
    """Gradients (of the mean log p per association) above this norm are shortened to it."""
    seed: int = 0
    """Of the first weights and of the order of the windows."""

    def __post_init__(self) -> None:
        check_objective(self.objective)
        check_engine(self.engine)
        if self.precision not in get_args(Precision):
            raise ConfigError(f"`precision` must be {' or '.join(get_args(Precision))}, got {self.precision!r}.")
        for name in ("max_steps", "windows_per_step", "patience", "check_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name.replace('_', '-')}` must be at least 1, got {getattr(self, name)}.")
        for name in ("gradient_error", "learning_rate", "learning_rate_scalars", "max_gradient_norm"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"`{name.replace('_', '-')}` must be positive, got {value}.")
        if self.warmup_steps < 0 or self.weight_decay < 0:
            raise ConfigError("`warmup-steps` and `weight-decay` must not be negative.")

    @property
    def dtype(self) -> torch.dtype:
        """The likelihood's precision."""
        return torch.float64 if self.precision == "float64" else torch.float32


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


def exactly(window: WhitenedWindow, F: Tensor, sigma2: Tensor) -> Tensor:
    """The exact log p of one window and trait, in the precision of F."""
    return exact(window, F, sigma2, dtype=F.dtype).log_p


def total_log_p(model: VariancePrior, window: PriorWindow, likelihood: Likelihood = exactly) -> tuple[Tensor, int]:
    """Log p of a window summed over its traits, in nats, and its number of independent associations.

    Args:
        model: the prior.
        window: data.
        likelihood: log p of one trait, given F and sigma2.

    Raises:
        DataError: the model's weights are no longer finite.
    """
    F, sigma2 = _variances(model, window)
    total = F.new_zeros(())
    for number, trait in enumerate(window.traits):
        if trait is not None:
            total = total + likelihood(trait, F[:, number], sigma2[number])
    return total, window.rank


def total_score(
    model: VariancePrior, window: PriorWindow, objective: Objective, likelihood: Likelihood = exactly
) -> tuple[Tensor, int]:
    """What training climbs on a window, summed over its traits, and the number of associations that it counts.

    Raises:
        DataError: the model's weights are no longer finite.
    """
    if objective == "likelihood":
        return total_log_p(model, window, likelihood)
    F, sigma2 = _variances(model, window)
    total, count = F.new_zeros(()), 0
    for number, trait in enumerate(window.chi2):
        if trait is not None:
            total = total + chi2_score(trait, F[:, number], sigma2[number], objective)
            count += trait.num_observed
    return total, count


def _variances(model: VariancePrior, window: PriorWindow) -> tuple[Tensor, Tensor]:
    F, sigma2 = model(window.features, window.heterozygosity), model.sigma2
    if not bool(torch.isfinite(F).all() and torch.isfinite(sigma2).all()):
        raise DataError(DIVERGED)
    return F, sigma2


class PriorModule(lightning.LightningModule):
    """The training loop's view of a prior: loss, optimiser, and the order of the windows."""

    def __init__(
        self,
        model: VariancePrior,
        data: WindowData,
        train: Sequence[int],
        validation: Sequence[int],
        config: TrainConfig,
        checkpoint: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self.first_step = 0 if checkpoint is None else int(checkpoint["callbacks"][WATCH]["step"])
        self.model = model
        self.config = config
        self.data = data
        self.train_windows = list(train)
        self.validation_windows = list(validation)
        self.costs: CostModel | None = None
        if checkpoint is not None and checkpoint["callbacks"][WATCH][COSTS]:
            self.costs = CostModel.from_json(checkpoint["callbacks"][WATCH][COSTS])
        terms = data.panel.windows["rank" if config.objective == "likelihood" else "num_core"].to_numpy()
        self.mean_terms = float(np.mean(terms[self.train_windows])) * len(data.traits)
        self.seen: tuple[float, int] = (0.0, 0)  # score and associations of the training windows since the last check

    def training_step(self, batch: list[PriorWindow], batch_idx: int) -> Tensor:
        """Minus the score of the windows, per association of an average window."""
        loss = torch.zeros((), device=self.device)
        probes = probe_generator(self.config.seed, self.first_step + batch_idx)
        likelihood = self._likelihood(self.config.engine, probes)
        for window in batch:
            score, count = total_score(self.model, window, self.config.objective, likelihood)
            self.seen = (self.seen[0] + float(score.detach()), self.seen[1] + count)
            loss = loss - score / self.mean_terms
        return loss / len(batch)

    def on_fit_start(self) -> None:
        """Learns how long the engines take here, if that matters and no checkpoint knows."""
        if self.config.objective == "likelihood" and self.config.engine == "auto" and self.costs is None:
            self.costs = calibrated(self.config.dtype, self.device)

    def _likelihood(self, engine: Engine, probes: torch.Generator | None = None) -> Likelihood:
        """Log p by an engine, with the configured error and precision."""
        config = self.config

        def log_p(window: WhitenedWindow, F: Tensor, sigma2: Tensor) -> Tensor:
            return evaluate(
                window,
                F,
                sigma2,
                engine=engine,
                gradient_error=config.gradient_error,
                generator=probes,
                dtype=config.dtype,
                costs=self.costs,
            ).log_p

        return log_p

    def train_dataloader(self) -> _Batches:
        """The windows of all steps that are left: what Lightning takes for one epoch."""
        size = self.config.windows_per_step
        first, end = self.first_step * size, self.config.max_steps * size
        order = window_order(self.train_windows, self.config.seed, first, end - first)
        return _Batches(self.data, order, size)

    def transfer_batch_to_device(
        self, batch: list[PriorWindow], device: torch.device, dataloader_idx: int
    ) -> list[PriorWindow]:
        """Moves each window."""
        return batch if device.type == "cpu" else [window.to(device) for window in batch]

    @torch.no_grad()
    def validate(self) -> tuple[float, int]:
        """The score of the validation windows (log p in nats), and the number of associations that it counts."""
        self.model.eval()
        total, counts = 0.0, 0
        for window in in_background(self.data, self.validation_windows):
            here = window if self.device.type == "cpu" else window.to(self.device)
            score, count = total_score(self.model, here, self.config.objective, self._likelihood("exact"))
            total, counts = total + float(score), counts + count
        self.model.train()
        return total, counts

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with linear warm-up, as at the checkpoint where there is one; network, scale, and the other scalars apart."""
        default = 1e-3 if self.model.config.kind == "mlp" else 2e-3
        rate = self.config.learning_rate or default
        groups: list[dict[str, Any]] = [
            {"params": [self.model.scale], "lr": rate, "weight_decay": 0.0},
            {
                "params": [self.model.alpha, self.model.log_sigma2],
                "lr": self.config.learning_rate_scalars,
                "weight_decay": 0.0,
            },
        ]
        weights = list(self.model.network.parameters())
        if weights:
            groups.append({"params": weights, "lr": rate, "weight_decay": self.config.weight_decay})
        optimizer = torch.optim.AdamW(groups)
        warmup = self.config.warmup_steps
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (warmup + 1)))
        if self._checkpoint is not None:
            optimizer.load_state_dict(self._checkpoint["optimizer_states"][0])
            schedule.load_state_dict(self._checkpoint["lr_schedulers"][0])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def probe_generator(seed: int, step: int) -> torch.Generator:
    """The source of a step's random probes, on the CPU: the same on every device and after a resume."""
    state = np.random.SeedSequence([seed % 2**32, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))


def window_order(windows: Sequence[int], seed: int, first: int, count: int) -> list[int]:
    """Places `first` to `first + count` of an endless row of passes over the windows, each pass in an order of its own.

    It depends on the seed and the place only, so that a resumed fit meets the same windows.
    """
    order: list[int] = []
    for number in range(first // len(windows), -(-(first + count) // len(windows))):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        order += [windows[i] for i in torch.randperm(len(windows), generator=generator).tolist()]
    skipped = first % len(windows)
    return order[skipped : skipped + count]


@dataclass(frozen=True)
class _Batches:
    """Lists of windows, each read while the one before is computed."""

    data: WindowData
    order: list[int]
    size: int

    def __len__(self) -> int:
        return len(self.order) // self.size

    def __iter__(self) -> Iterator[list[PriorWindow]]:
        batch = []
        for window in in_background(self.data, self.order):
            batch.append(window)
            if len(batch) == self.size:
                yield batch
                batch = []


@dataclass(eq=False)
class _Watch(lightning.Callback):
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
    seen: tuple[float, int] = (0.0, 0)  # the module's, as of the last checkpoint
    costs: dict[str, list[float]] = field(default_factory=dict)  # the module's; empty where the engine is fixed

    @property
    def state_key(self) -> str:
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
        module.seen = self.seen
        self.costs = {} if module.costs is None else module.costs.to_json()
        if not self.history:
            self._check(module)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.step += 1
        last = self.step >= self.config.max_steps
        if last or self.step % self.config.check_every == 0:
            pass_steps = -(-len(module.train_windows) // self.config.windows_per_step)
            if last or self.step - self.history[-1].step >= pass_steps:
                self._check(module)
            self.seen = module.seen
            trainer.save_checkpoint(self.folder / LAST)
            trainer.should_stop = self.done
        self.progress(self.step, self.config.max_steps, "steps")

    def _check(self, module: PriorModule) -> None:
        nats, ranks = module.seen
        module.seen = (0.0, 0)
        value, associations = module.validate()
        if not math.isfinite(value):
            raise DataError(DIVERGED)
        train = nats / ranks if ranks else math.nan
        self.history.append(History(self.step, train, value / max(associations, 1)))
        if value > self.best_value:
            self.best_value, self.best_step = value, self.step
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in module.model.state_dict().items()}
        if value > self.hurdle:
            self.hurdle, self.stale = value + self.config.min_improvement, 0
        else:
            self.stale += 1

    def state_dict(self) -> dict[str, Any]:
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
        self.step = int(state["step"])
        self.history = [History(int(step), float(train), float(value)) for step, train, value in state["history"]]
        self.best, self.best_step = dict(state["best"]), int(state["best_step"])
        self.best_value, self.hurdle, self.stale = (
            float(state["best_value"]),
            float(state["hurdle"]),
            int(state["stale"]),
        )
        self.seen = (float(state["seen"][0]), int(state["seen"][1]))


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
    io, watch = SafetensorsCheckpointIO(), _Watch(folder, config, progress)
    checkpoint = io.load_checkpoint(folder / LAST) if resume and (folder / LAST).is_dir() else None
    module = PriorModule(model, data, train_windows, validation_windows, config, checkpoint)
    if checkpoint is not None:  # Lightning's own resume depends on its version for where in an epoch it goes on
        module.load_state_dict(checkpoint["state_dict"])
        watch.load_state_dict(checkpoint["callbacks"][WATCH])
    if not watch.done:
        with _quiet_lightning(), _honest_interrupt():
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


def write_history(path: Path, history: Sequence[History], objective: Objective) -> None:
    """Writes the checks as CSV; the headings name the objective's unit."""
    with files.atomic_path(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *(f"{part}_{UNITS[objective]}_per_association" for part in ("train", "validation"))])
        writer.writerows([entry.step, entry.train, entry.validation] for entry in history)


@contextlib.contextmanager
def _honest_interrupt() -> Iterator[None]:
    """Ctrl-C stays a KeyboardInterrupt: Lightning makes it an exit with code 1, and ignores any further one."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keeps Lightning's own notices about devices and loaders from the user's screen."""
    loggers = [
        logging.getLogger(name)
        for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric")
    ]
    levels = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
