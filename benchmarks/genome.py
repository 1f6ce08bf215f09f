"""A part of a biobank from summary statistics to fine-mapping, from the command line, and what the genome would take.

    python benchmarks/genome.py --share 0.005 --work /tmp/genome --out benchmarks/results/genome.json

The part is made by `_genome_material.py`: windows of rank 2,000 and 13,000 variants, real LD, GWAS of 400,000 with gaps, 96 annotations. Each step
is a command in processes of its own, with `--threads` threads; weights and fine-mapping have a worker of one thread per core. Noted are wall-clock and processor seconds, the largest resident memory of all its
processes together, and bytes on disk. A step that is in the JSON file is not done again; another share joins the file.

A genome is 2,763 windows. With one share its time is that of the part times the ratio; with two shares the line through both, so that what happens
once (start of Python, baselines) is not multiplied; the learning of a mixture is told apart by the progress of the command. The constant prior's start, on 64 windows of a genome, is told
apart by a fit with twice as many; it is an upper bound, as a start on 32 windows and more begins on an eighth of them. A pass of training is
that of the larger share. `hours` are processor hours over 2 cores: what two cores would need that do nothing else; on a busy machine they are
too long, as threads wait for each other.

Memory is that of the part, not extrapolated: windows are kept in up to a third of what is free, and what grows with the variants is in
`annotation_memory.py`.

`--processes 2` times, beside, one and two processes of one thread each on the same steps (`--devices`), and compares their models.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from safetensors.torch import load_file

import _genome_material as material
from _measure import machine
from varfx.gwas.sumstats import read_sumstats
from varfx.ld import LDPanel
from varfx.prior.inputs import align_trait
from varfx.prior.quality import quality_warnings
from varfx.qc.panel import MOST_LARGE

VARFX = [sys.executable, "-c", "import sys; from varfx.cli import main; sys.argv[0] = 'varfx'; sys.exit(main())"]
PASSES = 3
GENOME_PASSES = 10
PROCESS_STEPS = 24
START, START_WINDOWS = 4, 64  # windows of the constant prior, in the part and of a genome
ONCE = {
    "weights, mixture": "windows to compare distributions"
}  # the last progress of what does not grow with the genome
FITS = ("fit, 1 step", "fit, 1 step, twice the start", "fit")
WITH_BASELINE = (*FITS, "finemap")
CORES = 2
TRAINING = 0.9 * 0.9  # share of the windows
GOALS = {"pass_minutes": 25, "hours": 12, "peak_bytes": 8e9}
POLL_SECONDS = 0.5


def steps(folder: Path, windows: int) -> dict[str, list[str]]:
    """The command line of each step."""
    training = round(windows * TRAINING)
    S, run = f"{folder}/S.sumstats.parquet", f"{folder}/RUN"
    fit = f"prior fit --panel {folder}/P.ld.zarr --sumstats {S} --annotations {folder}/A.annot.parquet --model mlp"
    workers = f"--workers {CORES}"  # of one thread each, which never waits for another
    split = "--holdout-fraction 0.1 --validation-fraction 0.1"
    lines = {
        "sumstats clean": f"sumstats clean {folder}/S.txt.gz --out {S} --build GRCh37 --trait trait",
        "fit, 1 step": f"{fit} {split} --max-steps 1 --start-windows {START} --out {run}.start",
        "fit, 1 step, twice the start": f"{fit} {split} --max-steps 1 --start-windows {2 * START} --out {run}.twice",
        "fit": f"{fit} {split} --max-steps {1 + PASSES * training} --start-windows {START} --patience 1000 --out {run}",
        "evaluate": f"prior evaluate {run} --json {folder}/evaluate.json",
        "predict": f"prior predict {run} --out {folder}/predict.parquet",
        "weights, normal": f"prior weights {run} --out {folder}/normal.txt.gz --effects normal {workers}",
        "h2": f"prior h2 {run} --windows held-out --out {folder}/h2",
        "finemap": f"finemap --run {run} --out {folder}/finemap {workers}",
        "weights, mixture": f"prior weights {run} --out {folder}/mixture.txt.gz --effects mixture {workers}",
    }
    return {name: line.split() for name, line in lines.items()}


def measured(words: list[str], threads: int, log: Path, wait: float, once: str = "") -> dict[str, Any]:
    """Runs a command; what it took, or how it failed. `once_seconds`: processor seconds until the progress `once` was last said."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with open(log, "w") as output:
        process = subprocess.Popen([*VARFX, *words], env=environment, stdout=output, stderr=subprocess.STDOUT)
        peak = _Peak(process.pid, log, once)
        peak.start()
        try:
            code = process.wait(wait)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            code = None
    seconds = time.perf_counter() - started
    peak.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result = {"seconds": round(seconds, 1), "processor_seconds": round(spent, 1), "peak_bytes": peak.bytes}
    if once:
        result["once_seconds"] = round(peak.once_seconds, 1)
    if code is None:
        return {**result, "stopped": f"after {wait:g} s"}
    if code:
        raise SystemExit(f"varfx {' '.join(words)}: exit {code}, see {log}")
    return result


class _Peak(threading.Thread):
    """Largest resident memory of a process and all its descendants together."""

    def __init__(self, pid: int, log: Path, once: str) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self._log, self._once = log, once
        self.bytes = 0
        self.once_seconds = 0.0

    def run(self) -> None:
        while self._root.is_running() and self._root.status() != psutil.STATUS_ZOMBIE:
            self.bytes = max(self.bytes, self._resident())
            if self._once and self._log.read_text().rstrip().rsplit("\n", 1)[-1].startswith(self._once):
                self.once_seconds = self._processor_seconds()
            time.sleep(POLL_SECONDS)

    def _processor_seconds(self) -> float:
        try:
            return float(sum(self._root.cpu_times()[:4]))  # own and those of children that have ended
        except psutil.Error:
            return self.once_seconds

    def _resident(self) -> int:
        total = 0
        try:
            for process in [self._root, *self._root.children(recursive=True)]:
                total += process.memory_info().rss
        except psutil.Error:
            return 0
        return total


def disk(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def part(share: float, options: argparse.Namespace, keep: dict[str, Any]) -> None:
    """All steps on one share, those of an earlier run as they were."""
    windows = round(material.GENOME_WINDOWS * share)
    folder = options.work / f"{windows}"
    folder.mkdir(parents=True, exist_ok=True)
    panel = material.make(folder, options.data, windows, options.dtype)
    table = panel.windows
    found: dict[str, Any] = keep.setdefault(
        str(windows),
        {"windows": windows, "core_variants": int(table["num_core"].sum()), "annotations": material.ANNOTATIONS,
         "rank": int(table["rank"].max()), "panel_variants": int(table["num_panel"].max()), "dtype": options.dtype,
         "threads": options.threads, "panel_bytes": disk(panel.path), "steps": {}},
    )  # fmt: skip
    for name, words in steps(folder, windows).items():
        if name in found["steps"] or (options.only and name not in options.only):
            continue
        before = disk(folder)
        log = folder / f"{name.replace(' ', '_')}.log"
        result = measured(words, options.threads, log, options.most_seconds, ONCE.get(name, ""))
        found["steps"][name] = {**result, "disk_bytes": disk(folder) - before, "load_average": os.getloadavg()[0]}
        print(f"{windows} windows, {name}: {found['steps'][name]}", flush=True)
        _write(options.out, {"benchmark": "genome", "parts": keep, "genome": genome(keep), "machine": machine()})
    if "quality_seconds" not in found and (folder / "S.sumstats.parquet").is_file():
        found["quality_seconds"] = round(quality_seconds(folder, panel), 2)
        _write(options.out, {"benchmark": "genome", "parts": keep, "genome": genome(keep), "machine": machine()})
    if options.processes and "processes" not in found:
        found["processes"] = processes(folder, windows, options.processes, options)
        _write(options.out, {"benchmark": "genome", "parts": keep, "genome": genome(keep), "machine": machine()})


def quality_seconds(folder: Path, panel: LDPanel) -> float:
    """Processor seconds per window of the baseline that fit and finemap compute on at most MOST_LARGE windows, whatever the genome."""
    trait = align_trait(read_sumstats(folder / "S.sumstats.parquet"), panel).data
    before = time.process_time()
    quality_warnings(panel, trait)
    return (time.process_time() - before) / _looked_at(len(panel.cores))


def _looked_at(windows: int) -> int:
    return min(windows, MOST_LARGE)


def processes(folder: Path, windows: int, number: int, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the same steps by one process and by `number`, of one thread each, and how far their models are apart."""
    words = steps(folder, windows)["fit"]
    at = words.index("--max-steps") + 1
    found: dict[str, Any] = {}
    runs = []
    for count in (1, number):
        run = folder / f"RUN.{count}"
        shutil.rmtree(run, ignore_errors=True)
        few, many = (
            measured(
                [*words[: at - 1], "--max-steps", str(steps_), *words[at + 1 : -1], str(out),
                 "--windows-per-step", str(number), "--devices", str(count), "--device", "cpu"],
                1, folder / f"processes_{count}.log", options.most_seconds,
            )
            for steps_, out in ((1, run.with_suffix(f".{count}.once")), (1 + PROCESS_STEPS, run))
        )  # fmt: skip
        found[str(count)] = {"seconds_per_step": round((many["seconds"] - few["seconds"]) / PROCESS_STEPS, 2), **many}
        runs.append(load_file(run / "model.safetensors"))
    apart = max(float((runs[0][name] - runs[1][name]).abs().max()) for name in runs[0])
    ratio = found["1"]["seconds_per_step"] / found[str(number)]["seconds_per_step"]
    return {
        **found,
        "windows_per_step": number,
        "steps": PROCESS_STEPS,
        "speed_up": round(ratio, 2),
        "largest_difference": apart,
    }


def genome(parts: dict[str, Any]) -> dict[str, Any]:
    """What the steps would take for 2,763 windows, and the goals."""
    rows: dict[str, Any] = {}
    quality = max((each.get("quality_seconds", 0.0) for each in parts.values()), default=0.0)
    for name in {name: None for each in parts.values() for name in each["steps"]}:
        check = quality if name in WITH_BASELINE else 0.0
        seen = sorted((each["windows"], each["steps"][name]) for each in parts.values() if name in each["steps"])
        points = [(size, step) for size, step in seen if "stopped" not in step][-2:]
        if points:
            rows[name] = {
                "hours": round(_hours(parts, name, check=check), 2),
                "part_peak_bytes": max(s["peak_bytes"] for _, s in points),
                "from_windows": [n for n, _ in points],
            }
    if all(name in rows for name in FITS):
        for name in FITS:
            rows.pop(name)
        started = max(_start(each) for each in parts.values())  # processor seconds of START windows
        once = _hours(parts, FITS[0], less=started, check=quality)
        largest = max(
            (part for part in parts.values() if FITS[2] in part["steps"]), key=lambda part: int(part["windows"])
        )
        each = _pass_seconds(largest) / CORES / 3600
        rows["fit, constant start, at most"] = {"hours": round(started / CORES / 3600 * START_WINDOWS / START, 2)}
        rows["fit, before and after"] = {"hours": round(once, 2)}
        rows["fit, a pass of training"] = {"hours": round(each, 2), "minutes": round(60 * each, 1)}
        total = sum(row["hours"] for row in rows.values()) + (GENOME_PASSES - 1) * each
        rows["whole job"] = {"hours": round(total, 1), "passes": GENOME_PASSES}
    return {"steps": rows, "goals": GOALS}


def _start(part: dict[str, Any]) -> float:
    """Processor seconds of the constant start on START windows."""
    once, twice = (part["steps"].get(name, {}).get("processor_seconds", 0.0) for name in FITS[:2])
    return max(twice - once, 0.0) if twice else 0.0


def _pass_seconds(part: dict[str, Any]) -> float:
    """Processor seconds of a pass over a genome, by the steps of a part."""
    once, whole = (part["steps"][name]["processor_seconds"] for name in (FITS[0], FITS[2]))
    steps_done = PASSES * round(part["windows"] * TRAINING)
    return float(max(whole - once, 0.0) / steps_done * material.GENOME_WINDOWS * TRAINING)


def _hours(parts: dict[str, Any], name: str, *, less: float = 0.0, check: float = 0.0) -> float:
    """Hours of a genome on CORES cores.

    Args:
        parts: what was measured.
        name: of the step.
        less: processor seconds that are left out of each part.
        check: processor seconds per window of the baseline, which a genome needs for MOST_LARGE windows.
    """
    seen = [(each["windows"], each["steps"][name]) for each in parts.values() if name in each["steps"]]
    once = max((step.get("once_seconds", 0.0) for _, step in seen), default=0.0)
    points = sorted(
        (n, step["processor_seconds"] - less - check * _looked_at(n) - step.get("once_seconds", 0.0))
        for n, step in seen
        if "stopped" not in step
    )
    return (_line(points[-2:]) + check * MOST_LARGE + once) / CORES / 3600


def _line(points: list[tuple[int, float]]) -> float:
    """The value at a genome's windows: through two points, or through one and the origin."""
    (n, value), total = points[-1], material.GENOME_WINDOWS
    if len(points) == 1:
        return value * total / n
    slope = (value - points[0][1]) / (n - points[0][0])
    return value + max(slope, 0.0) * (total - n)


def _write(path: Path | None, result: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=0.005, help="of a genome's 2,763 windows")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds ldgm/")
    parser.add_argument("--work", type=Path, default=Path("build/genome"), help="about 90 MB per window, kept")
    parser.add_argument("--dtype", default="float16", help="of the panel's B: auto's choice for a genome")
    parser.add_argument("--threads", type=int, default=CORES)
    parser.add_argument("--processes", type=int, default=0, help="compare one process with so many; 2 or more")
    parser.add_argument("--only", nargs="*", help="names of the steps to do, by default all")
    parser.add_argument("--most-seconds", type=float, default=36_000, help="a step is stopped after so long")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/genome.json"))
    options = parser.parse_args()
    kept = json.loads(options.out.read_text())["parts"] if options.out.is_file() else {}
    part(options.share, options, kept)
    print(json.dumps(genome(kept), indent=2))


if __name__ == "__main__":
    main()
