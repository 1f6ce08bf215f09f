"""`make torture`: the campaigns, one after the other or one alone, with their counts in a JSON file in which they go on.

python -m torture --minutes 60 --out torture.json
python -m torture readers --only bcf --tries 10000 --out torture.json
python -m torture killed --only "prior fit" --tries 100 --out torture.json
python -m torture readers --again --out torture.json
python -m torture.merge one.json two.json --out benchmarks/results/torture.json
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from cases.forked import SLOW_IMPORTS
from torture.bombs import BOMBS
from torture.children import in_child, preload
from torture.commands import Command
from torture.explode import explode
from torture.full import fill, may_mount
from torture.fuzz import fuzz
from torture.interrupted import interrupt
from torture.lost import WITH_WORKERS, lose
from torture.readers import READ_BY, readers
from torture.stage import Stage
from torture.tally import Record, Tally
from torture.together import compete

Part = Callable[[range, Tally, float], None]
TURN = {"readers": 250}  # tries of one part before the next one's turn; of commands 1
SIGNALS = {"killed": signal.SIGKILL, "terminated": signal.SIGTERM, "interrupted": signal.SIGINT}
OF_WORKERS = ("workers", "scheduler", "parent")
MISHAPS, HANGS = 3, 5  # of a part (in a turn), after which it gets no more turns
TRIES = {"readers": 10_000, "bombs": 1, "killed": 100, "terminated": 20, "interrupted": 10, "full": 100, "together": 10, "workers": 5, "scheduler": 5, "parent": 5}  # fmt: skip
SHARES = {"readers": 0.5, "bombs": 0.03, "killed": 0.15, "full": 0.12, "terminated": 0.05, "interrupted": 0.03, "together": 0.04, "workers": 0.03, "scheduler": 0.03, "parent": 0.02}  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """Runs the campaigns that the command line, or `words`, asks for; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("campaigns", nargs="*", help=f"of {', '.join(TRIES)}; by default all")
    parser.add_argument("--minutes", type=float, default=60, help="time for all of them")
    parser.add_argument("--tries", type=int, help="of each reader or command, at most")
    parser.add_argument("--only", default="", help="readers and commands whose name contains this")
    parser.add_argument(
        "--again", action="store_true", help="begin parts with a finding or mishap anew, as it is mended"
    )
    parser.add_argument("--work", type=Path, help="folder of samples and outputs, kept for the next time")
    parser.add_argument(
        "--out", type=Path, default=Path("torture.json"), help="the counts; a campaign goes on after them"
    )
    options = parser.parse_args(words)
    record = Record(options.out)
    if options.again:
        record.forget_findings()
    with tempfile.TemporaryDirectory() as name:
        work = (options.work or Path(name)).resolve()
        lock = _sole_user_of(work)
        os.environ["VARFX_CACHE"] = str(work / "cache")
        end = time.monotonic() + 60 * options.minutes
        chosen = options.campaigns or list(TRIES)
        for number, campaign in enumerate(chosen):
            parts = dict(_parts(campaign, work, options.only))
            share = SHARES[campaign] / sum(SHARES[each] for each in chosen[number:])
            until = time.monotonic() + share * (end - time.monotonic())
            _run(campaign, parts, options.tries or TRIES[campaign], record, until)
        lock.close()
    return int(not record.is_good)


def _sole_user_of(work: Path) -> IO[str]:
    """The open lock of a folder of samples and outputs: a second campaign in it would take files from under the first."""
    work.mkdir(parents=True, exist_ok=True)
    lock = open(work / ".lock", "w")  # noqa: SIM115 - open until the end
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        sys.exit(f"{work} is in use by another campaign: give another --work")
    return lock


def _run(campaign: str, parts: Mapping[str, Part], tries: int, record: Record, until: float) -> None:
    """Gives turns to the part with the fewest tries, so that all have about as many whenever the time is up.

    A part that fails by no fault of a file or command comes after all others, and after some mishaps no more. So does a part
    in which too many tries hang.
    """
    mishaps = dict.fromkeys(parts, 0)
    todo = {name for name in parts if record.tally(campaign, name).tries < tries}
    while todo and time.monotonic() < until:
        name = min(parts, key=lambda each: (each not in todo, mishaps[each], record.tally(campaign, each).tries))
        tally = record.tally(campaign, name)
        hangs = tally.findings["hang"]
        try:
            parts[name](range(tally.tries, min(tries, tally.tries + TURN.get(campaign, 1))), tally, until)
        except Exception as error:  # noqa: BLE001 - one part's mishap ends no other
            mishaps[name] += 1
            tally.pass_over(f"{type(error).__name__}: {error}"[:300])
        if tally.tries >= tries or mishaps[name] >= MISHAPS or tally.findings["hang"] - hangs >= HANGS:
            todo.remove(name)
        record.write()
    for name in parts:
        print(f"{campaign}: {name}: {record.tally(campaign, name)}", flush=True)
    record.write()


def _parts(campaign: str, work: Path, only: str) -> Iterator[tuple[str, Part]]:
    """Name and work of each reader or command of a campaign."""
    if campaign in ("readers", "bombs"):
        yield from _of_files(campaign, work, only)
        return
    stage = _stage(work / "stage", only)
    if campaign == "full" and not may_mount(stage):
        print("full: left out, as a tmpfs can be mounted by root only (unshare -rm make torture)", flush=True)
        return
    if not stage.results and not stage.unfit:
        stage.prepare()
    for command in stage.commands:
        if campaign not in OF_WORKERS or command.name in WITH_WORKERS:
            yield command.name, functools.partial(_on_command, campaign, stage, command)


def _on_command(campaign: str, stage: Stage, command: Command, seeds: range, tally: Tally, until: float) -> None:
    """Tries of one command in a campaign."""
    if command.name in stage.unfit:
        raise RuntimeError(stage.unfit[command.name])
    if campaign in SIGNALS:
        interrupt(stage, command, SIGNALS[campaign], seeds, tally, until)
    elif campaign in OF_WORKERS:
        lose(stage, command, campaign, seeds, tally, until)
    else:
        {"full": fill, "together": compete}[campaign](stage, command, seeds, tally, until)


@functools.cache
def _stage(root: Path, only: str) -> Stage:
    """The one of all campaigns on commands."""
    return Stage(root, only)


def _of_files(campaign: str, work: Path, only: str) -> Iterator[tuple[str, Part]]:
    from torture.samples import make_samples

    samples, scratch = work / "samples", work / "scratch"
    preload(READ_BY)
    if not (samples / "stores" / "inputs" / "NETWORK").is_dir():
        preload(SLOW_IMPORTS)  # here, where the commands' children have them too
        in_child(make_samples, samples)
    if campaign == "bombs":
        for name in BOMBS:
            if only in name:
                yield name, lambda seeds, tally, _, n=name: explode(n, samples, scratch, tally) if seeds else None  # type: ignore[misc]
        return
    for reader in readers(samples):
        if only in reader.name:
            yield reader.name, lambda s, t, u, r=reader: fuzz(r, samples / r.sample, scratch, s, t, u)  # type: ignore[misc]


if __name__ == "__main__":
    sys.exit(main())
