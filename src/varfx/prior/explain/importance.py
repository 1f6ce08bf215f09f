"""Permutation importance: what held-out likelihood a prior loses when channels are exchanged between variants.

    importance = log p(held-out w | prior) - log p(held-out w | prior with the group's channels permuted)      nats

The channels of a group are permuted together, with whole windows of tracks, so that what they say stays what it was, and
only for which variant they say it changes. All else, and LD, stays. The difference is paired: the same windows, the same
associations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from varfx.bootstrap import listed, sum_interval
from varfx.errors import ConfigError
from varfx.likelihood import exact
from varfx.models.track_enformer import TrackFeatures
from varfx.prior.explain.channels import ChannelGroup
from varfx.prior.explain.config import Scope
from varfx.progress import Progress, silent
from varfx.training.gwas.placement import Placement
from varfx.training.gwas.windows import PriorWindow, WindowData, in_background

Features = Tensor | TrackFeatures
VarianceOf = Callable[[Features, Tensor], Float[Tensor, "variant trait"]]  # features, heterozygosity -> F


@dataclass(frozen=True, eq=False)
class PermutedTracks:
    """A window's tracks and predictors, some of them those of other variants.

    Attributes:
        own: of the variants themselves.
        donor: whose channels are put in place of theirs; may be `own`.
        rows: the donor's variant for each variant.
        tracks: columns of the tracks that are replaced.
        columns: columns of the predictors that are replaced.
    """

    own: TrackFeatures
    donor: TrackFeatures
    rows: Int[Tensor, " variant"]
    tracks: Int[Tensor, " track"]
    columns: Int[Tensor, " column"]

    @property
    def predictors(self) -> Float[Tensor, "variant predictor"]:
        """The predictors, with the group's from the donor."""
        return _replaced(self.own.predictors, self.donor.predictors, self.rows, self.columns)

    def gather(self, rows: Int[Tensor, " row"]) -> Float[Tensor, "row track position"]:
        """The tracks, with the group's windows from the donor, base by base as they are there."""
        x = self.own.gather(rows)
        if not len(self.tracks):
            return x
        x = x.clone()
        x[:, self.tracks] = self.donor.gather(self.rows[rows])[:, self.tracks]
        return x


def permuted(own: Features, donor: Features, rows: Int[Tensor, " variant"], group: ChannelGroup) -> Features:
    """The features of a window with a group's channels those of the donor's variants `rows`."""
    columns = torch.tensor(group.features, dtype=torch.long, device=rows.device)
    if isinstance(own, Tensor):
        assert isinstance(donor, Tensor)
        return _replaced(own, donor, rows, columns)
    assert not isinstance(donor, Tensor)
    tracks = torch.tensor(group.tracks, dtype=torch.long, device=rows.device)
    return PermutedTracks(own, donor, rows, tracks, columns)


def _replaced(own: Tensor, donor: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    x = own.clone()
    x[:, columns] = donor[rows][:, columns]
    return x


@dataclass(frozen=True, eq=False)
class Importance:
    """Nats lost by permuting each group.

    Attributes:
        groups: what was permuted.
        loss: nats, NaN where a trait has no data in a window.
        has_data: whether a trait has associations in a window.
    """

    groups: tuple[ChannelGroup, ...]
    loss: Float[ndarray, "group repeat window trait"]
    has_data: ndarray

    def entries(self, traits: Sequence[str], *, seed: int = 0) -> list[dict[str, Any]]:
        """One JSON-able entry a trait and group: the mean over repeats of the total over windows, with its 95 % interval.

        The interval is a bootstrap over windows of the mean over repeats (as that of a gain); `repeat_sd` is the standard
        deviation of the total between repeats.
        """
        found = []
        for column, trait in enumerate(traits):
            used = self.has_data[:, column]
            for group, loss in zip(self.groups, self.loss[:, :, used, column], strict=True):
                by_window = loss.mean(axis=0)
                totals = loss.sum(axis=1)
                found.append(
                    {
                        "trait": trait,
                        "group": group.name,
                        "channels": list(group.channels),
                        "importance": float(by_window.sum()),
                        "importance_ci95": listed(sum_interval(by_window, seed=seed)),
                        "repeat_sd": float(totals.std(ddof=1)) if totals.size > 1 else None,
                        "n_windows": int(used.sum()),
                    }
                )
        return found


@torch.no_grad()
def permutation_importance(
    data: WindowData,
    windows: Sequence[int],
    variance_of: VarianceOf,
    sigma2: Sequence[float],
    groups: Sequence[ChannelGroup],
    *,
    scope: Scope = "window",
    repeats: int = 5,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> Importance:
    """Loss of held-out log p when each group's channels are permuted.

    Args:
        data: windows and traits, in float64.
        windows: numbers of the panel's windows.
        variance_of: F = n_ref f from features and heterozygosity; its values must not depend on other variants.
        sigma2: residual variance per trait.
        groups: channels that are permuted together.
        scope: `window` exchanges variants within their window (with its flanks): what tells neighbours apart. `all` takes
            the channels from variants of another of the windows: with what tells regions apart.
        repeats: permutations of each group.
        seed: of the permutations. Each group sees the same ones.
        device: where features and likelihood go.
        progress: told about each window.

    Raises:
        ConfigError: an unknown scope, no repeats, or `all` with one window.
    """
    if scope not in get_args(Scope):
        raise ConfigError(f"`scope` must be {' or '.join(get_args(Scope))}, got {scope!r}.")
    if repeats < 1:
        raise ConfigError(f"`repeats` must be at least 1, got {repeats}.")
    if scope == "all" and len(windows) < 2:
        raise ConfigError(f"`scope` = all needs several windows to exchange channels between, got {len(windows)}.")
    shape = (len(groups), repeats, len(windows), len(data.traits))
    loss, has_data = np.zeros(shape), np.zeros(shape[2:], dtype=bool)
    shifts: list[int] = []
    if scope == "all":
        shifts = (1 + np.random.default_rng(seed).permutation(len(windows) - 1)).tolist()
    for number, window in enumerate(in_background(data, windows, place=Placement(torch.device(device), room=0))):
        has_data[number] = [trait is not None for trait in window.traits]
        F = variance_of(window.features, window.heterozygosity).double()
        log_p = _log_p(window, F, sigma2)
        for repeat in range(repeats):
            donor = window.features
            if scope == "all":
                donor = (
                    data[windows[(number + shifts[repeat % len(shifts)]) % len(windows)]].features_on(device).features
                )
            rng = np.random.default_rng((seed, repeat, windows[number]))
            rows = torch.from_numpy(_rows(rng, len(F), _count(donor))).to(F.device)
            for row, group in enumerate(groups):
                changed = variance_of(permuted(window.features, donor, rows, group), window.heterozygosity).double()
                # A group that the model does not use changes nothing, and needs no second likelihood to say so.
                if not torch.equal(changed, F):
                    loss[row, repeat, number] = log_p - _log_p(window, changed, sigma2)
        progress(number + 1, len(windows), "windows permuted")
    return Importance(tuple(groups), loss, has_data)


def _log_p(window: PriorWindow, F: Tensor, sigma2: Sequence[float]) -> Float[ndarray, " trait"]:
    return np.array(
        [
            0.0 if trait is None else float(exact(trait, F[:, column], sigma2[column], dtype=torch.float64).log_p)
            for column, trait in enumerate(window.traits)
        ]
    )


def _count(features: Features) -> int:
    return len(features if isinstance(features, Tensor) else features.predictors)


def _rows(rng: np.random.Generator, count: int, donors: int) -> Int[ndarray, " variant"]:
    """A donor for each variant, each donor as often as any other (but for the remainder)."""
    return np.concatenate([rng.permutation(donors) for _ in range(-(-count // donors))])[:count]
