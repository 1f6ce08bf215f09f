"""Input gradients of a network along a gene's window: how much each base matters to first order.

    G = mean over sequences of x * df/dx          (base, nucleotide); x: the reference, or individuals' averaged sequences
    a = max over nucleotides of |G|               (base,)
    z = (a - mean a) / sd a                       over the window: the standardised attribution (Variformer paper, methods)

In float32 and evaluation mode, whatever the training precision was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy import ndarray
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.expression.network.sequences import WindowSequences
from varfx.models.coverage import Predictor
from varfx.models.full_precision import full_precision
from varfx.progress import Progress, silent

PEOPLE_PER_PASS = 4


def reference_attribution(network: Predictor, sequences: WindowSequences) -> Float64[ndarray, " base"]:
    """The standardised attribution z of every base of a window, on the reference; bases along the gene's strand."""
    return reference_attributions(network, [sequences])[0]


def reference_attributions(
    network: Predictor, sequences: Sequence[WindowSequences], *, windows_per_pass: int = PEOPLE_PER_PASS
) -> list[Float64[ndarray, " base"]]:
    """The same of several genes' windows that one network reads.

    Args:
        network: the network, on the device of the sequences.
        sequences: the genes' windows.
        windows_per_pass: bounds the memory.
    """
    found: list[Float64[ndarray, " base"]] = []
    with full_precision(network):
        for first in range(0, len(sequences), windows_per_pass):
            x = torch.stack([each.reference() for each in sequences[first : first + windows_per_pass]])
            products = _products(network, x.to(network.head.weight)).double().cpu().numpy()
            found += [standardised(each) for each in products]
    return found


def people_attribution(
    network: Predictor,
    sequences: WindowSequences,
    people: Sequence[int],
    *,
    people_per_pass: int = PEOPLE_PER_PASS,
    progress: Progress = silent,
) -> Float64[ndarray, " base"]:
    """Attribution on individuals' sequences, averaged over individuals (and haplotypes) before |.|.

    Args:
        network: the network, on the device of the sequences.
        sequences: the gene's window.
        people: their rows; the paper takes the test individuals.
        people_per_pass: bounds the memory.
        progress: told of individuals done.

    Raises:
        ConfigError: `people_per_pass` is not positive.
        DataError: nobody was given.
    """
    if people_per_pass < 1:
        raise ConfigError(f"`people_per_pass` must be at least 1, got {people_per_pass}.")
    if not len(people):
        raise DataError("`people` is empty: give the rows of those whose sequences are averaged.")
    done = 0
    total = torch.zeros(sequences.length, 4, dtype=torch.float64, device=sequences.device)
    with full_precision(network):
        for rows in _parts(list(people), people_per_pass):
            x = sequences.encode(rows).to(network.head.weight)
            total += len(rows) * gradient_times_input(network, x).double()
            done += len(rows)
            progress(done, len(people), "people")
    return standardised((total / len(people)).cpu().numpy())


def gradient_times_input(
    network: Predictor, x: Float[Tensor, "individual base 4"] | Float[Tensor, "individual haplotype base 4"]
) -> Float[Tensor, "base 4"]:
    """The mean of x * df/dx over sequences; of an individual's two haplotypes, whose predictions are averaged, the sum."""
    product = _products(network, x).mean(dim=0)
    return product if product.ndim == 2 else product.sum(dim=0)


def _products(network: Predictor, x: Float[Tensor, "*sequence base 4"]) -> Float[Tensor, "*sequence base 4"]:
    """x * df/dx of each sequence; those of a batch do not depend on each other."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(network(x).sum(), x)
    return x.detach() * gradient


def standardised(gradient: Float64[ndarray, "base nucleotide"]) -> Float64[ndarray, " base"]:
    """The largest magnitude over nucleotides, as z-score over bases; 0 everywhere if all are equal."""
    largest = np.abs(gradient).max(axis=1)
    spread = largest.std()
    return np.asarray((largest - largest.mean()) / (spread if spread > 0 else 1.0))


def _parts(rows: list[int], size: int) -> Iterator[list[int]]:
    yield from (rows[first : first + size] for first in range(0, len(rows), size))
