"""The zero-shot model: the published Enformer, unchanged, read at the TSS from each individual's sequence.

An individual's value is the sum of the three centre bins of one output track, as in the Variformer paper (track 4950, 'CAGE:blood,
adult, pool1'). It has seen no expression of anybody, so that held-out genes are predicted like any other. Its unit is the
track's: correlations can be compared with those of other models, R2 cannot.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from varfx.device import find_device
from varfx.expression.cohort.store import Cohort
from varfx.expression.network.batches import gene_sequences
from varfx.expression.network.config import HEAD, ZeroShotConfig, published
from varfx.models.enformer import Enformer
from varfx.models.enformer_weights import load_enformer
from varfx.models.full_precision import full_precision

CENTRE_BINS = 3


def load_zero_shot(config: ZeroShotConfig) -> Enformer:
    """The network with its weights, for evaluation.

    Raises:
        FormatError: the file is missing, damaged, or does not fit.
    """
    return load_enformer(os.fspath(config.checkpoint), config.network or published()).model.to(
        find_device(config.device)
    )


@torch.inference_mode()
def predict_zero_shot(
    network: Enformer, cohort: Cohort, gene_id: str, people: Sequence[int] | ndarray, config: ZeroShotConfig
) -> Float32[ndarray, " individual"]:
    """The value of these individuals (rows of the cohort), in the track's unit."""
    sequences = gene_sequences(cohort, gene_id, find_device(config.device), missing="reference")
    middle = (cohort.window // network.config.bin_size) // 2
    bins = slice(middle - CENTRE_BINS // 2, middle + CENTRE_BINS // 2 + 1)
    rows = [int(row) for row in people]
    values = []
    with full_precision(network):  # individuals differ in the third digit
        for start in range(0, len(rows), config.people_per_batch):
            x = sequences.encode(rows[start : start + config.people_per_batch])
            values.append(network(x, bins)[HEAD][:, :, config.track].sum(dim=1).cpu().numpy())
    return np.concatenate(values).astype(np.float32) if values else np.empty(0, dtype=np.float32)
