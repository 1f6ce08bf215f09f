"""Fine-mapping: calibration and power on simulated loci of real LD, and time per locus beside pysusie.

    python benchmarks/finemapping.py calibration --data ../shared/data --out benchmarks/results/finemapping.json
    python benchmarks/finemapping.py lowest-bin --data ../shared/data --out benchmarks/results/finemapping.json
    python benchmarks/finemapping.py speed --out benchmarks/results/finemapping.json
    python benchmarks/finemapping.py lockstep --device cpu --out benchmarks/results/finemapping.json
    python benchmarks/finemapping.py golden --data ../shared/data --out benchmarks/results/finemapping.json

Each part is kept in the same file under its name. Calibration: windows of common variants of 489 European 1000 Genomes individuals, their
own LD, one to three causal variants drawn with the prior's probabilities, a polygenic background, and z from the model. Lowest bin: one
causal variant and no background, where the exact posterior is known. Speed: both tools in one process, processor seconds, the better of
two runs. Lockstep: loci one by one on the CPU beside the same in step on a device, wall seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from _measure import machine
from quality_control import genotypes
from varfx.finemap import Noise, Susie, susie
from varfx.finemap.fit import Steps
from varfx.finemap.locus_ld import with_unit_diagonal
from varfx.finemap.single_effect import single_effect
from varfx.ld.whiten import factors_from_correlation

N = 50_000
MOST = 220
CAUSAL_SD, BACKGROUND = 6.0, 0.03
EDGES = (0.0, 0.01, 0.05, 0.2, 0.5, 0.9, 1.0)


def loci(data: Path, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """LD matrices."""
    found = []
    for chrom in range(1, 23):
        X, position = genotypes(data, chrom)
        for start in range(20_000_000, 20_950_000, 95_000):
            columns = np.flatnonzero((position >= start) & (position < start + 250_000))
            if columns.size >= 100:
                columns = np.sort(rng.choice(columns, min(columns.size, MOST), replace=False))
                found.append(np.corrcoef(X[:, columns].T))
    order = rng.permutation(len(found))[:count]
    return [found[i] for i in order]


def calibration(data: Path, count: int, seed: int) -> dict[str, object]:
    """Coverage, calibration of inclusion probabilities, and power, per prior."""
    rng = np.random.default_rng(seed)
    kept: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    sets: dict[str, list[tuple[bool, int]]] = {}
    kappas, effects = [], []
    for R in loci(data, count, rng):
        R, z, b, truth, Nf = _locus(R, rng)
        effects.append(np.abs(b))
        fits = {
            "uniform": susie(z, R, N),
            "weights f": susie(z, R, N, prior_weights=Nf),
            "weights f, learned background": susie(z, R, N, prior_weights=Nf, noise=Noise(background=Nf)),
        }
        kappas.append(fits["weights f, learned background"].kappa)
        for name, fit in fits.items():
            kept.setdefault(name, []).append((fit.pip, truth))
            sets.setdefault(name, []).extend((bool(truth[one.variants].any()), len(one)) for one in fit.sets)
    return {
        "loci": count,
        "causal": int(sum(truth.sum() for _, truth in kept["uniform"])),
        "kappa_median": float(np.median(kappas)),
        "kappa_expected": BACKGROUND * MOST / (2 * CAUSAL_SD**2 + MOST * BACKGROUND),
        "priors": {name: {**_summary(kept[name], sets[name]), **_noticeable(kept[name], effects)} for name in kept},
    }


def lowest_bin(data: Path, count: int, seed: int) -> dict[str, object]:
    """Why causal variants are more common below a PIP of 0.01 than these say: exactly one causal variant per locus, no background.

    The exact posterior knows that there is one, and the variance of its effect. SuSiE's estimate of that variance is 0 where the locus
    shows nothing, and the causal variant then has no probability at all.
    """
    rng = np.random.default_rng(seed)
    kept: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    dropped = []
    for R in loci(data, count, rng):
        lam, root = np.linalg.eigh(R)
        for _ in range(5):
            truth = np.zeros(len(R), dtype=bool)
            truth[rng.integers(len(R))] = True
            b = CAUSAL_SD * rng.standard_normal()
            z = R[truth][0] * b + root @ (np.sqrt(np.maximum(lam, 0)) * rng.standard_normal(len(R)))
            exact = single_effect(z, np.ones(1), np.full(len(R), -np.log(len(R))), V=CAUSAL_SD**2)
            kept.setdefault("exact", []).append((exact.alpha, truth))
            fit = susie(z, R, N)
            kept.setdefault("SuSiE", []).append((fit.pip, truth))
            found = bool((fit.V > 0).any())
            dropped.append(not found)
            if found:
                kept.setdefault("SuSiE where it finds an effect", []).append((fit.pip, truth))
    return {
        "loci": len(dropped),
        "without_an_effect": int(sum(dropped)),
        "calibration": {
            name: _bins(*(np.concatenate(part) for part in zip(*rows, strict=True))) for name, rows in kept.items()
        },
    }


def external(data: Path, seed: int) -> dict[str, object]:
    """The same with LD of other individuals: associations of one half, a panel (rule 0.95) of the other half's 244."""
    rng = np.random.default_rng(seed)
    kept: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    sets: dict[str, list[tuple[bool, int]]] = {}
    corrected = {"reference_size": 244, "mismatch": True}
    for chrom in range(1, 23):
        X, position = genotypes(data, chrom)
        for start in (20_050_000, 20_300_000, 20_600_000):
            columns = np.flatnonzero((position >= start) & (position < start + 250_000))
            if columns.size < 100:
                continue
            window = X[:, np.sort(rng.choice(columns, min(columns.size, 150), replace=False))]
            A, B = np.array_split(window[rng.permutation(len(window))], 2)
            if (A.std(0) == 0).any() or (B.std(0) == 0).any():
                continue
            R, z, _, truth, Nf = _locus(np.corrcoef(A.T), rng)
            factors = factors_from_correlation(np.corrcoef(B.T), np.zeros((len(R), 0)), rank_variance=0.95)
            ld = with_unit_diagonal(factors.V * np.sqrt(factors.lam))
            for name, noise in {
                "nothing": Noise(),
                "learned background": Noise(background=Nf),
                "finite reference, mismatch": Noise(**corrected),
                "finite reference, mismatch, learned background": Noise(background=Nf, **corrected),
            }.items():
                fit = susie(z, ld, N, prior_weights=Nf, noise=noise)
                kept.setdefault(name, []).append((fit.pip, truth))
                sets.setdefault(name, []).extend((bool(truth[one.variants].any()), len(one)) for one in fit.sets)
    return {name: {"loci": len(kept[name]), **_summary(kept[name], sets[name])} for name in kept}


def _locus(R: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """LD, associations, effects, which variants are causal, and N f."""
    size = len(R)
    share = np.where(rng.random(size) < 0.1, 10.0, 1.0)
    number = rng.integers(1, 4)
    causal = rng.choice(size, number, replace=False, p=share / share.sum())
    signal = 2 * CAUSAL_SD**2 + size * BACKGROUND  # expected sum of squares, of which N f is the share of each variant
    b = rng.standard_normal(size) * np.sqrt(BACKGROUND * share / share.mean())
    b[causal] += CAUSAL_SD * rng.standard_normal(number)
    lam, V = np.linalg.eigh(R)
    z = R @ b + V @ (np.sqrt(np.maximum(lam, 0)) * rng.standard_normal(size))
    truth = np.zeros(size, dtype=bool)
    truth[causal] = True
    return R, z, b, truth, signal * share / share.sum()


def _summary(kept: list[tuple[np.ndarray, np.ndarray]], sets: list[tuple[bool, int]]) -> dict[str, object]:
    pip, truth = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    bins = _bins(pip, truth)
    order = np.argsort(-pip, kind="stable")
    hits = truth[order].cumsum() / np.arange(1, pip.size + 1)
    covered = [one for one, _ in sets]
    return {
        "sum_of_pips": float(pip.sum()),
        "sets": len(sets),
        "coverage": float(np.mean(covered)),
        "coverage_se": float(np.std(covered) / np.sqrt(len(covered))),
        "median_size": float(np.median([size for _, size in sets])),
        "found_pip_above_0.5": int((truth & (pip > 0.5)).sum()),
        "false_pip_above_0.5": int((~truth & (pip > 0.5)).sum()),
        "average_precision": float((hits * truth[order]).sum() / truth.sum()),
        "bins": bins,
    }


def _noticeable(kept: list[tuple[np.ndarray, np.ndarray]], effects: list[np.ndarray]) -> dict[str, object]:
    """Causal variants of the lowest bin by the size of their effect (in its own standard errors), and the bins without the smallest effects."""
    pip, truth = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    size = np.concatenate(effects)
    missed = np.sort(size[truth & (pip <= EDGES[1])])
    return {
        "lowest_bin": {
            "causal": int(missed.size),
            "expected": float(pip[pip <= EDGES[1]].sum()),
            "effect_quartiles": np.quantile(missed, (0.25, 0.5, 0.75)).tolist(),
            **{f"effect_below_{limit}": int((missed < limit).sum()) for limit in (1, 2, 3)},
        },
        "bins_without_effects_below_3": _bins(pip, truth & (size >= 3)),
    }


def _bins(pip: np.ndarray, truth: np.ndarray) -> list[dict[str, object]]:
    """Mean PIP and share of causal variants per bin, and their difference in standard errors."""
    bins: list[dict[str, object]] = []
    for low, high in pairwise(EDGES):
        inside = (pip > low) & (pip <= high) if low else pip <= high
        if inside.any():
            mean, share = float(pip[inside].mean()), float(truth[inside].mean())
            error = float(np.sqrt((pip[inside] * (1 - pip[inside])).sum())) / int(inside.sum())
            bins.append(
                {
                    "bin": [low, high],
                    "n": int(inside.sum()),
                    "mean_pip": mean,
                    "causal": share,
                    "z": (share - mean) / max(error, 1e-9),
                }
            )
    return bins


def speed(sizes: tuple[int, ...]) -> dict[str, object]:
    """Processor seconds of both tools on the same arrays, and the largest difference of their inclusion probabilities."""
    import pysusie

    rows = []
    for size in sizes:
        z, R = _large(size, 1)
        ours, seconds = _timed(lambda z=z, R=R: susie(z, R, N))
        theirs, their_seconds = _timed(lambda z=z, R=R: pysusie.susie_rss(z=z, R=R, n=N), 1 if size > 2000 else 2)
        assert isinstance(ours, Susie)
        rows.append(
            {
                "variants": size,
                "seconds": seconds,
                "pysusie_seconds": their_seconds,
                "times_faster": their_seconds / seconds,
                "largest_pip_difference": float(np.abs(ours.pip - theirs["pip"]).max()),
                "sets": [len(one) for one in ours.sets],
            }
        )
    return {"rows": rows, "machine": machine(), "pysusie": "0.1.0"}


def _large(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Associations and LD of a locus of many variants, with three effects."""
    rng = np.random.default_rng(seed)
    people = 1000
    rho = rng.uniform(0.9, 0.995, size)
    noise = rng.standard_normal((2 * people, size))
    for column in range(1, size):
        noise[:, column] = rho[column] * noise[:, column - 1] + np.sqrt(1 - rho[column] ** 2) * noise[:, column]
    alleles = noise > rng.uniform(-1, 1, size)
    X = alleles[:people].astype(float) + alleles[people:]
    X = (X - X.mean(0)) / X.std(0)
    b = np.zeros(size)
    b[rng.choice(size, 3, replace=False)] = [9.0, -8.0, 7.0]
    z = X.T @ (X @ b / people + rng.standard_normal(people) / np.sqrt(people))
    return np.asarray(z), np.asarray(X.T @ X / people)


def lockstep(shapes: tuple[tuple[int, int], ...], device: str) -> dict[str, object]:
    """Wall seconds of loci one by one on the CPU and in step on a device, and the largest difference of a PIP."""
    import torch

    from varfx.finemap.ld_matrix import DenseLD
    from varfx.finemap.lockstep import together
    from varfx.finemap.susie import alone, susie_steps

    rows = []
    for count, size in shapes:
        cases = [_large(size, seed) for seed in range(min(count, 4))]
        cases = [(z, DenseLD(R)) for z, R in (cases[number % len(cases)] for number in range(count))]
        for name, noise in (("plain", Noise()), ("mismatch", Noise(reference_size=1000, mismatch=True))):
            if name == "mismatch" and size > 2000:
                continue  # its eigenvectors take longer than its fit

            def steps(number: int, noise: Noise = noise, cases: list[tuple[np.ndarray, DenseLD]] = cases) -> Steps:
                return susie_steps(cases[number][0], cases[number][1], N, noise=noise)

            began = time.perf_counter()
            single = [alone(steps(number)) for number in range(count)]
            one_by_one = time.perf_counter() - began
            together([steps(0)], torch.device(device))
            began = time.perf_counter()
            batch = together([steps(number) for number in range(count)], torch.device(device))
            in_step = time.perf_counter() - began
            pairs = list(zip(single, batch, strict=True))
            rows.append(
                {
                    "loci": count,
                    "variants": size,
                    "noise": name,
                    "seconds_one_by_one": one_by_one,
                    "seconds_in_step": in_step,
                    "largest_pip_difference": max(float(np.abs(a.pip - b.pip).max()) for a, b in pairs),
                    "equal_sweeps": all(a.sweeps == b.sweeps for a, b in pairs),
                }
            )
    where = torch.cuda.get_device_name(0) if device.startswith("cuda") else "CPU"
    return {"device": where, "rows": rows, "machine": machine()}


def _timed(task: Callable[[], object], runs: int = 2) -> tuple[object, float]:
    best, result = np.inf, None
    for _ in range(runs):
        began = time.process_time()
        result = task()
        best = min(best, time.process_time() - began)
    return result, float(best)


def golden(data: Path) -> dict[str, object]:
    """susieR's numbers on its own example; the tests compare them digit by digit."""
    with np.load(data / "finemapping" / "N3finemapping.npz") as file:
        X, y = file["X"], file["Y"][:, 0]
    n = len(X)
    X, y = (X - X.mean(0)) / X.std(0, ddof=1), y - y.mean()
    slope = X.T @ y / (n - 1)
    z = slope / np.sqrt((y @ y - slope**2 * (n - 1)) / (n - 2) / (n - 1))
    fit = susie(z, np.corrcoef(X.T), n)
    return {
        "V": fit.V[:3].tolist(),
        "log_bf": fit.log_bf[:3].tolist(),
        "elbo": fit.elbo,
        "pip_653_773_777": fit.pip[[652, 772, 776]].tolist(),
        "purity": [one.purity for one in fit.sets],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=("calibration", "external", "lowest-bin", "speed", "lockstep", "golden"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--loci", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="of lockstep")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[], dict[str, object]]] = {
        "calibration": lambda: calibration(arguments.data, arguments.loci, arguments.seed),
        "external": lambda: external(arguments.data, arguments.seed),
        "lowest-bin": lambda: lowest_bin(arguments.data, arguments.loci, arguments.seed),
        "speed": lambda: speed((1000, 5000)),
        "lockstep": lambda: lockstep(((16, 1000), (8, 3000)), arguments.device),
        "golden": lambda: golden(arguments.data),
    }
    measured = parts[arguments.part]()
    kept = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    name = f"lockstep {arguments.device}" if arguments.part == "lockstep" else arguments.part
    arguments.out.write_text(json.dumps({**kept, name: measured}, indent=1) + "\n")


if __name__ == "__main__":
    main()
