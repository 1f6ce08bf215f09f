"""In-silico mutagenesis: what a network predicts for the reference with one allele exchanged, minus for the reference.

    ISM_v = f(reference with ALT at v) - f(reference)

This is the homozygous effect: an individual with d copies of ALT is shown d / 2 of it, and so has d / 2 ISM_v of a network that
adds up. One pass over the window is kept; each variant then recomputes what its base can change (`varfx.models.local_tower`,
`varfx.models.local_attention`); of Borzoi, and of adapted convolutions, a whole pass each. The result is the one of two whole passes, in float32 whatever the training precision was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy import ndarray
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.expression.variants.config import VARIANTS_PER_PASS
from varfx.models.coverage import Predictor
from varfx.models.enformer import Enformer
from varfx.models.expression import ExpressionNetwork
from varfx.models.full_precision import full_precision
from varfx.models.local_attention import LocalTransformer
from varfx.models.local_tower import LocalTower

if TYPE_CHECKING:
    from varfx.expression.network.sequences import WindowSequences

WHOLE_AT_ONCE = 4  # windows that go through a network together, where each variant takes a whole pass
Read = Callable[[Float[Tensor, "variant row channel"]], Float[Tensor, " variant"]]


@dataclass(frozen=True, eq=False)
class Mutagenesis:
    """Effects of a window's variants.

    Attributes:
        reference: the prediction for the reference.
        effect: of each variant, homozygous, in the unit of the prediction; 0 for the reference's own base.
    """

    reference: float
    effect: Float64[ndarray, " variant"]


def window_mutagenesis(
    network: Predictor, sequences: WindowSequences, *, variants_per_pass: int = VARIANTS_PER_PASS
) -> Mutagenesis:
    """The effects of all variants of a gene's window, in their order.

    Args:
        network: the network, on the device of the sequences; it comes back in the mode it had.
        sequences: the gene's window. Nobody's genotypes are looked at.
        variants_per_pass: bounds the memory.
    """
    base = torch.eye(4, dtype=network.head.weight.dtype, device=sequences.device)
    reference, places, values = sequences.reference().to(base), sequences.offsets, base[sequences.alt_code]
    with full_precision(network):
        if (
            not isinstance(network, ExpressionNetwork)
            or not isinstance(network.trunk, Enformer)
            or network.config.locon_rank
        ):
            return whole_passes(network, reference, places, values, variants_per_pass=variants_per_pass)
        return mutagenesis(
            network.trunk,
            network.read,
            reference,
            places,
            values,
            rows=network.config.rows,
            variants_per_pass=variants_per_pass,
        )


@torch.no_grad()
def whole_passes(
    predict: Callable[[Float[Tensor, "variant base channel"]], Float[Tensor, " variant"]],
    reference: Float[Tensor, "base channel"],
    places: Int64[Tensor, " variant"],
    values: Float[Tensor, "variant channel"],
    *,
    variants_per_pass: int = VARIANTS_PER_PASS,
) -> Mutagenesis:
    """The effects of changes of one base each by a pass over the whole window for each: of any network, at its full cost.

    Args:
        predict: the network, in evaluation mode and full precision.
        reference: the sequence as the network sees it.
        places: index into `reference` of each change.
        values: what stands there after it.
        variants_per_pass: bounds the memory; a whole pass takes more than a local one, so that at most four go together.
    """
    start = float(predict(reference[None])[0])
    predicted = torch.empty(len(places), dtype=torch.float64, device=places.device)
    size = min(variants_per_pass, WHOLE_AT_ONCE)
    for first in range(0, len(places), size):
        part = slice(first, first + size)
        x = reference.repeat(len(places[part]), 1, 1)
        x[torch.arange(len(x), device=x.device), places[part]] = values[part]
        predicted[part] = predict(x).double()
    same = (values == reference[places]).all(dim=1)
    return Mutagenesis(start, torch.where(same, 0.0, predicted - start).cpu().numpy().astype(np.float64))


@torch.no_grad()
def mutagenesis(
    trunk: Enformer,
    read: Read,
    reference: Float[Tensor, "base channel"],
    places: Int64[Tensor, " variant"],
    values: Float[Tensor, "variant channel"],
    *,
    rows: slice,
    variants_per_pass: int = VARIANTS_PER_PASS,
) -> Mutagenesis:
    """The effects of changes of one base each; for other outputs than an `ExpressionNetwork`'s.

    Args:
        trunk: the network below the head, in evaluation mode and full precision (`full_precision`).
        read: the prediction from the embedding (`Enformer.embed`) of the bins `rows`.
        reference: the sequence as the network sees it, in its dtype and on its device.
        places: index into `reference` of each change.
        values: what stands there after it, e.g. the one-hot of ALT.
        rows: the bins that are read, as a slice with start, stop and step 1.
        variants_per_pass: bounds the memory.

    Raises:
        ConfigError: `variants_per_pass` is not positive.
        DataError: a place outside the sequence, or the network is in training mode.
    """
    if variants_per_pass < 1:
        raise ConfigError(f"`variants_per_pass` must be at least 1, got {variants_per_pass}.")
    if trunk.training:
        raise DataError("`trunk` is in training mode: effects need the running statistics. Call its eval() before.")
    outside = (places < 0) | (places >= len(reference))
    if outside.any():
        raise DataError(
            f"{int(outside.sum())} of {len(places)} variants are outside the window of {len(reference)} bases, first "
            f"number {int(outside.int().argmax()) + 1}. Read the window and its variants from the same cohort."
        )
    tower = LocalTower(trunk, reference)
    transformer = LocalTransformer(trunk, tower.bins, rows)
    start = float(read(trunk.pointwise(trunk.attend(tower.bins[None], rows)))[0])
    predicted = torch.empty(len(places), dtype=torch.float64, device=places.device)
    for first in range(0, len(places), variants_per_pass):
        part = slice(first, first + variants_per_pass)
        predicted[part] = read(trunk.pointwise(transformer.change(tower.change(places[part], values[part])))).double()
    same = (values == reference[places]).all(dim=1)
    return Mutagenesis(start, torch.where(same, 0.0, predicted - start).cpu().numpy().astype(np.float64))
