"""Every reader on damaged files: a foreign exception, a signal, a hang or much memory is a finding."""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torture.mutate import mutated
from torture.readers import Reader
from varfx.errors import VarfxError

SECONDS = 20
MEMORY = 2 << 30  # bytes above what the process has before it reads
LONGEST_MESSAGE = 6_000


@dataclass
class Outcome:
    """The counts of one reader, and the seeds of what was wrong."""

    tries: int = 0
    read: int = 0
    refused: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def note(self, seed: int, verdict: str, words: str) -> None:
        """Counts one try."""
        self.tries += 1
        if verdict == "read":
            self.read += 1
        elif verdict == "refused":
            self.refused += 1
        else:
            self.findings[verdict] += 1
            self.first.setdefault(verdict, f"seed {seed}: {words}")

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {**vars(self), "findings": dict(self.findings)}


def damage(reader: Reader, sample: Path, folder: Path, seed: int) -> str:
    """Puts the sample with one damaged file into a folder; returns which."""
    rng = random.Random(f"{reader.name}:{seed}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sample, folder)
    name = rng.choice(reader.files)
    path = folder / name
    path.write_bytes(mutated(path.read_bytes(), rng))
    os.utime(path, (10**9, 10**9))  # older than its index
    return name


def fuzz(reader: Reader, sample: Path, scratch: Path, seeds: range, until: float = float("inf")) -> Outcome:
    """Reads damaged samples in child processes, each of which does as many as it survives."""
    outcome, place = Outcome(), seeds.start
    while place < seeds.stop and time.monotonic() < until:
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receive)
            _child(reader, sample, scratch, range(place, seeds.stop), send, until)
        os.close(send)
        with os.fdopen(receive) as lines:
            for line in lines:
                seed, verdict, words = json.loads(line)
                if verdict != "begun":
                    outcome.note(seed, verdict, words)
                place = seed + (verdict != "begun")
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            outcome.note(place, "hang" if number == signal.SIGALRM else signal.Signals(number).name, "")
            place += 1
    return outcome


def _child(reader: Reader, sample: Path, scratch: Path, seeds: range, send: int, until: float) -> None:
    """Tries seeds until the end; never returns."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    before = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (before + MEMORY, before + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(send, "w") as report:
        for seed in seeds:
            if time.monotonic() > until:
                break
            damage(reader, sample, scratch, seed)
            print(json.dumps((seed, "begun", "")), file=report, flush=True)
            signal.alarm(SECONDS)
            verdict, words = attempt(reader, scratch)
            signal.alarm(0)
            print(json.dumps((seed, verdict, words)), file=report, flush=True)
    os._exit(0)


def attempt(reader: Reader, folder: Path) -> tuple[str, str]:
    """What came of reading: "read", "refused", or what is wrong, with the words of the error."""
    try:
        reader.read(folder)
    except VarfxError as error:
        text = str(error)
        return ("long message" if len(text) > LONGEST_MESSAGE else "refused"), text[:300]
    except BaseException as error:  # noqa: BLE001 - panics of Rust libraries are no Exception
        where = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in where if "varfx" in frame.filename and "torture" not in frame.filename]
        at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
        return f"{type(error).__name__} at {at}", str(error)[:300]
    return "read", ""
