"""The training loop's view of a network that predicts expression, as Lightning wants it: step, optimiser, tuning individuals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor

from varfx.errors import DataError
from varfx.models.channel_norm import fold_statistics
from varfx.models.expression import ExpressionNetwork
from varfx.models.full_precision import full_precision
from varfx.training import processes
from varfx.training.dropout import Dropout
from varfx.training.loop import FitModule
from varfx.training.people.ahead import Ahead
from varfx.training.people.batches import Batch, BatchOrder, GeneBatches
from varfx.training.people.config import ExpressionTrainConfig
from varfx.training.people.pairwise import AllReduce, backward, passes, sum_gradients
from varfx.training.people.predict import DIVERGED


def mean_r2(pairs: Sequence[tuple[Float[ndarray, " individual"], Float[ndarray, " individual"]]]) -> float:
    """Mean over genes of R2 = 1 - sum (y - p)^2 / sum (y - mean y)^2, always a number.

    A constant prediction has an R2 as any other (0 at the mean of y). Genes whose y is constant, or known of one individual only, have
    none and are left out. Where that is all of them, 1 - mean (y - p)^2, the R2 about a mean of 0 and a variance of 1.

    Args:
        pairs: prediction p and truth y of each gene.
    """
    values, errors = [], []
    for prediction, truth in pairs:
        error = np.square(truth.astype(np.float64) - prediction)
        spread = np.square(truth - truth.mean(dtype=np.float64)).sum() if truth.size else 0.0
        errors.append(error)
        if spread > 0:
            values.append(1 - error.sum() / spread)
    if values:
        return float(np.mean(values))
    return 1.0 - float(np.concatenate(errors).mean()) if sum(map(len, errors)) else 0.0


def mean_correlation(pairs: Sequence[tuple[Float[ndarray, " individual"], Float[ndarray, " individual"]]]) -> float:
    """Mean over genes of Pearson's correlation; 0 where a prediction is constant, and genes whose truth is are left out.

    Args:
        pairs: prediction and truth of each gene.
    """
    values = []
    for prediction, truth in pairs:
        p, y = prediction.astype(np.float64), truth.astype(np.float64)
        p, y = p - p.mean(), y - y.mean()
        spread = float(np.sqrt((p @ p) * (y @ y)))
        if y.any():
            values.append(float(p @ y) / spread if spread > 0 else 0.0)
    return float(np.mean(values)) if values else 0.0


@dataclass(frozen=True)
class _Batches:
    """The steps that are left: what Lightning takes for one epoch."""

    order: BatchOrder
    first: int
    epochs: int

    def __len__(self) -> int:
        return self.epochs * self.order.steps_per_epoch - self.first

    def __iter__(self) -> Iterator[Batch]:
        return self.order.from_step(self.first, self.epochs)


class ExpressionModule(FitModule):
    """The training loop's view of a network: the step, the optimiser, and the tuning individuals."""

    def __init__(
        self,
        network: ExpressionNetwork,
        data: GeneBatches,
        config: ExpressionTrainConfig,
        tuning: GeneBatches | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # a step goes backward several times, and sums over processes by itself
        self.network = network
        self.data = data
        self.tuning = tuning
        self.config = config
        self.order = BatchOrder(data, config.batch, config.seed, config.reverse_complement, config.max_shift)
        self.total_steps = config.epochs * self.order.steps_per_epoch
        self.losses: list[float] = []  # of the steps since the last check
        self._ahead: Ahead[tuple[tuple[int, int], Tensor]] | None = None  # in training

    @property
    def all_reduce(self) -> AllReduce | None:
        """Sums a tensor over the processes; None where there is one."""
        return processes.all_reduce if processes.world() > 1 else None

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step: gradients of the whole batch, clipped, AdamW, and the norms' statistics."""
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.losses.append(self.gradients(batch))
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_gradient_norm)
        optimizer.step()
        fold_statistics(self.network, self.all_reduce)

    def cuts(self, batch: Batch) -> list[Int64[ndarray, " individual"]]:
        """Individuals of each micro-batch of this process."""
        rows, size = batch.rows[processes.rank() :: processes.world()], self.config.people_at_once
        return [rows[first : first + size] for first in range(0, len(rows), size)]

    def passes(self, cuts: int) -> int:
        """Forward passes over each of a batch's micro-batches."""
        return passes(cuts, self.config.keep_graphs)

    def sequences(self, batch: Batch, number: int) -> Tensor:
        """Sequences of a micro-batch: made ahead in training, in the order in which it asks for them."""
        if self._ahead is None:
            return self._encoded(batch, number)
        place, x = next(self._ahead)
        assert place == (batch.step, number), f"micro-batch {place} was made ahead, not {batch.step, number}"
        return x

    def _encoded(self, batch: Batch, number: int) -> Tensor:
        some = self.cuts(batch)[number]
        return self.data.encode(
            batch.gene, some, self.device, reverse_complement=batch.reverse_complement, shift=batch.shift
        )

    def _all_encoded(self) -> Iterator[tuple[tuple[int, int], Tensor]]:
        """Sequences of all steps that are left, each micro-batch as often as it goes through the network."""
        for batch in self.order.from_step(self.first_step, self.config.epochs):
            cuts = len(self.cuts(batch))
            for number in [*range(cuts)] * self.passes(cuts):
                yield (batch.step, number), self._encoded(batch, number)

    def on_train_start(self) -> None:
        """Begins to make sequences ahead."""
        self._ahead = Ahead(self._all_encoded())

    def on_train_end(self) -> None:
        """Makes no more."""
        self.close()

    def close(self) -> None:
        """Ends the thread that makes sequences ahead, if there is one."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def gradients(self, batch: Batch) -> float:
        """Loss of a batch; its gradient is accumulated in `.grad`, equal in every process.

        Raises:
            DataError: the loss is not finite.
        """
        cuts = self.cuts(batch)

        def prediction(number: int) -> Callable[[], Tensor]:
            return lambda: self.network(self.sequences(batch, number))

        sums = backward(
            self.network,
            [prediction(number) for number in range(len(cuts))],
            [self.data.targets(batch.gene, some) for some in cuts],
            Dropout((self.config.seed * 1_000_003 + batch.step) * processes.world() + processes.rank(), self.device),
            all_reduce=self.all_reduce,
            keep_graphs=self.config.keep_graphs,
            weights=self.config.loss_weights,
        )
        if not math.isfinite(sums.loss):
            raise DataError(DIVERGED)
        if self.all_reduce is not None:
            sum_gradients(self.network, self.all_reduce)
        return sums.loss

    def tune_score(self) -> float:
        """Mean over genes in the tuning individuals: correlation for genes of their own, else R2.

        Raises:
            DataError: a prediction is not finite.
        """
        pairs = self._tuning_pairs(self.data if self.tuning is None else self.tuning)
        if any(not np.isfinite(prediction).all() for prediction, _ in pairs):
            raise DataError(DIVERGED)
        if self.tuning is not None:
            return mean_correlation(pairs)
        if self.config.loss == "pairwise":  # which leaves the mean open
            pairs = [(prediction - prediction.mean() + truth.mean(), truth) for prediction, truth in pairs]
        return mean_r2(pairs)

    def _predict(self, gene: int, x: Tensor, data: GeneBatches) -> Tensor:
        """Predictions for sequences of a gene of `data`, in the unit of its targets."""
        return self.network(x)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _tuning_pairs(self, data: GeneBatches) -> list[tuple[ndarray, ndarray]]:
        """Predictions in float32 and targets of each gene's tuning individuals; each process predicts its share of them."""
        size, world = self.config.people_at_once, processes.world()
        people = [data.people(gene, "tune") for gene in range(data.num_genes)]
        cuts = [
            (gene, slice(first, first + world * size, world))
            for gene, rows in enumerate(people)
            for first in range(processes.rank(), len(rows), world * size)
        ]
        found = [torch.zeros(len(rows), device=self.device) for rows in people]
        encoded = (data.encode(gene, people[gene][here], self.device) for gene, here in cuts)
        with full_precision(self.network), Ahead(encoded) as sequences:
            for (gene, here), x in zip(cuts, sequences, strict=True):
                found[gene][here] = self._predict(gene, x, data).to(found[gene].dtype)
        pairs = []
        for gene, rows in enumerate(people):
            if self.all_reduce is not None:
                self.all_reduce(found[gene])
            pairs.append((found[gene].cpu().numpy(), data.targets(gene, rows).numpy()))
        return pairs

    def check_due(self, step: int, last: int) -> bool:
        """At the end of a pass."""
        return step % self.order.steps_per_epoch == 0

    def save_due(self, step: int, seconds: float) -> bool:
        """Every `checkpoint_minutes`."""
        return seconds >= 60 * self.config.checkpoint_minutes

    def check(self, step: int) -> tuple[int, float, float, float]:
        """Number of the pass, mean loss of its batches, and the tuning individuals' score, which decides."""
        value = self.tune_score()
        loss = float(np.mean(self.losses))
        self.losses = []
        return step // self.order.steps_per_epoch, loss, value, value

    def kept(self) -> dict[str, Tensor]:
        """Trainable parameters and running statistics."""
        learning = {name: value for name, value in self.network.named_parameters() if value.requires_grad}
        return {**learning, **dict(self.network.named_buffers())}

    def notes(self) -> dict[str, Any]:
        """Losses of the pass so far, which are the same in all processes."""
        return {"losses": self.losses}

    def resume(self, checkpoint: dict[str, Any], notes: dict[str, Any], step: int) -> None:
        """Goes on from a checkpoint."""
        super().resume(checkpoint, notes, step)
        self.losses = list(notes["losses"])

    def train_dataloader(self) -> _Batches:
        """The steps that are left."""
        return _Batches(self.order, self.first_step, self.config.epochs)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Nothing to move: sequences are made on the device."""
        return batch

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW of what learns, as at the checkpoint where there is one."""
        learning = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=self.config.rate, weight_decay=self.config.weight_decay)
        if self.checkpoint is not None:
            optimizer.load_state_dict(self.checkpoint["optimizer_states"][0])
        return optimizer
