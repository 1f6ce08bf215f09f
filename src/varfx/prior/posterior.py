"""Posterior-mean effects given one trait's associations, `E[beta] = f sqrt(N) B' C^-1 w`, with both sides of every core edge.

Neighbouring cores are taken together (`varfx.prior.pairs`). Pairs are independent of each other: stretches of them are
computed by several processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from varfx.errors import ConfigError
from varfx.io.workers import Job, Workers, map_pieces
from varfx.ld import LDPanel
from varfx.prior.large_pairs import pair_slopes
from varfx.prior.pairs import Arrangement, Cores, System
from varfx.progress import Progress, silent
from varfx.training import TraitData

CORES_PER_PIECE = 8  # the first core of a piece is also the right side of the piece before
IN_THIS_PROCESS = Workers(workers=1)


def posterior_means(
    panel: LDPanel,
    trait: TraitData,
    f: Float[ndarray, " variant"],
    sigma2: float,
    *,
    where: Workers = IN_THIS_PROCESS,
    device: str = "cpu",
    folder: Path | None = None,
    progress: Progress = silent,
) -> Float[ndarray, " variant"]:
    """Posterior-mean effects on standardised genotypes, on the panel's rows; 0 where no window covers a variant.

    Args:
        panel: the LD panel.
        trait: its associations on the panel's rows.
        f: prior variances on the panel's rows.
        sigma2: residual variance of z.
        where: processes of this machine, each with the memory of two windows, or a scheduler.
        device: of each process, by name; computation is in float64, for mps on the CPU.
        folder: existing folder that all workers of a scheduler see; by default the current one.
        progress: told about each window.

    Raises:
        ConfigError: the trait holds replicates, or a process has no such device.
        WorkerError: workers or the scheduler were lost.
    """
    check_one_replicate(trait)
    effects = np.zeros(panel.variants.height)
    total = len(panel.cores)
    job = Job(
        function=_stretch,
        start=_Posterior,
        arguments=(Cores(panel, trait, device), f, sigma2),
        what="stretches of windows",
        folder=folder,
        threads=None,
    )
    done = 0
    for number, rows, values in map_pieces(job, pieces_of(total), where):
        effects[rows] = values
        progress(done := done + number, total, "windows")
    return effects


def check_one_replicate(trait: TraitData) -> None:
    """Checks that a trait has one replicate.

    Raises:
        ConfigError: it has several.
    """
    if trait.z.ndim != 1:
        raise ConfigError(
            f"`{trait.name}` holds {trait.replicates} replicates: weights need summary statistics with one."
        )


def pieces_of(total: int) -> list[tuple[int, int]]:
    """First and last (exclusive) core of each stretch of `total` cores."""
    return [(first, min(first + CORES_PER_PIECE, total)) for first in range(0, total, CORES_PER_PIECE)]


@dataclass(frozen=True, eq=False)
class _Posterior:
    """Data shared by all stretches; arrays on the panel's rows."""

    cores: Cores
    f: ndarray
    sigma2: float


def _stretch(posterior: _Posterior, piece: tuple[int, int]) -> tuple[int, ndarray, ndarray]:
    """Number of cores `first` to `last` (exclusive), panel rows of their variants, and the effects of those."""
    first, last = piece
    found = [_effects(posterior, each) for each in posterior.cores.arrangements(first, last)]
    empty = (np.zeros(0, dtype=np.int64), np.zeros(0))
    rows, values = (np.concatenate(parts) for parts in zip(empty, *found, strict=True))
    return last - first, rows, values


def _effects(posterior: _Posterior, arrangement: Arrangement) -> tuple[ndarray, ndarray]:
    """Panel rows and posterior means of an arrangement's own variants."""
    cores, f, sigma2 = posterior.cores, posterior.f, posterior.sigma2
    n_ref = cores.trait.n_ref
    number, bounds, sides = arrangement
    if len(sides) == 2 and all(side.large for side in sides):
        rows, every = pair_slopes(sides[0], sides[1], n_ref * f, sigma2)
        inside = cores.inside(rows, bounds)
        slopes = every[inside]
    else:
        system = cores.system(number, bounds, sides)
        rows, inside = system.rows, system.inside
        F = torch.from_numpy(n_ref * f[rows]).to(system.w.device)
        slopes = (system.signal.T @ _solved(system, F, sigma2))[:, 0].double().cpu().numpy()[inside]
    chosen = rows[inside]
    return chosen, f[chosen] * np.sqrt(n_ref) * slopes


def _solved(system: System, F: Float[Tensor, " variant"], sigma2: float) -> Float[Tensor, "rank 1"]:
    """`C^-1 w`, in the signal's precision: float32 of a large core."""
    signal, dtype = system.signal, system.signal.dtype
    scaled = signal * F.sqrt().to(dtype)
    C = scaled @ scaled.T if dtype == torch.float32 else (signal * F) @ signal.T
    C.diagonal().add_(sigma2)
    return torch.cholesky_solve(system.w.to(dtype)[:, None], torch.linalg.cholesky(C))
