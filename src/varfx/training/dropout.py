"""Dropout that follows from the seed and the place in the fit: the same after a resume, different in every process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Dropout:
    """Random streams of dropout: one per part of a batch, the same in both passes.

    Attributes:
        seed: of the step; processes should take different ones.
        device: whose generator is used besides the CPU's.
    """

    seed: int
    device: torch.device

    @contextlib.contextmanager
    def part(self, number: int) -> Iterator[None]:
        """Inside it, dropout (which knows the global generator only) draws from the part's stream."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed((self.seed * 1_000_003 + number) % 2**63)
            yield
