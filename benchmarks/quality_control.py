"""Which statistic notices which mismatch of associations and LD, and how often windows are marked.

    python benchmarks/quality_control.py --data ../shared/data --out benchmarks/results/quality_control.json

On windows of at most 150 common variants of 489 European 1000 Genomes individuals (`gwas/polypred`). Each window's associations are drawn
from a sparse and a polygenic signal; then either they or the LD are disturbed. Reports the area under the ROC curve of each statistic
against matched windows, and the marks of `varfx.qc.judge`. `strong` has matched windows alone, with one to four effects of 15 to 60
standard errors, at three rank rules: none may fail. No two of the effects are in LD of |r| above 0.5, but for `hidden`: two effects
anywhere, of which some hide each other.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from bed_reader import open_bed

from varfx.finemap.ld_matrix import DenseLD
from varfx.finemap.mismatch import low_direction_share
from varfx.ld.whiten import factors_from_correlation
from varfx.qc import check_variants, check_window, directions_of, judge

STARTS = range(20_000_000, 20_950_000, 250_000)
MOST, FEWEST, MAF = 150, 100, 0.05


def genotypes(data: Path, chrom: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised genotypes of common variants, and their positions."""
    bed = open_bed(data / f"gwas/polypred/1000G.subset.{chrom}.bed", num_threads=1)
    G = bed.read(dtype="float64")
    G = np.where(np.isnan(G), np.nanmean(G, 0), G)
    p = G.mean(0) / 2
    kept = (np.minimum(p, 1 - p) >= MAF) & (G.std(0) > 0)
    G = G[:, kept]
    return (G - G.mean(0)) / G.std(0), bed.bp_position[kept]


def statistics(z: np.ndarray, R: np.ndarray, rank_variance: float) -> dict[str, float]:
    """All statistics of one window; larger is worse."""
    factors = factors_from_correlation(R, R, rank_variance=rank_variance)
    directions = directions_of(factors.lam, factors.V, np.arange(z.size), factors.square_norm)
    check = check_window(z, directions)
    U = factors.V * np.sqrt(factors.lam)
    variants = check_variants(z, U, np.maximum(0.0, 1 - np.square(U).sum(1)), check.s)
    linked = np.isfinite(variants.dentist).sum()
    verdict = judge(check, variants)
    return {
        "estimate_s": check.s,
        "flip_count": int(variants.flipped.sum()),
        "max_kriging_z": float(np.abs(variants.kriging).max()),
        "dentist_share": variants.outlier.sum() / max(1, linked),
        "variance_lr": check.variance_lr,
        "sigma2": check.sigma2,
        "Q_art": low_direction_share(z, DenseLD(R).factored()),
        "energy": -np.log10(max(check.energy_p, 1e-300)),
        "energy_ratio": check.energy_ratio,
        "max_flip_lr": float(variants.flip_lr[np.abs(z) > 2].max(initial=-9.0)),
        "mark": {"pass": 0, "warn": 1, "fail": 2}[verdict.mark],
        "cause": verdict.cause,
    }


def scenarios(X: np.ndarray, rng: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Associations and LD of one window, matched and disturbed."""
    order = rng.permutation(X.shape[0])
    A, B = X[order[: X.shape[0] // 2]], X[order[X.shape[0] // 2 :]]
    R, RA, RB = np.corrcoef(X.T), np.corrcoef(A.T), np.corrcoef(B.T)
    size = X.shape[1]
    b = np.sqrt(0.03) * rng.standard_normal(size)
    b[rng.choice(size, 2, replace=False)] += 7 * rng.standard_normal(2)

    def noise(R: np.ndarray) -> np.ndarray:
        lam, V = np.linalg.eigh(R)
        return np.asarray(V @ (np.sqrt(np.maximum(lam, 0)) * rng.standard_normal(size)))

    signal, e, other = R @ b, noise(R), noise(R)
    z = signal + e
    flipped = z.copy()
    flipped[rng.choice(size, 2, replace=False)] *= -1
    smaller = np.sqrt(0.5) * signal + np.sqrt(0.5) * (e + other)
    return {
        "matched": (z, R),
        "other half of the individuals": (RA @ b + noise(RA), RB),
        "2 flipped signs": (flipped, R),
        "half N at half the variants": (np.where(rng.random(size) < 0.5, z, smaller), R),
        "inflation x1.5": (signal + np.sqrt(1.5) * e, R),
    }


def area(matched: np.ndarray, disturbed: np.ndarray) -> float:
    """Area under the ROC curve."""
    return float((disturbed[:, None] > matched).mean() + 0.5 * (disturbed[:, None] == matched).mean())


def strong(data: Path, seed: int, chroms: range) -> list[dict[str, object]]:
    """Marks of matched windows with strong effects, per rank rule, size, and whether they may hide each other."""
    rng = np.random.default_rng(seed)
    found: dict[tuple[bool, float, int], list[tuple[str, str, float, float]]] = {}
    for chrom in chroms:
        X, position = genotypes(data, chrom)
        for number, start in enumerate(STARTS):
            columns = np.flatnonzero((position >= start) & (position < start + 250_000))
            if columns.size < FEWEST:
                continue
            R = np.corrcoef(X[:, columns[: MOST if number else 2 * MOST]].T)
            lam, V = np.linalg.eigh(R)
            root = V * np.sqrt(np.maximum(lam, 0))
            for rule in (0.9, 0.95, 0.99):
                factors = factors_from_correlation(R, R, rank_variance=rule)
                given = directions_of(factors.lam, factors.V, np.arange(len(R)), factors.square_norm)
                for size in (15, 30, 45, 60):
                    for count, hidden in ((1, False), (2, False), (4, False), (2, True)):
                        b = 0.1 * rng.standard_normal(len(R))
                        chosen = _places(R, count, rng, apart=not hidden)
                        b[chosen] += size * rng.choice([-1, 1], chosen.size) * rng.uniform(0.8, 1.0, chosen.size)
                        z = R @ b + root @ rng.standard_normal(len(R))
                        check = check_window(z, given)
                        verdict = judge(check)
                        found.setdefault((hidden, rule, size), []).append(
                            (verdict.mark, ",".join(verdict.evidence), check.energy_p, float(np.abs(z).max()))
                        )
    return [
        {
            "hidden": hidden,
            "rank_variance": rule,
            "effect": size,
            "windows": len(rows),
            "largest_z_median": float(np.median([row[3] for row in rows])),
            "marks": {mark: sum(row[0] == mark for row in rows) for mark in ("pass", "warn", "fail")},
            "evidence": sorted({row[1] for row in rows} - {""}),
            "energy_p_below_1e-3": float(np.mean([row[2] < 1e-3 for row in rows])),
        }
        for (hidden, rule, size), rows in sorted(found.items())
    ]


def _places(R: np.ndarray, count: int, rng: np.random.Generator, *, apart: bool) -> np.ndarray:
    """Variants of the effects, where asked for without two in LD of |r| above 0.5; fewer where a window has no more."""
    chosen: list[int] = []
    for row in rng.permutation(len(R)).tolist():
        if len(chosen) < count and not (apart and chosen and np.abs(R[row, chosen]).max() > 0.5):
            chosen.append(row)
    return np.array(chosen)


def measure(data: Path, repeats: int, seed: int, rank_variance: float, chroms: range) -> dict[str, object]:
    """Areas and marks over all windows."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[dict[str, float]]] = {}
    for chrom in chroms:
        X, position = genotypes(data, chrom)
        for start in STARTS:
            columns = np.flatnonzero((position >= start) & (position < start + 250_000))[:MOST]
            if columns.size < FEWEST:
                continue
            for repeat in range(repeats):  # further ones of matched windows alone, for the rate of false marks
                window = X[:, columns]
                halves = [window[rows] for rows in np.array_split(rng.permutation(len(window)), 2)]
                if any((half.std(0) == 0).any() for half in halves):
                    continue
                for name, (z, R) in scenarios(window, rng).items():
                    if repeat and name != "matched":
                        continue
                    found.setdefault(name, []).append(statistics(z, R, rank_variance))
    matched = found["matched"]
    table = {}
    for name, rows in found.items():
        marks = [row["mark"] for row in rows]
        numeric = [key for key in rows[0] if key not in ("mark", "cause")]
        causes: dict[str, int] = {}
        for row in rows:
            causes[str(row["cause"])] = causes.get(str(row["cause"]), 0) + 1
        table[name] = {
            "windows": len(rows),
            "marks": {mark: marks.count(i) for i, mark in enumerate(("pass", "warn", "fail"))},
            "causes": causes,
            "area": {
                key: area(np.array([row[key] for row in matched]), np.array([row[key] for row in rows]))
                for key in numeric
            },
            "quantiles": {
                key: np.quantile([row[key] for row in rows], [0.05, 0.5, 0.95]).round(4).tolist() for key in numeric
            },
            "energy_p_below_1e-3": float(np.mean([row["energy"] > 3 for row in rows])),
        }
    return {"rank_variance": rank_variance, "scenarios": table}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--chroms", type=int, default=22)
    arguments = parser.parse_args()
    chroms = range(1, 1 + arguments.chroms)
    results = {
        "strong": strong(arguments.data, 11, chroms),
        "mismatch": [measure(arguments.data, arguments.repeats, 5, rule, chroms) for rule in (0.99, 0.95)],
    }
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
