"""In-silico mutagenesis per variant: the local method against whole passes, at equal results.

A random Enformer with lively weights and a random window (49,152 bases, width 96, depth 2 by default), one thread. The two are
timed in turn, several times, in a process of its own each for the peak of memory; the ratio is the median over the turns, so that what
else the machine does touches both alike. The local seconds per variant hold all passes but the one over the reference, which is
given apart.

    python benchmarks/expr_ism.py --out benchmarks/results/expr_ism.json
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from _measure import machine, run_measured
from varfx.expression.variants.ism import mutagenesis
from varfx.models.attention import RelativeAttention
from varfx.models.expression import ExpressionNetwork, ExpressionNetworkConfig
from varfx.models.full_precision import full_precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", type=int, default=49_152)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--variants", type=int, default=200)
    parser.add_argument("--whole", type=int, default=8, help="variants that are also computed by whole passes")
    parser.add_argument("--variants-per-pass", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    names = ("bases", "width", "depth", "threads")
    result: dict[str, Any] = {
        "benchmark": "expr_ism",
        "machine": machine(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device,
        **{name: getattr(options, name) for name in names},
        "comparison": in_process(functools.partial(compare, options))[0],
        "peak_memory_bytes_of_process": {
            "loaded": in_process(functools.partial(once, options, None))[1],
            "whole": in_process(functools.partial(once, options, 0))[1],
            **{
                f"local, {size} a pass": in_process(functools.partial(once, options, size))[1]
                for size in options.variants_per_pass
            },
        },
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


def in_process(task: functools.partial[None]) -> tuple[Any, int]:
    """What a task wrote, and the peak of memory of its process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.json"
        _, peak = run_measured(functools.partial(task, out))
        return json.loads(out.read_text()), peak


def once(options: argparse.Namespace, size: int | None, out: Path) -> None:
    """One way once, for its memory: whole passes (0), or so many variants a pass."""
    torch.set_num_threads(options.threads)
    network, reference, places, values = simulate(options)
    with full_precision(network), torch.no_grad():
        if size:
            local(network, reference, places[: 2 * size], values[: 2 * size], size)
        elif size == 0:
            whole(network, reference, places[:1], values[:1])
    out.write_text(json.dumps(torch.cuda.max_memory_allocated() if options.device.startswith("cuda") else None))


def compare(options: argparse.Namespace, out: Path) -> None:
    torch.set_num_threads(options.threads)
    network, reference, places, values = simulate(options)
    few = slice(0, options.whole)
    sizes: dict[int, dict[str, list[float]]] = {
        size: {"ratio": [], "seconds": []} for size in options.variants_per_pass
    }
    whole_seconds, setup_seconds = [], []
    with full_precision(network), torch.no_grad():
        whole(network, reference, places[:1], values[:1])
        for _ in range(options.repeats):
            predictions, seconds = timed(options, lambda: whole(network, reference, places[few], values[few]))
            whole_seconds.append(seconds / options.whole)
            _, setup = timed(options, lambda: local(network, reference, places[:0], values[:0], 1))
            setup_seconds.append(setup)
            for size, record in sizes.items():
                found, seconds = timed(options, lambda size=size: local(network, reference, places, values, size))
                record["seconds"].append((seconds - setup) / options.variants)
                record["ratio"].append(whole_seconds[-1] / record["seconds"][-1])
        start = network(reference[None]).double().cpu()
        network, reference, values = network.double(), reference.double(), values.double()
        exact = whole(network, reference, places[few], values[few]) - network(reference[None]).cpu()
        exactly = local(network, reference, places[few], values[few], options.whole)
    effects = predictions - start
    difference = float(abs(torch.from_numpy(found[: options.whole]) - effects).max())
    result = {
        "variants": options.variants,
        "prediction_for_reference": float(start),
        "largest_effect": float(effects.abs().max()),
        "largest_difference": difference,
        "largest_difference_in_float64": float(abs(torch.from_numpy(exactly) - exact).max()),
        "whole_seconds_per_variant": statistics.median(whole_seconds),
        "reference_seconds": statistics.median(setup_seconds),
        "local": [
            {
                "variants_per_pass": size,
                "seconds_per_variant": statistics.median(record["seconds"]),
                "variants_per_second": 1 / statistics.median(record["seconds"]),
                "times_faster": statistics.median(record["ratio"]),
                "times_faster_of_each_turn": record["ratio"],
            }
            for size, record in sizes.items()
        ],
    }
    out.write_text(json.dumps(result))


def simulate(options: argparse.Namespace) -> tuple[ExpressionNetwork, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A network whose layers all put something out, a window, and variants anywhere in it."""
    generator = torch.Generator().manual_seed(0)
    config = ExpressionNetworkConfig(window=options.bases, width=options.width, depth=options.depth)
    network = ExpressionNetwork(config, generator=generator)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, RelativeAttention):
                module.to_out.weight.normal_(generator=generator).mul_(options.width**-0.5)
        network.head.weight.normal_(generator=generator)
    base = torch.eye(4)
    codes = torch.randint(4, (options.bases,), generator=generator)
    places = torch.randint(options.bases, (options.variants,), generator=generator)
    # The first ones at the TSS, where effects are largest: those compared with whole passes.
    places[: options.whole] = options.bases // 2 + torch.randint(-100, 100, (options.whole,), generator=generator)
    alt = (codes[places] + torch.randint(1, 4, (options.variants,), generator=generator)) % 4
    device = options.device
    return network.to(device), base[codes].to(device), places.to(device), base[alt].to(device)


def local(
    network: ExpressionNetwork, reference: torch.Tensor, places: torch.Tensor, values: torch.Tensor, size: int
) -> Any:
    row = network.config.readout
    return mutagenesis(
        network.trunk,
        network.read,
        reference,
        places,
        values,
        rows=slice(row, row + 1),
        variants_per_pass=size,
    ).effect


def whole(
    network: ExpressionNetwork, reference: torch.Tensor, places: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """The prediction for each variant's sequence, a pass over the whole window each."""
    predictions = []
    for place, value in zip(places, values, strict=True):
        x = reference.clone()
        x[place] = value
        predictions.append(network(x[None]))
    return torch.cat(predictions).double().cpu()


def timed(options: argparse.Namespace, task: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = task()
    if options.device.startswith("cuda"):
        torch.cuda.synchronize()
    return result, time.perf_counter() - started


if __name__ == "__main__":
    main()
