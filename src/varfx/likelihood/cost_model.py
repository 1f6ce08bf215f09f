"""Time of each engine per window, from a few measurements of this machine.

    seconds = start + per_operation * operations + per_entry * entries of B

`operations` are multiplications (those of `exact` for its forms, of the block solve for `stochastic`); entries stand for
memory traffic. The three coefficients of an engine are fitted to its times on windows of some sizes, once per machine,
torch version, number of threads, device and precision, and kept in the user's cache folder.
"""

from __future__ import annotations

import functools
import logging
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from scipy.optimize import nnls

from varfx.errors import VarfxError
from varfx.io import sealed
from varfx.io.cache import cache_folder
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood.exact import exact, operations
from varfx.likelihood.stochastic import first_probes, stochastic

logger = logging.getLogger(__name__)
Variety = Literal["exact rank", "exact symmetric", "stochastic"]
FILE = "engine_costs.json"
FORMAT = 2  # of the file, and of what the coefficients mean
SHAPES = ((40, 120), (40, 400), (160, 160), (160, 640), (500, 600), (500, 2000), (1000, 1100), (900, 3600))
# A GPU does all of these in the time that its kernels take to start, which says nothing about the windows of a biobank.
GPU_SHAPES = (*SHAPES[1::2], (2000, 2500), (2000, 8000), (4000, 5000), (4000, 12_000))
MOST_OPERATIONS = {"cpu": 2e9, "cuda": 1e12}  # of a timed task; larger ones would not improve the fit
REPEATS = 3
TYPICAL_STEPS = 5  # of CG on real LD
_PASSES = 2 * TYPICAL_STEPS + 3  # products with B for every column of the block
_HALF = "stochastic, converted"  # in the file: of a B that is stored in half precision


@dataclass(frozen=True)
class CostModel:
    """Coefficients (seconds; seconds an operation; seconds an entry of B) of each engine on one machine and precision."""

    coefficients: dict[str, tuple[float, float, float]]

    def seconds(
        self,
        rank: int,
        num_variants: int,
        *,
        rewhitened: int | None = None,
        converted: bool = False,
        kept: bool = True,
        gradient_error: float = 0.1,
    ) -> dict[Variety, float]:
        """Predicted seconds for the value and gradient of one window, by engine.

        Args:
            rank: r, the rows of the whitened window.
            num_variants: M.
            rewhitened: rows of the stored B where a T comes before it.
            converted: whether B is stored in a lower precision than is computed in.
            kept: whether the window serves several calls, which share the product B'B.
            gradient_error: that `stochastic` is asked for.
        """
        exactly = operations(rank, num_variants, rewhitened, kept=kept)
        entries = (rewhitened or rank) * num_variants
        probes = stochastic_operations(rank, num_variants, first_probes(gradient_error), rewhitened)
        return {
            "exact rank": self._predict("exact rank", exactly["rank"], entries),
            "exact symmetric": self._predict("exact symmetric", exactly["symmetric"], entries),
            "stochastic": self._predict(_HALF if converted else "stochastic", probes, entries),
        }

    def to_json(self) -> dict[str, list[float]]:
        """The coefficients as JSON values."""
        return {name: list(values) for name, values in self.coefficients.items()}

    @staticmethod
    def from_json(content: Any) -> CostModel:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: something is missing, or no cost.
        """
        coefficients = {}
        for name in (*get_args(Variety), _HALF):
            start, per_operation, per_entry = (float(value) for value in content[name])
            if not all(0 <= value < 1e3 for value in (start, per_operation, per_entry)):
                raise ValueError(f"{name} is no cost")
            coefficients[name] = (start, per_operation, per_entry)
        return CostModel(coefficients)

    def _predict(self, name: str, count: float, entries: int) -> float:
        start, per_operation, per_entry = self.coefficients[name]
        return start + per_operation * count + per_entry * entries


def stochastic_operations(rank: int, num_variants: int, probes: int, rewhitened: int | None = None) -> float:
    """Multiplications of a typical stochastic evaluation, with those of the r x r preconditioner where there is a T."""
    stored, columns = rewhitened or rank, probes + 1
    count = _PASSES * stored * num_variants * columns
    if rewhitened is not None:
        count += rank**2 * (stored + rank) + _PASSES * rank * (stored + rank) * columns
    return float(count)


def calibrated(dtype: torch.dtype, device: torch.device | str = "cpu") -> CostModel:
    """The cost model of this machine, from the cache if it is there, else measured (about a second) and kept.

    A cache that cannot be read is measured anew, and one that cannot be written is done without.
    """
    return _calibrated(_key(dtype, torch.device(device)), dtype, str(device))


@functools.cache
def _calibrated(key: str, dtype: torch.dtype, device: str) -> CostModel:
    path = cache_folder() / FILE
    kept = _kept(path)
    try:
        return CostModel.from_json(kept[key])
    except (KeyError, TypeError, ValueError):
        pass
    costs = measure(dtype, torch.device(device))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sealed.write_json(path, {"format": FORMAT, "machines": {**_kept(path), key: costs.to_json()}})
    except (VarfxError, OSError) as error:
        logger.info("engine times are not kept: %s", error)
    return costs


def _kept(path: os.PathLike[str]) -> dict[str, Any]:
    try:
        content = sealed.read_json(path)
    except (VarfxError, OSError, ValueError):
        return {}
    usable = isinstance(content, dict) and content.get("format") == FORMAT and isinstance(content.get("machines"), dict)
    return dict(content["machines"]) if usable else {}


def _key(dtype: torch.dtype, device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads, {device.type}, {dtype}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.processor()} ({platform.machine()})"


def measure(dtype: torch.dtype, device: torch.device) -> CostModel:
    """Times every engine on windows of several sizes, and fits the coefficients."""
    generator = torch.Generator().manual_seed(0)
    rows: dict[str, list[tuple[float, float, float]]] = {}
    on_gpu = device.type == "cuda"
    most = MOST_OPERATIONS["cuda" if on_gpu else "cpu"]
    for rank, num_variants in GPU_SHAPES if on_gpu else SHAPES:
        window, F = _window(rank, num_variants, dtype, device, generator)
        half = WhitenedWindow(B=window.B.half(), w=window.w)
        exactly, entries = operations(rank, num_variants), rank * num_variants
        by_probes = stochastic_operations(rank, num_variants, first_probes(0.1))
        by_exact = functools.partial(exact, window, F, 1.0, dtype=dtype)
        by_chance = functools.partial(stochastic, F=F, sigma2=1.0, generator=generator, dtype=dtype)
        tasks: dict[str, tuple[float, Callable[[], object]]] = {
            "exact rank": (exactly["rank"], functools.partial(by_exact, form="rank")),
            "exact symmetric": (exactly["symmetric"], functools.partial(by_exact, form="symmetric")),
            "stochastic": (by_probes, functools.partial(by_chance, window)),
            _HALF: (by_probes, functools.partial(by_chance, half)),
        }
        for name, (count, task) in tasks.items():
            if count < most:
                rows.setdefault(name, []).append((_best_time(task, device), count, float(entries)))
    return CostModel({name: _fitted(measured) for name, measured in rows.items()})


def _window(
    rank: int, num_variants: int, dtype: torch.dtype, device: torch.device, generator: torch.Generator
) -> tuple[WhitenedWindow, torch.Tensor]:
    """A window with a spectrum like that of LD."""
    lam = torch.logspace(2, -2, rank)
    B = torch.randn(rank, num_variants, generator=generator) * (lam / lam.sum()).sqrt()[:, None]
    F = 0.05 * torch.rand(num_variants, generator=generator)
    w = torch.randn(rank, generator=generator)
    return WhitenedWindow(B=B, w=w).to(dtype=dtype, device=device), F.to(dtype=dtype, device=device)


def _best_time(task: Callable[[], object], device: torch.device) -> float:
    """The shortest of a few runs, after one that warms up: disturbances make a run longer. A long run is repeated less often."""
    task()
    _wait(device)  # else the first run's time would be that of the warm-up too
    times: list[float] = []
    while len(times) < REPEATS and sum(times) < 0.2:
        started = time.perf_counter()
        task()
        _wait(device)
        times.append(time.perf_counter() - started)
    return min(times)


def _wait(device: torch.device) -> None:
    """Until the device has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _fitted(measured: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Coefficients, none negative, with the least relative errors."""
    table = np.array(measured)
    design = np.column_stack([np.ones(len(table)), table[:, 1:]]) / table[:, :1]
    size = np.abs(design).max(axis=0)  # nnls wants columns of one magnitude
    solution, _ = nnls(design / size, np.ones(len(table)))
    start, per_operation, per_entry = (solution / size).tolist()
    return start, per_operation, per_entry
