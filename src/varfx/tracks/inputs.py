"""A run's tracks: opened, matched by name to those that the model was fitted with, and what the run remembers of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from varfx.errors import ConfigError, DataError
from varfx.genome.liftover import ChainFile, read_chain
from varfx.models.config import Kind
from varfx.tracks.gather import TrackGather
from varfx.tracks.store import TrackStore, open_tracks

PathLike = str | os.PathLike[str]
REMEMBERED = ("name", "mean", "sd", "transform", "missing")  # of each track; no signal


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackInputs:
    """Tracks as a model takes them.

    Attributes:
        store: the tracks in the model's order, with the mean and sd that it was fitted with.
        window: bases around each variant that the model sees.
        chain: from the variants' build to the tracks'; None where it is the same.
        read_as: "bases" where a network reads the window base by base, "averages" where each track is a feature.
    """

    store: TrackStore
    window: int
    chain: ChainFile | None
    read_as: str

    @property
    def channels(self) -> tuple[str, ...]:
        """Base-resolution channels of a network: the tracks, then an indicator of missing values per masked track."""
        return TrackGather(self.store, width=self.window, mask_channels=True).channels

    @property
    def num_channels(self) -> int:
        """Number of base-resolution channels of a network; 0 where averages are features."""
        return len(self.channels) if self.read_as == "bases" else 0

    def to_record(self) -> dict[str, Any]:
        """Record of the tracks in a run, JSON-able."""
        return {
            "path": str(self.store.path.resolve()),
            "chain": None if self.chain is None else str(self.chain.path.resolve()),
            "build": self.store.build,
            "window": self.window,
            "read_as": self.read_as,
            "tracks": self.store.tracks.select(REMEMBERED).to_dicts(),
        }


def tracks_for_fit(path: PathLike | None, chain: PathLike | None, *, kind: Kind, window: int) -> TrackInputs | None:
    """The tracks of a fit; None where there are none, or the model has no features.

    Raises:
        ConfigError: an enformer without tracks, or a chain without.
        VarfxError: files that are not what they should be.
    """
    if path is None:
        if kind == "enformer":
            raise ConfigError("`model` enformer reads tracks. Give them with --tracks, or take linear or mlp.")
        if chain is not None:
            raise ConfigError("`chain` lifts variants to the tracks' build, but there are no --tracks.")
        return None
    if kind == "constant":
        return None
    return TrackInputs(
        store=open_tracks(path),
        window=window,
        chain=_chain(chain),
        read_as="bases" if kind == "enformer" else "averages",
    )


def tracks_of_run(
    remembered: Mapping[str, Any] | None, path: PathLike | None = None, chain: PathLike | None = None
) -> TrackInputs | None:
    """The tracks of a fitted model, by name, whatever their order in the store.

    Args:
        remembered: the run's entry `tracks`.
        path: the store; by default the one of the fit.
        chain: from the variants' build to the store's; by default the one of the fit.

    Raises:
        ConfigError: tracks or a chain for a run that has none.
        DataError: tracks that the store lacks, or that were made in another way.
        VarfxError: files that are not what they should be.
    """
    if not remembered:
        if path is not None or chain is not None:
            raise ConfigError(
                f"`{'chain' if path is None else 'tracks'}` is given, but the run was fitted without tracks."
            )
        return None
    store = open_tracks(path or remembered["path"])
    tracks: list[dict[str, Any]] = remembered["tracks"]
    if store.build != remembered["build"] and chain is None:
        raise DataError(
            f"`{store.path}` is {store.build}, but the run was fitted with tracks on {remembered['build']}. Give --chain from the "
            f"variants' build to {store.build}, or tracks on {remembered['build']}."
        )
    chosen = store.select([track["name"] for track in tracks])
    for track, row in zip(tracks, chosen.tracks.iter_rows(named=True), strict=True):
        for what in ("transform", "missing"):
            if track[what] != row[what]:
                raise DataError(
                    f"`{store.path}`: track `{track['name']}` has {what} {row[what]}, but the model was fitted with "
                    f"{track[what]}. Build it with {what}: {track[what]}."
                )
    scaled = chosen.tracks.with_columns(
        pl.Series(what, [track[what] for track in tracks], dtype=pl.Float64) for what in ("mean", "sd")
    )
    return TrackInputs(
        store=replace(chosen, tracks=scaled),
        window=int(remembered["window"]),
        chain=_chain(chain or remembered["chain"]),
        read_as=str(remembered["read_as"]),
    )


def _chain(path: PathLike | None) -> ChainFile | None:
    return None if path is None else read_chain(Path(path))
