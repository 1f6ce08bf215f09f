"""Posterior-mean effects given one trait's associations, `E[beta] = f sqrt(N) B' C^-1 w`, with both sides of every core edge.

The associations of one core alone would tell little about a variant at its edge. So two neighbouring cores a and b are
taken together: their whitened associations, stacked, have the noise covariance

    S = [[I, X], [X', I]],   X = P_a R[a,b] P_b'   (from the panel: R[a,+] = V_a lam_a^1/2 B_a)

which is whitened once more; the posterior of the pair is used for the variants between the middle of a and the middle of
b. Every variant then has at least half a core of associations on either side, where the chromosome has them. Pairs are
independent of each other: stretches of them are computed by several processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from varfx.device import find_device, for_float64
from varfx.errors import ConfigError
from varfx.io.workers import Job, Workers, map_pieces
from varfx.ld import LDPanel, PanelWindow
from varfx.ld.whiten import eigenpairs, rewhiten
from varfx.progress import Progress, silent
from varfx.training import TraitData

MIN_NOISE = 1e-3  # directions whose noise eigenvalue is below this are duplicated in both cores; they are dropped
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
    if trait.z.ndim != 1:
        raise ConfigError(
            f"`{trait.name}` holds {trait.replicates} replicates: weights need summary statistics with one."
        )
    effects = np.zeros(panel.variants.height)
    total = len(panel.cores)
    pieces = [(first, min(first + CORES_PER_PIECE, total)) for first in range(0, total, CORES_PER_PIECE)]
    job = Job(
        function=_stretch,
        start=_Posterior,
        arguments=(panel, trait, f, sigma2, device),
        what="stretches of windows",
        folder=folder,
        threads=None,
    )
    done = 0
    for number, rows, values in map_pieces(job, pieces, where):
        effects[rows] = values
        progress(done := done + number, total, "windows")
    return effects


@dataclass(frozen=True, eq=False)
class _Side:
    """One core's whitened associations and what they say about the panel's variants.

    Attributes:
        rows: panel rows of the columns of `signal`.
        signal: whitened correlations with those variants (T B), float32.
        w: whitened associations.
        observed_rows: panel rows of the associations.
        P: (rank, observed): `w = P z`.
        half: `P U`, so that `P R[observed, rows] = half @ B`.
        B: as stored, float32.
    """

    rows: ndarray
    signal: Tensor
    w: Tensor
    observed_rows: ndarray
    P: Tensor
    half: Tensor
    B: Tensor


@dataclass(frozen=True, eq=False)
class _Posterior:
    """Data shared by all stretches; arrays on the panel's rows, and the name of the device."""

    panel: LDPanel
    trait: TraitData
    f: ndarray
    sigma2: float
    device: str

    @cached_property
    def there(self) -> torch.device:
        """Where this process computes."""
        return for_float64(find_device(self.device))

    def observed(self, index: int) -> bool:
        """Whether there is such a core, with an association."""
        return 0 <= index < len(self.panel.cores) and bool(self.trait.observed[self.panel.rows(index)[0]].any())

    def adjacent(self, left: int, right: int) -> bool:
        """Whether two cores lie so close that the flank of one reaches the other."""
        first, second = self.panel.cores[left], self.panel.cores[right]
        return first.chrom == second.chrom and second.start - first.end < max(self.panel.flank, 1)


def _stretch(posterior: _Posterior, piece: tuple[int, int]) -> tuple[int, ndarray, ndarray]:
    """Number of cores `first` to `last` (exclusive), panel rows of their variants, and the effects of those.

    A core's own are its left half if no neighbour shares it, and all up to the middle of its right neighbour or its end.
    """
    first, last = piece
    observed = cache(posterior.observed)
    found: list[tuple[ndarray, ndarray]] = []
    before: tuple[int, _Side] | None = None
    for index in range(first, last):
        if not observed(index):
            continue
        side = before[1] if before is not None and before[0] == index else _side(posterior, index)
        core = posterior.panel.cores[index]
        middle = (core.start + core.end) / 2
        if not (observed(index - 1) and posterior.adjacent(index - 1, index)):
            found.append(_effects(posterior, (core.start, middle), [side]))
        if observed(index + 1) and posterior.adjacent(index, index + 1):
            right, after = posterior.panel.cores[index + 1], _side(posterior, index + 1)
            found.append(_effects(posterior, (middle, (right.start + right.end) / 2), [side, after]))
            before = (index + 1, after)
        else:
            found.append(_effects(posterior, (middle, core.end), [side]))
    empty = (np.zeros(0, dtype=np.int64), np.zeros(0))
    rows, values = (np.concatenate(parts) for parts in zip(empty, *found, strict=True))
    return last - first, rows, values


def _side(posterior: _Posterior, index: int) -> _Side:
    """The whitened associations of one core, on the device."""
    window: PanelWindow = posterior.panel.window(index)
    trait, there = posterior.trait, posterior.there
    z = trait.z[window.core_rows]
    observed = np.flatnonzero(trait.observed[window.core_rows])
    scale = np.sqrt(trait.n[window.core_rows][observed] / trait.n_ref)
    scaled = None if (scale == 1).all() else scale
    whitening = rewhiten(window.factors, observed, scaled, device=there)
    B = torch.from_numpy(window.factors.B).to(there, torch.float32)
    U = torch.from_numpy(window.factors.V[observed] * np.sqrt(window.factors.lam)).to(there)
    P = torch.from_numpy(whitening.P).to(there)
    return _Side(
        rows=window.panel_rows,
        signal=B if whitening.T is None else torch.from_numpy(whitening.T).to(there, torch.float32) @ B,
        w=P @ torch.from_numpy(z[observed]).to(there),
        observed_rows=window.core_rows[observed],
        P=P,
        half=P @ U,
        B=B,
    )


def _effects(posterior: _Posterior, bounds: tuple[float, float], sides: list[_Side]) -> tuple[ndarray, ndarray]:
    """Panel rows and posterior means of the variants in (low, high], given one or two sides."""
    f, trait = posterior.f, posterior.trait
    positions = posterior.panel.variants["position"].to_numpy()
    rows, signal, w = _stacked(sides)
    F = torch.from_numpy(trait.n_ref * f[rows]).to(w.device)
    C = (signal * F) @ signal.T
    C.diagonal().add_(posterior.sigma2)
    solved = torch.cholesky_solve(w[:, None], torch.linalg.cholesky(C))
    low, high = bounds
    inside = (positions[rows] > low) & (positions[rows] <= high)
    chosen = rows[inside]
    slopes = (signal.T @ solved)[:, 0].cpu().numpy()[inside]
    return chosen, f[chosen] * np.sqrt(trait.n_ref) * slopes


def _stacked(sides: list[_Side]) -> tuple[ndarray, Tensor, Tensor]:
    """Panel rows, whitened correlations and associations of one or two neighbouring cores together, in float64."""
    if len(sides) == 1:
        return sides[0].rows, sides[0].signal.double(), sides[0].w
    a, b = sides
    here, size = a.w.device, len(a.w)
    _, *places = np.intersect1d(a.rows, b.observed_rows, return_indices=True)
    in_a, in_b = (torch.from_numpy(place).to(here) for place in places)
    noise = torch.eye(size + len(b.w), dtype=torch.float64, device=here)
    noise[:size, size:] = (a.half @ a.B[:, in_a].double()) @ b.P[:, in_b].T
    noise[size:, :size] = noise[:size, size:].T.clone()
    values, vectors = eigenpairs(noise)
    kept = values > MIN_NOISE
    whitener = (vectors[:, kept] / values[kept].sqrt()).T
    rows = np.union1d(a.rows, b.rows)
    signal = whitener[:, :size] @ _spread(a, rows) + whitener[:, size:] @ _spread(b, rows)
    return rows, signal, whitener @ torch.cat([a.w, b.w])


def _spread(side: _Side, rows: ndarray) -> Tensor:
    """The side's whitened correlations on a longer list of variants; 0 beyond its flank."""
    wide = torch.zeros(len(side.w), rows.size, dtype=torch.float64, device=side.w.device)
    wide[:, torch.from_numpy(np.searchsorted(rows, side.rows)).to(wide.device)] = side.signal.double()
    return wide
