"""Batches of one gene and different individuals: what training asks of the data, and the order in which individuals are met.

Every training individual is met once a pass, whatever their number: n individuals make ceil(n / batch) batches of nearly equal size.
The order follows from the seed and the place alone, so that a resumed fit meets the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from torch import Tensor

Part = Literal["train", "tune"]


class GeneBatches(Protocol):
    """Genes, individuals and their sequences, made when asked for. Genes are numbered from 0; individuals are rows of the cohort."""

    @property
    def num_genes(self) -> int:
        """Genes to train on."""
        ...

    def people(self, gene: int, part: Part) -> Int64[ndarray, " individual"]:
        """Rows of the individuals who have a target for the gene."""
        ...

    def targets(self, gene: int, rows: Int64[ndarray, " individual"]) -> Float32[Tensor, " individual"]:
        """Targets, on the CPU: mean about 0 and standard deviation about 1 among training individuals."""
        ...

    def encode(
        self,
        gene: int,
        rows: Int64[ndarray, " individual"],
        device: torch.device,
        *,
        reverse_complement: bool = False,
        shift: int = 0,
    ) -> Float[Tensor, "individual *haplotype base 4"]:
        """Their sequences, on the device, turned to the other strand or shifted about the TSS if asked to."""
        ...


@dataclass(frozen=True, eq=False)
class Batch:
    """One step: individuals of one gene.

    Attributes:
        step: its number, from 0.
        gene: the gene's number.
        rows: the individuals.
        reverse_complement: whether sequences are turned.
        shift: by how many bases they are shifted.
    """

    step: int
    gene: int
    rows: Int64[ndarray, " individual"]
    reverse_complement: bool
    shift: int


@dataclass(frozen=True)
class BatchOrder:
    """The batches of a training, from any step on.

    Attributes:
        data: genes and individuals.
        size: individuals of a batch at most.
        seed: of the order and the augmentation.
        reverse_complement: probability that a batch is turned.
        max_shift: shifts are drawn from -max_shift to max_shift.
    """

    data: GeneBatches
    size: int
    seed: int
    reverse_complement: float = 0.0
    max_shift: int = 0

    @property
    def steps_per_epoch(self) -> int:
        """Batches of a pass over all genes and their training individuals."""
        return sum(self._num_batches(gene) for gene in range(self.data.num_genes))

    def epoch(self, number: int) -> list[Batch]:
        """One pass."""
        rng = np.random.default_rng([self.seed % 2**32, number])
        parts: list[tuple[int, Int64[ndarray, " individual"]]] = []
        for gene in range(self.data.num_genes):
            rows = rng.permutation(self.data.people(gene, "train"))
            parts += [(gene, part) for part in np.array_split(rows, self._num_batches(gene))]
        first = number * len(parts)
        return [
            Batch(
                step=first + place,
                gene=parts[chosen][0],
                rows=parts[chosen][1],
                reverse_complement=bool(rng.random() < self.reverse_complement),
                shift=int(rng.integers(-self.max_shift, self.max_shift + 1)),
            )
            for place, chosen in enumerate(rng.permutation(len(parts)))
        ]

    def from_step(self, first: int, epochs: int) -> Iterator[Batch]:
        """The batches from step `first` to the end of the last epoch."""
        size = self.steps_per_epoch
        for number in range(first // size, epochs):
            yield from (batch for batch in self.epoch(number) if batch.step >= first)

    def _num_batches(self, gene: int) -> int:
        return -(-len(self.data.people(gene, "train")) // self.size)
