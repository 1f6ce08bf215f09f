"""The order in which windows are met, and the random numbers of a step: both follow from the seed and the place alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from varfx.training.windows import PriorWindow, WindowData, in_background


def probe_generator(seed: int, step: int) -> torch.Generator:
    """The source of a step's random probes, on the CPU: the same on every device and after a resume."""
    state = np.random.SeedSequence([seed % 2**32, step]).generate_state(1, np.uint64)
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
    """Lists of windows, each read while the one before is computed."""

    data: WindowData
    order: list[int]
    size: int

    def __len__(self) -> int:
        return len(self.order) // self.size

    def __iter__(self) -> Iterator[list[PriorWindow]]:
        batch = []
        for window in in_background(self.data, self.order):
            batch.append(window)
            if len(batch) == self.size:
                yield batch
                batch = []
