"""Configuration of `varfx plan`: the sizes of a fit, from files that are there or from numbers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from varfx.device import check_device
from varfx.errors import ConfigError
from varfx.models.config import FittedEffects, Kind, ModelConfig, Precision, TrackEnformerConfig
from varfx.prior.config import SplitConfig
from varfx.training.gwas.config import TrainConfig

_MODEL, _TRACKS, _TRAINING = ModelConfig(), TrackEnformerConfig(), TrainConfig()


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """What a fit is planned for. Defaults are those of a fit."""

    panel: tuple[Path, ...] = ()
    """The LD panel; its windows are counted one by one. Those of several ancestries with their names: --panel EUR=P1 --panel EAS=P2."""
    source: tuple[str, ...] = ()
    """Addresses (s3://..., https://...) of published LD that panels are to be built from: its bytes are asked of the store."""
    bandwidth: float | None = None
    """Megabytes per second that the network is taken to carry, for the time of --source."""
    tracks: Path | None = None
    """The track store."""
    variants: float | None = None
    """Variants of the genome, where there is no panel yet."""
    windows: int | None = None
    """Windows, where there is no panel yet."""
    rank: int | None = None
    """Of a window, where there is no panel yet; by default half of its core's variants."""
    core: int = 1_000_000
    """Bases of a window's core, where there is no panel yet."""
    flank: int = 1_000_000
    """Bases on each side of it."""
    num_tracks: int | None = None
    """Tracks of 8 bits per base, where there is no store yet."""
    num_features: int = 9
    """Per-variant features (predictors)."""
    traits: int = 1
    """Traits fitted together."""
    loci: int | None = None
    """Loci to fine-map, each with one lead variant; by default the time of one is given."""
    model: Kind | None = None
    """Which network; by default enformer where there are tracks, else mlp."""
    effects: FittedEffects = _MODEL.effects
    """Distribution of effects in the fit: normal, or mixture, which has a second half."""
    hidden: tuple[int, ...] = _MODEL.hidden
    """Widths of an mlp's hidden layers."""
    width: int = _TRACKS.width
    """Channels of an enformer: 768 has 16 million weights with 165 tracks, 384 has 4.4 million."""
    depth: int = _TRACKS.depth
    """Transformer layers of an enformer."""
    window: int = _TRACKS.window
    """Bases around each variant that an enformer reads."""
    variants_per_pass: int = _TRACKS.variants_per_pass
    """Variants that go through an enformer together."""
    network_precision: Precision = _TRACKS.precision
    """Of an enformer."""
    max_steps: int = _TRAINING.max_steps
    """Optimiser steps."""
    windows_per_step: int | None = _TRAINING.windows_per_step
    """Windows of a step; by default one per process."""
    check_every: int = _TRAINING.check_every
    """Steps between checks at least."""
    validation_fraction: float = SplitConfig.validation_fraction
    """Share of the windows that decide when to stop."""
    holdout_fraction: float = 0.1
    """Share of the windows that no fit sees, by which evaluate and h2 are planned."""
    devices: int = _TRAINING.devices
    """Processes per machine that train together."""
    num_nodes: int = _TRAINING.num_nodes
    """Machines that train together."""
    device: str = _TRAINING.device
    """Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps."""
    card: str | None = None
    """A GPU that is not here, whose rates were measured once: h200. Reading, memory of the process and disk are those of this machine."""
    folder: Path | None = None
    """Where files would be written; by default here. Disk is measured there."""

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.card is not None and self.device not in ("auto", "cpu"):
            raise ConfigError("give either --device or --card, one of the two.")
        if self.bandwidth is not None and not (self.bandwidth > 0 and math.isfinite(self.bandwidth)):
            raise ConfigError(f"`bandwidth` must be positive (megabytes per second), got {self.bandwidth}.")
        if self.bandwidth is not None and not self.source:
            raise ConfigError("`bandwidth` is for the time of --source. Give an address there, or leave it out.")
        over_the_network = [str(path) for path in self.panel if re.match(r"(\w+=)?(s3|https?):/", str(path))]
        if over_the_network:
            raise ConfigError(
                f"`--panel {over_the_network[0]}`: panels are read from this machine. Give the address of LD to build one from as --source, "
                "with --variants and --windows."
            )

    def check_sizes(self) -> None:
        """Checks that the sizes come from files or from numbers.

        Raises:
            ConfigError: they come from neither, or from both.
        """
        numbers = self.variants is not None and self.windows is not None
        if bool(self.panel) == numbers or (self.panel and (self.variants or self.windows or self.rank)):
            raise ConfigError("give either --panel, or both --variants and --windows (and --rank).")
        if self.tracks is not None and self.num_tracks is not None:
            raise ConfigError("give either --tracks or --num-tracks, one of the two.")

    def network(self, *, with_tracks: bool) -> ModelConfig:
        """The network: the one asked for, or an enformer where there are tracks, else an mlp."""
        kind = self.model or ("enformer" if with_tracks else "mlp")
        enformer = TrackEnformerConfig(
            window=self.window,
            width=self.width,
            depth=self.depth,
            variants_per_pass=self.variants_per_pass,
            precision=self.network_precision,
        )
        return ModelConfig(kind=kind, hidden=self.hidden, enformer=enformer, effects=self.effects)
