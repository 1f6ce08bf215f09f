"""What the same job takes on cards that were measured, beside the machine that the plan is for.

Network, tracks and likelihood have the card's rates, reading and the rest this machine's. Of the commands after the fit, those computed on
a GPU have a time only where the card's was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from varfx.prior.plan.cards import CARDS, Card
from varfx.prior.plan.commands import NORMAL, Work
from varfx.prior.plan.job import Job
from varfx.prior.plan.plan import Machine, Plan, Rates, all_work, plan

Where = Literal["card", "CPU", "not measured"]
# Device code exists, but no card's rate is known.
UNMEASURED_ON_A_CARD = ("h2", "score-test", "rg", "weights of all ancestries together")
REWHITENED_THERE = (NORMAL,)  # the measured time has the re-whitening in it


@dataclass(frozen=True)
class CommandTime:
    """Time of a command on a machine with a card.

    Attributes:
        seconds: None if not measured.
        where: whether card or CPU computes most of it.
    """

    seconds: float | None
    where: Where


@dataclass(frozen=True, kw_only=True, eq=False)
class Elsewhere:
    """The job on a card.

    Attributes:
        name: of the card.
        seconds: of the fit, as in `Plan`; the second half of a fit with sparse effects, and the total with it, are NaN: not measured.
        gpu_hours: of the fit, all processes together; None if not measured.
        memory: bytes that the fit needs on the card.
        has: bytes that it has.
        commands: by name.
    """

    name: str
    seconds: dict[str, float]
    gpu_hours: float | None
    memory: float
    has: int
    commands: dict[str, CommandTime]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        values = asdict(self)
        values["seconds"] = {name: None if value != value else value for name, value in self.seconds.items()}
        return values


def cards_beside(machine: Machine) -> list[Card]:
    """The measured cards that commands are planned for, but for one that is in this machine."""
    return [card for card in CARDS.values() if machine.elsewhere or card.name != machine.name]


def on_card(card: Card, job: Job, rates: Rates, machine: Machine) -> Elsewhere:
    """The job on a card.

    Args:
        card: its measured rates.
        job: the sizes.
        rates: of network and likelihood on the card (`rates_on`), the others of this machine.
        machine: this one.
    """
    there = replace(machine, name=card.name, device=card.memory, elsewhere=True)
    found: Plan = plan(job, rates, there)
    total = found.seconds["total"]
    return Elsewhere(
        name=card.name,
        seconds=found.seconds,
        gpu_hours=None if total != total else job.schedule.processes * total / 3600,
        memory=sum(found.device.values()),
        has=card.memory,
        commands=_commands(card, all_work(job), found.commands, rates),
    )


def _commands(card: Card, work: Mapping[str, Work], here: Mapping[str, float], rates: Rates) -> dict[str, CommandTime]:
    """Time and place of each command; `here` has the times of those on the CPU."""
    found = {}
    for name, seconds in here.items():
        if name in UNMEASURED_ON_A_CARD:
            found[name] = CommandTime(None, "not measured")
        elif name == "predict":
            found[name] = CommandTime(work[name].forward / rates.forward, "card")
        elif name in card.commands:
            mine = work[name]
            whitening = 0.0 if name in REWHITENED_THERE else mine.whitening / rates.products.double
            computed = (mine.single + mine.double) / card.commands[name] + whitening
            reading = mine.share * (computed + mine.read / rates.read_panel)
            found[name] = CommandTime(reading + mine.forward / rates.forward, "card")
        else:
            found[name] = CommandTime(seconds, "CPU")
    return found
