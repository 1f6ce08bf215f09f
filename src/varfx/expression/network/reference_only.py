"""Genes as training examples, one reference sequence each: the control of a network that has seen nobody's variants.

To the training loop all genes together are one gene, and each is one of its individuals. A gene's target is the mean over the
training individuals of log2(TPM + 2), standardised over the training genes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from torch import Tensor

from varfx.errors import DataError
from varfx.expression.cohort.store import Cohort
from varfx.expression.network.batches import gene_sequences
from varfx.training.people.batches import Part

TUNED_SHARE = 0.1  # of the training genes, where no others are named


class ReferenceGenes:
    """Reference sequences of genes and their mean expression, as `varfx.training.people.batches.GeneBatches`.

    Args:
        cohort: the cohort; its expression as it came in must be TPM or CPM.
        genes: Ensembl ids of the training genes.
        tuned: of those that decide when to stop; by default a tenth of `genes`, which then do not train.
        fold: whose training individuals make the means.
        window: bases around the TSS.
        seed: of the draw of that tenth.

    Raises:
        DataError: expression below 0, or too few genes.
    """

    num_genes = 1

    def __init__(
        self, cohort: Cohort, genes: Sequence[str], tuned: Sequence[str], fold: int, window: int, seed: int
    ) -> None:
        if not tuned:
            order = np.random.default_rng([seed % 2**32, 2**30]).permutation(len(genes))
            count = max(2, round(TUNED_SHARE * len(genes)))
            tuned, genes = [genes[row] for row in sorted(order[:count])], [genes[row] for row in sorted(order[count:])]
        if len(genes) < 2:
            raise DataError(
                f"`reference-only` learns from genes, and {len(genes)} of the cohort's are left to train on beside {len(tuned)} "
                "to stop by. Give more genes, or take `--tune-genes`."
            )
        self.genes, self.num_train = (*genes, *tuned), len(genes)
        self._cohort, self._window = cohort, window
        self._targets = _mean_log_tpm(cohort, self.genes, cohort.fold(fold).train, self.num_train)

    def people(self, gene: int, part: Part) -> Int64[ndarray, " individual"]:
        """Rows of the genes."""
        return np.arange(self.num_train) if part == "train" else np.arange(self.num_train, len(self.genes))

    def targets(self, gene: int, rows: Int64[ndarray, " individual"]) -> Float32[Tensor, " individual"]:
        """Standardised means of the genes."""
        return self._targets[torch.from_numpy(rows)]

    def encode(
        self,
        gene: int,
        rows: Int64[ndarray, " individual"],
        device: torch.device,
        *,
        reverse_complement: bool = False,
        shift: int = 0,
    ) -> Float[Tensor, "individual base 4"]:
        """Reference sequences of the genes."""
        sequences = [gene_sequences(self._cohort, self.genes[row], device, window=self._window) for row in rows]
        return torch.stack([each.reference(reverse_complement=reverse_complement, shift=shift) for each in sequences])


def _mean_log_tpm(
    cohort: Cohort, genes: Sequence[str], people: Int64[ndarray, " train"], num_train: int
) -> Float32[Tensor, " gene"]:
    values = cohort.expression()[[cohort.gene_row(gene) for gene in genes]][:, people].astype(np.float64)
    below = (values < 0).any(axis=1)
    if below.any():
        raise DataError(
            f"`reference-only` predicts log2(TPM + 2), but {int(below.sum())} of {len(genes)} genes have expression below 0, first "
            f"{genes[int(below.argmax())]}: it was normalised before. Prepare the cohort from TPM, with --normalise none."
        )
    means = np.log2(values + 2).mean(axis=1)
    spread = means[:num_train].std()
    if not spread > 0:
        raise DataError(f"all {num_train} training genes have the same mean expression: there is nothing to learn.")
    return torch.from_numpy(((means - means[:num_train].mean()) / spread).astype(np.float32))
