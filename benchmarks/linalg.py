"""Time and memory of loss and gradient: our engines, the paper's (its Figure 2), the published trainer's step, and peers.

    python benchmarks/linalg.py --out linalg.json                          all parts, about 20 minutes on 2 cores
    python benchmarks/linalg.py --parts ldgm --engines exact published     some of it
    python benchmarks/linalg.py --parts genome                             a genome's pass, from disk

Ours run in float32 and theirs in float64, as they are used. In one process the engines take turns on the same window, and
medians are given; an engine slower than --slow seconds has one turn. Memory is the high-water mark of a child process that
makes one call, less that of a child which only loads the window. Peers are optional, never dependencies:

    pip install --target PEERS --no-deps linear_operator cola-ml cola-plum-dispatch==0.1.4 optree
    PYTHONPATH=PEERS python benchmarks/linalg.py
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from _linalg_engines import CG_STEPS, ENGINES, GRADIENT_ERROR, cola_loses_the_sign
from _linalg_genome import measure_genome
from _linalg_windows import SYNTHETIC_SIZES, Case, ldgm_cases, polypred_cases, synthetic_case
from _measure import machine, run_measured
from varfx.likelihood import exact
from varfx.likelihood.paper.ridged import cholesky

FITTED_FROM = 2048  # below this M fixed costs, not products, take the time
PARTS = ("ldgm", "polypred", "synthetic", "genome")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("linalg.json"))
    parser.add_argument("--plot", type=Path, help="by default --out with .png")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VARFX_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, help="keep windows here between runs; by default a temporary folder")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=list(SYNTHETIC_SIZES), help="M of the synthetic windows"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow", type=float, default=10.0, help="seconds above which an engine has one turn")
    parser.add_argument(
        "--limit", type=float, default=100.0, help="seconds that a call on the next size may be expected to take"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--genome-windows", type=int, default=6)
    parser.add_argument("--memory-limit", type=float, default=60.0, help="seconds above which memory is not measured")
    parser.add_argument("--no-memory", action="store_true", help="leave out the child processes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    started = time.perf_counter()
    report: dict[str, Any] = {
        "machine": machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "gradient_error": GRADIENT_ERROR,
        "cg_steps_at_most": CG_STEPS,
        "notes": _peer_notes(options.engines),
        "windows": [],
    }
    with nullcontext(options.work) if options.work else tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        work.mkdir(exist_ok=True)
        expected: dict[str, float] = {}
        for part, case in _cases(options, work):
            rows = measure(case, options, work, expected if part == "synthetic" else {})
            report["windows"].append(
                {"part": part, "name": case.name, "core": case.core, "panel": case.white.num_variants,
                 "rank": case.white.rank, "B_bytes": case.white.B.nbytes, "engines": rows, "ratios": ratios(rows)}
            )  # fmt: skip
            print_ratios(report["windows"][-1])
        report["growth"] = growth([window for window in report["windows"] if window["part"] == "synthetic"])
        for line in report["growth"]:
            print(line, flush=True)
        if "genome" in options.parts:
            report["genome"] = measure_genome(work, options.genome_windows, GRADIENT_ERROR, options.limit)
    report["seconds"] = time.perf_counter() - started
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    if report["windows"]:
        draw(report, options.plot or options.out.with_suffix(".png"))


def _cases(options: argparse.Namespace, work: Path) -> Iterator[tuple[str, Case]]:
    for part, build in (("ldgm", ldgm_cases), ("polypred", polypred_cases)):
        if part not in options.parts:
            continue
        if not options.data.is_dir():
            print(f"{part}: left out, there is no {options.data} (give --data or VARFX_DATA)")
            continue
        for case in build(options.data, work):
            yield part, case
    if "synthetic" in options.parts:
        for size in options.sizes:
            yield "synthetic", synthetic_case(size)


def _peer_notes(engines: list[str]) -> list[str]:
    notes = []
    for name in engines:
        if ENGINES[name].missing:
            notes.append(f"{ENGINES[name].label}: left out, not installed")
        elif name == "cola":
            notes.append(cola_loses_the_sign())
    for note in notes:
        print(note, flush=True)
    return notes


def measure(case: Case, options: argparse.Namespace, work: Path, expected: dict[str, float]) -> list[dict[str, Any]]:
    """One entry an engine; `expected` holds how long each may take here, and learns what eight times the work would take."""
    print(f"{case.name}: core {case.core:,}, panel {case.white.num_variants:,}, rank {case.white.rank:,}", flush=True)
    usable = []
    for name in options.engines:
        engine, late = ENGINES[name], expected.get(name, 0.0)
        if engine.missing or (not engine.whitened and case.paper is None):
            continue
        if case.core > engine.largest or late > options.limit:
            reason = f"core above {engine.largest:,}" if case.core > engine.largest else f"{late:.0f} s expected"
            print(f"  {engine.label}: left out, {reason}", flush=True)
            continue
        usable.append(name)
    times: dict[str, list[float]] = {name: [] for name in usable}
    answers = {}
    for _ in range(options.rounds):
        for name in usable:
            if times[name] and times[name][0] > options.slow:
                continue
            given = ENGINES[name].window(case, options.device)
            assert given is not None
            generator = torch.Generator(device=options.device if not ENGINES[name].whitened else "cpu").manual_seed(1)
            _synchronise(options.device)
            started = time.perf_counter()
            answers[name] = ENGINES[name].run(*given, generator)
            _synchronise(options.device)
            times[name].append(time.perf_counter() - started)
    truths = _truths(case)
    baselines: dict[bool, int] = {}
    rows = []
    for name in usable:
        seconds = statistics.median(times[name])
        expected[name] = 8 * seconds
        row: dict[str, Any] = {
            "engine": name,
            "label": ENGINES[name].label,
            "seconds": seconds,
            "all_seconds": times[name],
            "note": answers[name].note,
            "gradient_error": _distance(answers[name].grad_F, truths[ENGINES[name].ridged]),
        }
        if not options.no_memory and options.device == "cpu" and seconds < options.memory_limit:
            row |= memory(case, name, options.threads, work, baselines)
        rows.append(row)
        peak = f", {row['step_bytes'] / 2**20:7.0f} MiB a step" if "step_bytes" in row else ""
        wrong = "" if row["gradient_error"] is None else f", gradient error {row['gradient_error']:.1e}"
        print(f"  {row['label']:36s} {seconds:8.3f} s{peak}{wrong}; {row['note']}", flush=True)
    return rows


def memory(case: Case, name: str, threads: int, work: Path, baselines: dict[bool, int]) -> dict[str, int]:
    """What the window takes, and what one call adds to it at its peak; `baselines` remembers children that only load."""
    path = work / "child.pt"
    given = ENGINES[name].window(case, "cpu")
    torch.save(given, path)
    kind = ENGINES[name].whitened
    if kind not in baselines:
        baselines[kind] = run_measured(functools.partial(child, path, None, threads))[1]
    _, called = run_measured(functools.partial(child, path, name, threads))
    path.unlink()
    window = given[0]
    tensors = {id(each): each.nbytes for each in vars(window).values() if isinstance(each, Tensor)}
    return {"window_bytes": sum(tensors.values()), "step_bytes": called - baselines[kind]}


def child(path: Path, name: str | None, threads: int) -> None:
    """Loads a window, calls an engine on it if one is named, and waits for its memory to be read."""
    torch.set_num_threads(threads)
    window, F = torch.load(path, weights_only=False)
    small = torch.eye(64)
    torch.linalg.cholesky(small @ small)  # both children load the linear algebra library
    if name is not None:
        ENGINES[name].run(window, F, torch.Generator().manual_seed(1))
    time.sleep(0.2)


def _truths(case: Case) -> dict[bool, Tensor | None]:
    """The exact gradient by F in float64: of whitened log p, and of the paper's log p with its ridge."""
    within = case.core <= 6000
    whitened = exact(case.white, case.F, 1.0, dtype=torch.float64).grad_F if within else None
    ridged = None if case.paper is None or not within else cholesky(case.paper, case.F, 1.0).grad_F
    return {True: ridged, False: whitened}


def _distance(found: Tensor | None, truth: Tensor | None) -> float | None:
    if found is None or truth is None:
        return None
    return float((found.cpu().double() - truth).norm() / truth.norm())


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def ratios(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """How many times longer each engine takes than `exact` and `stochastic`."""
    seconds = {row["engine"]: row["seconds"] for row in rows}
    return {
        ours: {name: seconds[name] / seconds[ours] for name in seconds}
        for ours in ("exact", "stochastic")
        if ours in seconds
    }


def print_ratios(window: dict[str, Any]) -> None:
    for ours, times in window["ratios"].items():
        line = ", ".join(f"{ENGINES[name].label} {ratio:.3g}" for name, ratio in times.items() if name != ours)
        print(f"  times slower than {ours}: {line}", flush=True)


def growth(windows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fitted exponents of time (in r^2 M for exact, r M for stochastic) and of memory (in r M); 1 is what theory says."""
    fitted = []
    for name, power in (("exact", 2), ("stochastic", 1)):
        points = [
            (window["rank"] ** power * window["panel"], window["rank"] * window["panel"], row)
            for window in windows
            for row in window["engines"]
            if row["engine"] == name and window["panel"] >= FITTED_FROM
        ]
        if len(points) < 2:
            continue
        work, size = (np.log([point[i] for point in points]) for i in (0, 1))
        entry = {"engine": name, "work": "r^2 M" if power == 2 else "r M"}
        entry["time_exponent"] = float(np.polyfit(work, np.log([row["seconds"] for *_, row in points]), 1)[0])
        held = [row.get("window_bytes", 0) + row.get("step_bytes", 0) for *_, row in points]
        if all(held):
            entry["memory_exponent_in_r_M"] = float(np.polyfit(size, np.log(held), 1)[0])
        fitted.append(entry)
    return fitted


def draw(report: dict[str, Any], path: Path) -> None:
    """Bars of time on a logarithmic axis, a panel a window, like the paper's Figure 2."""
    from matplotlib.figure import Figure

    windows = report["windows"]
    columns = min(3, len(windows))
    lines = -(-len(windows) // columns)
    labels = [name for name in ENGINES if any(row["engine"] == name for window in windows for row in window["engines"])]
    colours = {name: ("#0072B2" if ENGINES[name].whitened else "#8C8C8C") for name in labels}
    colours |= dict.fromkeys(("published",), "#D55E00") | dict.fromkeys(("linear_operator", "cola"), "#009E73")
    figure = Figure(figsize=(4.6 * columns, 0.8 + (0.32 * len(labels) + 0.8) * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for place, each in enumerate(axes.flat):
        each.set_visible(place < len(windows))
    for each, window in zip(axes.flat, windows, strict=False):
        seconds = {row["engine"]: row["seconds"] for row in window["engines"]}
        for height, name in enumerate(labels):
            if name not in seconds:
                continue
            each.barh(height, seconds[name], color=colours[name], height=0.7)
            each.annotate(
                _duration(seconds[name]),
                (seconds[name], height),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        each.set_xscale("log")
        each.set_yticks(range(len(labels)), [ENGINES[name].label for name in labels], fontsize=8)
        each.set_title(f"{window['name']} (core {window['core']:,}, rank {window['rank']:,})", fontsize=9, loc="left")
        each.spines[["top", "right"]].set_visible(False)
        each.set_axisbelow(True)
        each.grid(axis="x", color="0.9")
    every = [row["seconds"] for window in windows for row in window["engines"]]
    axes[0, 0].set_xlim(min(every) / 2, max(every) * 6)
    axes[0, 0].invert_yaxis()
    for each in axes[-1]:
        each.set_xlabel("seconds for loss and gradient")
    figure.suptitle(f"Blue: varfx. Others in float64. {report['device']}, {report['threads']} threads", fontsize=9)
    figure.savefig(path, dpi=130)


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


if __name__ == "__main__":
    main()
