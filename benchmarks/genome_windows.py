"""Processor seconds of what the commands do per window of a biobank, before and after large windows got forms of their own.

    python benchmarks/genome_windows.py --work /tmp/genome --out benchmarks/results/genome_windows.json

On windows of `_genome_material.py` (rank 2,000, 13,000 variants, real LD, 2 % of the associations missing). Where a machine is busy this can be
measured, and the commands as a whole (`genome.py`) cannot: processor seconds, of which those of a neighbour's work are no part, are noted, and what
2,763 windows would take on two processors that do nothing else. `before` is the form that smaller windows keep.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import _genome_material as material
from _measure import machine
from varfx.ld import LDPanel, WhitenedWindow
from varfx.ld.whiten import rewhiten
from varfx.likelihood import average_information, exact
from varfx.likelihood.stochastic import stochastic
from varfx.prior import pairs, score
from varfx.prior.large_pairs import pair_slopes
from varfx.training import TraitData

PROCESSORS = 2
NEVER = 10**9
RULE = rewhiten.__globals__


class Clock:
    """Times tasks in processor seconds and keeps the rows."""

    def __init__(self, out: Path, windows: int) -> None:
        self.out, self.windows, self.rows = out, windows, dict[str, dict[str, float]]()
        if out.is_file():
            self.rows = json.loads(out.read_text())["rows"]

    def time(self, what: str, form: str, task: Callable[[], Any], times: int = 1) -> Any:
        """Does a task, unless it was timed in an earlier run, and its result; the least of several times."""
        if form in self.rows.get(what, {}):
            return None
        best, result = float("inf"), None
        for _ in range(times):
            started = time.process_time()
            result = task()
            best = min(best, time.process_time() - started)
        row = self.rows.setdefault(what, {})
        row[form] = round(best, 3)
        row[f"{form}, hours of 2,763 windows on two processors"] = round(
            best * material.GENOME_WINDOWS / PROCESSORS / 3600, 2
        )
        print(what, form, row[form], flush=True)
        self._write()
        return result

    def _write(self) -> None:
        result = {
            "benchmark": "genome_windows",
            "unit": "processor seconds per window",
            "rows": self.rows,
            "threads": torch.get_num_threads(),
        }
        self.out.write_text(
            json.dumps({**result, "machine": machine(), "load_average": os.getloadavg()[0]}, indent=2) + "\n"
        )


def measure(panel: LDPanel, clock: Clock) -> None:
    """All pieces, on the panel's second and third window."""
    rng = np.random.default_rng(0)
    stored = clock.time("read a window", "now", lambda: panel.window(1), 2) or panel.window(1)
    factors = stored.factors
    B = torch.from_numpy(factors.B)
    wide = B.float()
    F = torch.from_numpy(0.0134 * np.exp(rng.standard_normal(B.shape[1]) - 0.5))
    w = torch.from_numpy(rng.standard_normal(len(B)))
    step, half = WhitenedWindow(B=wide, w=w.float()), WhitenedWindow(B=B, w=w.float())
    for form, window in (("now", step), ("before", half)):
        clock.time(
            "a step's likelihood and gradient",
            form,
            lambda window=window: stochastic(window, F.float(), 1.0, generator=torch.Generator().manual_seed(0)),
            3,
        )
    clock.time(
        "likelihood and gradient for the constant start",
        "now",
        lambda: stochastic(step, F.float(), 1.0, generator=torch.Generator().manual_seed(0), num_probes=8, rtol=1e-3),
        3,
    )
    clock.time("likelihood and gradient for the constant start", "before", lambda: exact(step, F.float(), 1.0), 2)
    double = WhitenedWindow(B=wide.double(), w=w)
    clock.time("log p and spectrum of a held-out window", "now", lambda: score.log_p_and_spectrum(double, F, 1.0), 2)
    clock.time("information of 97 directions (h2), per round", "now", lambda: information(double, F), 2)
    observed = np.flatnonzero(rng.random(stored.core_rows.size) > material.GAPS)
    z = rng.standard_normal(observed.size)
    clock.time("whitening without missing associations", "now", lambda: rewhiten(factors, observed).associations(z), 2)
    known = rng.random(panel.variants.height) > material.GAPS
    associations = np.where(known, rng.standard_normal(known.size), np.nan)
    trait = TraitData(name="t", z=associations, n=np.where(known, material.N, np.nan), n_ref=material.N)
    cores, f = pairs.Cores(panel, trait), np.full(known.size, 0.0134)
    if "now" not in clock.rows.get("posterior means of a pair of cores (weights), beside whitening", {}):
        sides = cores.side(1), cores.side(2)
        clock.time(
            "posterior means of a pair of cores (weights), beside whitening", "now", lambda: pair_slopes(*sides, f, 1.0)
        )
    clock.time(
        "log p and spectrum of a held-out window",
        "before",
        lambda: (exact(double, F, 1.0, dtype=torch.float64), score.spectrum(double, F)),
    )
    clock.time("whitening without missing associations", "before", lambda: before_whitening(factors, observed, z))
    clock.time("information of 97 directions (h2), per round", "before", lambda: before_information(double, F))


def information(window: WhitenedWindow, F: torch.Tensor) -> Any:
    """Score and information, as `h2` takes them."""
    D = torch.randn(len(F), 97, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return average_information.window_information(window, F, D, 1.0)


def before_information(window: WhitenedWindow, F: torch.Tensor) -> Any:
    """The same in float64."""
    kept, average_information.LEAST_RANK = average_information.LEAST_RANK, NEVER
    try:
        return information(window, F)
    finally:
        average_information.LEAST_RANK = kept


def before_whitening(factors: Any, observed: np.ndarray, z: np.ndarray) -> Any:
    """By all eigenpairs."""
    kept, RULE["LEAST_RANK"] = RULE["LEAST_RANK"], NEVER
    try:
        return rewhiten(factors, observed).associations(z)
    finally:
        RULE["LEAST_RANK"] = kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("build/genome"))
    parser.add_argument(
        "--windows", type=int, default=14, help="of the panel in the work folder, made if it is not there"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/genome_windows.json"))
    options = parser.parse_args()
    torch.set_num_threads(PROCESSORS)
    folder = options.work / f"{options.windows}"
    folder.mkdir(parents=True, exist_ok=True)
    measure(material.make(folder, options.data, options.windows, "float16"), Clock(options.out, options.windows))


if __name__ == "__main__":
    main()
