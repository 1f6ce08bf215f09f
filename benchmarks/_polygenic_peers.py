"""Peers of polygenic scores, beside which varfx is measured.

Transcriptions of PRS-CS (Ge et al. 2019; Gibbs sampling, phi learned) and of coordinate ascent with one slab (the model of VIPRS,
Zabad et al. 2023), and the authors' VIPRS itself.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import polars as pl
from bed_reader import to_bed
from numpy import ndarray

from _polygenic_material import Material


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


def viprs(m: Material, z: ndarray, N: float, python: Path, scratch: Path) -> ndarray:
    """The authors' VIPRS, by the Python of its own environment; effects in units of 1 / sqrt(N)."""
    folder = scratch / f"viprs.{m.name}"
    folder.mkdir(exist_ok=True)
    for number, rows in enumerate(m.blocks, start=1):
        if not (folder / f"{number}.bed").exists():
            chosen = m.panel.variants[rows]
            properties = {
                "chromosome": [str(number)] * rows.size,
                "bp_position": chosen["position"].to_list(),
                "sid": [f"v{row}" for row in rows],
                "pheno": ["-9"] * len(m.counts),
                "allele_1": chosen["effect_allele"].to_list(),
                "allele_2": chosen["other_allele"].to_list(),
            }
            to_bed(folder / f"{number}.bed", m.counts[:, rows], properties=properties)
    chromosome = np.concatenate([np.full(rows.size, number) for number, rows in enumerate(m.blocks, start=1)])
    order = np.concatenate(m.blocks)
    chosen = m.panel.variants[order]
    table = pl.DataFrame({"CHR": chromosome, "SNP": [f"v{row}" for row in order], "POS": chosen["position"]})
    table = table.with_columns(
        A1=chosen["effect_allele"], A2=chosen["other_allele"], N=pl.lit(int(N)), Z=pl.Series(z[order])
    )
    table.write_csv(folder / "sumstats.tsv", separator="\t")
    script = Path(__file__).with_name("_polygenic_viprs.py")
    subprocess.run([python, script, folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = pl.read_csv(folder / "effects.tsv", separator="\t")
    rows = found["SNP"].str.strip_prefix("v").cast(int).to_numpy()
    same = found["A1"].to_numpy() == m.panel.variants["effect_allele"].to_numpy()[rows]
    effects = np.zeros(z.size)
    effects[rows] = np.where(same, 1, -1) * found["BETA"].to_numpy() * np.sqrt(N)
    return effects
