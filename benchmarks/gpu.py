"""Everything that is to be known of varfx on a GPU, in one command for a short loan of one: tests, then measurements.

    python benchmarks/gpu.py --out DIR [--minutes 6] [--parts equality,engines] [--device cuda]
    python benchmarks/gpu.py --out DIR --dry-run                          # tiny sizes on the CPU

Needs torch, numpy, scipy, jaxtyping and safetensors, and for the part `scoring` polars and zarr (`gpu_wheels.sh`); no network, no
data, no installation of varfx. The parts stand in order of
value and run one after the other in a process of their own, each up to a limit of its own: one that hangs or spoils the
device is ended, and a fresh process goes on with the next. `DIR/parts.json` is written after every measurement, `DIR/gpu.json`
(card, versions, how each part ended, all times) after every part.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

ABSENT = {
    "SuSiE and mixtures on a device": "no part of their own; of SuSiE its tests marked gpu run within `equality`",
    "several GPUs": "needs more than one",
}
GRACE = 10.0  # seconds that a running measurement may take beyond its part's limit


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        name: also the key in the JSON.
        home: module and function.
        seconds: limit on a GPU.
    """

    name: str
    home: str
    seconds: float


PARTS = (
    Part("equality", "_gpu_equality:equality", 140),
    Part("scoring", "_gpu_scoring:scoring", 60),
    Part("whitening", "_gpu_likelihood:whitening", 40),
    Part("tracks", "_gpu_networks:track_reading", 30),
    Part("choice", "_gpu_likelihood:choice", 30),
    Part("engines", "_gpu_likelihood:engines", 40),
    Part("prior network", "_gpu_prior:prior_network", 60),
    Part("expression network", "_gpu_networks:expression_network", 45),
    Part("Borzoi", "_gpu_expression:borzoi", 60),
    Part("coverage", "_gpu_expression:coverage", 40),
    Part("sequences ahead", "_gpu_expression:sequences_ahead", 25),
    Part("compiled network", "_gpu_prior:compiled_network", 150),
    Part("autotuned network", "_gpu_prior:autotuned_network", 150),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder; parts already there are replaced one by one")
    parser.add_argument("--minutes", type=float, default=6.0, help="for all parts together")
    parser.add_argument("--parts", help=f"some of {', '.join(part.name for part in PARTS)}, joined by commas")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="by default cuda, in a dry run cpu")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes: does everything run?")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.device = options.device or ("cpu" if options.dry_run else "cuda")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.worker:
        work(options)
    else:
        supervise(options)


def chosen(names: str | None) -> list[Part]:
    wanted = [name.strip() for name in names.split(",")] if names else [part.name for part in PARTS]
    unknown = sorted(set(wanted) - {part.name for part in PARTS})
    if unknown:
        raise SystemExit(f"unknown part {unknown[0]!r}: take some of {', '.join(part.name for part in PARTS)}.")
    return [part for part in PARTS if part.name in wanted]


def supervise(options: argparse.Namespace) -> None:
    """Hands the parts to a worker, one at a time, and writes how each ended."""
    end = time.monotonic() + 60 * options.minutes
    worker: Worker | None = None
    for part in chosen(options.parts):
        patience = 5 if options.dry_run else 1  # of a dry run on a busy machine nothing is to be cut
        limit = min(patience * part.seconds, end - time.monotonic() - GRACE)
        if limit < 5:
            finish(options, part, {"status": "not begun: the time is up"})
            continue
        started = time.monotonic()
        try:
            worker = worker or Worker(options)
            outcome = worker.run(part, limit)
        except WorkerEnded as error:
            outcome, worker = {"status": str(error)}, None
        outcome["seconds"] = round(time.monotonic() - started, 1)
        if outcome["status"] != "done" and worker is not None:
            worker.end()
            worker = None
        finish(options, part, outcome)
    if worker is not None:
        worker.end()


def finish(options: argparse.Namespace, part: Part, outcome: dict[str, Any]) -> None:
    """Puts a part's end into both files, and one line on the screen."""
    parts = options.out / "parts.json"
    content = json.loads(parts.read_text()) if parts.is_file() else {}
    found = content.setdefault(part.name, {})
    fresh = {"measurements": {}, "failures": {}, "skipped": []} if outcome["status"].startswith("not begun") else {}
    found.update({**fresh, **outcome})
    replace(parts, content)
    replace(options.out / "gpu.json", summary(content, options))
    measurements, failures = found.get("measurements", {}), found.get("failures", {})
    wrong = [name for name, values in measurements.items() if values.get("passed") is False]
    notes = [f"{len(measurements)} measurements", f"{len(failures)} failed", f"{len(found.get('skipped', []))} skipped"]
    first = next(iter(failures.items()), None)
    if first:
        notes.append(f"first failure: {first[0]}: {first[1]['error'][:160]}")
    if wrong:
        notes.append(f"NOT EQUAL: {', '.join(wrong)}")
    print(f"{part.name}: {found['status']}, {found.get('seconds', 0)} s; {'; '.join(notes)}", flush=True)


def summary(content: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Card, versions, how each part ended, which checks passed, and every time."""
    parts = {}
    for name, part in content.items():
        if name == "machine":
            continue
        measurements = part.get("measurements", {})
        parts[name] = {
            "status": part.get("status", "running"),
            "seconds": part.get("seconds"),
            "failures": {key: value["error"] for key, value in part.get("failures", {}).items()},
            "skipped": part.get("skipped", []),
            "passed": {key: value["passed"] for key, value in measurements.items() if "passed" in value},
            "seconds_of": {key: value["seconds"] for key, value in measurements.items() if "seconds" in value},
        }
    return {
        "benchmark": "gpu",
        "machine": content.get("machine", {}),
        "dry_run": options.dry_run,
        "minutes": options.minutes,
        "parts": parts,
        "absent": ABSENT,
    }


def replace(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON under another name and renames it."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(partial, path)


class WorkerEnded(RuntimeError):
    """The worker died or had to be ended."""


class Worker:
    """A process that runs parts. What its libraries print goes to stderr."""

    def __init__(self, options: argparse.Namespace) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--worker", "--out", str(options.out)]
        command += ["--device", options.device, *(["--dry-run"] if options.dry_run else [])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )

    def run(self, part: Part, limit: float) -> dict[str, Any]:
        """The part's outcome.

        Raises:
            WorkerEnded: it took too long, or the process died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"part": part.name, "home": part.home, "seconds": limit}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            self.end()
            raise WorkerEnded("the process died before it began") from error
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(limit + GRACE):
                self.end()
                raise WorkerEnded(f"ended after {limit + GRACE:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            self.end()
            raise WorkerEnded(f"the process died with code {self._process.returncode}")
        outcome: dict[str, Any] = json.loads(line)
        return outcome

    def end(self) -> None:
        """Ends the process and what it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def work(options: argparse.Namespace) -> None:
    """Runs the parts that stdin names, and answers one line each."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints, it is no answer

    import torch

    from _gpu_measure import Poisoned, Record, Setting, describe, update

    path = options.out / "parts.json"
    setting = Setting(torch.device(options.device), options.dry_run)
    described = False
    for line in sys.stdin:
        task = json.loads(line)
        record = Record(path, task["part"], task["seconds"])
        record.write()
        try:
            if not described:
                update(path, {"machine": describe(setting.device)})
                described = True
            module, name = task["home"].split(":")
            getattr(importlib.import_module(module), name)(record, setting)
            outcome = {"status": "done"}
        except Poisoned as error:
            outcome = {"status": f"the device failed in {error}"}
        except Exception as error:  # noqa: BLE001 - named, and the next part is tried
            outcome = {"status": f"failed: {type(error).__name__}: {str(error)[:300]}"}
        answers.write(json.dumps(outcome) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
