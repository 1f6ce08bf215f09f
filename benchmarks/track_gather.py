"""Windows of tracks gathered per second: cut out on the device, against materialised on the host and moved.

Builds a store of random tracks on part of chromosome 22 (codes in runs, as signals have them), then times, for one window
of variants: reading its stretch, moving it, gathering all variants in micro-batches, and the whole; and, for the same
variants, making `variant x track x base` as float32 with NumPy and moving that. Peak memory is of the process.

    python benchmarks/track_gather.py --tracks 165 --bases 3000000 --variants 10000 --device cuda --out gather.json
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

from _measure import machine
from varfx.genome.builds import LENGTHS
from varfx.tracks.gather import TrackGather
from varfx.tracks.store import CHUNK, SHARD, STORE, TrackStore, array_name, open_tracks

START = 20_000_000
RUN = 20  # bases with the same value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=165)
    parser.add_argument("--bases", type=int, default=3_000_000)
    parser.add_argument("--variants", type=int, default=10_000)
    parser.add_argument("--host-variants", type=int, default=500, help="how many the host materialises")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = random_store(Path(folder) / "T.tracks.zarr", options.tracks, options.bases)
        result = measure(store, options)
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


def random_store(path: Path, num_tracks: int, bases: int, *, start: int = START) -> TrackStore:
    rng = np.random.default_rng(0)
    length = LENGTHS["hg19"]["22"]
    zarr.create_group(path)
    rows, arrays = [], []
    for track in range(num_tracks):
        codes = np.repeat(np.minimum(rng.gamma(0.3, 30, bases // RUN + 1), 254).astype(np.uint8), RUN)[:bases]
        folder = path / array_name(track, "22")
        folder.parent.mkdir(parents=True, exist_ok=True)
        array = zarr.create_array(
            folder,
            shape=(length,),
            chunks=(CHUNK,),
            shards=(SHARD,),
            dtype=np.uint8,
            fill_value=0,
            serializer=BytesCodec(),
            compressors=(ZstdCodec(level=3), Crc32cCodec()),
        )
        array[start : start + bases] = codes
        options = {"assay": "", "kind": "bigwig", "transform": "none", "missing": "zero", "store": "uint8"}
        numbers = {"mean": 9.0, "sd": 16.0, "low": 0.0, "high": 254.0, "zero": 0.0, "max_error": 0.5, "covered": bases}
        rows.append({"name": f"track {track}", **options, **numbers})
        arrays.append({"track": track, "chrom": "22", "offset": 0.0, "scale": 1.0, "max_error": 0.5, "covered": bases})
    STORE.finish(path, pl.DataFrame(rows), pl.DataFrame(arrays), {"build": "hg19"})
    return open_tracks(path)


def measure(store: TrackStore, options: argparse.Namespace) -> dict[str, Any]:
    device = torch.device(options.device)
    rng = np.random.default_rng(1)
    inside = START + options.width, START + options.bases - options.width
    positions = np.sort(rng.integers(*inside, options.variants))
    gather = TrackGather(store, width=options.width, device=device)
    begun = peak_memory()

    def gathered() -> None:
        for _, x in window.batches(options.batch):
            del x

    read = timed(lambda: store.block("22", int(positions[0]), int(positions[-1])), options.repeats, device)
    load = timed(lambda: gather.load("22", positions), options.repeats, device)
    window = gather.load("22", positions)
    cut = timed(gathered, options.repeats, device)
    averaged = timed(window.average, 1, device)
    loaded = peak_memory()

    few = positions[: options.host_variants]
    block = store.block("22", int(positions[0]) - options.width, int(positions[-1]) + options.width)
    index = (few - 1 - options.width // 2 - block.start)[:, None] + np.arange(options.width)

    def materialised() -> None:
        x = (block.codes[:, index].transpose(1, 0, 2).astype(np.float32) - 9.0) / np.float32(16.0)
        torch.from_numpy(np.ascontiguousarray(x)).to(device)

    host = timed(materialised, options.repeats, device)
    per_window = options.tracks * options.width
    return {
        "benchmark": "track_gather",
        "machine": machine(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "tracks": options.tracks,
        "bases": options.bases,
        "variants": options.variants,
        "width": options.width,
        "batch": options.batch,
        "seconds": {"read": read, "read_and_move": load, "gather": cut, "average": averaged},
        "windows_per_second": {
            "gathered_on_device": options.variants / cut,
            "with_reading": options.variants / (load + cut),
            "materialised_on_host": few.size / host,
        },
        "gathered_values_per_second": options.variants * per_window / cut,
        "bytes": {
            "block": gather.host_bytes(int(positions[-1] - positions[0]) + 1),
            "variant_x_track_x_base_float32": 4 * options.variants * per_window,
            "peak_before_loading": begun,
            "peak_after_gathering": loaded,
        },
    }


def timed(task: Callable[[], object], repeats: int, device: torch.device) -> float:
    """The median of some runs, in seconds; the device is idle before and after."""
    seconds = []
    for _ in range(repeats):
        synchronise(device)
        started = time.perf_counter()
        task()
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
