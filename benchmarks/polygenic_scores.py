"""Accuracy of polygenic scores on simulated traits with real LD: normal and mixture weights beside two peers, and time per window.

    python benchmarks/polygenic_scores.py --data ../shared/data --cell sparse:50000 --out benchmarks/results/polygenic_scores.json
    python benchmarks/polygenic_scores.py --window --out benchmarks/results/polygenic_scores.json

One cell per call; calls add to the file. LD: 20 to 21 Mb of some chromosomes of 489 Europeans (polypred), population LD taken to be
theirs. A trait's effects are drawn for 1 %, 10 % or all of the variants, or half of the variance for 1 % and half for all
(mixed); with `:annotated` a fifth of the variants has five times the variance per variant. z of N individuals follow. The prior is the
Gaussian maximum likelihood of one variance (two with an annotation) and sigma2, as a run has it. Accuracy: correlation of
the score with the true genetic value in the population. Peers are small transcriptions of published formulas, not the authors'
programs: PRS-CS (Ge et al. 2019; Gibbs, phi learned) and coordinate ascent with one slab (as VIPRS, Zabad et al. 2023).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray
from scipy.optimize import minimize

from varfx.genotypes.open_ld import open_source
from varfx.io.workers import Workers
from varfx.ld import LDPanel, PanelConfig, build_panel, open_panel
from varfx.prior.effects.background import FactoredBackground
from varfx.prior.effects.choose import trait_effects
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.effects.gibbs import SparseRegression, sample
from varfx.prior.effects.posterior import run_chains
from varfx.prior.effects.shape import MIXTURE_SIZES, EffectShape
from varfx.prior.pairs import Cores
from varfx.prior.posterior import posterior_means
from varfx.training import TraitData

MAF = 0.05
H2_PER_VARIANT = 3e-6  # a million variants, of which every sixth is looked at, with heritability 0.5
ONE = Workers(workers=1)


@dataclass(frozen=True)
class Material:
    """Panel, standardised genotypes and rows per chromosome."""

    panel: LDPanel
    blocks: list[ndarray]
    X: ndarray


def material(data: Path, scratch: Path, chroms: int, thin: int) -> Material:
    """The panel of the first chromosomes, every `thin`-th variant; built once in `scratch`."""
    beds = [data / f"gwas/polypred/1000G.subset.{chrom}.bed" for chrom in range(1, chroms + 1)]
    path = scratch / f"polypred.{chroms}.{thin}.ld.zarr"
    source = open_source(beds, maf=MAF)
    kept = np.arange(0, source.variants.height, thin)
    thinned = _Thinned(source, kept)
    if not path.exists():
        build_panel(thinned, path, PanelConfig(rank_variance=0.999), workers=1)
    panel = open_panel(path)
    chrom = panel.variants["chrom"].to_numpy()
    X = thinned.standardised(np.arange(kept.size)).astype(np.float64)
    return Material(panel, [np.flatnonzero(chrom == each) for each in np.unique(chrom)], X)


class _Thinned:
    """Some variants of a genotype source."""

    missing = ()
    ledger = ()
    build = None

    def __init__(self, source: object, kept: ndarray) -> None:
        self._source, self._kept = source, kept
        self.name, self.num_people = source.name, source.num_people  # type: ignore[attr-defined]
        self.variants = source.variants[kept]  # type: ignore[attr-defined]
        self._places = (self.variants["chrom"].to_numpy(), self.variants["position"].to_numpy())

    def select(self, chrom: str, start: int, end: int, flank: int) -> tuple[ndarray, ndarray]:
        chroms, positions = self._places
        inside = [
            np.flatnonzero((chroms == chrom) & (positions > start - wide) & (positions <= end + wide))
            for wide in (0, flank)
        ]
        return inside[0], inside[1]

    def standardised(self, index: ndarray, dtype: type = np.float32) -> ndarray:
        return self._source.standardised(self._kept[index], dtype)  # type: ignore[attr-defined,no-any-return]


def simulated(m: Material, kind: str, N: float, annotated: bool, seed: int) -> tuple[ndarray, ndarray, ndarray]:
    """True effects in units of 1 / sqrt(N), z, and the annotation."""
    rng = np.random.default_rng(seed)
    M = m.X.shape[1]
    group = (rng.random(M) < 0.2).astype(int) if annotated else np.zeros(M, dtype=int)
    rel = np.where(group == 1, 5.0, 1.0)
    rel /= rel.mean()
    total = N * H2_PER_VARIANT

    def part(share: float) -> ndarray:
        causal = rng.random(M) < np.minimum(share * rel, 1)
        return np.where(causal, rng.standard_normal(M) * np.sqrt(total * rel / np.minimum(share * rel, 1)), 0.0)

    shares = {"sparse": (0.01,), "tenth": (0.1,), "infinitesimal": (1.0,), "mixed": (0.01, 1.0)}[kind]
    beta = sum(part(share) for share in shares) / np.sqrt(len(shares))
    z = np.zeros(M)
    for rows in m.blocks:
        X = m.X[:, rows]
        n = len(X)
        noise = rng.standard_normal(n)
        z[rows] = X.T @ (X @ beta[rows]) / n + X.T @ (noise - noise.mean()) / np.sqrt(n)
    return np.asarray(beta), z, group


def accuracy(m: Material, found: ndarray, beta: ndarray) -> float:
    """Correlation of two genetic values, chromosomes independent."""
    cross = [0.0, 0.0, 0.0]
    for rows in m.blocks:
        a, b = m.X[:, rows] @ found[rows], m.X[:, rows] @ beta[rows]
        cross = [total + each for total, each in zip(cross, (a @ b, a @ a, b @ b), strict=True)]
    return float(cross[0] / np.sqrt(cross[1] * cross[2])) if cross[1] > 0 else 0.0


def gaussian_fit(cores: Cores, group: ndarray, N: float) -> tuple[ndarray, float]:
    """F per variant and sigma2 by the Gaussian likelihood, a variance per group."""
    sides = [cores.side(index) for index in range(len(cores.panel.cores))]
    groups = int(group.max()) + 1
    parts = [
        (side.w.numpy(), [_gram(side.signal.double().numpy()[:, group[side.rows] == g]) for g in range(groups)])
        for side in sides
    ]

    def loss(logs: ndarray) -> float:
        total = 0.0
        for w, grams in parts:
            C = sum(np.exp(log) * gram for log, gram in zip(logs, grams, strict=False)) + np.exp(logs[-1]) * np.eye(
                w.size
            )
            L = np.linalg.cholesky(C)
            total += 2 * np.log(np.diag(L)).sum() + float(np.square(np.linalg.solve(L, w)).sum())
        return total

    start = np.append(np.full(groups, np.log(N * H2_PER_VARIANT)), 0.0)
    logs = minimize(loss, start, method="Nelder-Mead", options={"xatol": 0.02, "fatol": 0.05, "maxiter": 60}).x
    return np.exp(logs[:-1])[group], float(np.exp(logs[-1]))


def _gram(signal: ndarray) -> ndarray:
    return signal @ signal.T


def prs_cs(m: Material, z: ndarray, N: float, seed: int, sweeps: int = 150, burn_in: int = 50) -> ndarray:
    """PRS-CS: beta ~ N(0, sigma2 psi / N), psi ~ G(1, delta), delta ~ G(1/2, phi), psi <= 1, phi learned (Ge et al. 2019)."""
    rng = np.random.default_rng(seed)
    a, b, M = 1.0, 0.5, z.size
    psi, sigma, phi = np.ones(M), 1.0, 1.0
    bhat = z / np.sqrt(N)
    grams = [m.X[:, rows].T @ m.X[:, rows] / len(m.X) for rows in m.blocks]
    beta, mean = np.zeros(M), np.zeros(M)
    for sweep in range(sweeps):
        quad = 0.0
        for rows, D in zip(m.blocks, grams, strict=True):
            L = np.linalg.cholesky(D + np.diag(1 / psi[rows]))
            centre = np.linalg.solve(L, bhat[rows]) + np.sqrt(sigma / N) * rng.standard_normal(rows.size)
            beta[rows] = np.linalg.solve(L.T, centre)
            quad += float(beta[rows] @ (D @ beta[rows] + beta[rows] / psi[rows]))
        error = max(N / 2 * (1 - 2 * float(beta @ bhat) + quad), N / 2 * float((beta**2 / psi).sum()))
        sigma = 1 / rng.gamma((N + M) / 2, 1 / error)
        delta = rng.gamma(a + b, 1 / (psi + phi))
        psi = np.minimum(_generalised_inverse_gaussian(rng, a - 0.5, 2 * delta, N * beta**2 / sigma), 1.0)
        phi = rng.gamma(M * b + 0.5, 1 / (delta.sum() + rng.gamma(1.0, 1 / (phi + 1))))
        if sweep >= burn_in:
            mean += beta / (sweeps - burn_in)
    return mean * np.sqrt(N)


def _generalised_inverse_gaussian(rng: np.random.Generator, p: float, a: ndarray, b: ndarray) -> ndarray:
    """Draws of density x^(p - 1) exp(-(a x + b / x) / 2); for p = 1/2 the reciprocal of an inverse Gaussian."""
    assert p == 0.5
    b = np.maximum(b, 1e-12)
    return np.asarray(1 / rng.wald(np.sqrt(a / b), a))


def coordinate_ascent(m: Material, z: ndarray, rounds: int = 60) -> ndarray:
    """Mean field with one slab, chance and size by EM (as VIPRS)."""
    M = z.size
    chance, size = 0.01, max(float(np.mean(z**2) - 1) / 0.01 / 10, 5.0)
    mean, gamma, square = np.zeros(M), np.zeros(M), np.zeros(M)
    grams = [m.X[:, rows].T @ m.X[:, rows] / len(m.X) for rows in m.blocks]
    for _ in range(rounds):
        t = 1 / (1 + 1 / size)
        for rows, D in zip(m.blocks, grams, strict=True):
            fitted = D @ mean[rows]
            for j, row in enumerate(rows):
                g = z[row] - fitted[j] + mean[row]
                odds = np.log(chance / (1 - chance)) + 0.5 * np.log(t / size) + 0.5 * t * g * g
                gamma[row] = 1 / (1 + np.exp(-np.clip(odds, -40, 40)))
                new = gamma[row] * t * g
                square[row] = gamma[row] * (t + (t * g) ** 2)
                fitted += D[j] * (new - mean[row])
                mean[row] = new
        chance = float(np.clip(gamma.mean(), 1e-5, 0.5))
        size = max(float(square.sum() / gamma.sum()), 0.1)
    return mean


def cell(m: Material, words: str, seed: int) -> dict[str, object]:
    """Accuracy of every method, and processor seconds."""
    kind, N, *more = words.split(":")
    size = float(N)
    beta, z, group = simulated(m, kind, size, "annotated" in more, seed)
    cores = Cores(m.panel, TraitData(name="t", z=z, n=np.full(z.size, size), n_ref=size))
    result: dict[str, object] = {"cell": words, "seed": seed, "variants": z.size, "max_z": float(np.abs(z).max())}

    def timed(name: str, effects: ndarray, began: float) -> None:
        result[name] = {"accuracy": accuracy(m, effects, beta), "seconds": round(time.process_time() - began, 2)}

    F, sigma2 = gaussian_fit(cores, group, size)
    result["sigma2"] = sigma2
    began = time.process_time()
    timed("normal", posterior_means(m.panel, cores.trait, F / size, sigma2), began)
    began = time.process_time()
    found = trait_effects(cores, F / size, sigma2, EffectsConfig(effects="mixture"), where=ONE)
    timed("mixture", found.mean, began)
    result["record"] = {key: found.record[key] for key in ("evidence", "hyperparameters")}
    result["r_hat"] = max(each["r_hat"] for each in found.record["windows"])
    began = time.process_time()
    timed("prs_cs", prs_cs(m, z, size, seed), began)
    began = time.process_time()
    timed("coordinate_ascent", coordinate_ascent(m, z), began)
    return result


def window(rank: int, variants: int) -> dict[str, object]:
    """Processor seconds of one window on one thread, by stage; its B has the eigenvalues 1 / i^0.7 and 20 variants an effect."""
    rng = np.random.default_rng(0)
    spectrum = np.arange(1.0, rank + 1) ** -0.35
    base = rng.standard_normal((rank, variants // 20), dtype=np.float32)
    signal = 0.9 * np.repeat(base, 20, axis=1) + 0.44 * rng.standard_normal((rank, variants), dtype=np.float32)
    signal *= spectrum[:, None]
    signal /= np.sqrt((signal**2).sum(0)) * np.sqrt(2.0)
    b = np.zeros(variants)
    b[rng.choice(variants, 20, replace=False)] = 8 * rng.standard_normal(20)
    wide = signal.astype(np.float64)
    w = wide @ b + rng.standard_normal(rank)
    chances = np.array([1e-3, 1e-3, 5e-4, 5e-4])
    shape = EffectShape(background=0.5, sizes=np.array(MIXTURE_SIZES), weights=chances, exponent=0.5, mean_F=0.05)
    compile_sampler()
    began = time.process_time()
    background = FactoredBackground.of(wide, w, np.full(variants, 0.05), 1.0, shape)
    factored = time.process_time()
    regression = background.regression()
    means, r_hat, sweeps = run_chains(regression, EffectsConfig(effects="mixture"), np.random.default_rng(0))
    sampled = time.process_time()
    background.effects(means.mean, np.ones(variants, dtype=bool))
    ended = time.process_time()
    began_normal = time.process_time()
    C = (wide * 0.05) @ wide.T + np.eye(rank)
    np.linalg.solve(C, w) @ wide
    return {
        "rank": rank,
        "variants": variants,
        "seconds": round(ended - began, 2),
        "seconds_factor_and_whitening": round(factored - began, 2),
        "seconds_chains": round(sampled - factored, 2),
        "seconds_means": round(ended - sampled, 2),
        "seconds_normal_posterior": round(time.process_time() - began_normal, 2),
        "sweeps_averaged": sweeps,
        "r_hat": r_hat,
        "effects": float(means.chance.sum()),
    }


def compile_sampler() -> None:
    """Compiles the inner loop, which is not part of a window's time."""
    A = np.eye(2, dtype=np.float32)
    small = SparseRegression.of(A, np.ones(2), np.full((1, 2), 0.1), np.ones((1, 2)), np.ones(2))
    sample(small, np.zeros((2, 2), dtype=np.float32), 1, np.random.default_rng(0))


def main() -> None:
    """Runs one cell, or the window, and adds the result to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--scratch", type=Path, default=Path("build"))
    parser.add_argument("--cell", help="sparse|tenth|mixed|infinitesimal:N[:annotated]")
    parser.add_argument("--chroms", type=int, default=10)
    parser.add_argument("--thin", type=int, default=6, help="every so many variants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--window", help="rank:variants, e.g. 2000:13000")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    kept = json.loads(options.out.read_text()) if options.out.exists() else {"cells": [], "window": None}
    if options.window:
        found = window(*map(int, options.window.split(":")))
        kept["windows"] = [each for each in kept.get("windows", []) if each["rank"] != found["rank"]] + [found]
        print(found)
    if options.cell:
        options.scratch.mkdir(exist_ok=True)
        found = cell(material(options.data, options.scratch, options.chroms, options.thin), options.cell, options.seed)
        others = [each for each in kept["cells"] if (each["cell"], each["seed"]) != (options.cell, options.seed)]
        kept["cells"] = [*others, found]
        print({key: value for key, value in found.items() if not key.endswith("record")})
    options.out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
