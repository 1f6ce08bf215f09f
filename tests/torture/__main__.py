"""`make torture`: the campaigns, one after the other or one alone, with their counts in a JSON file in which they go on.

python -m torture --minutes 60 --out torture.json
python -m torture readers --only bcf --tries 10000 --out torture.json
python -m torture killed --only "prior fit" --tries 100 --out torture.json
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from torture.bombs import BOMBS
from torture.children import in_child, preload
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
TRIES = {"readers": 10_000, "bombs": 1, "killed": 100, "terminated": 20, "interrupted": 10, "full": 100, "together": 10, "workers": 5, "scheduler": 5, "parent": 5}  # fmt: skip
SHARES = {"readers": 0.5, "bombs": 0.03, "killed": 0.15, "full": 0.12, "terminated": 0.05, "interrupted": 0.03, "together": 0.04, "workers": 0.03, "scheduler": 0.03, "parent": 0.02}  # fmt: skip


def main() -> int:
    """Runs the campaigns; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("campaigns", nargs="*", help=f"of {', '.join(TRIES)}; by default all")
    parser.add_argument("--minutes", type=float, default=60, help="time for all of them")
    parser.add_argument("--tries", type=int, help="of each reader or command, at most")
    parser.add_argument("--only", default="", help="readers and commands whose name contains this")
    parser.add_argument("--work", type=Path, help="folder of samples and outputs, kept for the next time")
    parser.add_argument(
        "--out", type=Path, default=Path("torture.json"), help="the counts; a campaign goes on after them"
    )
    options = parser.parse_args()
    record = Record(options.out)
    with tempfile.TemporaryDirectory() as name:
        work = (options.work or Path(name)).resolve()
        os.environ["VARFX_CACHE"] = str(work / "cache")
        end = time.monotonic() + 60 * options.minutes
        chosen = options.campaigns or list(TRIES)
        for number, campaign in enumerate(chosen):
            parts = list(_parts(campaign, work, options.only))
            share = SHARES[campaign] / sum(SHARES[each] for each in chosen[number:])
            until = time.monotonic() + share * (end - time.monotonic())
            _run(campaign, parts, options.tries or TRIES[campaign], record, until)
    return int(record.findings > 0)


def _run(campaign: str, todo: list[tuple[str, float, Part]], tries: int, record: Record, until: float) -> None:
    """Runs each part for its share of the time that is left, and writes the counts after each."""
    for number, (name, share, part) in enumerate(todo):
        tally = record.tally(campaign, name)
        left = share / sum(each for _, each, _ in todo[number:]) * (until - time.monotonic())
        part(range(tally.tries, math.ceil(tries * min(1, share))), tally, time.monotonic() + left)
        print(f"{campaign}: {name}: {tally}", flush=True)
        record.write()


def _parts(campaign: str, work: Path, only: str) -> Iterator[tuple[str, float, Part]]:
    """Name, weight and work of each reader or command of a campaign."""
    if campaign in ("readers", "bombs"):
        yield from _of_files(campaign, work, only)
        return
    stage = _stage(work / "stage", only)
    if campaign == "full" and not may_mount(stage):
        print("full: left out, as a tmpfs can be mounted by root only (unshare -rm make torture)", flush=True)
        return
    if not stage.results:
        stage.prepare()
    for command in stage.commands:
        match campaign:
            case "killed" | "terminated" | "interrupted":
                number = {"killed": signal.SIGKILL, "terminated": signal.SIGTERM, "interrupted": signal.SIGINT}[
                    campaign
                ]
                part: Part = lambda s, t, u, c=command, n=number: interrupt(stage, c, n, s, t, u)  # type: ignore[misc]  # noqa: E731
            case "full":
                part = lambda s, t, u, c=command: fill(stage, c, s, t, u)  # type: ignore[misc]  # noqa: E731
            case "together":
                part = lambda s, t, u, c=command: compete(stage, c, s, t, u)  # type: ignore[misc]  # noqa: E731
            case _:
                if command.name not in WITH_WORKERS:
                    continue
                part = lambda s, t, u, c=command: lose(stage, c, campaign, s, t, u)  # type: ignore[misc]  # noqa: E731
        yield command.name, stage.seconds[command.name], part


@functools.cache
def _stage(root: Path, only: str) -> Stage:
    """The one of all campaigns on commands."""
    return Stage(root, only)


def _of_files(campaign: str, work: Path, only: str) -> Iterator[tuple[str, float, Part]]:
    from torture.samples import make_samples

    samples, scratch = work / "samples", work / "scratch"
    if not (samples / "stores" / "inputs" / "NETWORK").is_dir():
        in_child(make_samples, samples)
    preload(READ_BY)
    if campaign == "bombs":
        for name in BOMBS:
            if only in name:
                yield name, 1.0, lambda seeds, tally, _, n=name: explode(n, samples, scratch, tally) if seeds else None  # type: ignore[misc]
        return
    for reader in readers(samples):
        if only in reader.name:
            yield reader.name, reader.share, lambda s, t, u, r=reader: fuzz(r, samples / r.sample, scratch, s, t, u)  # type: ignore[misc]


if __name__ == "__main__":
    sys.exit(main())
