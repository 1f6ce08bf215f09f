"""Whitened associations of one core, or of two neighbouring cores together, for variants near core edges.

The associations of one core alone would tell little about a variant at its edge. So two neighbouring cores a and b are
taken together: their whitened associations, stacked, have the noise covariance

    S = [[I, X], [X', I]],   X = P_a R[a,b] P_b'   (from the panel: R[a,+] = V_a lam_a^1/2 B_a)

which is whitened once more; the pair serves the variants between the middle of a and the middle of b. Every variant then
has at least half a core of associations on either side, where the chromosome has them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from varfx.device import find_float64_device
from varfx.ld import LDPanel, PanelWindow
from varfx.ld.gaps import LEAST_RANK, StrongDirections, above
from varfx.ld.whiten import Rewhitening, eigenpairs, rewhiten
from varfx.training import TraitData

REPEATED = 150  # directions of a core that a neighbour repeats, as first guess
MIN_NOISE = 1e-3  # directions whose noise eigenvalue is below this are duplicated in both cores; they are dropped


@dataclass(frozen=True, eq=False)
class System:
    """A whitened regression `w ~ N(signal b, sigma2 I)` of one core or of a pair, and the variants that it serves.

    Attributes:
        number: of the first core and 1 for a pair, 0 for the core alone before, 2 after it; unique in a panel.
        rows: panel rows of the columns of `signal`.
        signal: whitened correlations with those variants.
        w: whitened associations.
        inside: mask of the variants whose posterior this system gives.
    """

    number: tuple[int, int]
    rows: Int[ndarray, " variant"]
    signal: Float[Tensor, "rank variant"]
    w: Float[Tensor, " rank"]
    inside: Bool[ndarray, " variant"]


@dataclass(frozen=True, eq=False)
class Side:
    """One core's whitened associations, and their information on the panel's variants.

    Attributes:
        rows: panel rows of the columns of `signal`.
        signal: whitened correlations with those variants (T B), float32.
        w: whitened associations.
        observed_rows: panel rows of the associations.
        whitening: of the associations, `w = P z`.
        scaled: whether sample sizes differ, so that `signal` is more than `P R[observed, rows]`.
        B: as stored, float32.
    """

    rows: ndarray
    signal: Tensor
    w: Tensor
    observed_rows: ndarray
    whitening: Rewhitening
    scaled: bool
    B: Tensor

    @cached_property
    def P(self) -> Tensor:
        """The whitening, (rank, observed)."""
        return torch.from_numpy(self.whitening.P).to(self.w.device)

    @cached_property
    def half(self) -> Tensor:
        """`P U`, so that `P R[observed, rows] = half @ B`."""
        return self.P @ torch.from_numpy(self.whitening.U).to(self.w.device)

    @property
    def large(self) -> bool:
        """Whether a pair with it is whitened by Cholesky factors, in float32 where its size matters."""
        return self.w.device.type == "cpu" and len(self.w) >= LEAST_RANK


Arrangement = tuple[
    tuple[int, int], tuple[float, float], list[Side]
]  # `System.number`, bounds of its own variants, cores


@dataclass(frozen=True, eq=False)
class Cores:
    """The cores of a panel with one trait's associations on the panel's rows, and the name of a device."""

    panel: LDPanel
    trait: TraitData
    device: str = "cpu"

    @cached_property
    def there(self) -> torch.device:
        """Where this process computes."""
        return find_float64_device(self.device)

    def observed(self, index: int) -> bool:
        """Whether there is such a core, with an association."""
        return 0 <= index < len(self.panel.cores) and bool(self.trait.observed[self.panel.rows(index)[0]].any())

    def adjacent(self, left: int, right: int) -> bool:
        """Whether two cores lie so close that the flank of one reaches the other."""
        first, second = self.panel.cores[left], self.panel.cores[right]
        return first.chrom == second.chrom and second.start - first.end < max(self.panel.flank, 1)

    def side(self, index: int) -> Side:
        """The whitened associations of one core, on the device."""
        window: PanelWindow = self.panel.window(index)
        trait, there = self.trait, self.there
        z = trait.z[window.core_rows]
        observed = np.flatnonzero(trait.observed[window.core_rows])
        scale = np.sqrt(trait.n[window.core_rows][observed] / trait.n_ref)
        scaled = None if (scale == 1).all() else scale
        whitening = rewhiten(window.factors, observed, scaled, device=there)
        B = torch.from_numpy(window.factors.B).to(there, torch.float32)
        return Side(
            rows=window.panel_rows,
            signal=whitening.signal(B),
            w=torch.from_numpy(whitening.associations(z[observed])).to(there),
            observed_rows=window.core_rows[observed],
            whitening=whitening,
            scaled=scaled is not None,
            B=B,
        )

    def cores_of(self, system: System) -> list[int]:
        """Numbers of the cores whose associations a system has."""
        index, kind = system.number
        return [index, index + 1] if kind == 1 else [index]

    def systems(self, first: int, last: int) -> Iterator[System]:
        """The systems of `arrangements`, in float64 on the device; the signal of large cores is in float32."""
        for number, bounds, sides in self.arrangements(first, last):
            yield self.system(number, bounds, sides)

    def arrangements(self, first: int, last: int) -> Iterator[Arrangement]:
        """One core or a pair at a time, whose variants are together those of the cores `first` to `last` (exclusive).

        A core's own are its left half if no neighbour shares it, and all up to the middle of its right neighbour or its end.
        """
        observed = cache(self.observed)
        before: tuple[int, Side] | None = None
        for index in range(first, last):
            if not observed(index):
                continue
            side = before[1] if before is not None and before[0] == index else self.side(index)
            core = self.panel.cores[index]
            middle = (core.start + core.end) / 2
            if not (observed(index - 1) and self.adjacent(index - 1, index)):
                yield (index, 0), (core.start, middle), [side]
            if observed(index + 1) and self.adjacent(index, index + 1):
                right, after = self.panel.cores[index + 1], self.side(index + 1)
                yield (index, 1), (middle, (right.start + right.end) / 2), [side, after]
                before = (index + 1, after)
            else:
                yield (index, 2), (middle, core.end), [side]

    def inside(self, rows: Int[ndarray, " variant"], bounds: tuple[float, float]) -> Bool[ndarray, " variant"]:
        """Mask of the panel rows in (low, high]."""
        positions = self.panel.variants["position"].to_numpy()[rows]
        return np.asarray((positions > bounds[0]) & (positions <= bounds[1]))

    def system(self, number: tuple[int, int], bounds: tuple[float, float], sides: list[Side]) -> System:
        """The system of one or two sides, for the variants in (low, high]."""
        rows, signal, w = _stacked(sides)
        return System(number=number, rows=rows, signal=signal, w=w, inside=self.inside(rows, bounds))


def stacked(sides: Sequence[Side]) -> tuple[ndarray, Tensor, Tensor]:
    """Panel rows, whitened correlations and associations of any number of neighbouring cores together."""
    if len(sides) <= 2:
        return _stacked(list(sides))
    ends = np.cumsum([0, *(len(side.w) for side in sides)])
    noise = torch.eye(int(ends[-1]), dtype=torch.float64, device=sides[0].w.device)
    for (i, a), (j, b) in itertools.combinations(enumerate(sides), 2):
        _, *places = np.intersect1d(a.rows, b.observed_rows, return_indices=True)
        in_a, in_b = (torch.from_numpy(place).to(noise.device) for place in places)
        shared = (a.half @ a.B[:, in_a].double()) @ b.P[:, in_b].T
        noise[ends[i] : ends[i + 1], ends[j] : ends[j + 1]] = shared
        noise[ends[j] : ends[j + 1], ends[i] : ends[i + 1]] = shared.T
    values, vectors = eigenpairs(noise)
    kept = values > MIN_NOISE
    whitener = (vectors[:, kept] / values[kept].sqrt()).T
    rows = reduce(np.union1d, [side.rows for side in sides])
    parts = [whitener[:, ends[i] : ends[i + 1]] @ _spread(side, rows) for i, side in enumerate(sides)]
    return rows, sum(parts[1:], parts[0]), whitener @ torch.cat([side.w for side in sides])


def _stacked(sides: list[Side]) -> tuple[ndarray, Tensor, Tensor]:
    """Panel rows, whitened correlations and associations of one or two neighbouring cores together, in float64 if not large."""
    if len(sides) == 1:
        return sides[0].rows, sides[0].signal if sides[0].large else sides[0].signal.double(), sides[0].w
    a, b = sides
    if a.large and b.large:
        return _stacked_by_factors(a, b)
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


def shared_noise(a: Side, b: Side) -> tuple[Float[Tensor, "second first"], StrongDirections]:
    """X' of two large cores, and the directions of the second that the first does not repeat.

    Where the first repeats one it is left out; the general form keeps the mean of both.
    """
    _, in_a, in_b = np.intersect1d(a.rows, b.observed_rows, return_indices=True)
    of_a = (a.half.float() @ a.B if a.scaled else a.signal)[:, torch.from_numpy(in_a)].double()
    U = torch.from_numpy(b.whitening.U)[torch.from_numpy(in_b)]
    X = torch.from_numpy(b.whitening.inner((U.T @ of_a.T).numpy()))
    G = torch.eye(len(b.w), dtype=torch.float64) - X @ X.T
    return X, above(G.numpy(), 2 * MIN_NOISE, 0.0, REPEATED)


def _stacked_by_factors(a: Side, b: Side) -> tuple[ndarray, Tensor, Tensor]:
    """The same of two large cores, `signal` in float32: b without what a says of its noise, whitened by a Cholesky factor."""
    X, strong = shared_noise(a, b)
    T = torch.eye(len(b.w), dtype=torch.float64) if (left := strong.rows()) is None else torch.from_numpy(left)
    TX = T @ X
    K = torch.linalg.cholesky(torch.eye(len(T), dtype=torch.float64) - TX @ TX.T)
    rows = np.union1d(a.rows, b.rows)
    signal = torch.zeros(len(a.w) + len(K), rows.size)
    columns_a, columns_b = (torch.from_numpy(np.searchsorted(rows, side.rows)) for side in (a, b))
    signal[: len(a.w), columns_a] = a.signal
    own = torch.zeros(len(b.w), rows.size)
    own[:, columns_b] = b.signal
    own[:, columns_a] -= X.float() @ a.signal
    signal[len(a.w) :] = torch.linalg.solve_triangular(K, T, upper=False).float() @ own
    w = torch.linalg.solve_triangular(K, (T @ (b.w - X @ a.w))[:, None], upper=False)[:, 0]
    return rows, signal, torch.cat([a.w, w])


def _spread(side: Side, rows: ndarray) -> Tensor:
    """The side's whitened correlations on a longer list of variants; 0 beyond its flank."""
    wide = torch.zeros(len(side.w), rows.size, dtype=torch.float64, device=side.w.device)
    wide[:, torch.from_numpy(np.searchsorted(rows, side.rows)).to(wide.device)] = side.signal.double()
    return wide
