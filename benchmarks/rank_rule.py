"""The rank rule under a reference that is not the GWAS sample: accuracy of f and of the weights against it.

LD comes from half of the people of the genotype files, associations from the other half's genotypes: the two share a
population, not a sample. Truth: log f = slope * feature + constant, with the feature random per variant (blocks of 50
neighbours share it). For each rule the three numbers (scale, slope, sigma2) are fitted by the exact likelihood, then the
posterior-mean effects are compared with the true ones in the GWAS half's LD.

    python benchmarks/rank_rule.py --data ../shared/data --out rank_rule.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize

from varfx.genotypes.open_ld import open_source
from varfx.ld.whiten import WhitenedWindow, factors_from_genotypes, rewhiten
from varfx.likelihood import exact

RULES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--replicates", type=int, default=10)
    parser.add_argument("--chromosomes", type=int, default=22)
    parser.add_argument("--mean-signal", type=float, default=0.05, help="mean of N f")
    parser.add_argument("--slope", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path("rank_rule.json"))
    options = parser.parse_args()

    prefix = options.data / "gwas" / "polypred"
    paths = [prefix / f"1000G.subset.{chrom}.bed" for chrom in range(1, options.chromosomes + 1)]
    people = [line.split()[1] for line in (prefix / "1000G.subset.1.fam").read_text().splitlines()]
    order = np.random.default_rng(0).permutation(len(people))
    halves = [[people[i] for i in order[start::2]] for start in (0, 1)]
    reference, gwas = (open_source(paths, maf=0.0, keep=half) for half in halves)
    key = ["chrom", "position", "effect_allele", "other_allele"]
    common = reference.variants.with_row_index("ref").join(gwas.variants.with_row_index("gwas"), on=key, how="inner")
    common = common.filter((common["eaf"].is_between(0.01, 0.99)) & (common["eaf_right"].is_between(0.01, 0.99)))

    windows = []
    for chrom in common["chrom"].unique(maintain_order=True):
        rows = common.filter(common["chrom"] == chrom)
        windows.append((reference.standardised(rows["ref"].to_numpy()), gwas.standardised(rows["gwas"].to_numpy())))

    results = {}
    for scenario, pairs in {"other sample": windows, "same sample": [(X, X) for _, X in windows]}.items():
        for rule in RULES:
            factors = [factors_from_genotypes(X, X, rank_variance=rule) for X, _ in pairs]
            rows = [
                replicate(pairs, factors, seed, options.mean_signal, options.slope)
                for seed in range(options.replicates)
            ]
            means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
            means["rank"] = float(np.mean([each.lam.size for each in factors]))
            results.setdefault(scenario, []).append({"rank_variance": rule, **means})
            print(scenario, rule, {name: round(value, 3) for name, value in means.items()}, flush=True)
    options.out.write_text(
        json.dumps({"options": vars(options) | {"data": "polypred", "out": None}, "results": results}, indent=2)
    )


def replicate(pairs: list, factors: list, seed: int, mean_signal: float, slope: float) -> dict[str, float]:
    """One simulated trait: fit and weights under one rule."""
    rng = np.random.default_rng(1000 + seed)
    data = []
    for (_, X), factor in zip(pairs, factors, strict=True):
        people, size = X.shape
        feature = np.repeat(rng.standard_normal(-(-size // 50)), 50)[:size]
        F = mean_signal * np.exp(slope * feature - slope**2 / 2)
        beta = rng.standard_normal(size) * np.sqrt(F)
        noise = rng.standard_normal(people)
        z = X.T @ (X @ beta / people) + X.T @ noise / np.sqrt(people)  # R beta + R^1/2 e, with the GWAS sample's R
        whitening = rewhiten(factor, np.arange(size))
        window = WhitenedWindow(B=torch.from_numpy(factor.B), w=torch.from_numpy(whitening.P @ z))
        data.append((window, torch.from_numpy(feature), F, beta, X))

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.tensor(x, requires_grad=True)
        total = sum(
            exact(window, (parameters[0] + parameters[1] * feature).exp(), parameters[2].exp()).log_p
            for window, feature, *_ in data
        )
        (gradient,) = torch.autograd.grad(-total, parameters)
        return -float(total.detach()), gradient.numpy()

    start = np.array([np.log(mean_signal), 0.0, 0.0])
    bounds = [(-12, 4), (-4, 4), (-3, 3)]
    fit = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40})
    errors, true_value, score, cross = [], 0.0, 0.0, 0.0
    for window, feature, F, beta, X in data:
        fitted = torch.exp(torch.tensor(fit.x[0]) + fit.x[1] * feature)
        errors.append((fitted.log().numpy() - np.log(F)) ** 2)
        B, w = window.B.double(), window.w.double()
        C = (B * fitted) @ B.T + float(np.exp(fit.x[2])) * torch.eye(window.rank, dtype=torch.float64)
        posterior = (fitted * (B.T @ torch.linalg.solve(C, w))).numpy()
        g, h = X @ beta, X @ posterior
        true_value, score, cross = true_value + g @ g, score + h @ h, cross + g @ h
    return {
        "rmse_log_f": float(np.sqrt(np.concatenate(errors).mean())),
        "mean_f_ratio": float(np.exp(fit.x[0] + fit.x[1] ** 2 / 2) / mean_signal),
        "slope": float(fit.x[1]),
        "sigma2": float(np.exp(fit.x[2])),
        "weights_correlation": float(cross / np.sqrt(true_value * score)) if score else 0.0,
    }


if __name__ == "__main__":
    main()
