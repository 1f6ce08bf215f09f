"""Accuracy of polygenic scores where an annotation matters: normal fit and mixture weights, mixture fit and weights, the truth.

    python benchmarks/scores_mixture_fit.py --data ../shared/data --seeds 0,1,2 --minutes 7 --out benchmarks/results/scores_mixture_fit.json
    python benchmarks/scores_mixture_fit.py --table --out benchmarks/results/scores_mixture_fit.json

Traits and panels are those of `polygenic_scores.py`, with an annotation of a fifth of the variants that has five times the variance
per variant: of sparse traits by making effects five times as frequent. Every arm samples the same mixture; they differ in f and in the
chances of a sparse effect:

    normal fit    f by the Gaussian likelihood (a variance per group), chances by f
    mixture fit   both heads by the evidence lower bound, from the normal fit
    no annotation one f for all variants
    truth         the true ratio of variances and of chances
    coordinate_ascent  one slab, no annotation; the same within 0.01 as the authors' VIPRS in `polygenic_scores.py`

Calls add to the file, and do what it lacks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray

from _polygenic_material import Material, accuracy, gaussian_fit, material, simulated
from _polygenic_peers import coordinate_ascent
from _polygenic_table import Row, table
from varfx.io.workers import Workers
from varfx.models import ModelConfig, VariancePrior
from varfx.prior.effects.choose import trait_effects
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.pairs import Cores
from varfx.training import TraitData, WindowData
from varfx.training.gwas.mixture import start_mixture, total_bound

CELLS = ("sparse:20000", "sparse:50000", "tenth:50000", "tenth:400000", "infinitesimal:50000")
ARMS = ("no annotation", "normal fit", "mixture fit", "truth", "coordinate_ascent")
TIMES = 5.0  # variance of annotated variants over that of the others
STEPS, RATE = 40, 0.03
ONE = Workers(workers=1)


def both_heads(cores: Cores, group: ndarray, F: ndarray, sigma2: float) -> tuple[ndarray, ndarray, dict[str, float]]:
    """F and the chances of a sparse effect by the evidence lower bound, from the Gaussian fit; and what was learned."""
    panel = cores.panel
    model = VariancePrior(ModelConfig(kind="linear", link="exp", effects="mixture"), 1, 1).double()
    ratio = float(np.log(F[group == 1][0] / F[group == 0][0]))
    with torch.no_grad():
        model.scale.fill_(float(np.log(F[group == 0][0])))
        model.log_sigma2.fill_(float(np.log(sigma2)))
        next(model.network.parameters())[0, 0] = ratio
    data = WindowData(
        panel, [cores.trait], group[:, None].astype(float), np.full(group.size, 0.25), dtype=torch.float64
    )
    windows = list(range(len(panel.cores)))
    start_mixture(model, data, windows)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for window in windows:
            (-total_bound(model, data[window], torch.float64)[0]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        found, log_odds = model.both_heads(torch.tensor([[0.0], [1.0]]).double(), torch.full((2,), 0.25).double())
    assert model.mixture is not None
    learned = {
        "log_variance_ratio_normal": ratio,
        "log_variance_ratio": float((found[1] / found[0]).log()),
        "log_odds_ratio": float(log_odds[1] - log_odds[0]),
        "background": float(model.mixture.background.detach()[0]),
    }
    return found.numpy()[group, 0], log_odds.sigmoid().numpy()[group, 0], learned


def cell(m: Material, words: str, seed: int) -> dict[str, object]:
    """Accuracy of every arm, and processor seconds."""
    kind, N = words.split(":")
    size = float(N)
    beta, z, group = simulated(m, kind, size, True, seed)
    cores = Cores(m.panel, TraitData(name="t", z=z, n=np.full(z.size, size), n_ref=size))
    result: dict[str, object] = {"cell": words, "seed": seed, "causal": int((beta != 0).sum())}
    config = EffectsConfig(effects="mixture")

    def scored(name: str, F: ndarray, sigma2: float, inclusion: ndarray | None, began: float) -> None:
        found = trait_effects(cores, F / size, sigma2, config, inclusion=inclusion, where=ONE)
        seconds = round(time.process_time() - began, 2)
        exponent = found.record["hyperparameters"]["exponent"]
        result[name] = {"accuracy": accuracy(m, found.mean, beta), "seconds": seconds, "exponent": exponent}

    began = time.process_time()
    F, sigma2 = gaussian_fit(cores, np.zeros_like(group), size)
    scored("no annotation", F, sigma2, None, began)
    began = time.process_time()
    F, sigma2 = gaussian_fit(cores, group, size)
    scored("normal fit", F, sigma2, None, began)
    began = time.process_time()
    learned, chances, numbers = both_heads(cores, group, F, sigma2)
    result |= numbers
    scored("mixture fit", learned, sigma2, chances, began)
    began = time.process_time()
    rel = np.where(group == 1, TIMES, 1.0)
    scored("truth", rel * F.mean() / rel.mean(), sigma2, rel if kind != "infinitesimal" else None, began)
    began = time.process_time()
    found = accuracy(m, coordinate_ascent(m, z), beta)
    result["coordinate_ascent"] = {"accuracy": found, "seconds": round(time.process_time() - began, 2)}
    return result


def ratios(rows: Sequence[Row]) -> list[str]:
    """Means over replicates of the log ratios learned."""
    keys = ("log_variance_ratio_normal", "log_variance_ratio", "log_odds_ratio")
    return [f"{np.mean([float(each[key]) for each in rows]):.2f}" for key in keys]


def main() -> None:
    """Runs the missing cells, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--scratch", type=Path, default=Path("build"))
    parser.add_argument("--ld", choices=("polypred", "chr22"), default="polypred")
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--minutes", type=float, default=7.0, help="no cell begins later")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    kept = json.loads(options.out.read_text()) if options.out.exists() else {"cells": []}
    if options.table:
        print(table(kept["cells"], CELLS, ARMS, base="mixture fit", further=ratios))
        return
    began, m = time.monotonic(), material(options.ld, options.data, options.scratch)
    done = {(each["ld"], each["cell"], each["seed"]) for each in kept["cells"]}
    for seed, words in product(map(int, options.seeds.split(",")), options.cells.split(",")):
        if (options.ld, words, seed) in done or time.monotonic() - began > 60 * options.minutes:
            continue
        kept["cells"].append({"ld": options.ld, **cell(m, words, seed)})
        last = kept["cells"][-1]
        print(words, seed, {name: round(last[name]["accuracy"], 3) for name in ARMS}, flush=True)
        options.out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
