"""What the parts of `gpu.py` share: records that survive a killed process, times by device events, and made-up LD."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import platform
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

SIGMA2 = 1.0
MEAN_F = 0.05  # N f of a heritable trait in a large GWAS
CORRELATION = 0.97  # of neighbours


class Poisoned(RuntimeError):
    """The device does not answer any more in this process; a fresh one must go on."""


@dataclass(frozen=True)
class Setting:
    """Where and how large: the published sizes on a GPU, tiny ones in a dry run on the CPU."""

    device: torch.device
    dry_run: bool

    def size(self, full: int, tiny: int) -> int:
        """`full`, or `tiny` in a dry run."""
        return tiny if self.dry_run else full


class Record:
    """The measurements of one part, written to `path` as they come.

    Args:
        path: JSON of all parts; replaced as a whole each time, so that no reader sees half of it.
        part: this part's name.
        seconds: after which no further measurement is begun.
    """

    def __init__(self, path: Path, part: str, seconds: float) -> None:
        self._path, self._part = path, part
        self._end = time.monotonic() + seconds
        self._content: dict[str, Any] = {"measurements": {}, "failures": {}, "skipped": []}

    @property
    def left(self) -> float:
        """Seconds left."""
        return self._end - time.monotonic()

    @contextlib.contextmanager
    def measurement(self, name: str) -> Iterator[dict[str, Any]]:
        """A dictionary to fill, kept whether or not the block fails; an error is named and passed over.

        Raises:
            Poisoned: the error is one after which the device takes no more work.
        """
        values: dict[str, Any] = {}
        started = time.monotonic()
        try:
            yield values
        except Exception as error:  # whatever it is, the other measurements are still wanted
            frames = traceback.extract_tb(error.__traceback__)[-3:]
            where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
            self._content["failures"][name] = {"error": f"{type(error).__name__}: {str(error)[:400]}", "where": where}
            traceback.clear_frames(error.__traceback__)  # they hold tensors of the device
            if is_poisoned():
                raise Poisoned(name) from error
        finally:
            values["wall_seconds"] = round(time.monotonic() - started, 3)
            self._content["measurements"][name] = values
            self.write()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def enough(self, name: str, seconds: float) -> bool:
        """Whether `seconds` are left; if not, `name` is noted as skipped."""
        if self.left >= seconds:
            return True
        self.skip(f"{name}: {max(0.0, self.left):.0f} s left of about {seconds:.0f}")
        return False

    def skip(self, reason: str) -> None:
        """Notes what is left out, and why."""
        self._content["skipped"].append(reason)
        self.write()

    def write(self) -> None:
        """Puts the part's content into the file."""
        update(self._path, {self._part: self._content})


def is_poisoned() -> bool:
    """Whether the device takes no more work from this process, as after an illegal access."""
    if not torch.cuda.is_initialized():
        return False
    try:
        return float(torch.ones(1, device="cuda").add(1)) != 2
    except torch.cuda.OutOfMemoryError:
        return False
    except RuntimeError:
        return True


def update(path: Path, entries: dict[str, Any]) -> None:
    """Merges the entries into a JSON file of dictionaries, atomically."""
    content = json.loads(path.read_text()) if path.is_file() else {}
    for name, values in entries.items():
        content[name] = {**content.get(name, {}), **values}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(_finite(content), indent=1) + "\n")
    os.replace(partial, path)


def _finite(value: Any) -> Any:
    """The value with NaN and infinities, which are no JSON, as text."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def describe(device: torch.device) -> dict[str, Any]:
    """Device, versions and processor; no name of the machine."""
    facts: dict[str, Any] = {
        "device": "cpu",
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "device": properties.name,
            "memory_bytes": properties.total_memory,
            "multiprocessors": properties.multi_processor_count,
            "capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return facts


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(task: Callable[[], object], device: torch.device) -> float:
    """Seconds of one run, by events on a GPU."""
    if device.type != "cuda":
        started = time.perf_counter()
        task()
        return time.perf_counter() - started
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    task()
    end.record()
    torch.cuda.synchronize(device)
    return begin.elapsed_time(end) / 1e3


def timed(
    task: Callable[[], object],
    device: torch.device,
    *,
    warm_up: int = 2,
    runs: int = 9,
    budget: float = 4.0,
) -> dict[str, Any]:
    """Median, least and all seconds of some runs after warming up, and the peak of what torch allocated meanwhile.

    Args:
        task: what is timed.
        device: where.
        warm_up: runs that do not count; one where a run takes longer than a third of the budget.
        runs: at most; at least one.
        budget: seconds after which no further run is begun.
    """
    started = time.monotonic()
    for _ in range(warm_up):
        task()
        synchronise(device)
        if time.monotonic() - started > budget / 3:
            break
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times: list[float] = []
    while len(times) < runs and (not times or time.monotonic() - started < budget):
        times.append(seconds_of(task, device))
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return {"seconds": statistics.median(times), "least": min(times), "runs": len(times), "peak_bytes": peak}


def relative_error(found: Tensor, truth: Tensor) -> float:
    """`|found - truth| / |truth|`, in float64 on the CPU; infinite where something is not finite."""
    a, b = (each.detach().double().cpu() for each in (found, truth))
    if not (a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    return float((a - b).norm() / b.norm().clamp_min(1e-300))


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Sets both switches of TF32."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def kernels(task: Callable[[], object], device: torch.device, count: int = 15) -> dict[str, Any]:
    """The kernels that take most of one run's time on the device, and how much of the run the device was busy."""
    from torch.profiler import ProfilerActivity, profile

    task()
    synchronise(device)
    activity = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        started = time.perf_counter()
        task()
        synchronise(device)
        wall = time.perf_counter() - started
    rows = profiler.key_averages()
    own = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    top = sorted(rows, key=lambda row: getattr(row, own), reverse=True)[:count]
    return {
        "wall_seconds": wall,
        "busy_seconds": sum(getattr(row, own) for row in rows) / 1e6,
        "launches": sum(row.count for row in rows),
        "kernels": [
            {"name": row.key[:120], "calls": row.count, "milliseconds": round(getattr(row, own) / 1e3, 3)}
            for row in top
        ],
    }


def flops(task: Callable[[], object]) -> float:
    """Floating-point operations as torch counts them (two each multiply-add)."""
    counter = FlopCounterMode(display=False)
    with counter:
        task()
    return float(counter.get_total_flops())


def matrix_rate(dtype: torch.dtype, setting: Setting, *, with_tf32: bool = False) -> float:
    """Operations a second (two each multiply-add) of a large product of random matrices."""
    size = setting.size(8192 if dtype != torch.float64 else 4096, 128)
    generator = torch.Generator(setting.device).manual_seed(0)
    a, b = (torch.randn(size, size, device=setting.device, generator=generator).to(dtype) for _ in range(2))
    with tf32(with_tf32):
        return 2 * size**3 / timed(lambda: a @ b, setting.device, warm_up=3, runs=10, budget=2.0)["seconds"]


@dataclass(frozen=True, eq=False)
class Panel:
    """Made-up LD like that of a reference of `people`: neighbours correlate, and the rank is at most the number of people.

    Attributes:
        core: correlations among the core variants, float64.
        cross: of core with panel variants, float64.
        B: whitened correlations, float32.
        w: whitened associations, float32.
        z: associations of the core variants, float64.
        F: N f of the panel's variants, float64.
        eigen: lam and V of `core`.
    """

    core: Tensor
    cross: Tensor
    B: Tensor
    w: Tensor
    z: Tensor
    F: Tensor
    eigen: tuple[Tensor, Tensor]


def haplotypes(people: int, variants: int, device: torch.device, seed: int = 0) -> Tensor:
    """Standardised columns of a process along the variants with correlation rho^distance, (person, variant), float32."""
    generator = torch.Generator(device).manual_seed(seed)
    noise = torch.randn(people, variants, device=device, generator=generator)
    reach = min(variants, 256)  # rho^256 is below 1e-3
    weight = CORRELATION ** torch.arange(reach, device=device, dtype=torch.float32)
    size = 1 << (variants + reach).bit_length()
    X = torch.fft.irfft(torch.fft.rfft(noise, size) * torch.fft.rfft(weight, size), size)[:, :variants]
    X = X - X.mean(0)
    return X / X.square().mean(0).sqrt()


def panel(rank: int, variants: int, core: int, device: torch.device, seed: int = 0) -> Panel:
    """A window whose whitened form is (rank, variants); the core lies in the middle.

    Args:
        rank: r, at most `core`.
        variants: M.
        core: associations.
        device: where it is made.
        seed: of the LD, F and z.
    """
    people = rank + 1 if rank < core else 2 * core  # centring takes one
    X = haplotypes(people, variants, device, seed).double()
    start = (variants - core) // 2
    here = X[:, start : start + core]
    R, cross = here.T @ here / people, here.T @ X / people
    if core == variants:
        cross = R
    lam, V = torch.linalg.eigh(R)
    lam, V = lam.flip(0)[:rank], V.flip(1)[:, :rank].contiguous()
    B = (V / lam.sqrt()).T @ cross
    generator = torch.Generator().manual_seed(seed)
    F = torch.exp(torch.randn(variants, generator=generator, dtype=torch.float64))
    F = (F * MEAN_F / F.mean()).to(device)
    effects, noise = (torch.randn(size, generator=generator, dtype=torch.float64) for size in (variants, rank))
    w = B @ (F.sqrt() * effects.to(device)) + noise.to(device)
    z = V @ (lam.sqrt() * w)
    return Panel(core=R, cross=cross, B=B.float(), w=w.float(), z=z, F=F, eigen=(lam, V))
