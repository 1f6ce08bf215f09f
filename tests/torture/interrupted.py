"""Commands killed (SIGKILL), terminated (SIGTERM) or interrupted (SIGINT) at random moments, and given again."""

from __future__ import annotations

import random
import signal
import time

from torture.children import Ended, start
from torture.commands import Command
from torture.stage import Stage
from torture.tally import Tally

STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130}


def interrupt(stage: Stage, command: Command, number: signal.Signals, seeds: range, tally: Tally, until: float) -> None:
    """Interrupts the command once per seed; afterwards the same command must give the undisturbed result."""
    for seed in seeds:
        if time.monotonic() > until:
            return
        moment = random.Random(f"{command.name}:{number}:{seed}").uniform(0, 1.05 * stage.seconds[command.name])
        stage.clear()
        child = start(command.line(stage.inputs, stage.folder), stage.root / "screen")
        time.sleep(moment)
        child.send(number)
        ended = child.wait()
        wrong = "" if number == signal.SIGKILL else _ending(ended, number)
        wrong = wrong or stage.half_written(command) or stage.finished(command)
        verdict = wrong.partition(":")[0] if wrong else ("finished before" if ended.status == 0 else "equal")
        tally.note(seed, verdict, f"after {moment:.2f} s: {wrong}", good=not wrong)


def _ending(ended: Ended, number: signal.Signals) -> str:
    """What is wrong with how a command answered a signal."""
    if ended.status in (0, -number):  # it had ended, or had not begun: then the system's own status stands
        return "" if not ended.err.strip() or ended.status == 0 else f"words without the status: {ended.err[-300:]}"
    if ended.status != STATUS[number]:
        return f"status {ended.status}: {ended.error[:300]}"
    unsaid = number == signal.SIGINT and not ended.err.strip()  # Ctrl-C before the command was known
    return "" if unsaid or ended.is_one_line else f"not one line: {ended.err[-300:]}"
