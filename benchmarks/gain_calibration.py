"""Calibration of a gain's interval: how often it holds the expected gain, on few and many windows, under null data and simulated truth.

Per seed, two priors (constant, and log-linear in four features) are fitted by the exact likelihood to 30 windows of simulated LD, and scored on
100 others. The expected gain of each very fit on those windows is known in closed form, because the covariance of the associations
is. Truths: no heritability; shuffled associations (which break LD); effects that follow a feature, of full or a tenth of the strength; and
2 % of the variants causal. Gains of both priors and their paired difference get their intervals on twelve sets of 8 windows and on all
100; `above_0` and `below_0` are the shares of intervals that exclude 0. Intervals of 8 windows of one seed share a fit: they are not
independent. The kept results are of seeds 1000 to 1199 (`--first 1000`), none of which was used when the rules were chosen.

Finished seeds are kept in a folder, so that the study can be cut into pieces. `benchmarks/results/gain_calibration.json` is the same study, 200
seeds each, with the gain's interval before it was tempered (and without the difference).

    python benchmarks/gain_calibration.py --seeds 200 --cache SEEDS --seconds 400
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray
from scipy.optimize import minimize

from _measure import machine
from varfx.bootstrap import student_interval, sum_interval
from varfx.prior.gain_interval import Spectrum, gain_interval

FEATURES, TRAINING, TEST, FEW = 4, 30, 100, 8
TRUTHS = ["null", "shuffled", "weak", "polygenic", "sparse"]
SAMPLES = 400  # of each bootstrap


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


def material(seed: int, truth: str, source: Windows) -> dict[str, ndarray]:
    """What the intervals of one seed are computed from: log p and its expectation under null, constant and log-linear prior; spectra."""
    rng = np.random.default_rng([seed, 7])
    training, test = drawn(source, rng, TRAINING), drawn(source, rng, TEST)
    w, _ = associations(training, rng, truth)
    held, true = associations(test, rng, truth)
    null = float((w**2).sum() / training.real.sum())
    C_null = test.covariance(np.zeros(test.x.shape[:2]), null)
    found = {
        "null": np.array(null),
        "log_null": log_p(test, held, C_null),
        "exp_null": expected_log_p(C_null, true),
        "rank": test.real.sum(1),
    }
    for number in (0, FEATURES):
        theta = fit(training, w, number)
        sigma2, F = float(np.exp(theta[1])), test.variances(theta)
        C, signal = test.covariance(F, sigma2), test.covariance(F, 0.0)
        values = np.full(test.real.shape, -1.0)
        for k, r in enumerate(test.real.sum(1).astype(int)):
            values[k, :r] = np.linalg.eigvalsh(signal[k, :r, :r]).clip(0)
        found |= {f"s2_{number}": np.array(sigma2), f"log_{number}": log_p(test, held, C)}
        found |= {f"exp_{number}": expected_log_p(C, true), f"ev_{number}": values}
    return found


def records_of(found: Mapping[str, ndarray], seed: int) -> list[dict[str, object]]:
    """All intervals of one seed: gains of both priors, and their paired difference, on few windows and on all."""
    groups = [slice(start, start + FEW) for start in range(0, TEST - FEW + 1, FEW)] + [slice(0, TEST)]
    records: list[dict[str, object]] = []

    def add(what: str, method: str, interval: tuple[float, float] | None, expected: float, count: int) -> None:
        low, high = interval  # type: ignore[misc]
        records.append(
            {"what": what, "method": method, "windows": count, "covered": low <= expected <= high, "too_high": expected < low,
             "too_low": expected > high, "above_0": low > 0, "below_0": high < 0, "width": high - low, "expected": expected}
        )  # fmt: skip

    null = float(found["null"])
    for number, what in ((0, "constant"), (FEATURES, "log-linear")):
        gains, expected = found[f"log_{number}"] - found["log_null"], found[f"exp_{number}"] - found["exp_null"]
        spectra = [Spectrum(values[values >= 0]) for values in found[f"ev_{number}"]]
        for rows in groups:
            centre, count = float(expected[rows].sum()), gains[rows].size
            ours = gain_interval(
                gains[rows], spectra[rows], float(found[f"s2_{number}"]), null, num_samples=SAMPLES, seed=seed
            )
            add(what, "gain_interval", ours, centre, count)
            add(what, "sum_interval", sum_interval(gains[rows], num_samples=SAMPLES, seed=seed), centre, count)
    difference = found[f"log_{FEATURES}"] - found["log_0"]
    expected = found[f"exp_{FEATURES}"] - found["exp_0"]
    for rows in groups:
        centre, count = float(expected[rows].sum()), difference[rows].size
        add("difference", "student_interval", student_interval(difference[rows]), centre, count)
        add("difference", "sum_interval", sum_interval(difference[rows], num_samples=SAMPLES, seed=seed), centre, count)
    return records


def summary(truth: str, records: list[dict[str, object]], seeds: int) -> list[dict[str, object]]:
    """Shares of intervals by what, method and number of windows."""
    names = ("covered", "too_high", "too_low", "above_0", "below_0", "width", "expected")
    keys = dict.fromkeys((each["what"], each["method"], each["windows"]) for each in records)
    entries: list[dict[str, object]] = []
    for what, method, count in keys:
        chosen = [each for each in records if (each["what"], each["method"], each["windows"]) == (what, method, count)]
        shares = {name: round(float(np.mean([each[name] for each in chosen])), 4) for name in names}  # type: ignore[arg-type]
        entry = {
            "truth": truth,
            "what": what,
            "method": method,
            "windows": count,
            "seeds": seeds,
            "intervals": len(chosen),
        }
        entries.append(entry | shares)
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument(
        "--first", type=int, default=0, help="the first seed: others than those on which a rule was chosen"
    )
    parser.add_argument("--truths", nargs="+", default=TRUTHS)
    parser.add_argument("--cache", type=Path, default=Path("gain_calibration_seeds"), help="folder of finished seeds")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="fit no further seeds after this time")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gain_calibration_tempered.json"))
    options = parser.parse_args()
    options.cache.mkdir(exist_ok=True)
    source, began, results = pool(np.random.default_rng(0), 300), time.monotonic(), []
    for truth in options.truths:
        records: list[dict[str, object]] = []
        seeds = 0
        for seed in range(options.first, options.first + options.seeds):
            path = options.cache / f"{truth}_{seed}.npz"
            if not path.exists() and time.monotonic() - began < options.seconds:
                np.savez_compressed(path, **material(seed, truth, source))  # type: ignore[arg-type]
            if path.exists():
                with np.load(path) as found:
                    records += records_of(dict(found), seed)
                seeds += 1
        results += summary(truth, records, seeds) if seeds else []
    record = {"machine": machine(), "nominal": 0.95, "results": results}
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    for entry in results:
        print(entry)


if __name__ == "__main__":
    main()
