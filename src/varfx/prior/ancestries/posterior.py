"""Posterior effects in several ancestries at once, correlated across them.

A variant m of the ancestries a and c has the prior variances F_am, F_cm and the covariance `G_m = rho_ac sqrt(F_am F_cm)`; individuals are in
one GWAS alone, so that noise is not correlated. With the whitened associations of one region, stacked,

    C[a, a] = B_a F_a B_a' + sigma2_a I        C[a, c] = B_a G B_c'
    E[b_a] = sum_c F[a, c] B_c' (C^-1 w)_c     Var[b_am] = F_am - h_m' C^-1 h_m,  h_m = (F[a, c]_m b_cm)_c

A region is a core or a pair of neighbouring cores of one ancestry (`varfx.prior.pairs`), with those cores of the others that overlap it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor

from varfx.io.workers import Job, Workers, map_pieces
from varfx.prior.pairs import Cores, Side, System, stacked
from varfx.prior.posterior import IN_THIS_PROCESS, check_one_replicate, pieces_of
from varfx.progress import Progress, silent

KEPT_SIDES = 6  # whitened cores that a process keeps: those of the region before serve again


@dataclass(frozen=True, eq=False)
class AncestryTrait:
    """The trait in one ancestry.

    Attributes:
        cores: its panel and associations.
        f: prior variances of effects on standardised genotypes, on the panel's rows.
        sigma2: residual variance of z.
        rows: row of each variant of the union in this panel, or -1.
        signs: whether the panel's effect allele is that of the union (1) or the other one (-1).
    """

    cores: Cores
    f: Float[ndarray, " row"]
    sigma2: float
    rows: Int64[ndarray, " variant"]
    signs: Float[ndarray, " variant"]


@dataclass(frozen=True, eq=False)
class Effects:
    """Posterior means and variances of effects on standardised genotypes, on the rows of one panel; 0 and NaN where no window covers it."""

    mean: Float[ndarray, " row"]
    variance: Float[ndarray, " row"]


@dataclass(frozen=True, eq=False)
class Part:
    """Whitened associations of one ancestry in a region.

    Attributes:
        rows: panel rows of the columns of `signal`.
        signal: whitened correlations.
        w: whitened associations.
        F: prior variances `N f` of the columns.
        places: number of each column in the union of variants.
        signs: of each column, relative to the union.
    """

    rows: ndarray
    signal: Tensor
    w: Tensor
    F: Tensor
    places: ndarray
    signs: Tensor


@dataclass(frozen=True, eq=False)
class Ancestries:
    """The trait in all ancestries, and the correlations of its effects.

    Attributes:
        traits: in order.
        rho: correlation of a variant's effects per pair of ancestries.
    """

    traits: tuple[AncestryTrait, ...]
    rho: Float[ndarray, "ancestry ancestry"]
    places: list[ndarray] = field(init=False, repr=False)
    _sides: dict[tuple[int, int], Side] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        places = []
        for number, trait in enumerate(self.traits):
            # a row that is not in the union, as a copy of another, is no variant of any other panel
            own = -1 - np.arange(trait.cores.panel.variants.height, dtype=np.int64) - number * 2**40
            own[trait.rows[trait.rows >= 0]] = np.flatnonzero(trait.rows >= 0)
            places.append(own)
        object.__setattr__(self, "places", places)

    def __getstate__(self) -> dict[str, object]:
        """For other processes: without what is kept in memory."""
        return {**self.__dict__, "_sides": {}}

    def side(self, number: int, index: int) -> Side:
        """A core's whitened associations."""
        if (number, index) not in self._sides:
            while len(self._sides) >= KEPT_SIDES * len(self.traits):
                self._sides.pop(next(iter(self._sides)))
            self._sides[number, index] = self.traits[number].cores.side(index)
        return self._sides[number, index]

    def part(self, number: int, rows: ndarray, signal: Tensor, w: Tensor) -> Part:
        """Associations of an ancestry with what is known of their variants."""
        trait, places = self.traits[number], self.places[number][rows]
        F = torch.from_numpy(trait.cores.trait.n_ref * trait.f[rows]).to(w.device)
        return Part(
            rows, signal.double(), w, F, places, torch.from_numpy(trait.signs[np.maximum(places, 0)]).to(w.device)
        )

    def beside(self, number: int, cores: Sequence[int]) -> list[tuple[int, Part]]:
        """Number and associations of the other ancestries with data in cores that overlap those of the ancestry `number`."""
        own = [self.traits[number].cores.panel.cores[index] for index in cores]
        found = []
        for other, trait in enumerate(self.traits):
            if other == number:
                continue
            near = [
                index
                for index, core in enumerate(trait.cores.panel.cores)
                if any(core.overlaps(mine) for mine in own) and trait.cores.observed(index)
            ]
            if near:
                found.append((other, self.part(other, *stacked([self.side(other, index) for index in near]))))
        return found

    def cross(self, pair: tuple[int, int], first: Part, second: Part) -> tuple[Tensor, Tensor, Tensor]:
        """Columns of two ancestries that are the same variant, and `rho sqrt(F F)` with the sign of their alleles."""
        here = first.w.device
        _, *columns = np.intersect1d(first.places, second.places, return_indices=True)
        i, j = (torch.from_numpy(each).to(here) for each in columns)
        G = float(self.rho[pair]) * (first.F[i] * second.F[j]).sqrt() * first.signs[i] * second.signs[j]
        return i, j, G

    def posterior(
        self, number: int, own: Part, others: Sequence[tuple[int, Part]], chosen: ndarray
    ) -> tuple[ndarray, ndarray]:
        """Posterior mean and variance of `b` of some columns of the ancestry `number`.

        Args:
            number: the ancestry.
            own: its associations.
            others: number and associations of others.
            chosen: the columns.
        """
        parts = [(number, own), *others]
        ends = np.cumsum([0, *(len(part.w) for _, part in parts)])
        here, size = own.w.device, int(ends[-1])
        C = torch.zeros(size, size, dtype=torch.float64, device=here)
        places = torch.from_numpy(chosen).to(here)
        H = torch.zeros(size, chosen.size, dtype=torch.float64, device=here)
        H[: ends[1]] = own.signal[:, places] * own.F[places]
        inverse = torch.full((len(own.rows),), -1, dtype=torch.int64, device=here)
        inverse[places] = torch.arange(chosen.size, device=here)
        for k, (a, first) in enumerate(parts):
            block = (first.signal * first.F) @ first.signal.T
            block.diagonal().add_(self.traits[a].sigma2)
            C[ends[k] : ends[k + 1], ends[k] : ends[k + 1]] = block
            for m, (c, second) in enumerate(parts[:k]):
                i, j, G = self.cross((c, a), second, first)
                block = (second.signal[:, i] * G) @ first.signal[:, j].T
                C[ends[m] : ends[m + 1], ends[k] : ends[k + 1]] = block
                C[ends[k] : ends[k + 1], ends[m] : ends[m + 1]] = block.T
                if m == 0:  # covariances of the chosen variants with this ancestry's associations
                    wanted = inverse[i] >= 0
                    H[ends[k] : ends[k + 1], inverse[i][wanted]] = first.signal[:, j[wanted]] * G[wanted]
        L = torch.linalg.cholesky(C)
        w = torch.cat([part.w for _, part in parts])
        half = torch.linalg.solve_triangular(L, torch.cat([H, w[:, None]], dim=1), upper=False)
        mean = half[:, :-1].T @ half[:, -1]
        variance = own.F[places] - half[:, :-1].square().sum(0)
        return mean.cpu().numpy(), variance.clamp_min(0.0).cpu().numpy()


def joint_posterior(
    ancestries: Ancestries,
    *,
    where: Workers = IN_THIS_PROCESS,
    folder: Path | None = None,
    progress: Progress = silent,
) -> list[Effects]:
    """Posterior effects of the trait in each ancestry.

    Args:
        ancestries: the trait in all of them.
        where: processes of this machine, or a scheduler.
        folder: existing folder that all workers of a scheduler see; by default the current one.
        progress: told about each window.

    Raises:
        ConfigError: a trait holds replicates.
        WorkerError: workers or the scheduler were lost.
    """
    found, pieces = [], []
    for number, trait in enumerate(ancestries.traits):
        check_one_replicate(trait.cores.trait)
        size = trait.cores.panel.variants.height
        found.append(Effects(np.zeros(size), np.full(size, np.nan)))
        pieces += [(number, *piece) for piece in pieces_of(len(trait.cores.panel.cores))]
    job = Job(
        function=_stretch,
        start=Ancestries,
        arguments=(ancestries.traits, ancestries.rho),
        what="stretches of windows",
        folder=folder,
        threads=None,
    )
    total, done = sum(last - first for _, first, last in pieces), 0
    for number, count, rows, mean, variance in map_pieces(job, pieces, where):
        found[number].mean[rows], found[number].variance[rows] = mean, variance
        progress(done := done + count, total, "windows")
    return found


def _stretch(ancestries: Ancestries, piece: tuple[int, int, int]) -> tuple[int, int, ndarray, ndarray, ndarray]:
    """The ancestry, its number of cores `first` to `last` (exclusive), panel rows of their variants, means and variances of beta."""
    number, first, last = piece
    trait = ancestries.traits[number]
    rows, means, variances = [np.zeros(0, dtype=np.int64)], [np.zeros(0)], [np.zeros(0)]
    for system in trait.cores.systems(first, last):
        chosen = np.flatnonzero(system.inside)
        own = ancestries.part(number, system.rows, system.signal, system.w)
        mean, variance = ancestries.posterior(number, own, _others(ancestries, number, system), chosen)
        n = trait.cores.trait.n_ref
        rows.append(system.rows[chosen])
        means.append(mean / np.sqrt(n))
        variances.append(variance / n)
    return number, last - first, np.concatenate(rows), np.concatenate(means), np.concatenate(variances)


def _others(ancestries: Ancestries, number: int, system: System) -> list[tuple[int, Part]]:
    """The other ancestries' associations that tell something about a system's variants."""
    cores = ancestries.traits[number].cores.cores_of(system)
    return [(other, part) for other, part in ancestries.beside(number, cores) if ancestries.rho[number, other] != 0]
