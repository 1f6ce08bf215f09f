"""Calibration of a gain's interval: how often it holds the expected gain, on few and many windows, under null data and simulated truth.

Per seed, a prior (constant, or log-linear in four features) is fitted by the exact likelihood to 30 windows of simulated LD, and scored on
100 others. The expected gain of that very fit on those windows is known in closed form, because the covariance of the associations
is. Truths: no heritability; shuffled associations (which break LD); effects that follow a feature, of full or a tenth of the strength; and
2 % of the variants causal. Both intervals are tried, `gain_interval` and the symmetric `sum_interval`, on twelve sets of 8 windows and on all
100; `above_0` and `below_0` are the shares of intervals that exclude 0.

Scenarios that the file already has are kept.

    python benchmarks/gain_calibration.py --seeds 200 --out benchmarks/results/gain_calibration.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray
from scipy.optimize import minimize

from _measure import machine
from varfx.bootstrap import sum_interval
from varfx.prior.gain_interval import Spectrum, gain_interval

FEATURES, TRAINING, TEST, FEW = 4, 30, 100, 8
SCENARIOS = [
    ("null", 0), ("null", FEATURES), ("shuffled", FEATURES), ("weak", FEATURES), ("polygenic", FEATURES), ("sparse", FEATURES),
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Windows:
    """Whitened windows of different ranks, padded with zeros to one shape.

    Attributes:
        B: (window, rank, variant).
        real: 1 where a direction is no padding, (window, rank).
        lam: eigenvalues of LD, 1 in padding, (window, rank).
        x: features, (window, variant, feature).
    """

    B: ndarray
    real: ndarray
    lam: ndarray
    x: ndarray

    def covariance(self, F: ndarray, sigma2: float) -> ndarray:
        """B F B' + sigma2 I, with 1 on the padding's diagonal."""
        C = (self.B * F[:, None, :]) @ self.B.transpose(0, 2, 1)
        i = np.arange(C.shape[1])
        C[:, i, i] += sigma2 * self.real + (1 - self.real)
        return C

    def variances(self, theta: ndarray) -> ndarray:
        """F from log scale and coefficients; `theta[1]` is log sigma2."""
        return np.exp(theta[0] + self.x[:, :, : theta.size - 2] @ theta[2:])


def pool(rng: np.random.Generator, count: int, low: int = 15, high: int = 60, rho: float = 0.9) -> Windows:
    """Windows of `low` to `high` associations in LD rho^distance, with flanks of half that on both sides."""
    B, real, lam = np.zeros((count, high, 2 * high)), np.zeros((count, high)), np.ones((count, high))
    for k, size in enumerate(rng.integers(low, high + 1, count)):
        distance = np.abs(np.subtract.outer(np.arange(2 * size), np.arange(2 * size)))
        core = slice(size // 2, size // 2 + size)
        R = rho**distance
        values, vectors = np.linalg.eigh(R[core, core])
        values, vectors = values[::-1], vectors[:, ::-1]
        rank = min(size, 1 + int(np.searchsorted(np.cumsum(values) / values.sum(), 0.99)))
        B[k, :rank, : 2 * size] = (vectors[:, :rank] / np.sqrt(values[:rank])).T @ R[core]
        real[k, :rank], lam[k, :rank] = 1, values[:rank]
    return Windows(B, real, lam, np.zeros((count, 2 * high, FEATURES)))


def drawn(windows: Windows, rng: np.random.Generator, count: int) -> Windows:
    """Windows of the pool with new features."""
    rows = rng.integers(0, len(windows.B), count)
    x = rng.standard_normal((count, *windows.x.shape[1:]))
    return Windows(windows.B[rows], windows.real[rows], windows.lam[rows], x)


def associations(windows: Windows, rng: np.random.Generator, truth: str) -> tuple[ndarray, ndarray]:
    """w, and its covariance given the variances that the truth was drawn from (0 in the padding)."""
    noise = rng.standard_normal(windows.real.shape) * windows.real
    eye = np.eye(noise.shape[1])
    if truth in ("null", "shuffled"):
        variance = windows.real * (1.0 if truth == "null" else 1.44 / windows.lam)
        return noise * np.sqrt(variance), eye * variance[:, None, :]
    F = np.exp(-2.0 + windows.x[:, :, 0]) * {"polygenic": 1.0, "weak": 0.1, "sparse": 0.5}[truth]
    effects = rng.standard_normal(F.shape) * np.sqrt(F)
    if truth == "sparse":
        effects *= np.sqrt(50) * (rng.random(F.shape) < 0.02)
    C = windows.covariance(F, 1.0) - eye * (1 - windows.real)[:, None, :]
    return noise + np.einsum("krm,km->kr", windows.B, effects), C


def log_p(windows: Windows, w: ndarray, C: ndarray) -> ndarray:
    """Per window, without the constant."""
    return -0.5 * (np.linalg.slogdet(C)[1] + (w * np.linalg.solve(C, w[..., None])[..., 0]).sum(1))


def expected_log_p(C: ndarray, true: ndarray) -> ndarray:
    """Its expectation under the covariance `true`."""
    return -0.5 * (np.linalg.slogdet(C)[1] + np.einsum("kij,kji->k", np.linalg.inv(C), true))


def fit(windows: Windows, w: ndarray, num_features: int) -> ndarray:
    """The maximum-likelihood theta: log scale, log sigma2, coefficients."""

    def minus(theta: ndarray) -> tuple[float, ndarray]:
        F, sigma2 = windows.variances(theta), float(np.exp(theta[1]))
        C = windows.covariance(F, sigma2)
        inverse = np.linalg.inv(C)
        u = (inverse @ w[..., None])[..., 0]
        leverage = ((inverse @ windows.B) * windows.B).sum(1)
        slope = 0.5 * (np.einsum("krm,kr->km", windows.B, u) ** 2 - leverage) * F
        trace = (np.diagonal(inverse, axis1=1, axis2=2) * windows.real).sum()
        by_sigma2 = 0.5 * sigma2 * ((u**2 * windows.real).sum() - trace)
        by_weight = np.einsum("km,kmq->q", slope, windows.x)[:num_features]
        return -float(log_p(windows, w, C).sum()), -np.array([slope.sum(), by_sigma2, *by_weight])

    bounds = [(-12, 3), (-3, 3), *[(-2, 2)] * num_features]
    start = np.array([-3.0, 0.0, *[0.0] * num_features])
    return minimize(minus, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40}).x


def one_seed(seed: int, truth: str, num_features: int, source: Windows) -> list[dict[str, object]]:
    """Records of all intervals of one fit."""
    rng = np.random.default_rng([seed, 7])
    training, test = drawn(source, rng, TRAINING), drawn(source, rng, TEST)
    w, _ = associations(training, rng, truth)
    held, true = associations(test, rng, truth)
    theta = fit(training, w, num_features)
    sigma2, null = float(np.exp(theta[1])), float((w**2).sum() / training.real.sum())
    C, C_null = test.covariance(test.variances(theta), sigma2), test.covariance(np.zeros(test.x.shape[:2]), null)
    gains = log_p(test, held, C) - log_p(test, held, C_null)
    expected = expected_log_p(C, true) - expected_log_p(C_null, true)
    signal = test.covariance(test.variances(theta), 0.0)
    spectra = [
        Spectrum(np.linalg.eigvalsh(S[:r, :r]).clip(0))
        for S, r in zip(signal, test.real.sum(1).astype(int), strict=True)
    ]
    groups = [slice(start, start + FEW) for start in range(0, TEST - FEW + 1, FEW)] + [slice(0, TEST)]
    methods: dict[str, Callable[[slice], tuple[float, float] | None]] = {
        "gain_interval": lambda rows: gain_interval(
            gains[rows], spectra[rows], sigma2, null, num_samples=1000, seed=seed
        ),
        "sum_interval": lambda rows: sum_interval(gains[rows], num_samples=1000, seed=seed),
    }
    records: list[dict[str, object]] = []
    for rows in groups:
        for name, method in methods.items():
            low, high = method(rows)  # type: ignore[misc]
            centre = float(expected[rows].sum())
            records.append(
                {"method": name, "windows": gains[rows].size, "covered": low <= centre <= high, "too_high": centre < low,
                 "too_low": centre > high, "above_0": low > 0, "below_0": high < 0, "width": high - low, "expected": centre}
            )  # fmt: skip
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gain_calibration.json"))
    options = parser.parse_args()
    source = pool(np.random.default_rng(0), 300)
    results = json.loads(options.out.read_text())["results"] if options.out.is_file() else []
    done = {(each["truth"], each["features"]) for each in results}
    for truth, num_features in SCENARIOS:
        if (truth, num_features) in done:
            continue  # an interrupted study goes on
        records = [each for seed in range(options.seeds) for each in one_seed(seed, truth, num_features, source)]
        for count in (FEW, TEST):
            for method in ("gain_interval", "sum_interval"):
                chosen = [each for each in records if each["method"] == method and each["windows"] == count]
                shares = {
                    name: round(float(np.mean([each[name] for each in chosen])), 4)  # type: ignore[arg-type]
                    for name in ("covered", "too_high", "too_low", "above_0", "below_0", "width", "expected")
                }
                entry = {
                    "truth": truth,
                    "features": num_features,
                    "windows": count,
                    "method": method,
                    "intervals": len(chosen),
                }
                results.append(entry | shares)
                print(results[-1], flush=True)
        record = {"machine": machine(), "seeds": options.seeds, "nominal": 0.95, "results": results}
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
