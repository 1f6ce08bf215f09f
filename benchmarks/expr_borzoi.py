"""A small Borzoi on simulated coverage: does it recover exon totals across individuals that it has not seen?

One gene of 256 bases, 400 individuals; one SNV inside a motif explains half of the variance of log expression, seven others none.
Coverage of two exons follows expression, Poisson in stretches of 32 bases. With heritability 0.5 no prediction from genotypes can
correlate more than 0.71 with log expression.

    python benchmarks/expr_borzoi.py --out benchmarks/results/expr_borzoi.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from _measure import machine
from cases.coverage import write_coverage, write_gtf
from cases.motif import motif_cohort
from varfx.expression.cohort.store import open_cohort
from varfx.expression.network.config import FitConfig
from varfx.expression.network.fit import fit_network
from varfx.expression.network.target import TargetConfig
from varfx.models.expression_config import ExpressionNetworkConfig
from varfx.training.people.config import ExpressionTrainConfig

NETWORK = ExpressionNetworkConfig(
    model="borzoi", window=256, width=24, depth=1, num_downsamples=5, dropout=0, attention_dropout=0,
    position_dropout=0, norm="running",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--difference-weights", type=float, nargs="+", default=[1.0, 0.0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = []
    for seed, weight in itertools.product(options.seeds, options.difference_weights):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(measured(Path(folder), options.people, options.epochs, seed, weight))
        print(runs[-1])
    result = {"machine": machine(), "runs": runs}
    text = json.dumps(result, indent=1) + "\n"
    print(text)
    if options.out is not None:
        options.out.write_text(text)


def measured(folder: Path, people: int, epochs: int, seed: int, weight: float) -> dict[str, Any]:
    """Scores of the test individuals, and processor seconds of the fit."""
    case = motif_cohort(folder, window=256, seed=seed, people=people, num_variants=8, distance=-60)
    table = write_coverage(folder / "coverage", case.path, effect=0.5)
    exons = write_gtf(folder / "genes.gtf", open_cohort(case.path))
    training = ExpressionTrainConfig(epochs=epochs, learning_rate=3e-3, batch=8, micro_batch=8, max_gradient_norm=1.0)
    target = TargetConfig(target="coverage", coverage=table, exons=exons, total_weight=1.0, difference_weight=weight)
    began = time.process_time()
    run = fit_network(case.path, folder / "RUN", FitConfig(network=NETWORK, training=training, target=target))
    seconds = time.process_time() - began
    (scores,) = run.record["coverage"]
    names = ("individuals", "total_pcc", "cov_pcc", "bin_r2", "profile_pcc")
    return {
        "people": people,
        "epochs": epochs,
        "seed": seed,
        "difference_weight": weight,
        "processor_seconds": round(seconds, 1),
        "best_epoch": run.record["outcomes"][0]["best_epoch"],
        "test": {name: scores[name] for name in names},
    }


if __name__ == "__main__":
    main()
