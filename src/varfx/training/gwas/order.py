"""The order in which windows are met, and the random numbers of each: both follow from the seed and the place alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from varfx.training.gwas.placement import Placement
from varfx.training.gwas.windows import PriorWindow, Windows, in_background


def probe_generator(seed: int, place: int) -> torch.Generator:
    """The source of a window's random probes, on the CPU: the same on every device, in any process, and after a resume.

    Args:
        seed: of the fit.
        place: of the window in the order of all that are met.
    """
    state = np.random.SeedSequence([seed % 2**32, place]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))


def window_order(windows: Sequence[int], seed: int, first: int, count: int) -> list[int]:
    """Places `first` to `first + count` of an endless row of passes over the windows, each pass in an order of its own.

    It depends on the seed and the place only, so that a resumed fit meets the same windows.
    """
    order: list[int] = []
    for number in range(first // len(windows), -(-(first + count) // len(windows))):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        order += [windows[i] for i in torch.randperm(len(windows), generator=generator).tolist()]
    skipped = first % len(windows)
    return order[skipped : skipped + count]


@dataclass(frozen=True)
class Batches:
    """Windows in order, each read and moved to its device while the one before is computed."""

    data: Windows
    order: list[int]
    place: Placement | None = None

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[PriorWindow]:
        return in_background(self.data, self.order, place=self.place)
