"""Predictions of a network for individuals, and the statistics that random weights start from; needs no Lightning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy import ndarray
from torch import Tensor

from varfx.errors import DataError
from varfx.models.coverage import Predictor
from varfx.models.expression import ExpressionNetwork
from varfx.models.full_precision import full_precision
from varfx.training.people.ahead import Ahead
from varfx.training.people.batches import GeneBatches

DIVERGED = "the fit diverged: its predictions are not finite any more. Lower --learning-rate."


def calibrate(network: ExpressionNetwork, data: GeneBatches, *, people: int = 16, seed: int = 0) -> None:
    """Sets the norms' statistics of random weights from sequences of a few training individuals, spread over the genes."""
    rng = np.random.default_rng([seed % 2**32, 2**31])
    genes = rng.permutation(data.num_genes)[:people]
    share = -(-people // len(genes))
    device = next(network.parameters()).device
    network.calibrate(
        torch.cat(
            [data.encode(int(gene), rng.permutation(data.people(int(gene), "train"))[:share], device) for gene in genes]
        )
    )


@torch.no_grad()
def predict(
    network: Predictor,
    encode: Callable[[Int64[ndarray, " individual"]], Tensor],
    rows: Int64[ndarray, " individual"],
    *,
    micro_batch: int = 32,
) -> Float32[ndarray, " individual"]:
    """Predictions in full float32, whatever the network was trained in.

    Args:
        network: the network.
        encode: sequences of some individuals, on the network's device; called by another thread, while the network computes.
        rows: the individuals.
        micro_batch: how many at once.

    Raises:
        DataError: a prediction is not finite.
    """
    cuts = (rows[first : first + micro_batch] for first in range(0, len(rows), micro_batch))
    with full_precision(network), Ahead(encode(some) for some in cuts) as sequences:
        parts = [network(x) for x in sequences]
    values = np.concatenate([np.zeros(0, np.float32), *(part.float().cpu().numpy() for part in parts)])
    if not np.isfinite(values).all():
        raise DataError(DIVERGED)
    return values
