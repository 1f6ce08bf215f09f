"""Processor seconds per gene of `expr fit`, `expr variants` and `expr predict`, of an earlier version and of this one in turn.

Two processes, one per version, do the same work on one simulated cohort by turns (one thread each), so that what else the machine does
touches both alike. Seconds are those of the process (all threads, without imports), the median over the rounds; the largest difference
of the results stands beside them.

    git worktree add /tmp/before v0.1
    python benchmarks/expr_speed.py --before /tmp/before/src --out benchmarks/results/expr_speed.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WORKS = ("fit", "variants", "variants, large passes", "predict")
WINDOW, PEOPLE, GENES, VARIANTS = 4_096, 24, 3, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="the folder src of the earlier version")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--work", type=Path, help="existing folder for the cohort and the runs")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        serve(options.work, options.child)
        return
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        result = compared(options.before, Path(folder), options.rounds)
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if options.out is not None:
        options.out.write_text(text)


def compared(before: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Both versions by turns; the one that begins alternates."""
    import numpy as np

    from _measure import machine

    children = {name: child(src, folder, name) for name, src in (("before", before), ("after", ROOT / "src"))}
    for name in children:
        ask(children[name], "prepare")
    seconds: dict[str, dict[str, list[float]]] = {work: {name: [] for name in children} for work in WORKS}
    differences = dict.fromkeys(WORKS, 0.0)
    for number in range(rounds):
        for work in WORKS:
            names = list(children)[:: 1 if number % 2 == 0 else -1]
            found = {name: ask(children[name], work) for name in names}
            for name in names:
                seconds[work][name].append(found[name]["seconds"])
            one, other = (np.array(found[name]["values"]) for name in children)
            differences[work] = max(differences[work], float(np.abs(one - other).max()))
    for process in children.values():
        process.communicate()
    return {
        "benchmark": "expr_speed",
        "machine": machine(),
        "torch": version("torch"),
        "cohort": {"bases": WINDOW, "individuals": PEOPLE, "genes": GENES, "rounds": rounds, "threads": 1},
        "processor_seconds_per_gene": {
            work: {name: round(statistics.median(values) / GENES, 4) for name, values in by_name.items()}
            for work, by_name in seconds.items()
        },
        "largest_difference": differences,
    }


def child(src: Path, folder: Path, name: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join(str(path) for path in (src, ROOT / "tests"))
    return subprocess.Popen(
        [sys.executable, __file__, "--before", str(src), "--work", str(folder), "--child", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )


def ask(process: subprocess.Popen[str], work: str) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(work + "\n")
    process.stdin.flush()
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def serve(folder: Path, name: str) -> None:
    """Does what it is asked for, and says how long it took."""
    place = folder / name
    place.mkdir()
    works: dict[str, Callable[[int], list[float]]] = {
        "prepare": lambda number: prepare(place),
        "fit": lambda number: fit(place, f"RUN{number}"),
        "variants": lambda number: variants(place),
        "variants, large passes": lambda number: variants(place, variants_per_pass=64, genes_per_pass=GENES),
        "predict": lambda number: predict(place),
    }
    for number, line in enumerate(sys.stdin):
        started = time.process_time()
        values = works[line.strip()](number)
        print(json.dumps({"seconds": time.process_time() - started, "values": values}), flush=True)


def prepare(place: Path) -> list[float]:
    """The cohort, and a run for variants and predictions; loads all modules."""
    from cases.cohort import small_cohort

    small_cohort(
        place, window=WINDOW, people=PEOPLE, genes=GENES, variants_per_gene=VARIANTS, heldout_fraction=0, missing=0.02
    )
    fit(place, "RUN")
    return []


def fit(place: Path, name: str) -> list[float]:
    from varfx.expression.network.config import FitConfig
    from varfx.expression.network.fit import fit_network
    from varfx.models.expression_config import ExpressionNetworkConfig
    from varfx.training.people.config import ExpressionTrainConfig

    network = ExpressionNetworkConfig(window=WINDOW, width=48, depth=2, norm="running")
    training = ExpressionTrainConfig(epochs=1, learning_rate=1e-3, micro_batch=8, device="cpu")
    run = fit_network(place / "cohort", place / name, FitConfig(network=network, training=training))
    return list(run.predictions["prediction"])


def variants(place: Path, **options: int) -> list[float]:
    from varfx.expression.variants.config import VariantConfig
    from varfx.expression.variants.score import score_variants

    known = {name: value for name, value in options.items() if name in VariantConfig.__dataclass_fields__}
    return list(score_variants(place / "RUN", VariantConfig(device="cpu", **known)).table["ism"])


def predict(place: Path) -> list[float]:
    from varfx.expression.transfer.config import TransferConfig
    from varfx.expression.transfer.predict import predict_elsewhere

    found = predict_elsewhere(place / "RUN", [place / "cohort"], TransferConfig(device="cpu"))
    return list(found.table["prediction"])


if __name__ == "__main__":
    main()
