"""Two processes that write one output at the same time: one does, the other is refused, and the result is whole."""

from __future__ import annotations

import random
import time

from torture.children import Ended, start
from torture.commands import Command
from torture.stage import Stage
from torture.tally import Tally

REFUSALS = ("is being written by", "holds a finished", "holds an unfinished", "holds an experiment", "exists already")


def compete(stage: Stage, command: Command, seeds: range, tally: Tally, until: float) -> None:
    """Begins the command twice, the second time up to a run's time later."""
    for seed in seeds:
        if time.monotonic() > until:
            return
        delay = random.Random(f"{command.name}:two:{seed}").choice((0, 0.2, 0.9)) * stage.seconds[command.name]
        stage.clear()
        first = start(command.line(stage.inputs, stage.folder), stage.root / "screen")
        time.sleep(delay)
        second = start(command.line(stage.inputs, stage.folder), stage.root / "screen2")
        ends = (first.wait(), second.wait())
        wrong = _wrong(ends) or stage.finished(command)
        verdict = wrong.partition(":")[0] or (
            "one refused" if any(end.status for end in ends) else "one after the other"
        )
        tally.note(seed, verdict, f"{delay:.2f} s apart: {wrong}", good=not wrong)


def _wrong(ends: tuple[Ended, Ended]) -> str:
    if all(end.status for end in ends):
        return f"both failed: {ends[0].error[:200]} | {ends[1].error[:200]}"
    for end in ends:
        if end.status and not (end.status == 2 and end.is_one_line and any(words in end.error for words in REFUSALS)):
            return f"status {end.status}: {end.err[-300:]}"
    return ""
