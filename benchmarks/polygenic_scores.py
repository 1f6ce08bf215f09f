"""Accuracy of polygenic scores on simulated traits with real LD: normal, mixture and auto weights beside two peers; time per window.

    python benchmarks/polygenic_scores.py --data ../shared/data --ld polypred --seeds 0,1 --minutes 8 --out benchmarks/results/polygenic_scores.json
    python benchmarks/polygenic_scores.py --window 2000:13000 --out benchmarks/results/polygenic_scores.json
    python benchmarks/polygenic_scores.py --table --out benchmarks/results/polygenic_scores.json

A trait's effects are drawn for 1 %, 10 % or all of the variants, or half of the variance for 1 % and half for all (mixed); with
`:annotated` a fifth of the variants has five times the variance per variant. z of N individuals follow, with the LD of the
reference. The prior is the Gaussian maximum likelihood of one variance (two with an annotation) and sigma2, as a run has it.
Accuracy: correlation of the score with the true genetic value in the reference. Calls add to the file, and do what it lacks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy import ndarray

from _polygenic_material import Material, accuracy, gaussian_fit, material, simulated
from _polygenic_peers import coordinate_ascent, prs_cs, viprs
from _polygenic_table import Row, table
from _polygenic_window import compile_sampler, window
from varfx.io.workers import Workers
from varfx.prior.effects.choose import SURE, trait_effects
from varfx.prior.effects.compare import HINT
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.pairs import Cores
from varfx.prior.posterior import posterior_means
from varfx.training import TraitData

KINDS = ("sparse", "tenth", "mixed", "infinitesimal")
CELLS = tuple(":".join(words) for words in product(KINDS, ("50000", "400000"), ("annotated", "plain")))
METHODS = ("normal", "mixture", "auto", "coordinate_ascent", "viprs", "prs_cs")
ONE = Workers(workers=1)


def cell(m: Material, words: str, seed: int, options: argparse.Namespace) -> dict[str, object]:
    """Accuracy of every method, and processor seconds."""
    kind, N, more = words.split(":")
    size = float(N)
    beta, z, group = simulated(m, kind, size, more == "annotated", seed)
    cores = Cores(m.panel, TraitData(name="t", z=z, n=np.full(z.size, size), n_ref=size))
    result: dict[str, object] = {"cell": words, "seed": seed, "variants": z.size, "max_z": float(np.abs(z).max())}

    def timed(name: str, effects: ndarray, began: float) -> float:
        found = accuracy(m, effects, beta)
        result[name] = {"accuracy": found, "seconds": round(time.process_time() - began, 2)}
        return found

    F, sigma2 = gaussian_fit(cores, group, size)
    result["sigma2"] = sigma2
    began = time.process_time()
    normal = timed("normal", posterior_means(m.panel, cores.trait, F / size, sigma2), began)
    began = time.process_time()
    found = trait_effects(cores, F / size, sigma2, EffectsConfig(effects="mixture"), where=ONE)
    mixture = timed("mixture", found.mean, began)
    record = found.record
    gain = record["evidence"]["mixture"] - record["evidence"]["normal"]
    likelier = gain > SURE * record["evidence_error"]["mixture"] and record["one_effect_gain"] >= HINT
    result["auto"] = {"accuracy": mixture if likelier else normal, "chosen": "mixture" if likelier else "normal"}
    result |= {key: record[key] for key in ("evidence_error", "one_effect_gain", "hyperparameters")}
    result |= {"gain": gain, "r_hat": max(each["r_hat"] for each in record["windows"])}
    began = time.process_time()
    timed("prs_cs", prs_cs(m, z, size, seed), began)
    began = time.process_time()
    timed("coordinate_ascent", coordinate_ascent(m, z), began)
    if options.viprs:
        timed("viprs", viprs(m, z, size, options.viprs, options.scratch), time.process_time())
    return result


def chosen(rows: Sequence[Row]) -> list[str]:
    """The number of replicates in which the mixture was chosen."""
    return [str(sum(each["auto"]["chosen"] == "mixture" for each in rows))]


def main() -> None:
    """Runs the missing cells, the window or the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--scratch", type=Path, default=Path("build"))
    parser.add_argument("--ld", choices=("polypred", "chr22"))
    parser.add_argument("--cells", default=",".join(CELLS), help="of " + " ".join(CELLS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--minutes", type=float, default=8.0, help="no cell begins later")
    parser.add_argument("--window", help="rank:variants, e.g. 2000:13000")
    parser.add_argument("--viprs", type=Path, help="Python of an environment with PyPI's viprs")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    kept = json.loads(options.out.read_text()) if options.out.exists() else {"cells": [], "windows": []}
    if options.window:
        found = window(*map(int, options.window.split(":")))
        kept["windows"] = [each for each in kept["windows"] if each["rank"] != found["rank"]] + [found]
        print(found)
    if options.ld:
        began, m = time.monotonic(), material(options.ld, options.data, options.scratch)
        compile_sampler()
        done = {(each["ld"], each["cell"], each["seed"]) for each in kept["cells"]}
        for seed, words in product(map(int, options.seeds.split(",")), options.cells.split(",")):
            if (options.ld, words, seed) in done or time.monotonic() - began > 60 * options.minutes:
                continue
            kept["cells"].append({"ld": options.ld, **cell(m, words, seed, options)})
            shown = {
                name: round(kept["cells"][-1][name]["accuracy"], 3) for name in METHODS if name in kept["cells"][-1]
            }
            print(words, seed, shown, flush=True)
            options.out.write_text(json.dumps(kept, indent=1) + "\n")
    options.out.write_text(json.dumps(kept, indent=1) + "\n")
    if options.table:
        print(table(kept["cells"], CELLS, METHODS, base="mixture", bare=("auto",), further=chosen))


if __name__ == "__main__":
    main()
