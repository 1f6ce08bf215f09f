"""Two traits on one panel: the same variants whitened alike, window by window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import psutil
import torch
from numpy import ndarray

from varfx.errors import ConfigError, DataError
from varfx.io import sealed
from varfx.ld import LDPanel
from varfx.ld.whiten import rewhiten
from varfx.likelihood.bivariate import TraitPair
from varfx.prior.heritability.source import PriorSource
from varfx.training import TraitData

SAME = 1 - 1e-6  # cosine of two traits' z from which on these are the same numbers, rounded


@dataclass(frozen=True, kw_only=True, eq=False)
class PairedTraits:
    """Two priors' traits on one panel.

    Attributes:
        first: the first prior.
        second: the second; on the same panel.
        windows: those of both that hold variants with both associations.
        n_variants: variants with both, in these windows.
        notes: what was left out.
        cache_bytes: whitened windows are kept in memory up to this size, and computed anew beyond.
    """

    first: PriorSource
    second: PriorSource
    windows: tuple[int, ...]
    n_variants: int
    notes: tuple[str, ...]
    cache_bytes: int = 4 * 2**30
    _kept: dict[int, TraitPair] = field(default_factory=dict)

    @property
    def panel(self) -> LDPanel:
        """The LD panel of both."""
        return self.first.panel

    def same_associations(self) -> float | None:
        """1 where both have the same associations, -1 where they are each other's negative, else None."""
        one, other = self.first.data.traits[0], self.second.data.traits[0]
        both = one.observed & other.observed
        a, b = np.ravel(one.z[both]), np.ravel(other.z[both])
        if a.size != b.size:
            return None
        cosine = float(a @ b) / float(np.sqrt((a @ a) * (b @ b)) or 1.0)
        return float(np.sign(cosine)) if abs(cosine) > SAME else None

    def __iter__(self) -> Iterator[tuple[ndarray, TraitPair]]:
        """Panel rows and whitened associations of each window; kept in memory up to `cache_bytes`."""
        used = sum(pair.nbytes for pair in self._kept.values())
        for index in self.windows:
            pair = self._kept.get(index)
            if pair is None:
                pair = whitened_pair(self.panel, index, self.first.data.traits[0], self.second.data.traits[0])
                if used + pair.nbytes <= self.cache_bytes:
                    self._kept[index] = pair
                    used += pair.nbytes
            yield self.first.panel_rows[index], pair


def paired(first: PriorSource, second: PriorSource) -> PairedTraits:
    """Two priors' traits with the windows and variants that both have.

    Raises:
        ConfigError: the priors are on different panels.
        DataError: no window has variants with both associations.
    """
    if sealed.checksum(first.panel.path) != sealed.checksum(second.panel.path):
        raise ConfigError(
            f"`{first.name}` and `{second.name}` were fitted on different panels ({first.panel.path}, {second.panel.path}). Name one panel "
            "for both with --panel, or fit both on one."
        )
    one, other = first.data.traits[0], second.data.traits[0]
    both = one.observed & other.observed
    common = [index for index in first.windows if index in set(second.windows)]
    rows = {index: first.panel.rows(index)[0] for index in common}
    windows = tuple(index for index in common if both[rows[index]].any())
    if not windows:
        raise DataError(
            f"`{one.name}` ({one.observed.sum():,} variants) and `{other.name}` ({other.observed.sum():,}) share no variant in "
            f"{len(common)} common windows."
        )
    count = int(sum(both[rows[index]].sum() for index in windows))
    notes = [
        f"{count:,} variants in {len(windows)} windows have associations with both ({one.name} {one.observed.sum():,}, {other.name} {other.observed.sum():,})"
    ]
    lost = len(set(first.windows) ^ set(second.windows))
    if lost:
        notes.append(f"{lost} windows are used by one of the two only, and left out")
    return PairedTraits(
        first=first,
        second=second,
        windows=windows,
        n_variants=count,
        notes=tuple(notes),
        cache_bytes=psutil.virtual_memory().available // 3,
    )


def whitened_pair(panel: LDPanel, index: int, first: TraitData, second: TraitData) -> TraitPair:
    """Associations of two traits at the core variants that both have, whitened by one transform."""
    stored = panel.window(index)
    core = stored.core_rows
    observed = np.flatnonzero(first.observed[core] & second.observed[core])
    rows = core[observed]
    scales = [np.sqrt(trait.n[rows] / trait.n_ref) for trait in (first, second)]
    scaled = any((scale != 1).any() for scale in scales)
    B = torch.from_numpy(stored.factors.B).double()
    alike = np.array_equal(*scales)  # one transform for both
    sides = []
    for scale in scales[:1] if alike else scales:
        whitening = rewhiten(stored.factors, observed, scale if scaled else None)
        T = None if whitening.T is None else torch.from_numpy(whitening.T).double()
        sides.append((B if T is None else T @ B, whitening.P))
    (B1, P1), (B2, P2) = sides[0], sides[-1]
    w1, w2 = (torch.from_numpy(P @ trait.z[rows]).double() for P, trait in ((P1, first), (P2, second)))
    return TraitPair(B1=B1, B2=B2, w1=w1, w2=w2)
