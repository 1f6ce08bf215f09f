"""Parts `engines`, `whitening` and `choice`: the likelihood on a device, its data, and which engine `auto` takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from _gpu_measure import (
    SIGMA2,
    Panel,
    Record,
    Setting,
    haplotypes,
    kernels,
    matrix_rate,
    panel,
    relative_error,
    seconds_of,
    synchronise,
    tf32,
    timed,
)

UKB_WINDOWS = 2763  # of UKBB_LD
CG_STEPS = 200  # of the paper's iterative engine: where it ends there, its time is a lower bound


def engines(record: Record, setting: Setting) -> None:
    """Exact and stochastic against the paper's Cholesky and structured CG + SLQ, same data, same card."""
    shapes = {
        "r 2000, M 13000": tuple(setting.size(*pair) for pair in ((2000, 24), (13_000, 96), (4333, 40))),
        "square 5239": tuple(setting.size(*pair) for pair in ((5239, 48), (5239, 48), (5239, 48))),
    }
    rates: dict[str, float] = {}
    with record.measurement("matrix rates") as values:
        rates |= {"float32": matrix_rate(torch.float32, setting), "float64": matrix_rate(torch.float64, setting)}
        rates["tf32"] = matrix_rate(torch.float32, setting, with_tf32=True)
        values |= rates
    for name, (rank, variants, core) in shapes.items():
        if not record.enough(name, 12):
            continue
        case: list[Panel] = []
        with record.measurement(f"{name}: data") as values:
            case.append(panel(rank, variants, core, setting.device))
            values |= {"rank": rank, "variants": variants, "core": core}
        if case:
            shape(record, setting, name, case[0], rates)
        del case


def shape(record: Record, setting: Setting, name: str, case: Panel, rates: dict[str, float]) -> None:
    from varfx.ld.whiten import WhitenedWindow
    from varfx.likelihood import exact, stochastic
    from varfx.likelihood.exact import operations
    from varfx.likelihood.paper.ridged import PaperWindow, cholesky, iterative

    F32, F64 = case.F.float(), case.F
    single = WhitenedWindow(B=case.B, w=case.w)
    half = WhitenedWindow(B=case.B.half(), w=case.w)
    generator = torch.Generator().manual_seed(1)
    rank, variants = case.B.shape
    core = case.z.shape[0]
    counts = {form: 2.0 * count for form, count in operations(rank, variants).items()}
    by_cholesky = 2.0 * (core**2 * variants * 1.5 + core**3 / 2)
    truth: list[Tensor] = []

    def measure(label: str, task: Callable[[], Any], operations: float | None, rate: str, budget: float = 3.0) -> None:
        if not record.enough(f"{name}: {label}", budget + 1):
            return
        with record.measurement(f"{name}: {label}") as values:
            result = task()
            values |= {"engine": result.engine, "log_p": float(result.log_p)}
            if not truth:
                truth.append(result.grad_F.double().cpu())
            values["gradient_error"] = relative_error(result.grad_F, truth[0])
            values["gradient_error_claimed"] = result.grad_F_error
            del result
            values |= timed(task, setting.device, budget=budget)
            if operations:
                values["operations"] = operations
                values["share_of_matrix_rate"] = operations / values["seconds"] / rates.get(rate, float("nan"))
                values["matrix_rate_of"] = rate

    double = single.to(dtype=torch.float64)
    measure("exact, float64", lambda: exact(double, F64, SIGMA2, form="rank"), counts["rank"], "float64", 2.0)
    measure("exact rank, float32", lambda: exact(single, F32, SIGMA2, form="rank"), counts["rank"], "float32")
    measure(
        "exact rank, float32, B in float16", lambda: exact(half, F32, SIGMA2, form="rank"), counts["rank"], "float32"
    )
    symmetric = counts["symmetric"]
    measure("exact symmetric, float32", lambda: exact(single, F32, SIGMA2, form="symmetric"), symmetric, "float32")
    single.__dict__.pop("_grams", None)

    def loosely() -> Any:
        with tf32(True):
            return exact(single, F32, SIGMA2, form="rank")

    measure("exact rank, float32, TF32 allowed (not what varfx does)", loosely, counts["rank"], "tf32")
    for label, window in (("float32", single), ("float32, B in float16", half)):
        measure(
            f"stochastic, {label}", lambda window=window: stochastic(window, F32, SIGMA2, generator=generator), None, ""
        )
    paper = PaperWindow(R_core=case.core, R_cross=case.cross, z=case.z)
    paper.__dict__["eigen"] = case.eigen
    measure("paper: Cholesky, float64", lambda: cholesky(paper, F64, SIGMA2), by_cholesky, "float64", 4.0)

    def structured() -> Any:
        options = {"preconditioning": "structured", "generator": generator, "max_steps": CG_STEPS}
        return iterative(paper, F64, SIGMA2, **options)

    measure("paper: structured CG + SLQ, float64", structured, None, "", 5.0)
    single_paper = paper.to(dtype=torch.float32)
    measure("paper: Cholesky, float32", lambda: cholesky(single_paper, F32, SIGMA2), by_cholesky, "float32", 2.0)
    for label, task in (
        ("exact rank", lambda: exact(single, F32, SIGMA2, form="rank")),
        ("stochastic", lambda: stochastic(single, F32, SIGMA2, generator=generator)),
    ):
        if record.enough(f"{name}: kernels of {label}", 5):
            with record.measurement(f"{name}: kernels of {label}") as values:
                values |= kernels(task, setting.device)


def whitening(record: Record, setting: Setting) -> None:
    """The eigenpairs and products of `ld build`, from correlations and from genotypes, on the device and by NumPy."""
    core, variants = setting.size(4333, 40), setting.size(13_000, 120)
    people = setting.size(5000, 60)
    data: list[Tensor] = []
    with record.measurement("correlations") as values:
        values |= {"people": people, "core": core, "variants": variants}
        data += correlations(people, core, variants, setting, values)
    if not data:
        return
    R, cross = data
    for dtype, guess in ((torch.float64, 8.0), (torch.float32, 6.0)):
        name = f"window of {core} core and {variants} panel variants, {str(dtype)[6:]}"
        if not record.enough(name, guess):
            continue
        with record.measurement(name) as values:
            values |= whitened(R.to(dtype), cross, setting)
    if record.enough("the same by NumPy", 15):
        with record.measurement("the same by NumPy") as values:
            A = R.double().cpu().numpy()
            started = time.perf_counter()
            np.linalg.eigh(A)
            values |= {"seconds_of_eigenpairs": time.perf_counter() - started, "threads": torch.get_num_threads()}
            del A
    del R, cross, data
    for dtype, guess in ((torch.float32, 5.0), (torch.float64, 8.0)):
        name = f"eigenpairs of all {variants} variants, {str(dtype)[6:]}"
        if not record.enough(name, guess):
            continue
        with record.measurement(name) as values:
            values["seconds"] = eigen_seconds(variants, dtype, setting)


def correlations(people: int, core: int, variants: int, setting: Setting, values: dict[str, Any]) -> list[Tensor]:
    """Among the core and of core with panel, from genotypes; their time goes into `values`."""
    X = haplotypes(people, variants, setting.device)
    start = (variants - core) // 2
    here = X[:, start : start + core]
    with tf32(False):
        values |= timed(lambda: here.T @ X / people, setting.device, runs=5, budget=2.0)
        cross = here.T @ X / people
    return [cross[:, start : start + core].contiguous(), cross]


def eigen_seconds(variants: int, dtype: torch.dtype, setting: Setting) -> float:
    """Seconds of all eigenpairs of a full-rank correlation matrix, one run."""
    X = haplotypes(2 * variants, variants, setting.device)
    with tf32(False):
        A = (X.T @ X / (2 * variants)).to(dtype)
    return seconds_of(lambda: torch.linalg.eigh(A), setting.device)


def whitened(R: Tensor, cross: Tensor, setting: Setting) -> dict[str, Any]:
    """Times of a window's steps, first run apart, and the error of `B'B`'s core block, which is R."""
    seconds: dict[str, float] = {}
    found: dict[str, Tensor] = {}

    def eigenpairs() -> None:
        lam, V = torch.linalg.eigh(R)
        kept = lam > 1e-8 * lam[-1]
        found["lam"], found["V"] = lam[kept], V[:, kept]

    def product() -> None:
        found["B"] = (found["V"] / found["lam"].sqrt()).to(cross.dtype).T @ cross

    def to_host() -> None:
        found["half"] = found["B"].half().cpu()

    synchronise(setting.device)
    for name, task in (("eigenpairs", eigenpairs), ("product", product), ("float16 to the host", to_host)):
        seconds[f"first {name}"] = seconds_of(task, setting.device)
        seconds[name] = seconds_of(task, setting.device)
    total = sum(value for name, value in seconds.items() if not name.startswith("first"))
    start = (cross.shape[1] - R.shape[0]) // 2
    inner = found["B"][:, start : start + R.shape[0]].double()
    peak = torch.cuda.max_memory_allocated(setting.device) if setting.device.type == "cuda" else None
    return {
        "seconds": seconds,
        "rank": found["lam"].shape[0],
        "seconds_per_window": total,
        "hours_per_genome": total * UKB_WINDOWS / 3600,
        "error_of_BB": relative_error(inner.T @ inner, R.double()),
        "peak_bytes": peak,
    }


def choice(record: Record, setting: Setting) -> None:
    """The cost model calibrated on the device, then all engines measured on 12 windows: is what it takes the fastest?"""
    from varfx.likelihood import exact, stochastic
    from varfx.likelihood.cost_model import CostModel, _fitted, measure, stochastic_operations
    from varfx.likelihood.exact import operations
    from varfx.likelihood.stochastic import first_probes

    costs: list[CostModel] = []
    with record.measurement("calibration") as values:
        started = time.perf_counter()
        costs.append(measure(torch.float32, setting.device))
        values |= {"seconds": time.perf_counter() - started, "coefficients": costs[0].to_json()}
    if not costs:
        return
    ranks = (60, 300, 1000, 2000) if not setting.dry_run else (6, 10, 14, 20)
    generator = torch.Generator().manual_seed(1)
    rows: list[dict[str, Any]] = []
    for rank in ranks:
        for ratio in (1, 3, 6):
            name = f"r {rank}, M {rank * ratio}"
            if not record.enough(name, 5):
                continue
            with record.measurement(name) as values:
                window, F = spectral_window(rank, rank * ratio, setting.device)
                tasks = {
                    "exact rank": lambda w=window, F=F: exact(w, F, SIGMA2, form="rank"),
                    "exact symmetric": lambda w=window, F=F: exact(w, F, SIGMA2, form="symmetric"),
                    "stochastic": lambda w=window, F=F: stochastic(w, F, SIGMA2, generator=generator),
                }
                seconds = {
                    key: timed(task, setting.device, budget=1.0, runs=5)["seconds"] for key, task in tasks.items()
                }
                values["engines"] = {key: task().engine for key, task in tasks.items()}
                predicted: dict[str, float] = dict(costs[0].seconds(rank, rank * ratio))
                values |= {"rank": rank, "variants": rank * ratio, "measured": seconds, "predicted": predicted}
                values |= regret(predicted, seconds)
                rows.append(dict(values))
    with record.measurement("summary") as values:
        values["windows"] = len(rows)
        values["fastest_taken"] = sum(row["regret"] < 1.05 for row in rows)
        values["worst_regret"] = max(row["regret"] for row in rows)
        # The same three coefficients fitted to these windows, each left out in turn: what larger shapes would give.
        design: dict[str, list[tuple[float, float, float]]] = {}
        for row in rows:
            r, M = row["rank"], row["variants"]
            counts = {f"exact {form}": count for form, count in operations(r, M).items()}
            counts["stochastic"] = stochastic_operations(r, M, first_probes(0.1))
            for key, count in counts.items():
                design.setdefault(key, []).append((row["measured"][key], count, float(r * M)))
        values["refitted_coefficients"] = {key: _fitted(points) for key, points in design.items()}
        refits = []
        for left_out, row in enumerate(rows):
            guess = {}
            for key, points in design.items():
                start, per_operation, per_entry = _fitted(points[:left_out] + points[left_out + 1 :])
                guess[key] = start + per_operation * points[left_out][1] + per_entry * points[left_out][2]
            refits.append(regret(guess, row["measured"])["regret"])
        values["worst_regret_refitted"] = max(refits)
        values["fastest_taken_refitted"] = sum(value < 1.05 for value in refits)


def regret(predicted: dict[str, float], measured: dict[str, float]) -> dict[str, Any]:
    """What a prediction chooses, and its time over the fastest's."""
    chosen = min(measured, key=lambda name: predicted[name])
    best = min(measured, key=lambda name: measured[name])
    return {"chosen": chosen, "fastest": best, "regret": measured[chosen] / measured[best]}


def spectral_window(rank: int, variants: int, device: torch.device) -> tuple[Any, Tensor]:
    """Rows of decreasing length, as whitened LD has them, smooth along the chromosome; as in `engines.py`."""
    from varfx.ld.whiten import WhitenedWindow

    generator = torch.Generator().manual_seed(rank)
    lam = torch.logspace(2, -1, rank)
    B = torch.randn(rank, variants, generator=generator)
    B[:, 1:] += B[:, :-1].clone()
    B *= (lam / lam.sum() * rank / variants / 2).sqrt()[:, None]
    F = 0.02 * torch.exp(torch.randn(variants, generator=generator))
    w = torch.randn(rank, generator=generator)
    return WhitenedWindow(B=B, w=w).to(device=device), F.to(device)
