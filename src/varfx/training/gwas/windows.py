"""The data of a training step: a window's whitened associations of every trait, and its variants' features.

What depends on data only (re-whitening for the associations that a GWAS has) is computed once and kept: in memory while it
fits, else in a scratch folder. `B` itself is read from the panel when it does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from varfx.annotations.features import Features, HeldFeatures
from varfx.errors import DataError
from varfx.ld import LDPanel, PanelWindow, WhitenedWindow
from varfx.ld.squares import squared_correlations
from varfx.likelihood.chi2 import Chi2Window
from varfx.likelihood.ldsr import paper_weights
from varfx.memory import return_freed_memory
from varfx.short_repr import short_repr
from varfx.tracks.gather import TrackWindow
from varfx.tracks.panel import PanelTracks
from varfx.training.gwas.rewhitened import Associations


@dataclass(frozen=True, kw_only=True, eq=False)
class TraitData:
    """One trait's associations on the panel's variants.

    Attributes:
        name: of the trait.
        z: associations with the panel's effect alleles; NaN where the GWAS has none. With a second axis for independent
            replicates (new effects and noise, the same variants), whose scores are added.
        n: sample size of each association; NaN where there is none.
        n_ref: the sample size that `F = n_ref f` refers to: the median of `n`.
    """

    __repr__ = short_repr

    name: str
    z: Float[ndarray, "variant ..."]
    n: Float[ndarray, " variant"]
    n_ref: float

    def __post_init__(self) -> None:
        torn = np.isfinite(self.z).reshape(len(self.z), self.replicates)
        uneven = np.flatnonzero(torn.any(1) != torn.all(1))
        if uneven.size:
            raise DataError(
                f"`{self.name}`: {uneven.size} variants have an association in some replicates only, first row {uneven[0]}. "
                "Replicates must have the same variants."
            )

    @property
    def observed(self) -> Bool[ndarray, " variant"]:
        """Mask of variants with an association."""
        return np.asarray(np.isfinite(self.z).reshape(len(self.z), self.replicates)[:, 0])

    @property
    def replicates(self) -> int:
        """Number of independent replicates; usually 1."""
        return 1 if self.z.ndim == 1 else self.z.shape[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class PriorWindow:
    """A window as the model and the likelihood take it.

    Attributes:
        index: of the window in the panel.
        features: of its panel variants; where there are tracks, these with the features as their predictors.
        heterozygosity: `p (1 - p)` of its panel variants.
        traits: the whitened associations of each trait; None where the GWAS has none in the core.
        num_observed: how many associations there are in the core, per trait.
        chi2: for objectives that look at chi2 alone; empty unless `WindowData.carry_chi2` asked for it.
    """

    __repr__ = short_repr

    index: int
    features: Float[Tensor, "variant feature"] | TrackWindow
    heterozygosity: Float[Tensor, " variant"]
    traits: tuple[WhitenedWindow | None, ...]
    num_observed: tuple[int, ...]
    chi2: tuple[Chi2Window | None, ...] = ()

    def to(self, device: torch.device | str, *, kept: bool = False) -> PriorWindow:
        """The same window on another device; what the traits share (`B`, squared correlations) is moved once.

        Args:
            device: where to.
            kept: whether the moved window will serve several calls of an engine.
        """
        moved: dict[int, Tensor] = {}

        def shared(tensor: Tensor) -> Tensor:
            if id(tensor) not in moved:
                moved[id(tensor)] = tensor.to(device, non_blocking=True)
            return moved[id(tensor)]

        return PriorWindow(
            index=self.index,
            features=self.features.to(device),
            heterozygosity=self.heterozygosity.to(device, non_blocking=True),
            traits=tuple(
                None
                if trait is None
                else WhitenedWindow(
                    B=shared(trait.B),
                    w=trait.w.to(device, non_blocking=True),
                    T=None if trait.T is None else trait.T.to(device, non_blocking=True),
                    kept=kept,
                )
                for trait in self.traits
            ),
            num_observed=self.num_observed,
            chi2=tuple(None if trait is None else trait.to(device, shared(trait.squares)) for trait in self.chi2),
        )

    def pinned(self) -> PriorWindow:
        """The same window in page-locked memory, from which a GPU copies while it computes; tracks lie there already."""
        pinned: dict[int, Tensor] = {}

        def shared(tensor: Tensor) -> Tensor:
            if id(tensor) not in pinned:
                pinned[id(tensor)] = tensor.pin_memory()
            return pinned[id(tensor)]

        return replace(
            self,
            features=self.features.pin_memory() if isinstance(self.features, Tensor) else self.features,
            heterozygosity=self.heterozygosity.pin_memory(),
            traits=tuple(
                None
                if trait is None
                else WhitenedWindow(
                    B=shared(trait.B), w=trait.w.pin_memory(), T=None if trait.T is None else trait.T.pin_memory()
                )
                for trait in self.traits
            ),
            chi2=tuple(None if trait is None else replace(trait, squares=shared(trait.squares)) for trait in self.chi2),
        )

    def features_on(self, device: torch.device | str) -> PriorWindow:
        """The window without associations, on another device: all that a network needs."""
        bare = replace(self, traits=(), num_observed=(), chi2=())
        return bare.to(device)

    def tensors(self) -> list[Tensor]:
        """All tensors of the window but for those of tracks, each once."""
        found = [self.heterozygosity, *([self.features] if isinstance(self.features, Tensor) else [])]
        for trait in self.traits:
            found += [] if trait is None else [trait.B, trait.w, *([] if trait.T is None else [trait.T])]
        for each in self.chi2:
            found += [] if each is None else [each.squares, each.rows, each.chi2, each.scale, each.weights]
            found += [] if each is None or each.scatter is None else [each.scatter]
        return list({id(tensor): tensor for tensor in found}.values())

    @property
    def rank(self) -> int:
        """Independent associations over all traits and replicates."""
        return sum(trait.num_terms for trait in self.traits if trait is not None)


class Windows(Protocol):
    """Numbered windows of some traits, of one panel (`WindowData`) or of one per ancestry (`varfx.training.gwas.joint`)."""

    traits: tuple[TraitData, ...]

    def __getitem__(self, index: int) -> PriorWindow: ...

    def plain(self, index: int) -> PriorWindow:
        """The window without its tracks."""
        ...

    def mean_terms(self, windows: Sequence[int], column: str) -> float:
        """Associations per window, over all traits and replicates; `column` of the panel's windows counts those of one trait."""
        ...


class WindowData:
    """Windows of a panel with the traits and features of one analysis; `data[i]` is the window number i of the panel."""

    def __init__(
        self,
        panel: LDPanel,
        traits: Sequence[TraitData],
        features: Float[ndarray, "variant feature"] | Features,
        heterozygosity: Float[ndarray, " variant"],
        *,
        dtype: torch.dtype = torch.float32,
        cache_bytes: int = 4 * 2**30,
        scratch: Path | None = None,
        exact_ld: bool = False,
        tracks: PanelTracks | None = None,
    ) -> None:
        """Sets up; nothing is read yet.

        Args:
            panel: the LD panel.
            traits: associations on the panel's rows.
            features: standardised features of the panel's rows, in memory or read a window at a time.
            heterozygosity: `p (1 - p)` of the panel's rows.
            dtype: precision of the window's tensors; half-precision `B` stays half where it is not kept in memory.
            cache_bytes: windows are kept in memory up to this size.
            scratch: a folder for what is computed once and does not fit into memory, made when needed; None computes it anew.
            exact_ld: the panel's LD is that of the traits' own individuals, or what they were simulated from, so that its squared
                correlations are not corrected for sampling.
            tracks: signals base by base around the panel's variants.
        """
        self._features = HeldFeatures(features) if isinstance(features, ndarray) else features
        for name, rows in (("features", self._features.height), ("heterozygosity", heterozygosity.shape[0])):
            if rows != panel.variants.height:
                raise DataError(f"`{name}` has {rows} rows, but the panel has {panel.variants.height} variants.")
        self.panel = panel
        self.traits = tuple(traits)
        self._heterozygosity = torch.from_numpy(np.ascontiguousarray(heterozygosity)).to(dtype)
        self._dtype = dtype
        self._cache_bytes = cache_bytes
        self._scratch = scratch
        self._exact_ld = exact_ld
        self.tracks = tracks
        self._cache: dict[int, PriorWindow] = {}
        self._cached_bytes = 0
        self._small: dict[tuple[int, int], Associations] = {}
        self._ballpark_h2: tuple[float, ...] | None = None

    @cached_property
    def ld_scores(self) -> Float[ndarray, " variant"]:
        """LD scores of the panel's rows; 1, a variant's own, where the panel has none."""
        return self.panel.variants["ld_score"].cast(pl.Float64).fill_null(1.0).to_numpy()

    def carry_chi2(self, ballpark_h2: Sequence[float]) -> None:
        """Makes the windows carry `chi2`: squared correlations, and weights from a guess of each trait's heritability."""
        self._ballpark_h2 = tuple(ballpark_h2)
        self._cache.clear()
        self._cached_bytes = 0

    def __getitem__(self, index: int) -> PriorWindow:
        plain = self.plain(index)
        if self.tracks is None:
            return plain
        assert isinstance(plain.features, Tensor)
        rows = self.panel.rows(index)[1]
        return replace(plain, features=self.tracks.window(index, rows, plain.features, most_bases=self._most_bases))

    def mean_terms(self, windows: Sequence[int], column: str) -> float:
        """Associations per window, over all traits and replicates; `column` of the panel's windows counts those of one trait."""
        terms = self.panel.windows[column].to_numpy()
        return float(np.mean(terms[list(windows)])) * sum(trait.replicates for trait in self.traits)

    def plain(self, index: int) -> PriorWindow:
        """The window without its tracks, for who needs the associations alone."""
        if index in self._cache:
            return self._cache[index]
        window, size = self._load(index)
        if self._cached_bytes + size <= self._cache_bytes:
            self._cache[index] = window
            self._cached_bytes += size
            return_freed_memory()
        return window

    @cached_property
    def _most_bases(self) -> int:
        """Length of the longest window, flanks included."""
        return max(core.end - core.start for core in self.panel.cores) + 2 * self.panel.flank

    def __getstate__(self) -> dict[str, object]:
        """For other processes: without what is kept in memory."""
        return {**self.__dict__, "_cache": {}, "_small": {}, "_cached_bytes": 0}

    def _load(self, index: int) -> tuple[PriorWindow, int]:
        stored = self.panel.window(index)
        B = torch.from_numpy(stored.factors.B)
        # A GPU takes B in half precision, which is less to move; a processor would convert it in every product.
        fits = self._cached_bytes + 2 * B.nbytes <= self._cache_bytes
        if fits or B.dtype != torch.float16 or not torch.cuda.is_available():
            B = B.to(self._dtype)
        in_memory = self._cached_bytes + 2 * B.nbytes <= self._cache_bytes
        found = [self._associations(stored, index, number, keep=not in_memory) for number in range(len(self.traits))]
        # One trait alone may as well keep T B in the place of B: it saves the products with T in every step.
        merge = len(self.traits) == 1 and B.dtype == self._dtype
        whitened = [None if each is None else each.window(B, merge=merge) for each in found]
        counts = [trait.observed[stored.core_rows].sum() * trait.replicates for trait in self.traits]
        rows = torch.from_numpy(stored.panel_rows)
        features = torch.from_numpy(np.ascontiguousarray(self._features.rows(stored.panel_rows))).to(self._dtype)
        loaded = PriorWindow(
            index=index,
            features=features,
            heterozygosity=self._heterozygosity[rows],
            traits=tuple(whitened),
            num_observed=tuple(int(count) for count in counts),
            chi2=self._chi2(stored),
        )
        tensors = {
            id(tensor): tensor.nbytes
            for trait in whitened
            if trait
            for tensor in (trait.B, trait.T)
            if tensor is not None
        }
        squares = next((trait.squares.nbytes for trait in loaded.chi2 if trait is not None), 0)
        return loaded, sum(tensors.values()) + features.nbytes + squares

    def _chi2(self, stored: PanelWindow) -> tuple[Chi2Window | None, ...]:
        """One entry a trait, all with the same squares; nothing unless `carry_chi2` asked for it."""
        if self._ballpark_h2 is None:
            return ()
        people = 0 if self._exact_ld else self.panel.num_people
        squares = torch.from_numpy(squared_correlations(stored.factors, people))
        windows: list[Chi2Window | None] = []
        for trait, h2 in zip(self.traits, self._ballpark_h2, strict=True):
            observed = np.flatnonzero(trait.observed[stored.core_rows])
            rows = stored.core_rows[observed]
            chi2 = trait.z[rows].reshape(rows.size, trait.replicates) ** 2
            weights = paper_weights(self.ld_scores[rows], trait.n[rows], h2=h2, num_variants=self.panel.variants.height)
            window = Chi2Window(
                squares=squares,
                rows=torch.from_numpy(observed),
                chi2=torch.from_numpy(chi2.mean(1)).to(self._dtype),
                scale=torch.from_numpy(trait.n[rows] / trait.n_ref).to(self._dtype),
                weights=torch.from_numpy(weights).to(self._dtype),
                replicates=trait.replicates,
                scatter=None if trait.z.ndim == 1 else torch.from_numpy(chi2.var(1) * trait.replicates).to(self._dtype),
            )
            windows.append(window if observed.size else None)
        return tuple(windows)

    def associations(self, index: int) -> tuple[Float[Tensor, "rank ..."] | None, ...]:
        """`w` of each trait in a window, without reading the window's `B`."""
        if index in self._cache:
            return tuple(None if trait is None else trait.w for trait in self._cache[index].traits)
        stored = self.panel.own(index)
        found = (self._associations(stored, index, number, keep=False) for number in range(len(self.traits)))
        return tuple(None if each is None else each.w for each in found)

    def _associations(self, stored: PanelWindow, index: int, number: int, *, keep: bool) -> Associations | None:
        """Those of one trait in one window, in the working precision; what is small stays in memory, else it is kept in a file."""
        trait = self.traits[number]
        if (index, number) in self._small:
            return self._small[index, number]
        path = None if self._scratch is None else self._scratch / f"{index}.{number}.npz"
        if path is not None and path.is_file():
            return Associations.read(path)
        observed = np.flatnonzero(trait.observed[stored.core_rows])
        if not observed.size:
            return None
        scale = np.sqrt(trait.n[stored.core_rows][observed] / trait.n_ref)
        z = trait.z[stored.core_rows][observed]
        fresh = Associations.of(stored.factors, z, observed, None if (scale == 1).all() else scale, self._dtype)
        if fresh.T is None and (fresh.Y is None or path is None):
            self._small[index, number] = fresh
        elif path is not None and keep:
            fresh.write(path)
        return fresh


def in_background(
    data: Windows, order: Sequence[int], *, tracks: bool = True, place: Placed | None = None
) -> Iterator[PriorWindow]:
    """The windows in the given order; the next one is read, and moved to its device, while the caller works on this one.

    Args:
        data: the windows.
        order: their numbers.
        tracks: whether their tracks are needed.
        place: where they are wanted; where they are read, if not given.
    """

    def load(index: int) -> tuple[PriorWindow, Any]:
        window = data[index] if tracks else data.plain(index)
        return (window, None) if place is None else place.start(window)

    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(load, index) for index in order[:1]]
        for position in range(len(order)):
            window, ticket = coming.pop().result()
            if position + 1 < len(order):
                coming.append(pool.submit(load, order[position + 1]))
            yield window if place is None else place.finish(window, ticket)


class Placed(Protocol):
    """Target of the windows; `varfx.training.gwas.placement.Placement`."""

    def start(self, window: PriorWindow) -> tuple[PriorWindow, Any]:
        """Begins to move a window, in a thread of its own; a ticket for `finish` beside it."""
        ...

    def finish(self, window: PriorWindow, ticket: Any) -> PriorWindow:
        """The window, of which the caller may use all."""
        ...
