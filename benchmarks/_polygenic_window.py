"""Processor time of one window of polygenic weights with sparse effects."""

from __future__ import annotations

import time

import numpy as np

from varfx.prior.effects.background import FactoredBackground
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.effects.gibbs import SparseRegression, sample
from varfx.prior.effects.posterior import run_chains
from varfx.prior.effects.shape import MIXTURE_SIZES, EffectShape


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
    regression = background.regression
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
