"""What a panel's storage costs in bytes and in the likelihood: half precision, shared eigenvectors, 8 bits.

    python benchmarks/panel_storage.py --work /tmp/genome --out benchmarks/results/panel_storage.json

Windows of UK Biobank's size with real LD (`_genome_material.py`): rank 2,000, 13,000 variants. Associations are drawn from the window in single
precision, with the variance that its truncated eigenpairs lack, at N f as in a heritable trait of 400,000 and ten times as much. Each form of storage
is compared with single precision: log p (nats), direction of the gradient in f, posterior means. Bytes are those of the arrays that hold V and B.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import _genome_material as material
from _measure import machine
from varfx.ld.compact import eigenvectors, restored, rounded
from varfx.ld.whiten import Factors

SIGNALS = (0.0134, 0.134)  # mean N f
Form = Callable[[Factors, slice], tuple[np.ndarray, np.ndarray, int]]


def single(of: Factors, own: slice) -> tuple[np.ndarray, np.ndarray, int]:
    """V and B in float32."""
    return of.V, of.B, 4 * (of.V.size + of.B.size)


def half(of: Factors, own: slice) -> tuple[np.ndarray, np.ndarray, int]:
    """V in float32, B in float16: what `ld build` writes of a genome by default."""
    return of.V, of.B.astype(np.float16).astype(np.float32), 4 * of.V.size + 2 * of.B.size


def shared(of: Factors, own: slice) -> tuple[np.ndarray, np.ndarray, int]:
    """B in float16, V from it (--storage shared)."""
    B = of.B.astype(np.float16).astype(np.float32)
    return eigenvectors(B[:, own], of.lam), B, 2 * B.size


def shared_bfloat16(of: Factors, own: slice) -> tuple[np.ndarray, np.ndarray, int]:
    """B in bfloat16, V from it."""
    B = torch.from_numpy(of.B).bfloat16().float().numpy()
    return eigenvectors(B[:, own], of.lam), B, 2 * B.size


def int8_flank(of: Factors, own: slice) -> tuple[np.ndarray, np.ndarray, int]:
    """The core's B in float16, V from it, the flank's in 8 bits (--storage int8)."""
    core = of.B[:, own].astype(np.float16).astype(np.float32)
    codes, steps = rounded(np.delete(of.B, own, axis=1))
    flank = restored(codes, steps)
    B = np.concatenate([flank[:, : own.start], core, flank[:, own.start :]], axis=1)
    return eigenvectors(core, of.lam), B, 2 * core.size + codes.nbytes + steps.nbytes


def int8(of: Factors, own: slice) -> tuple[np.ndarray, np.ndarray, int]:
    """All of B in 8 bits, V from it."""
    codes, steps = rounded(of.B)
    B = restored(codes, steps)
    return eigenvectors(B[:, own], of.lam), B, codes.nbytes + steps.nbytes


FORMS: dict[str, Form] = {
    "float32": single,
    "float16": half,
    "shared float16": shared,
    "shared bfloat16": shared_bfloat16,
    "int8 flank": int8_flank,
    "int8": int8,
}


def scored(
    V: np.ndarray, B: np.ndarray, lam: np.ndarray, z: np.ndarray, F: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log p at sigma2 = 1, its gradient in log F, and posterior means."""
    w = torch.from_numpy((V.astype(np.float64) / np.sqrt(lam)).T @ z)
    wide, variance = torch.from_numpy(B), torch.from_numpy(F)
    scaled = wide * variance.sqrt().float()
    C = (scaled @ scaled.T).double()
    C.diagonal().add_(1.0)
    L = torch.linalg.cholesky(C)
    solved = torch.cholesky_solve(w[:, None], L)[:, 0]
    A = torch.linalg.solve_triangular(L.float(), wide, upper=False)
    slope = (wide.T @ solved.float()).double()
    log_p = -float(L.diagonal().log().sum()) - 0.5 * float(w @ solved) - 0.5 * len(w) * math.log(2 * math.pi)
    return log_p, (0.5 * variance * (slope.square() - A.square().sum(0).double())).numpy(), (variance * slope).numpy()


def compared(of: Factors, signal: float, seed: int) -> list[dict[str, Any]]:
    """Every form of one window."""
    rng = np.random.default_rng(seed)
    core, columns = of.V.shape[0], of.B.shape[1]
    own = slice((columns - core) // 2, (columns - core) // 2 + core)
    own = slice(_first(of, own.start), _first(of, own.start) + core)
    F = signal * np.exp(rng.standard_normal(columns) - 0.5)
    w = of.B @ (np.sqrt(F) * rng.standard_normal(columns)) + rng.standard_normal(len(of.lam))
    U = of.V * np.sqrt(of.lam)
    z = U @ w + np.sqrt(np.maximum(0, 1 - np.square(U).sum(1))) * rng.standard_normal(core)
    rows = []
    for name, form in FORMS.items():
        V, B, stored = form(of, own)
        log_p, gradient, means = scored(V, B, of.lam, z, F)
        if name == "float32":
            expected = log_p, gradient, means
        rows.append(
            {
                "form": name,
                "mean_F": signal,
                "bytes": stored,
                "nats": log_p - expected[0],
                "one_minus_gradient_cosine": 1 - _cosine(gradient, expected[1]),
                "one_minus_weights_correlation": 1 - float(np.corrcoef(means, expected[2])[0, 1]),
            }
        )
        print(rows[-1], flush=True)
    return rows


def _first(of: Factors, guess: int) -> int:
    """The column at which the core begins: thirds of a ring differ by a variant."""
    expected = of.V[0] * np.sqrt(of.lam)
    return min(range(guess - 2, guess + 3), key=lambda place: float(np.abs(of.B[:, place] - expected).max()))


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per form: bytes of a genome, and the largest errors over windows by signal."""
    found = []
    for name in FORMS:
        mine = [row for row in rows if row["form"] == name]
        entry: dict[str, Any] = {
            "form": name,
            "genome_gigabytes": round(np.mean([row["bytes"] for row in mine]) * material.GENOME_WINDOWS / 1e9),
        }
        for signal in SIGNALS:
            these = [row for row in mine if row["mean_F"] == signal]
            entry[f"at mean N f {signal}"] = {
                "nats_rms": float(np.sqrt(np.mean([row["nats"] ** 2 for row in these]))),
                "nats_mean": float(np.mean([row["nats"] for row in these])),
                **{
                    key: max(row[key] for row in these)
                    for key in ("one_minus_gradient_cosine", "one_minus_weights_correlation")
                },
            }
        found.append(entry)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("build/genome"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/panel_storage.json"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    windows = material.ring(options.data, options.work).factors
    rows = [row for signal in SIGNALS for seed, of in enumerate(windows) for row in compared(of, signal, seed)]
    result = {
        "benchmark": "panel_storage",
        "rank": material.RANK,
        "variants": material.VARIANTS,
        "summary": summary(rows),
        "rows": rows,
        "machine": machine(),
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
