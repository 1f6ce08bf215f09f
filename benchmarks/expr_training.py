"""Training on people's sequences: people per second, forward and backward, and peak memory.

Simulates one gene of `--window` bases with common SNVs, and times what a step of `varfx expr fit` does: sequences from
dosages, predictions of all micro-batches, gradients of the pairwise loss over the whole batch, clipping, AdamW. The first
steps are not counted. From the rate follows the time of a pass over the training people of one gene.

    python benchmarks/expr_training.py --out expr_training_cpu.json                          # width 96, depth 2
    python benchmarks/expr_training.py --published --precision bfloat16 --micro-batch 32 --out expr_training_gpu.json
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from _measure import machine
from varfx.expression.network.sequences import WindowSequences, WindowVariants
from varfx.models.channel_norm import fold_statistics
from varfx.models.expression import ExpressionNetwork, ExpressionNetworkConfig
from varfx.models.full_precision import full_precision
from varfx.training.dropout import Dropout
from varfx.training.people.pairwise import backward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, default=49_152)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--published", action="store_true", help="width 1536, depth 11, dropout, frozen batch norms")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--batch", type=int, default=128, help="people whose loss makes a step")
    parser.add_argument("--micro-batch", type=int, default=32)
    parser.add_argument("--keep-graphs", action="store_true")
    parser.add_argument("--recompute", action="store_true", help="activations again in the backward pass")
    parser.add_argument("--variants", type=int, default=500)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--pass-people", type=int, default=671, help="training people of one gene (GTEx)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    text = json.dumps(measure(options), indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    device = torch.device(options.device)
    config = network_config(options)
    network = ExpressionNetwork(config).to(device).train()
    sequences, targets = simulated_gene(options, device)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=5e-6)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times = []
    for number in range(options.warmup + options.steps):
        started, processor = now(device), time.process_time()
        step(network, optimizer, sequences, targets, number, options)
        times.append((now(device) - started, time.process_time() - processor))
    seconds, processors = zip(*times[options.warmup :], strict=True)
    peak = peak_memory(device)
    predicting = prediction_seconds(network, sequences, options, device)
    rate = options.batch / float(np.median(seconds))
    return {
        "machine": {**machine(), "torch": torch.__version__, "threads": torch.get_num_threads()},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "network": {**asdict(config), "parameters": sum(p.numel() for p in network.parameters())},
        "options": {name: value for name, value in vars(options).items() if name != "out"},
        "step_seconds": seconds,
        "step_processor_seconds": processors,  # of all threads; on a busy machine the better measure of the CPU's work
        "people_per_second": rate,
        "people_per_processor_second": options.batch / float(np.median(processors)),
        "predictions_per_second_float32": options.micro_batch / predicting,
        "pass_seconds": options.pass_people / rate,
        "passes_in_ten_minutes": 600 * rate / options.pass_people,
        "peak_memory_bytes": peak,
    }


def network_config(options: argparse.Namespace) -> ExpressionNetworkConfig:
    common = {"window": options.window, "precision": options.precision, "checkpointing": options.recompute}
    if options.published:
        return ExpressionNetworkConfig(**common)
    return ExpressionNetworkConfig(
        **common,
        width=options.width,
        depth=options.depth,
        norm="running",
        dropout=0,
        attention_dropout=0,
        position_dropout=0,
    )


def simulated_gene(options: argparse.Namespace, device: torch.device) -> tuple[WindowSequences, Tensor]:
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 4, options.window).astype(np.uint8)
    offsets = np.sort(rng.choice(options.window, min(options.variants, options.window // 2), replace=False))
    ref = reference[offsets]
    dosages = rng.binomial(2, rng.uniform(0.05, 0.5, offsets.size), (options.batch, offsets.size)).astype(np.int8)
    alt = ((ref + 1) % 4).astype(np.uint8)
    window = WindowVariants(*map(torch.from_numpy, (reference, offsets, ref, alt)), "-")
    sequences = WindowSequences(window, torch.from_numpy(dosages), device=device)
    return sequences, torch.from_numpy(rng.standard_normal(options.batch).astype(np.float32)).to(device)


def step(
    network: ExpressionNetwork,
    optimizer: torch.optim.Optimizer,
    sequences: WindowSequences,
    targets: Tensor,
    number: int,
    options: argparse.Namespace,
) -> None:
    """What the training module does for one batch, in one process."""
    rows = torch.arange(options.batch).split(options.micro_batch)
    optimizer.zero_grad()
    parts: list[Callable[[], Tensor]] = [lambda some=some: network(sequences.encode(some)) for some in rows]
    backward(
        network,
        parts,
        [targets[some.to(targets.device)] for some in rows],
        Dropout(number, targets.device),
        keep_graphs=options.keep_graphs,
    )
    torch.nn.utils.clip_grad_norm_(network.parameters(), 0.05)
    optimizer.step()
    fold_statistics(network)


@torch.no_grad()
def prediction_seconds(
    network: ExpressionNetwork, sequences: WindowSequences, options: argparse.Namespace, device: torch.device
) -> float:
    """Of one micro-batch in full float32, as the written predictions are made; after one to warm up."""
    rows = torch.arange(options.micro_batch)
    with full_precision(network):
        network(sequences.encode(rows[:1]))
        started = now(device)
        network(sequences.encode(rows))
        return now(device) - started


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_memory(device: torch.device) -> int:
    """Of the device's tensors, or of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
