"""Trains a network on individuals' sequences and expression, with Lightning: batches of one gene, the pairwise loss, early stopping.

A step takes one gene and up to `batch` training individuals, in micro-batches, and on several processes each has its share
of them; the gradient is that of the whole batch (`varfx.training.people.pairwise`). After each pass the tuning individuals' R2 decides
which weights are kept and when to stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from varfx.errors import DataError
from varfx.models.expression import ExpressionNetwork
from varfx.progress import Progress, silent
from varfx.training import processes
from varfx.training.history import History
from varfx.training.launch import join
from varfx.training.people.batches import GeneBatches
from varfx.training.people.config import ExpressionTrainConfig
from varfx.training.people.coverage import CoverageModule
from varfx.training.people.module import ExpressionModule
from varfx.training.session import run
from varfx.training.watch import Watch, write_history

HISTORY_COLUMNS = ("epoch", "train_loss", "tune_r2")


@dataclass(frozen=True, eq=False)
class ExpressionOutcome:
    """Result of training.

    Attributes:
        history: one entry a pass.
        best: the pass whose weights were kept.
        stopped: why training ended: "early" or "epochs".
    """

    history: list[History]
    best: int
    stopped: str


def train_expression(
    network: ExpressionNetwork,
    data: GeneBatches,
    config: ExpressionTrainConfig,
    folder: Path,
    *,
    tuning: GeneBatches | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> ExpressionOutcome:
    """Trains `network` in place and leaves it, on the CPU, with the weights that did best on the tuning individuals.

    Args:
        network: at its starting values.
        data: genes, individuals, sequences; for several processes on one machine it must be possible to pickle it.
        config: passes, learning rate, batches, patience, seed, devices.
        folder: where checkpoints go (`last`), and `history.csv`.
        tuning: genes that are not trained on, whose tuning individuals decide by their mean correlation; by default those of
            `data` decide by their mean R2.
        resume: go on from `folder`/last; bit-identical to never having stopped, on the CPU.
        progress: told about each step.

    Raises:
        ConfigError: fewer devices than asked for; processes of several machines that nobody started.
        DataError: a gene has too few individuals, or training diverges.
    """
    _check_people(data)
    if tuning is not None:
        _check_people(tuning)
    return train_module(ExpressionModule(network, data, config, tuning), folder, resume=resume, progress=progress)


def train_module(
    module: ExpressionModule, folder: Path, *, resume: bool = False, progress: Progress = silent
) -> ExpressionOutcome:
    """The same for a module that is made: of expression or of coverage; arguments and errors as of `train_expression`."""
    network, config = module.network, module.config
    network.cpu().train()  # loaded weights come in evaluation mode, and Lightning keeps a mode
    join(config.devices, config.num_nodes, config.device)
    watch = Watch(folder, progress, module.total_steps, config.patience, resume)
    try:
        run(module, watch, device=config.device, devices=config.devices, num_nodes=config.num_nodes)
    finally:
        module.close()
    network.cpu().load_state_dict(watch.best, strict=False)
    processes.first_does(lambda: write_history(folder / "history.csv", watch.history, HISTORY_COLUMNS))
    return ExpressionOutcome(watch.history, watch.best_number, "early" if watch.early else "epochs")


def train_coverage(
    module: CoverageModule, folder: Path, *, resume: bool = False, progress: Progress = silent
) -> ExpressionOutcome:
    """Trains a network of coverage in place; arguments and errors as of `train_expression`."""
    _check_people(module.data)
    if module.tuning is not None:
        _check_people(module.tuning)
    return train_module(module, folder, resume=resume, progress=progress)


def _check_people(data: GeneBatches) -> None:
    for gene in range(data.num_genes):
        train, tune = (len(data.people(gene, part)) for part in ("train", "tune"))
        if train < 2 or not tune:
            raise DataError(
                f"gene number {gene + 1} has {train} training and {tune} tuning individuals; at least 2 and 1 are needed. Prepare the "
                "cohort with other shares, or leave the gene out."
            )
