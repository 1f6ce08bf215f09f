"""How many threads a network on the CPU is worth: small ones lose more by handing work around than they gain."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch.utils.flop_counter import FlopCounterMode

from varfx.models.expression import ExpressionNetwork
from varfx.models.full_precision import full_precision

WORK_PER_THREAD = 2e8  # floating-point operations of a forward pass that occupy a thread


def flops_per_individual(network: ExpressionNetwork) -> int:
    """Floating-point operations of a forward pass over one sequence, counted in one pass."""
    weight = network.head.weight
    x = torch.zeros(1, network.config.window, network.config.channels, dtype=weight.dtype, device=weight.device)
    with torch.no_grad(), full_precision(network), FlopCounterMode(display=False) as counter:
        network(x)
    return int(counter.get_total_flops())


def threads_for(network: ExpressionNetwork, people_at_once: int, available: int) -> int:
    """Threads for passes over so many individuals at a time, at least 1 and at most `available`."""
    return int(min(available, max(1, flops_per_individual(network) * people_at_once // WORK_PER_THREAD)))


@contextlib.contextmanager
def chosen_threads(network: ExpressionNetwork, people_at_once: int, device: torch.device) -> Iterator[None]:
    """Inside it torch uses as many threads as the network is worth; on other devices than the CPU nothing changes."""
    before = torch.get_num_threads()
    if device.type == "cpu" and before > 1:
        torch.set_num_threads(threads_for(network, people_at_once, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)
