"""The sizes of a fit, window by window: of a panel on disk, or of windows all alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from varfx.errors import ConfigError
from varfx.io import sealed_folder
from varfx.ld import LDPanel
from varfx.models import ModelConfig
from varfx.tracks.store import TrackStore

GENOME_BASES = 3_100_000_000
RANK_SHARE = 0.5  # of a core's variants: rank 2,215 of 4,322 in a window of UKBB_LD


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowSizes:
    """The sizes of each window.

    Attributes:
        rank: r.
        num_panel: M, core and flanks.
        num_core: m.
        bases: length with the flanks.
    """

    rank: Int[ndarray, " window"]
    num_panel: Int[ndarray, " window"]
    num_core: Int[ndarray, " window"]
    bases: Int[ndarray, " window"]

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            if not values.size or (values < 1).any():
                raise ConfigError(f"`{name}` must be positive for every window, and there must be windows.")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Steps and checks of a training.

    Attributes:
        max_steps: optimiser steps at most.
        windows_per_step: windows of a step.
        check_every: steps between checks at least.
        validation_share: of the windows.
        devices: processes per machine that train together.
        num_nodes: machines.
        check_windows: validation windows that a check scores at most.
        holdout_share: of the windows, for the commands after the fit.
    """

    max_steps: int = 5000
    windows_per_step: int = 1
    check_every: int = 50
    validation_share: float = 0.15
    devices: int = 1
    num_nodes: int = 1
    check_windows: int = 128
    holdout_share: float = 0.1

    @property
    def processes(self) -> int:
        """Processes that train together, on all machines."""
        return self.devices * self.num_nodes

    def __post_init__(self) -> None:
        for name in ("max_steps", "windows_per_step", "check_every", "devices", "num_nodes", "check_windows"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name.replace('_', '-')}` must be at least 1, got {getattr(self, name)}.")
        for name, share in (("validation", self.validation_share), ("holdout", self.holdout_share)):
            if not 0 <= share < 1:
                raise ConfigError(f"`{name}-fraction` must be in [0, 1), got {share}.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """The sizes of a fit.

    Attributes:
        sizes: of each window.
        model: which network.
        num_features: per-variant features (predictors).
        schedule: of the training.
        num_tracks: tracks read base by base; 0 for other networks than an enformer.
        bytes_per_base: of all tracks together, as stored in memory.
        genome_bases: bases that the track store covers.
        num_traits: traits fitted together.
        panel_bytes: size of the LD panel on disk, if it is there.
        track_bytes: size of the track store on disk, if it is there.
        stored_bytes: of one entry of the stored B, per window where panels differ.
        gradient_error: of the stochastic engine.
        ancestries: names of the panels, where there are several.
        members: number of each window's ancestry; None for one panel.
        loci: number of loci to fine-map, if known.
    """

    sizes: WindowSizes
    model: ModelConfig
    num_features: int
    schedule: Schedule = Schedule()
    num_tracks: int = 0
    bytes_per_base: int = 0
    genome_bases: int = GENOME_BASES
    num_traits: int = 1
    panel_bytes: int | None = None
    track_bytes: int | None = None
    stored_bytes: int | Int[ndarray, " window"] = 2
    gradient_error: float = 0.1
    ancestries: tuple[str, ...] = ()
    members: Int[ndarray, " window"] | None = None
    loci: int | None = None

    def __post_init__(self) -> None:
        if self.num_traits < 1:
            raise ConfigError(f"`num-traits` must be at least 1, got {self.num_traits}.")
        if bool(self.num_tracks) != (self.model.kind == "enformer"):
            raise ConfigError(
                "an enformer needs tracks, and other models read none base by base (give their averages as features): got "
                f"{self.num_tracks} tracks and model {self.model.kind}."
            )
        if self.loci is not None and self.loci < 1:
            raise ConfigError(f"`loci` must be at least 1, got {self.loci}.")
        if self.num_ancestries > 1 and self.num_traits > 1:
            raise ConfigError(
                f"a fit to several ancestries is of one trait, but `traits` is {self.num_traits}. Leave it out, or give one panel."
            )
        if self.num_ancestries > 1 and self.model.effects == "mixture":
            raise ConfigError("`--effects mixture` is for one panel. Leave it out, or the names of ancestries.")

    @property
    def num_ancestries(self) -> int:
        """Number of panels."""
        return max(1, len(self.ancestries))

    @property
    def owners(self) -> Int[ndarray, " window"]:
        """Number of each window's ancestry."""
        return np.zeros(self.windows, dtype=np.int64) if self.members is None else self.members

    @property
    def windows(self) -> int:
        """Number of windows."""
        return self.sizes.rank.size

    @property
    def window_bytes(self) -> Int[ndarray, " window"]:
        """Of each window's B as stored."""
        return np.asarray(self.sizes.rank.astype(np.int64) * self.sizes.num_panel * self.stored_bytes)

    @property
    def block_bytes(self) -> Int[ndarray, " window"]:
        """Of each window's block of tracks."""
        return np.asarray((self.sizes.bases.astype(np.int64) + self.width) * self.bytes_per_base)

    @property
    def width(self) -> int:
        """Bases around a variant."""
        return self.model.enformer.window

    @property
    def passes(self) -> Int[ndarray, " window"]:
        """Into how many passes of the network each window is cut."""
        return np.asarray(-(-self.sizes.num_panel // self.model.enformer.variants_per_pass))


def uniform_job(
    variants: float,
    windows: int,
    *,
    core: int = 1_000_000,
    flank: int = 1_000_000,
    rank: int | None = None,
    **others: Any,
) -> Job:
    """A job of equal windows, from numbers alone.

    Args:
        variants: of the genome.
        windows: how many.
        core: bases of a core.
        flank: bases beside it; variants are taken to lie evenly.
        rank: of a window; by default `RANK_SHARE` of its core variants.
        others: everything else, as in `Job`.

    Raises:
        ConfigError: fewer than one variant a window.
    """
    if windows < 1 or variants < windows:
        raise ConfigError(
            f"`variants` must be at least `windows`, and that at least 1, got {variants:g} and {windows}."
        )
    num_core = max(1, round(variants / windows))
    num_panel = max(num_core, round(num_core * (core + 2 * flank) / core))
    ones = np.ones(windows, dtype=np.int64)
    sizes = WindowSizes(
        rank=ones * (rank or max(1, round(RANK_SHARE * num_core))),
        num_core=ones * num_core,
        num_panel=ones * num_panel,
        bases=ones * (core + 2 * flank),
    )
    return Job(sizes=sizes, **others)


def panel_job(panels: LDPanel | Mapping[str, LDPanel], **others: Any) -> Job:
    """A job on the windows of a panel, or of one panel per ancestry.

    Args:
        panels: the LD panel, or those of several ancestries by name.
        others: everything else, as in `Job`.
    """
    several = {} if isinstance(panels, LDPanel) else dict(panels)
    each = [panels] if isinstance(panels, LDPanel) else list(several.values())
    counts = [panel.windows.height for panel in each]
    parts = [_sizes_of(panel) for panel in each]
    joined = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(WindowSizes)
    }
    return Job(
        sizes=WindowSizes(**joined),
        panel_bytes=sum(size for panel in each for size, _ in sealed_folder.read_manifest(panel.path).values()),
        stored_bytes=np.repeat([_stored_bytes(panel) for panel in each], counts),
        ancestries=tuple(several),
        members=np.repeat(np.arange(len(each)), counts),
        **others,
    )


def _sizes_of(panel: LDPanel) -> WindowSizes:
    table = panel.windows
    return WindowSizes(
        rank=table["rank"].to_numpy(),
        num_panel=table["num_panel"].to_numpy(),
        num_core=table["num_core"].to_numpy(),
        bases=(table["end"] - table["start"] + 2 * panel.flank).to_numpy(),
    )


def _stored_bytes(panel: LDPanel) -> int:
    """Of one entry of B; 8 bits are widened while they are read, at a rate that is measured of the result."""
    return 4 if panel.storage == "int8" else np.dtype(panel.metadata["config"]["dtype"]).itemsize


def track_sizes(store: TrackStore) -> dict[str, int]:
    """Properties of a track store used by `Job`."""
    return {
        "num_tracks": len(store.names) + int((store.tracks["missing"] == "mask").sum()),
        "bytes_per_base": store.bytes_per_base(),
        "genome_bases": sum(store.lengths.values()),
        "track_bytes": sum(size for size, _ in sealed_folder.read_manifest(store.path).values()),
    }
