"""A dask scheduler with two workers of which one is killed in the middle: times, and results against a local run.

Windows of `ld build`, genes of `expr baseline` and pairs of cores of `prior weights` on simulated data: in this process,
on two local processes, on the cluster, and on the cluster with a worker killed after the first piece.

    python benchmarks/cluster.py --out benchmarks/output/cluster.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from _measure import machine
from varfx.expression.linear.config import BaselineConfig
from varfx.expression.linear.run import fit_baselines
from varfx.genotypes.open_ld import open_source
from varfx.io.workers import Workers
from varfx.ld import LDPanel, PanelConfig, build_panel
from varfx.prior import posterior
from varfx.progress import Progress, silent
from varfx.training import TraitData

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from cases.cluster import Killing, running_cluster  # the tests' cluster and data
from cases.cohort import small_cohort
from cases.simulated_panel import haplotypes, write_bed

CORE, PER_CORE, TOLERANCE = 100_000, 60, 1e-10
Task = Callable[[Workers, Path, Progress], list[np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cores", type=int, default=80, help="windows of the panel")
    parser.add_argument("--genes", type=int, default=60)
    parser.add_argument("--individuals", type=int, default=200)
    options = parser.parse_args()
    posterior.CORES_PER_PIECE = 2  # many pieces of a small panel
    with tempfile.TemporaryDirectory() as name, running_cluster(Path(name) / "dask") as (_, address):
        folder = Path(name)
        result = {
            "machine": machine(),
            "sizes": {key: value for key, value in vars(options).items() if key != "out"},
            "commands": {key: measured(task, folder / key, address) for key, task in tasks(options, folder).items()},
        }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def tasks(options: argparse.Namespace, folder: Path) -> dict[str, Task]:
    """The commands, each as a function of workers, output and progress that returns its numbers."""
    rng = np.random.default_rng(0)
    counts = haplotypes(rng, options.individuals, options.cores * PER_CORE)
    step = CORE // PER_CORE
    write_bed(folder / "ref", counts, ["1"] * counts.shape[1], np.arange(counts.shape[1]) * step + step // 2)
    source = open_source([folder / "ref.bed"], maf=0.0)
    config = PanelConfig(core=CORE, flank=CORE, rank_variance=0.95)

    def panel(where: Workers, out: Path, progress: Progress) -> list[np.ndarray]:
        built: LDPanel = build_panel(source, out, config, **vars(where), progress=progress)
        return [built.window(index).factors.B for index in range(options.cores)]

    reference = build_panel(source, folder / "reference.ld.zarr", config, workers=1)
    size = reference.variants.height
    trait = TraitData(name="trait", z=rng.standard_normal(size), n=np.full(size, 1e4), n_ref=1e4)
    f = rng.gamma(1.0, 1e-4, size)

    def weights(where: Workers, out: Path, progress: Progress) -> list[np.ndarray]:
        return [posterior.posterior_means(reference, trait, f, 1.1, where=where, folder=out.parent, progress=progress)]

    cohort = small_cohort(folder, people=options.individuals, genes=options.genes)
    models = BaselineConfig(models=("ridge", "blup", "top1"), folds=(0,))

    def baseline(where: Workers, out: Path, progress: Progress) -> list[np.ndarray]:
        run = fit_baselines(cohort, out, models, **vars(where), progress=progress)
        return [run.predictions["prediction"].to_numpy()]

    return {"ld build": panel, "expr baseline": baseline, "prior weights": weights}


def measured(task: Task, folder: Path, address: str) -> dict[str, Any]:
    """Seconds of each way to compute, and the largest difference from one process."""
    folder.mkdir()
    begin = time.perf_counter()
    expected = task(Workers(workers=1), folder / "one", silent)
    found: dict[str, Any] = {"one process": {"seconds": round(time.perf_counter() - begin, 2)}}
    ways: dict[str, tuple[Workers, Progress]] = {
        "two processes": (Workers(workers=2), silent),
        "cluster": (Workers(scheduler=address), silent),
        "cluster, one worker killed": (Workers(scheduler=address), Killing(address)),
    }
    for number, (name, (where, progress)) in enumerate(ways.items()):
        begin = time.perf_counter()
        values = task(where, folder / str(number), progress)
        found[name] = {
            "seconds": round(time.perf_counter() - begin, 2),
            "largest_difference": max(float(np.nanmax(np.abs(a - b))) for a, b in zip(expected, values, strict=True)),
        }
        if isinstance(progress, Killing):
            found[name]["pieces_left_at_the_kill"] = progress.left
        assert found[name]["largest_difference"] < TOLERANCE, (name, found[name])
    return found


if __name__ == "__main__":
    main()
