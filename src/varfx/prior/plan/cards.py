"""Rates of cards that are not in this machine, for `plan --card`: from a measurement of `benchmarks/gpu.py` on each.

    seconds of a pass = calls x seconds per call + operations / attained operations per second

Calls (of torch's operators) and operations are counted here on a small pass of the very network; the two rates are those of the
card. They follow from steps of the paper's network at 512 to 10,240 variants per pass, of which the first wait for launches and
the last compute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from varfx.errors import ConfigError
from varfx.likelihood.cost_model import CostModel
from varfx.prior.plan.commands import EVALUATE, NORMAL

COPIES = 7  # of the weights that AdamW reads or writes in a step


@dataclass(frozen=True, kw_only=True)
class Card:
    """Measured rates of a card."""

    name: str
    """As its maker has it."""
    memory: int
    """Bytes."""
    operations: Mapping[str, float]
    """Attained by a network, per second (two per multiply-add), by its precision; in float32 with TF32."""
    call: float
    """Seconds per call of an operator, while no kernel takes longer."""
    gather: float
    """Values (variant x track x base) cut out per second."""
    bandwidth: float
    """Bytes read and written per second."""
    likelihood: CostModel
    """Of the likelihood engines in float32."""
    commands: Mapping[str, float]
    """Multiplications per second of commands after the fit (`command_work` without re-whitening), where measured."""


CARDS = {
    "h200": Card(
        name="NVIDIA H200",
        memory=150_109_880_320,
        operations={"bfloat16": 1.44e14, "float32": 8.5e13},
        call=1.95e-5,
        gather=7.0e10,
        bandwidth=4.05e12,
        likelihood=CostModel(
            {
                "exact rank": (1.65e-3, 6.47e-14, 1.72e-10),
                "exact symmetric": (2.23e-3, 1.40e-13, 2.55e-10),
                "stochastic": (6.74e-3, 2.82e-13, 0.0),
                "stochastic, converted": (6.89e-3, 3.78e-13, 0.0),
            }
        ),
        # Rank 2,000, 13,000 variants: scores of two windows and traits in 0.169 s, posterior means of a pair of cores in 0.524 s.
        commands={EVALUATE: 1.54e12, NORMAL: 1.70e11},
    )
}
NOT_MEASURED = ("NVIDIA H100",)  # cards that are asked about, of which no rate is known


def card_of(name: str) -> Card:
    """The card of that name.

    Raises:
        ConfigError: its rates are unknown.
    """
    if name.lower() not in CARDS:
        raise ConfigError(f"`card` must be one whose rates are known, {' or '.join(CARDS)}, got {name!r}.")
    return CARDS[name.lower()]


@dataclass(frozen=True)
class Work:
    """Work of one pass of a network.

    Attributes:
        calls: of operators, whatever the number of variants.
        operations: per variant.
    """

    calls: int
    operations: float

    def rate(self, card: Card, precision: str, count: int) -> float:
        """Variants per second on the card, in passes of `count`."""
        return count / (self.calls * card.call + count * self.operations / card.operations[precision])


class _Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operators that compute."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def work_of(task: Callable[[], None], count: int) -> Work:
    """The work of a task on `count` variants."""
    with _Calls() as calls:
        task()
    with FlopCounterMode(display=False) as counter:
        task()
    return Work(calls.count, float(counter.get_total_flops()) / count)
