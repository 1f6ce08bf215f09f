"""Personal sequences made per second from dosages, against spelling each person's bases in NumPy.

Random reference, variants and people (49,152 bases and 1,500 SNVs by default). Each number of threads runs in a process
of its own: batches in float32 and bfloat16, averaged (dosages) and as two haplotypes, with a shift and turned strand;
the naive way, base by base per person, is timed on a few people and must give the same. A window is one person's
sequence; of haplotypes, one of the two.

    python benchmarks/expr_sequences.py --out benchmarks/results/expr_sequences.json
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _measure import machine, run_measured
from varfx.expression.network.sequences import WindowSequences, WindowVariants

Window = tuple[torch.Tensor, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", type=int, default=49_152)
    parser.add_argument("--variants", type=int, default=1500)
    parser.add_argument("--people", type=int, default=512)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--naive-people", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    runs = []
    for threads in options.threads:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run.json"
            _, peak = run_measured(functools.partial(measure, options, threads, out))
            runs.append({**json.loads(out.read_text()), "peak_memory_bytes_of_process": peak})
    names = ("bases", "variants", "people", "batch")
    result = {
        "benchmark": "expr_sequences",
        "machine": machine(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device,
        **{name: getattr(options, name) for name in names},
        "runs": runs,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


def measure(options: argparse.Namespace, threads: int, out: Path) -> None:
    torch.set_num_threads(threads)
    window, dosages, haplotypes = simulate(options.bases, options.variants, options.people)
    started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rates: dict[str, dict[str, float]] = {}
    for name, genotypes, dtype in (
        ("averaged_float32", dosages, torch.float32),
        ("averaged_bfloat16", dosages, torch.bfloat16),
        ("haplotypes_float32", haplotypes, torch.float32),
    ):
        sequences = WindowSequences(WindowVariants(*window, "-"), genotypes, device=options.device, dtype=dtype)
        copies = 2 if genotypes.dim() == 3 else 1
        size = options.batch // copies
        batch = torch.randperm(options.people, generator=torch.Generator().manual_seed(0))
        batches = [rows for rows in batch.split(size) if rows.shape[0] == size]

        def encode(sequences: WindowSequences = sequences, batches: list[torch.Tensor] = batches) -> None:
            for rows in batches:
                sequences.encode(rows)

        rates[name] = rate(len(batches) * size * copies, encode, options.repeats, options.device)
    sequences = WindowSequences(WindowVariants(*window, "-"), dosages, device=options.device)
    generator = torch.Generator().manual_seed(0)

    def augmented() -> None:
        for rows in batches:
            sequences.encode(rows, generator, reverse_complement=True, shift=3)

    rates["augmented_float32"] = rate(len(batches) * size, augmented, options.repeats, options.device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    few = haplotypes[: options.naive_people].numpy()
    codes, offsets, _, alt = (part.numpy() for part in window)
    spelled: list[np.ndarray] = []

    def naive() -> None:
        spelled[:] = [spell(codes, offsets, alt, person) for person in few]

    rates["naive_numpy_float32"] = rate(few.shape[0], naive, 3, "cpu")
    same = sequences.encode(slice(0, few.shape[0])).cpu()
    assert torch.equal(same, torch.from_numpy(np.stack(spelled)))
    one = 4 * 4 * options.bases
    result = {
        "threads": threads,
        "load_average": os.getloadavg()[0],
        "windows_per_second": rates,
        "bytes": {"one_window_float32": one, "batch_float32": options.batch * one, "peak_above_start": peak - started},
    }
    out.write_text(json.dumps(result))


def simulate(num_bases: int, num_variants: int, num_people: int) -> tuple[Window, torch.Tensor, torch.Tensor]:
    """Reference, offsets, REF and ALT codes; dosages (person, variant) and haplotypes (person, 2, variant)."""
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 4, num_bases).astype(np.uint8)
    offsets = np.sort(rng.choice(num_bases, num_variants, replace=False))
    alt = (reference[offsets] + rng.integers(1, 4, num_variants).astype(np.uint8)) % 4
    frequency = rng.uniform(0.01, 0.5, num_variants)
    haplotypes = (rng.uniform(size=(num_people, 2, num_variants)) < frequency).astype(np.int8)
    window = tuple(map(torch.from_numpy, (reference, offsets, reference[offsets], alt)))
    return window, torch.from_numpy(haplotypes.sum(1, dtype=np.int8)), torch.from_numpy(haplotypes)


def spell(codes: np.ndarray, offsets: np.ndarray, alt: np.ndarray, haplotypes: np.ndarray) -> np.ndarray:
    """The mean of a person's two haplotypes, each written out and made one-hot, of the minus strand."""
    both = []
    for carried in haplotypes:
        bases = codes.copy()
        bases[offsets[carried == 1]] = alt[carried == 1]
        both.append(np.eye(4, dtype=np.float32)[3 - bases[::-1]])
    return np.asarray((both[0] + both[1]) / 2)


def rate(windows: int, task: Callable[[], Any], repeats: int, device: str) -> dict[str, float]:
    """Windows per second of some runs after one more: the median, the best, and the best per second of processor.

    The last is what other work on the same cores changes least.
    """
    seconds, processor = [], []
    for _ in range(repeats + 1):
        synchronise(device)
        started, started_processor = time.perf_counter(), time.process_time()
        task()
        synchronise(device)
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - started_processor)
    return {
        "median": windows / statistics.median(seconds[1:]),
        "best": windows / min(seconds[1:]),
        "best_per_processor_second": windows / min(processor[1:]),
    }


def synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
