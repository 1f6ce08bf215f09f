"""Windows on a device: copied there while it computes, and kept there as far as its memory allows.

A window's associations are its largest part: B of 5,000 x 15,000 takes 300 MB in float32. On a GPU the next window is copied from
page-locked memory in a stream of its own. Windows that fit are copied once; the engines then share what depends on data only
(`B'B`) between all steps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from varfx.likelihood.exact import cheaper_form
from varfx.training.gwas.windows import PriorWindow

SHARE = 0.4  # of a GPU's free memory that windows may fill


class Placement:
    """Moves windows to one device; `place(window)` is the window there, at once."""

    def __init__(self, device: torch.device, room: int | None = None) -> None:
        """Sets up; nothing is moved yet.

        Args:
            device: where to.
            room: bytes that windows may fill there; by default 40 % of a GPU's free memory, and none elsewhere.
        """
        self.device = device
        on_gpu = device.type == "cuda"
        self._room = room if room is not None else int(SHARE * torch.cuda.mem_get_info(device)[0]) if on_gpu else 0
        self._stream = torch.cuda.Stream(device) if on_gpu else None  # type: ignore[no-untyped-call]
        self._kept: dict[int, PriorWindow] = {}

    def __call__(self, window: PriorWindow) -> PriorWindow:
        """The window on the device."""
        return self.finish(*self.start(window))

    def start(self, window: PriorWindow) -> tuple[PriorWindow, Any]:
        """Begins to move a window; a ticket for `finish` beside it."""
        if self.device.type == "cpu":
            return window, None
        if self._stream is None:
            return self._moved(window), None
        with torch.cuda.stream(self._stream):
            moved = self._moved(window)
            return moved, self._stream.record_event()

    def finish(self, window: PriorWindow, ticket: Any) -> PriorWindow:
        """The window, of which the caller's stream may use all from now on."""
        if ticket is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(ticket)
            for tensor in window.tensors():
                tensor.record_stream(stream)  # made in the other stream, whose memory must not be used again before
        return window

    def _moved(self, window: PriorWindow) -> PriorWindow:
        if window.index in self._kept:
            there = self._kept[window.index]
            return (
                there
                if isinstance(window.features, Tensor)
                else replace(there, features=window.features.to(self.device))
            )
        size = _bytes(window)
        keep = size <= self._room
        source = window.pinned() if self._stream is not None else window
        moved = source.to(self.device, kept=keep)
        if keep:
            self._room -= size
            # Tracks stay on the host: they are large, and cut anew in every step.
            there = moved if isinstance(moved.features, Tensor) else replace(moved, features=moved.features.predictors)
            self._kept[window.index] = there
        return moved


def _bytes(window: PriorWindow) -> int:
    """Memory of a window on the device, with the products `B'B` that the engines will keep."""
    size = sum(tensor.nbytes for tensor in window.tensors())
    for trait in window.traits:
        if trait is not None and cheaper_form(trait) == "symmetric":
            size += trait.num_variants**2 * trait.w.element_size()
    return size
