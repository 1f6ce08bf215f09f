"""What `varfx plan` says, against what `varfx prior fit` takes: time of a step and peak memory, for each kind of model.

    python benchmarks/plan.py --data ../shared/data --out benchmarks/results/plan.json

Real LD and height of chromosome 22 (`polypred`), in cores of 100 kb; random tracks for the Enformer. Each model is fitted for n and for
2 n steps in processes of their own, so that what happens once (start of Python, first values of scale and sigma2) cancels; the same
difference is taken of the plan. Each is also compared with its check of the validation windows in it. `ratio` is
predicted over measured. Seconds are processor seconds, so that other work on the machine does not count; run it with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from _measure import machine, run_measured
from track_gather import random_store
from varfx.genotypes.open_ld import open_source
from varfx.gwas.clean import clean
from varfx.ld import PanelConfig, build_panel, open_panel
from varfx.models import ModelConfig, TrackEnformerConfig
from varfx.prior.plan.job import Schedule, panel_job, track_sizes
from varfx.prior.plan.plan import plan
from varfx.prior.plan.rates import measure_rates, this_machine

WINDOW = 256
VARIANTS_PER_PASS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("VARFX_DATA", "../shared/data"))
    parser.add_argument("--steps", type=int, default=100, help="n, of linear and mlp")
    parser.add_argument("--enformer-steps", type=int, default=10)
    parser.add_argument("--tracks", type=int, default=8)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--core", type=int, default=100_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = [measured(kind, steps, Path(name), options) for kind, steps in prepare(Path(name), options)]
    result = {"benchmark": "plan", "rows": rows, "machine": machine(), "load_average": os.getloadavg()[0]}
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


def prepare(folder: Path, options: argparse.Namespace) -> list[tuple[str, int]]:
    """Writes panel, summary statistics and tracks, and says what to fit."""
    data = Path(options.data) / "gwas" / "polypred"
    clean(data / "bolt.sumstats.txt.gz", out=folder / "S.sumstats.parquet", n=450_000, trait="height")
    source = open_source([data / "1000G.subset.22.bed"])
    panel = build_panel(
        source, folder / "P.ld.zarr", PanelConfig(core=options.core, flank=options.core, rank_variance=1.0), workers=1
    )
    position = panel.variants["position"]
    start, end = int(position.min()) - 1000, int(position.max()) + 1000  # type: ignore[call-overload]
    random_store(folder / "T.tracks.zarr", options.tracks, end - start, start=start)
    return [("linear", options.steps), ("mlp", options.steps), ("enformer", options.enformer_steps)]


def measured(kind: str, steps: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    words = f"--panel {folder}/P.ld.zarr --sumstats {folder}/S.sumstats.parquet --model {kind}".split()
    if kind == "enformer":
        words += f"--tracks {folder}/T.tracks.zarr --width {options.width} --window {WINDOW}".split()
        words += ["--variants-per-pass", str(VARIANTS_PER_PASS)]
    once = "import sys; from varfx.cli import main; sys.argv[0] = 'varfx'; sys.exit(main())"
    fit = [sys.executable, "-c", once, "prior", "fit", *words, "--validation-fraction", "0.2", "--patience", "100000"]
    fits = [
        in_processor_seconds([*fit, "--max-steps", str(count), "--out", str(folder / f"{kind}.{count}")])
        for count in (steps, 2 * steps)
    ]
    plans = planned(kind, (steps, 2 * steps), folder, options)
    predicted, took = plans[1]["total"] - plans[0]["total"], fits[1][0] - fits[0][0]
    memory = sum(plans[1]["host"].values())
    return {
        "model": kind,
        "steps": steps,
        "seconds": {"predicted": round(predicted, 3), "measured": round(took, 3), "ratio": round(predicted / took, 3)},
        "whole_fit_seconds": {"predicted": round(plans[1]["total"], 3), "measured": round(fits[1][0], 3)},
        "memory_bytes": {"predicted": round(memory), "measured": fits[1][1], "ratio": round(memory / fits[1][1], 3)},
        "rates": plans[1]["rates"],
    }


def in_processor_seconds(command: list[str]) -> tuple[float, int]:
    """Processor seconds and peak memory of a command, as other work on the machine leaves them."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _, peak = run_measured(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak


def planned(kind: str, steps: tuple[int, int], folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The plans' totals and memory for two numbers of steps, with rates measured now."""
    from varfx.tracks.store import open_tracks

    panel, store = open_panel(folder / "P.ld.zarr"), open_tracks(folder / "T.tracks.zarr")
    network = TrackEnformerConfig(window=WINDOW, width=options.width, variants_per_pass=VARIANTS_PER_PASS)
    sizes = track_sizes(store) if kind == "enformer" else {}
    model = ModelConfig(kind=kind, enformer=network)  # type: ignore[arg-type]
    schedule = Schedule(max_steps=steps[0], validation_share=0.2)
    job = panel_job(panel, model=model, num_features=3, schedule=schedule, **sizes)
    rates = measure_rates(
        job,
        device="cpu",
        panel=panel,
        tracks=store if kind == "enformer" else None,
        folder=folder,
        clock=time.process_time,
    )
    shown = {name: value for name, value in vars(rates).items() if name != "likelihood" and value != float("inf")}
    jobs = [replace(job, schedule=replace(schedule, max_steps=count)) for count in steps]
    plans = [plan(each, rates, this_machine("cpu", folder)) for each in jobs]
    return [{"total": found.seconds["total"], "host": found.host, "rates": shown} for found in plans]


if __name__ == "__main__":
    main()
