"""Trains a network on people's sequences and expression, with Lightning: batches of one gene, the pairwise loss, early stopping.

A step takes one gene and up to `batch` training people, in micro-batches, and on several processes each has its share
of them; the gradient is that of the whole batch (`varfx.training.people.pairwise`). After each pass the tuning people's R2 decides
which weights are kept and when to stop.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment

from varfx.errors import ConfigError, DataError
from varfx.models.expression import ExpressionNetwork
from varfx.progress import Progress, silent
from varfx.training.checkpoint import SafetensorsCheckpointIO
from varfx.training.people.batches import GeneBatches
from varfx.training.people.config import ExpressionTrainConfig
from varfx.training.people.module import WATCH, ExpressionModule
from varfx.training.people.watch import LAST, Epoch, ExpressionWatch, write_history
from varfx.training.session import honest_interrupt, quiet_lightning


@dataclass(frozen=True, eq=False)
class ExpressionOutcome:
    """What training left.

    Attributes:
        history: one entry a pass.
        best: the pass whose weights were kept.
        stopped: why training ended: "early" or "epochs".
    """

    history: list[Epoch]
    best: int
    stopped: str


def train_expression(
    network: ExpressionNetwork,
    data: GeneBatches,
    config: ExpressionTrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    distributed: bool = False,
    progress: Progress = silent,
) -> ExpressionOutcome:
    """Trains `network` in place and leaves it, on the CPU, with the weights that did best on the tuning people.

    Args:
        network: at its starting values.
        data: genes, people, sequences.
        config: passes, learning rate, batches, patience, seed.
        folder: where checkpoints go (`last`), and `history.csv`.
        resume: go on from `folder`/last; bit-identical to never having stopped, on the CPU.
        distributed: share people with the other processes that torchrun has started.
        progress: told about each step.

    Raises:
        DataError: a gene has too few people, or training diverges.
    """
    _check_people(data)
    io = SafetensorsCheckpointIO()
    checkpoint = io.load_checkpoint(folder / LAST) if resume and (folder / LAST).is_dir() else None
    network.train()  # loaded weights come in evaluation mode, and Lightning keeps a mode
    module = ExpressionModule(network, data, config, checkpoint)
    watch = ExpressionWatch(folder, config, module.order.steps_per_epoch, progress)
    if checkpoint is not None:  # Lightning's own resume depends on its version for where in an epoch it goes on
        module.load_state_dict(checkpoint["state_dict"])
        watch.load_state_dict(checkpoint["callbacks"][WATCH])
    if not watch.done:
        size, here = _processes() if distributed else (1, 1)
        with quiet_lightning(), honest_interrupt():
            lightning.Trainer(
                accelerator="cuda" if torch.cuda.is_available() else "cpu",
                devices=here,
                num_nodes=size // here,
                strategy="ddp" if distributed else "auto",
                max_epochs=1,
                callbacks=[watch],
                plugins=[io, TorchElasticEnvironment() if distributed else LightningEnvironment()],
                default_root_dir=folder,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            ).fit(module)
    network.cpu().load_state_dict(watch.best, strict=False)
    if not distributed or os.environ["RANK"] == "0":
        write_history(folder / "history.csv", watch.history)
    return ExpressionOutcome(watch.history, watch.best_epoch, "early" if watch.early else "epochs")


def _processes() -> tuple[int, int]:
    """How many processes torchrun has started, and how many of them on this machine.

    Raises:
        ConfigError: it has not started this one.
    """
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        raise ConfigError("`distributed` needs the processes of torchrun: start the program with torchrun.")
    size = int(os.environ["WORLD_SIZE"])
    return size, int(os.environ.get("LOCAL_WORLD_SIZE", size))


def _check_people(data: GeneBatches) -> None:
    for gene in range(data.num_genes):
        train, tune = (len(data.people(gene, part)) for part in ("train", "tune"))
        if train < 2 or not tune:
            raise DataError(
                f"gene number {gene + 1} has {train} training and {tune} tuning people; at least 2 and 1 are needed. Prepare the "
                "cohort with other shares, or leave the gene out."
            )
