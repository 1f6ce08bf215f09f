"""Every reader on damaged files: a foreign exception, a signal, a hang, much memory, or silence of our own files is a finding."""

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
from pathlib import Path
from typing import IO

from torture.mutate import mutated
from torture.readers import Reader
from torture.tally import Tally
from varfx.errors import VarfxError

SECONDS = 20  # of processor time: on a busy machine more pass on the clock
STILL_SECONDS = 10 * SECONDS  # on the clock, for what waits and computes nothing
MEMORY = 2 << 30  # bytes above what the process has before it reads
LONGEST_MESSAGE = 6_000
GOOD = ("read", "refused")
HANGS = (signal.SIGALRM, signal.SIGPROF)
BEGUN, MISHAP = "begun", "mishap"  # beside the verdicts, in the lines of a child


def fuzz(reader: Reader, sample: Path, scratch: Path, seeds: range, tally: Tally, until: float = float("inf")) -> None:
    """Reads damaged samples in child processes, each of which does as many as it survives.

    Raises:
        RuntimeError: a child ended before its first try, which no damaged file explains.
    """
    place = seeds.start
    while place < seeds.stop and time.monotonic() < until:
        begun, under_way, words = place, False, ""
        lines, child = _child(reader, sample, scratch, range(place, seeds.stop), until)
        with lines:
            for line in lines:
                seed, verdict, words = json.loads(line)
                under_way = verdict == BEGUN
                if verdict not in (BEGUN, MISHAP):
                    tally.note(seed, verdict, words, good=verdict in GOOD)
                    place = seed + 1
        _, status = os.waitpid(child, 0)
        if status == 0 and not under_way:  # all are done, or the time is up
            continue
        if place == begun and not under_way:
            raise RuntimeError(f"the child ended by {_end_of(status)} before its first try: {words}")
        tally.note(place, _end_of(status), "" if under_way else f"between two tries: {words}", good=False)
        place += 1


def _end_of(status: int) -> str:
    """How a child ended, in words: a hang, the name of a signal, or its exit status."""
    code = os.waitstatus_to_exitcode(status)
    if -code in HANGS:
        return "hang"
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _child(reader: Reader, sample: Path, scratch: Path, seeds: range, until: float) -> tuple[IO[str], int]:
    """A child that tries seeds until it ends: its lines (seed, verdict, words), and its number."""
    receive, send = os.pipe()
    child = os.fork()
    if child:
        os.close(send)
        return os.fdopen(receive), child
    status = 1
    try:
        os.close(receive)
        be_quiet()
        with os.fdopen(send, "w") as report:
            try:
                _try_all(reader, sample, scratch, seeds, report, until)
                status = 0
            except BaseException as error:  # noqa: BLE001 - a child must not return
                _say(report, seeds.start, MISHAP, f"{type(error).__name__}: {error}"[:300])
    finally:
        os._exit(status)


def _try_all(reader: Reader, sample: Path, scratch: Path, seeds: range, report: IO[str], until: float) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(sample, scratch)
    verdict, expected = attempt(reader, scratch)
    if verdict != "read":
        raise RuntimeError(f"the undamaged sample: {verdict}: {expected}")
    limit_memory()
    for seed in seeds:
        if time.monotonic() > until:
            return
        name = damage(reader, sample, scratch, seed)
        _say(report, seed, BEGUN, "")
        begin_clock()
        verdict, value = attempt(reader, scratch)
        end_clock()
        if verdict == "read" and isinstance(expected, str) and value != expected:
            verdict, value = "silent", f"{name} changed what is read"
        shutil.copyfile(sample / name, scratch / name)
        _say(report, seed, verdict, str(value)[:300])


def limit_memory() -> None:
    """Lets this process take so much memory beyond what it has."""
    before = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (before + MEMORY, before + MEMORY))


def begin_clock() -> None:
    """Ends this process by a signal of `HANGS` if it takes too long."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(STILL_SECONDS)


def end_clock() -> None:
    """The process may take its time again."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)


def be_quiet() -> None:
    """Neither log, warnings nor the words of libraries on the screen; no core files."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _say(report: IO[str], seed: int, verdict: str, words: str) -> None:
    print(json.dumps((seed, verdict, words)), file=report, flush=True)


def damage(reader: Reader, sample: Path, folder: Path, seed: int) -> str:
    """Damages one file of the copy of a sample; returns its name."""
    rng = random.Random(f"{reader.name}:{seed}")
    name = rng.choice(reader.files)
    path = folder / name
    path.write_bytes(mutated((sample / name).read_bytes(), rng))
    os.utime(path, (10**9, 10**9))  # older than its index
    return name


def attempt(reader: Reader, folder: Path) -> tuple[str, object]:
    """What came of reading: "read" with the value, "refused" or what is wrong with the words of the error."""
    try:
        value = reader.read(folder)
    except VarfxError as error:
        text = str(error)
        return ("long message" if len(text) > LONGEST_MESSAGE else "refused"), text
    except BaseException as error:  # noqa: BLE001 - panics of Rust libraries are no Exception
        where = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in where if "/src/varfx/" in frame.filename]
        at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
        return f"{type(error).__name__} at {at}", str(error)
    return "read", value
