"""The training loop's view of a network that predicts coverage: the Poisson-multinomial loss, the head first and then everything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float32, Int64
from numpy import ndarray
from torch import Tensor

from varfx.errors import DataError
from varfx.models.coverage import CoverageNetwork, GeneTotals, poisson_multinomial
from varfx.training import processes
from varfx.training.dropout import Dropout
from varfx.training.people.batches import Batch, GeneBatches
from varfx.training.people.config import ExpressionTrainConfig
from varfx.training.people.module import ExpressionModule
from varfx.training.people.pairwise import sum_gradients
from varfx.training.people.predict import DIVERGED

HEAD_RATE = 1e-3  # at least: the head starts from nothing, whatever the trunk knows


class CoverageBatches(GeneBatches, Protocol):
    """Genes, individuals, sequences and coverage; `targets` are standardised logarithms of exon totals."""

    def coverage(self, gene: int, rows: Int64[ndarray, " individual"]) -> Float32[Tensor, "individual bin track"]:
        """Squashed coverage of some individuals, on the CPU."""
        ...

    def totals(self, gene: int, network: CoverageNetwork) -> GeneTotals:
        """The gene's expression from the network."""
        ...


@dataclass(frozen=True, kw_only=True)
class CoverageLoss:
    """Choices of the training on coverage."""

    total_weight: float = 0.2
    """Weight of the Poisson loss of totals."""
    difference_weight: float = 0.0
    """Weight of the squared error of exon totals, see `total_error`."""
    frozen_epochs: int = 0
    """Passes in which the head alone trains."""


def total_error(
    totals: GeneTotals,
    predicted: Float32[Tensor, "individual bin track"],
    observed: Float32[Tensor, "individual bin track"],
) -> Float32[Tensor, " individual"]:
    """Half the squared error of a gene's exon totals per individual: log2(1 + total) in standard deviations of the training individuals.

    Counts say little of differences between individuals: a total of 30 % more or less moves the Poisson loss as much as noise does in one bin.
    """
    return (totals.of_coverage(predicted) - totals.of_coverage(observed)).square() / 2


class CoverageModule(ExpressionModule):
    """The step of coverage, and two groups of weights with learning rates of their own."""

    network: CoverageNetwork
    data: CoverageBatches
    tuning: CoverageBatches | None

    def __init__(
        self,
        network: CoverageNetwork,
        data: CoverageBatches,
        config: ExpressionTrainConfig,
        loss: CoverageLoss,
        tuning: CoverageBatches | None = None,
    ) -> None:
        super().__init__(network, data, config, tuning)
        self.loss = loss
        self._learning = [name for name, value in network.trunk.named_parameters() if value.requires_grad]

    def gradients(self, batch: Batch) -> float:
        """Loss of a batch, the mean over its individuals; its gradient is accumulated in `.grad`, equal in every process.

        Raises:
            DataError: the loss is not finite.
        """
        self._hold_trunk(batch.step < self.loss.frozen_epochs * self.order.steps_per_epoch)
        dropout = Dropout(
            (self.config.seed * 1_000_003 + batch.step) * processes.world() + processes.rank(), self.device
        )
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for number, some in enumerate(self.cuts(batch)):
            with dropout.part(number):
                predicted = self.network(self.sequences(batch, number))
            observed = self.data.coverage(batch.gene, some).to(predicted)
            each = poisson_multinomial(predicted, observed, self.loss.total_weight)
            if self.loss.difference_weight:
                totals = self.data.totals(batch.gene, self.network)
                each = each + self.loss.difference_weight * total_error(totals, predicted, observed)
            loss = each.sum() / len(batch.rows)
            torch.autograd.backward(loss)
            total += loss.detach().double()
        if self.all_reduce is not None:
            self.all_reduce(total)
            sum_gradients(self.network, self.all_reduce)
        if not math.isfinite(total):
            raise DataError(DIVERGED)
        return float(total)

    def passes(self, cuts: int) -> int:
        """One: the loss is a sum over individuals."""
        return 1

    def _hold_trunk(self, held: bool) -> None:
        """Lets the head train alone: the trunk computes as in evaluation and gets no gradient; or lets both train again."""
        learning = set(self._learning)
        for name, parameter in self.network.trunk.named_parameters():
            parameter.requires_grad_(name in learning and not held)
        self.network.train()
        if held:
            self.network.trunk.eval()

    def _predict(self, gene: int, x: Tensor, data: GeneBatches) -> Tensor:
        source = self.data if data is self.data or self.tuning is None else self.tuning
        return source.totals(gene, self.network)(x)  # type: ignore[no-any-return]

    def kept(self) -> dict[str, Tensor]:
        """The parameters that learn, at some time, and running statistics."""
        learning = {f"trunk.{name}" for name in self._learning}
        held = {name: value for name, value in self.network.named_parameters() if name in learning}
        return {**super().kept(), **held}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW, the head at 1e-3 or the learning rate, whichever is more; as at the checkpoint where there is one."""
        learning, rate = set(self._learning), self.config.rate
        trunk = [value for name, value in self.network.trunk.named_parameters() if name in learning]
        inside = {id(value) for value in self.network.trunk.parameters()}
        head = [value for value in self.network.parameters() if id(value) not in inside]
        groups: list[dict[str, Any]] = [{"params": head, "lr": max(rate, HEAD_RATE)}]
        groups += [{"params": trunk, "lr": rate}] if trunk else []
        optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=self.config.weight_decay)
        if self.checkpoint is not None:
            optimizer.load_state_dict(self.checkpoint["optimizer_states"][0])
        return optimizer
