"""Fits a prior by stochastic steps on windows, with Lightning: warm-up, early stopping, checkpoints, resume."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from varfx.errors import ConfigError
from varfx.models import TrackEnformer, VariancePrior
from varfx.progress import Progress, silent
from varfx.training import ranks
from varfx.training.checkpoint import SafetensorsCheckpointIO
from varfx.training.gwas.config import TrainConfig, check_compile
from varfx.training.gwas.module import WATCH, PriorModule
from varfx.training.gwas.windows import WindowData
from varfx.training.session import honest_interrupt, quiet_lightning
from varfx.training.watch import LAST, History, Watch, write_history


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
        ConfigError: a part of the split is empty, or there are too few devices.
        DataError: the fit diverged.
    """
    for name, part in (("training", train_windows), ("validation", validation_windows)):
        if not part:
            raise ConfigError(
                f"no {name} windows are left by the split. Hold out fewer chromosomes, or use smaller --core windows."
            )
    check_compile(model.config, config)
    if not (resume and (folder / LAST).is_dir()):
        _calibrate(model, data, train_windows)
    watch = Watch(folder, config, progress)
    job = (model, data, list(train_windows), list(validation_windows), config, folder, resume)
    with ranks.together(_fit, job, config.devices), quiet_lightning(), honest_interrupt():
        _fit(*job, watch)
    model.cpu().load_state_dict(watch.best)
    write_history(folder / "history.csv", watch.history, config.objective)
    stopped = "early" if watch.early else "max_steps"
    return TrainOutcome(history=watch.history, best_step=watch.best_step, stopped=stopped)


def _fit(
    model: VariancePrior,
    data: WindowData,
    train_windows: Sequence[int],
    validation_windows: Sequence[int],
    config: TrainConfig,
    folder: Path,
    resume: bool,
    watch: Watch | None = None,
) -> None:
    """What each process does: all steps that are left. Only the first has a `watch` that anybody looks at."""
    io, watch = SafetensorsCheckpointIO(), watch or Watch(folder, config, silent)
    checkpoint = io.load_checkpoint(folder / LAST) if resume and (folder / LAST).is_dir() else None
    module = PriorModule(model, data, train_windows, validation_windows, config, checkpoint)
    if checkpoint is not None:  # Lightning's own resume depends on its version for where in an epoch it goes on
        module.load_state_dict(checkpoint["state_dict"])
        watch.load_state_dict(checkpoint["callbacks"][WATCH])
    if watch.done:
        return
    with _compiled(model, config):
        lightning.Trainer(
            accelerator=ranks.accelerator(config.devices),
            devices=config.devices,
            strategy="auto" if config.devices == 1 else DDPStrategy(broadcast_buffers=False),
            max_epochs=1,
            accumulate_grad_batches=config.step_windows // config.devices,
            callbacks=[watch],
            # one process, or those that we started, whatever a cluster's variables say
            plugins=[io, LightningEnvironment() if config.devices == 1 else ranks.Ranks()],
            gradient_clip_val=config.max_gradient_norm,
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        ).fit(module)


def _calibrate(model: VariancePrior, data: WindowData, windows: Sequence[int]) -> None:
    """Gives an enformer's normalisation the statistics of a training window; its random weights have none."""
    if isinstance(model.network, TrackEnformer):
        features = data[windows[0]].features
        assert not isinstance(features, Tensor)
        model.network.eval()
        model.network.calibrate(features)
        model.network.train()


@contextlib.contextmanager
def _compiled(model: VariancePrior, config: TrainConfig) -> Iterator[None]:
    """Inside it, an enformer's passes are compiled, if that is wanted."""
    if not config.compile:
        yield
        return
    network: Any = model.network
    network.score = torch.compile(network.score)
    try:
        with warnings.catch_warnings():
            # the position functions are kept for speed alone, so that going past the cache changes nothing
            warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools.lru_cache`")
            yield
    finally:
        del network.score
