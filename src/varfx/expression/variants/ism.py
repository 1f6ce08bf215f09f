"""In-silico mutagenesis: what a network predicts for the reference with one allele exchanged, minus for the reference.

    ISM_v = f(reference with ALT at v) - f(reference)

This is the homozygous effect: an individual with d copies of ALT is shown d / 2 of it, and so has d / 2 ISM_v of a network that
adds up. One pass over the window is kept; each variant then recomputes what its base can change (`varfx.models.local_tower`,
`varfx.models.local_attention`); of Borzoi, and of adapted convolutions, a whole pass each. The result is the one of two whole passes, in float32 whatever the training precision was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


@dataclass(frozen=True, eq=False)
class Changes:
    """Changes of one base each in windows that one network reads.

    Attributes:
        references: the windows' sequences as the network sees them, in its dtype and on its device.
        window: number of each change's window, ascending; None of one window.
        places: index of each change into its reference.
        values: what stands there after it, e.g. the one-hot of ALT.
    """

    references: Float[Tensor, "window base channel"]
    window: Int64[Tensor, " variant"] | None
    places: Int64[Tensor, " variant"]
    values: Float[Tensor, "variant channel"]

    def part(self, some: slice) -> Changes:
        """Some of the changes."""
        window = None if self.window is None else self.window[some]
        return Changes(self.references, window, self.places[some], self.values[some])

    @property
    def before(self) -> Float[Tensor, "variant channel"]:
        """What stands at each place in the reference."""
        return self.references[0 if self.window is None else self.window, self.places]

    def effects(
        self, start: Float[Tensor, " window"], predict: Callable[[Changes], Tensor], size: int
    ) -> list[Mutagenesis]:
        """Differences from the windows' predictions `start`, `size` changes per pass; of no change exactly 0."""
        predicted = torch.empty(len(self.places), dtype=torch.float64, device=self.places.device)
        for first in range(0, len(self.places), size):
            part = slice(first, first + size)
            predicted[part] = predict(self.part(part)).double()
        starts = start.double()
        effect = torch.where(
            (self.values == self.before).all(dim=1), 0.0, predicted - starts[0 if self.window is None else self.window]
        ).cpu()
        numbers = torch.zeros(len(effect)) if self.window is None else self.window.cpu()
        return [
            Mutagenesis(float(value), effect[numbers == number].numpy().astype(np.float64))
            for number, value in enumerate(starts)
        ]


def window_mutagenesis(
    network: Predictor, sequences: WindowSequences, *, variants_per_pass: int = VARIANTS_PER_PASS
) -> Mutagenesis:
    """The effects of all variants of a gene's window, in their order; arguments as of `windows_mutagenesis`."""
    (found,) = windows_mutagenesis(network, [sequences], variants_per_pass=variants_per_pass)
    return found


def windows_mutagenesis(
    network: Predictor, sequences: Sequence[WindowSequences], *, variants_per_pass: int = VARIANTS_PER_PASS
) -> list[Mutagenesis]:
    """The effects of all variants of some genes' windows, each gene's in their order; passes hold variants of several genes.

    Args:
        network: the network of these genes, on the device of the sequences; it comes back in the mode it had.
        sequences: the genes' windows. Nobody's genotypes are looked at.
        variants_per_pass: bounds the memory.
    """
    base = torch.eye(4, dtype=network.head.weight.dtype, device=sequences[0].device)
    counts = torch.tensor([len(each.offsets) for each in sequences], device=base.device)
    changes = Changes(
        torch.stack([each.reference() for each in sequences]).to(base),
        None if len(sequences) == 1 else torch.repeat_interleave(counts),
        torch.cat([each.offsets for each in sequences]),
        base[torch.cat([each.alt_code for each in sequences])],
    )
    with full_precision(network):
        if (
            not isinstance(network, ExpressionNetwork)
            or not isinstance(network.trunk, Enformer)
            or network.config.locon_rank
        ):
            return _whole_passes(network, changes, variants_per_pass)
        return _local_passes(network.trunk, network.read, changes, network.config.rows, variants_per_pass)


@torch.no_grad()
def _whole_passes(
    predict: Callable[[Float[Tensor, "variant base channel"]], Float[Tensor, " variant"]],
    changes: Changes,
    variants_per_pass: int,
) -> list[Mutagenesis]:
    """Effects by a pass over the whole window for each change: of any network, in evaluation mode, at its full cost.

    A whole pass takes more memory than a local one, so that at most four go together.
    """
    start = torch.cat([predict(each[None]) for each in changes.references])

    def changed(some: Changes) -> Tensor:
        x = some.references[0].repeat(len(some.places), 1, 1) if some.window is None else some.references[some.window]
        x[torch.arange(len(x), device=x.device), some.places] = some.values
        return predict(x)

    return changes.effects(start, changed, min(variants_per_pass, WHOLE_AT_ONCE))


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
    (found,) = _local_passes(trunk, read, Changes(reference[None], None, places, values), rows, variants_per_pass)
    return found


@torch.no_grad()
def _local_passes(
    trunk: Enformer, read: Read, changes: Changes, rows: slice, variants_per_pass: int
) -> list[Mutagenesis]:
    """Effects by passes that compute anew what a change can reach."""
    places, references = changes.places, changes.references
    if variants_per_pass < 1:
        raise ConfigError(f"`variants_per_pass` must be at least 1, got {variants_per_pass}.")
    if trunk.training:
        raise DataError("`trunk` is in training mode: effects need the running statistics. Call its eval() before.")
    outside = (places < 0) | (places >= references.shape[1])
    if outside.any():
        raise DataError(
            f"{int(outside.sum())} of {len(places)} variants are outside the window of {references.shape[1]} bases, first "
            f"number {int(outside.int().argmax()) + 1}. Read the window and its variants from the same cohort."
        )
    tower = LocalTower(trunk, references)
    transformer = LocalTransformer(trunk, tower.bins, rows)
    start = read(trunk.pointwise(trunk.attend(tower.bins, rows)))

    def changed(some: Changes) -> Tensor:
        bins = tower.change(some.places, some.values, some.window)
        return read(trunk.pointwise(transformer.change(bins, some.window)))

    return changes.effects(start, changed, variants_per_pass)
