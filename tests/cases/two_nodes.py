"""What torchrun starts as a "node": a prior and networks are fitted by the command line, and one network in double precision.

python -m torch.distributed.run --nnodes 2 ... two_nodes.py FOLDER PANEL SUMSTATS ANNOT COHORT
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from cases.people import InFloat64, lively, small_network
from varfx.cli.app import run
from varfx.models.expression import ExpressionNetwork
from varfx.training import processes
from varfx.training.people.config import ExpressionTrainConfig
from varfx.training.people.fit import train_expression


def prior_words(panel: str, sumstats: str, annot: str) -> list[str]:
    """A short fit of two windows a step."""
    return [
        "prior", "fit", "--panel", panel, "--sumstats", sumstats, "--annot", annot, "--model", "linear", "--holdout-chrom", "3",
        "--windows-per-step", "2", "--max-steps", "4", "--check-every", "2", "--learning-rate", "0.01", "--engine", "stochastic",
        "--precision", "float64", "--device", "cpu",
    ]  # fmt: skip


def network_words(cohort: str) -> list[str]:
    """One pass of a small network."""
    return ["expr", "fit", cohort, "--width", "24", "--depth", "1", "--epochs", "1", "--batch", "7", "--device", "cpu"]


def in_float64(folder: Path, num_nodes: int) -> ExpressionNetwork:
    """A network after two passes."""
    network = lively(small_network().double())
    config = ExpressionTrainConfig(
        epochs=2, batch=7, learning_rate=3e-3, max_gradient_norm=1.0, device="cpu", num_nodes=num_nodes
    )
    train_expression(network, InFloat64(), config, folder)
    return network


def torchrun(words: list[str]) -> None:
    """What the command `torchrun` does."""
    from torch.distributed.run import main

    main(words)


if __name__ == "__main__":
    folder, panel, sumstats, annot, cohort = sys.argv[1:]
    nodes = ["--num-nodes", "2"]
    fit = [*prior_words(panel, sumstats, annot), *nodes, "--out", f"{folder}/prior"]
    assert run(fit) == 0
    assert run(fit) == 2  # a finished run is not overwritten; the first process says so
    network = in_float64(Path(folder), 2)
    torch.save(network.state_dict(), Path(folder) / f"{processes.rank()}.pt")
    assert run([*network_words(cohort), *nodes, "--out", f"{folder}/network"]) == 0
