"""Throughput of a prior over tracks: windows of tracks gathered, variants through the network, an epoch of a genome.

    python benchmarks/prior_network.py --out benchmarks/results/prior_network.json
    python benchmarks/prior_network.py --device cuda --precision bfloat16 --compile --out gpu.json

Loading is that of `track_gather.py`: a window's stretch of all tracks is read, moved and cut, against making variant x track x base on
the host. The network is `TrackEnformer` at each width: forward, and a training pass over a window cut into passes (forward, and
again with the backward pass, tracks gathered both times), as `varfx prior fit` does it. Its floating-point operations are counted by
torch; their rate is set against that of a large matrix product in the same precision on the same device, measured here. On the CPU networks and
product are timed in processor seconds, so that other work on the machine does not count; loading as it passes. Peak memory on a
GPU is what torch had allocated; on the CPU that of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import track_gather
from _measure import machine
from track_gather import peak_memory, random_store, synchronise
from varfx.models.track_enformer import DenseTracks, TrackEnformer, TrackEnformerConfig
from varfx.tracks.gather import TrackGather, TrackWindow

GENOME = 12_000_000  # variants
WITH_FLANKS = 3  # a core of 1 Mb and as much on each side: every variant goes through the network three times
MATRIX = {"cpu": 1024, "cuda": 8192}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--widths", default="384,768")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], help="by default bfloat16 on a GPU")
    parser.add_argument("--tracks", type=int, default=165)
    parser.add_argument("--predictors", type=int, default=9)
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--bases", type=int, default=3_000_000)
    parser.add_argument("--variants", type=int, default=10_000, help="of the window that is loaded")
    parser.add_argument(
        "--network-variants", type=int, help="of a timed pass; by default 32 on the CPU, 10,000 on a GPU"
    )
    parser.add_argument("--variants-per-pass", type=int, help="by default 16 on the CPU, 512 on a GPU")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    on_gpu = options.device.startswith("cuda")
    options.precision = options.precision or ("bfloat16" if on_gpu else "float32")
    options.network_variants = options.network_variants or (options.variants if on_gpu else 32)
    options.variants_per_pass = options.variants_per_pass or (512 if on_gpu else 16)
    with tempfile.TemporaryDirectory() as folder:
        store = random_store(Path(folder) / "T.tracks.zarr", options.tracks, options.bases)
        loading = track_gather.measure(store, argparse.Namespace(**vars(options), **LOADING, width=options.window))
        window = loaded(TrackGather(store, width=options.window, device=options.device), options)
        rate = matrix_rate(torch.device(options.device), options)
        networks = [network(int(width), window, rate, loading, options) for width in options.widths.split(",")]
    result = {
        "benchmark": "prior_network",
        "machine": machine(),
        "load_average": os.getloadavg()[0],
        "device": torch.cuda.get_device_name(options.device) if on_gpu else "cpu",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "seconds_of_networks": "as they passed" if on_gpu else "processor seconds per thread",
        "precision": options.precision,
        "compiled": options.compile,
        "matrix_operations_per_second": rate,
        "loading": loading,
        "host_bytes_of_a_worker": worker_bytes(loading),
        "networks": networks,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


LOADING = {"host_variants": 500, "batch": 64}


def worker_bytes(loading: dict[str, Any]) -> dict[str, int]:
    """What tracks add to a worker's memory: the block in use and the one that is read ahead."""
    sizes = loading["bytes"]
    return {
        "block": sizes["block"],
        "two_blocks": 2 * sizes["block"],
        "peak_added_by_loading_and_gathering": sizes["peak_after_gathering"] - sizes["peak_before_loading"],
    }


def loaded(gather: TrackGather, options: argparse.Namespace) -> TrackWindow:
    """The window of tracks that the network is timed on."""
    rng = np.random.default_rng(2)
    first = track_gather.START + options.window
    positions = np.sort(rng.integers(first, first + options.bases - 4 * options.window, options.network_variants))
    predictors = torch.from_numpy(rng.standard_normal((options.network_variants, options.predictors))).float()
    return gather.load("22", positions, predictors=predictors)


def busy(task: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Seconds of a task, the shortest of some runs: of a GPU as they pass, of the CPU those that this process worked, per thread."""
    seconds = []
    for _ in range(repeats):
        synchronise(device)
        started = time.perf_counter(), time.process_time()
        task()
        synchronise(device)
        passed, worked = time.perf_counter() - started[0], time.process_time() - started[1]
        seconds.append(passed if device.type == "cuda" else worked / torch.get_num_threads())
    return min(seconds)


def matrix_rate(device: torch.device, options: argparse.Namespace) -> float:
    """Operations a second (two each multiply-add) of a large matrix product."""
    size = MATRIX[device.type]
    dtype = torch.bfloat16 if options.precision == "bfloat16" else torch.float32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    for _ in range(3):
        a @ b
    count = 20 if device.type == "cuda" else 3
    seconds = busy(lambda: [a @ b for _ in range(count)], options.repeats, device)
    return 2 * size**3 * count / seconds


def network(
    width: int, window: TrackWindow, rate: float, loading: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    device = torch.device(options.device)
    config = TrackEnformerConfig(
        window=options.window,
        width=width,
        precision=options.precision,
        variants_per_pass=options.variants_per_pass,
        zero_output=False,
    )
    model = TrackEnformer(config, options.tracks, options.predictors, 1, torch.Generator().manual_seed(0)).to(device)
    model.calibrate(window)
    operations = operations_of_a_variant(model, window)
    if options.compile:
        model.score = torch.compile(model.score)  # type: ignore[method-assign]
    count = options.network_variants

    def forward() -> None:
        with torch.no_grad():
            model(window)

    def train() -> None:
        model(window).square().mean().backward()
        model.zero_grad()

    for task in (forward, train):  # compile, and let the libraries choose
        task()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = {"forward": busy(forward, options.repeats, device), "training": busy(train, options.repeats, device)}
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_memory()
    passes = {"forward": operations["forward"], "training": operations["forward"] + operations["both"]}
    if count <= options.variants_per_pass:
        passes["training"] = operations["both"]
    load = loading["seconds"]["read_and_move"] + loading["seconds"]["gather"]
    network_forward = loading["variants"] / (count / seconds["forward"])
    return {
        "width": width,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "variants": count,
        "variants_per_pass": options.variants_per_pass,
        "variants_per_second": {name: count / value for name, value in seconds.items()},
        "operations_per_variant": passes,
        "share_of_matrix_rate": {name: passes[name] * count / value / rate for name, value in seconds.items()},
        "peak_bytes": peak,
        "loading_over_forward": {
            "seconds_loading": load,
            "seconds_forward": network_forward,
            "ratio": load / network_forward,
        },
        "epoch_minutes": {
            "12 million variants": GENOME / (count / seconds["training"]) / 60,
            "with flanks": WITH_FLANKS * GENOME / (count / seconds["training"]) / 60,
        },
    }


def operations_of_a_variant(model: TrackEnformer, window: TrackWindow) -> dict[str, float]:
    """Floating-point operations forward, and forward and backward, as torch counts them (two each multiply-add)."""
    rows = torch.arange(min(8, window.num_variants), device=window.first.device)
    few = DenseTracks(window.gather(rows), window.predictors[rows])
    counted = {}
    for name in ("forward", "both"):
        counter = FlopCounterMode(display=False)
        with counter:
            score = model(few)
            if name == "both":
                score.sum().backward()
        counted[name] = counter.get_total_flops() / len(rows)
    model.zero_grad()
    return counted


if __name__ == "__main__":
    main()
