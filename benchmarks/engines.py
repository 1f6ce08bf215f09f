"""Does `engine=auto` choose well? Measured against predicted times on a grid of windows, and steps of each engine.

    python benchmarks/engines.py --out engines.json [--dtype float32] [--threads 2] [--device cpu]

Engines alternate, and the shortest of a few runs counts, so that other work on the machine disturbs all of them alike.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from _measure import machine
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood import exact, stochastic
from varfx.likelihood.cost_model import measure

GRID = [(rank, ratio) for rank in (20, 60, 150, 300, 500, 800, 1500, 3000) for ratio in (1, 3, 6)]
ENOUGH = 3.0  # engines predicted to take this many times the best are not timed, nor is anything above LIMIT seconds
LIMIT = 20.0


def window_of(rank: int, panel: int, dtype: torch.dtype, device: str) -> tuple[WhitenedWindow, torch.Tensor]:
    """Rows of decreasing length, as whitened LD has them, smooth along the chromosome."""
    generator = torch.Generator().manual_seed(rank)
    lam = torch.logspace(2, -1, rank)
    B = torch.randn(rank, panel, generator=generator)
    B[:, 1:] += B[:, :-1].clone()
    B *= (lam / lam.sum() * rank / panel / 2).sqrt()[:, None]
    F = 0.02 * torch.exp(torch.randn(panel, generator=generator))
    return WhitenedWindow(B=B, w=torch.randn(rank, generator=generator)).to(dtype=dtype, device=device), F.to(
        dtype=dtype, device=device
    )


def shortest(tasks: dict[str, Callable[[], Any]], repeats: int, device: str) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            started = time.perf_counter()
            task()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn:  # the first warms up
                times[name].append(time.perf_counter() - started)
    return {name: min(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtype, device = getattr(torch, options.dtype), options.device
    started = time.perf_counter()
    costs = measure(dtype, torch.device(device))
    calibration = time.perf_counter() - started
    print(f"calibrated in {calibration:.1f} s")
    rows, generator = [], torch.Generator().manual_seed(1)
    for rank, ratio in GRID:
        panel = rank * ratio
        predicted = costs.seconds(rank, panel)
        window, F = window_of(rank, panel, dtype, device)
        engines = {
            "exact rank": lambda w=window, F=F: exact(w, F, 1.0, form="rank"),
            "exact symmetric": lambda w=window, F=F: exact(w, F, 1.0, form="symmetric"),
            "stochastic": lambda w=window, F=F: stochastic(w, F, 1.0, generator=generator),
        }
        best = min(predicted.values())
        tried = {name: engines[name] for name, guess in predicted.items() if guess < min(ENOUGH * best, LIMIT)}
        measured = shortest(tried, 5, device)
        chosen = min(predicted, key=lambda name: predicted[name])
        regret = measured[chosen] / min(measured.values())
        rows.append({"rank": rank, "panel": panel, "predicted": predicted, "measured": measured, "regret": regret})
        shown = ", ".join(f"{name} {value * 1e3:.1f} ({predicted[name] * 1e3:.1f})" for name, value in measured.items())
        print(f"r {rank:5d}  M {panel:6d}  chosen {chosen}: {regret:.2f} times the fastest; ms (predicted): {shown}")
    worst = max(row["regret"] for row in rows)
    print(f"worst choice: {worst:.2f} times the fastest")
    record = {
        "machine": machine(), "torch": torch.__version__, "threads": options.threads, "dtype": options.dtype, "device": device,
        "calibration_seconds": calibration, "coefficients": costs.to_json(), "windows": rows, "worst": worst,
    }  # fmt: skip
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
