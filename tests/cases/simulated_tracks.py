"""Tracks along the simulated panel's small chromosomes, and a truth that depends on where in them a variant stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from cases.simulated_panel import Simulated, window_data
from varfx.genome import builds
from varfx.models import ModelConfig, TrackEnformerConfig, VariancePrior
from varfx.tracks.build import build_tracks
from varfx.tracks.manifest import TrackSpec
from varfx.tracks.panel import PanelTracks
from varfx.tracks.store import TrackStore
from varfx.training import WindowData

LENGTHS = {"1": 410_000, "2": 410_000, "3": 410_000}
SMALL = TrackEnformerConfig(
    window=16, width=24, depth=1, heads=2, key_width=4, num_downsamples=2, variants_per_pass=64, norm="running"
)
ENFORMER = ModelConfig(kind="enformer", enformer=SMALL)


@dataclass(frozen=True)
class SimulatedTracks:
    """Stores of the same signals.

    Attributes:
        folder: holds them.
        store: tracks a, b and c; c masks what it does not cover.
        turned: c, a, unrelated, b.
        lacking: a and b only.
    """

    folder: Path
    store: Path
    turned: Path
    lacking: Path


def simulate_tracks(folder: Path) -> Iterator[SimulatedTracks]:
    """Makes the stores; while it is suspended, hg19 has three short chromosomes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(builds.LENGTHS, "hg19", LENGTHS)  # type: ignore[arg-type]
        rng = np.random.default_rng(11)
        for name in ("a", "b", "c", "unrelated"):
            (folder / f"{name}.bedgraph").write_text("".join(_runs(rng, 0.5 if name == "c" else 1.0)))
        choices = {"T": "abc", "turned": ("c", "a", "unrelated", "b"), "lacking": "ab"}
        stores = {}
        for name, tracks in choices.items():
            specs = [
                TrackSpec(
                    name=track,
                    file=folder / f"{track}.bedgraph",
                    kind="bedgraph",
                    missing="mask" if track == "c" else "zero",
                )
                for track in tracks
            ]
            stores[name] = folder / f"{name}.tracks.zarr"
            build_tracks(specs, stores[name], build="hg19", workers=1)
        yield SimulatedTracks(folder, stores["T"], stores["turned"], stores["lacking"])


def _runs(rng: np.random.Generator, share: float) -> Iterator[str]:
    for chrom, length in LENGTHS.items():
        starts = np.arange(0, length - 50, 50)
        for start in starts[rng.random(starts.size) < share]:
            yield f"chr{chrom}\t{start}\t{start + 50}\t{rng.integers(0, 20)}\n"


def data_with_tracks(
    simulated: Simulated,
    store: TrackStore,
    z: np.ndarray,
    *,
    dtype: torch.dtype = torch.float32,
    host_bytes: int = 10**9,
    width: int = SMALL.window,
) -> WindowData:
    """Windows with one trait a row of `z`, two predictors, and tracks."""
    panel = simulated.open()
    rng = np.random.default_rng(3)
    predictors, frequency = rng.standard_normal((panel.variants.height, 2)), rng.uniform(0.05, 0.95, z.shape[-1])
    data = window_data(panel, z, predictors, frequency * (1 - frequency), dtype=dtype)
    data.tracks = PanelTracks(store, panel.variants, width=width, dtype=dtype, host_bytes=host_bytes)
    return data


def enformer(data: WindowData, config: ModelConfig = ENFORMER, *, moved: bool = False) -> VariancePrior:
    """A prior for the windows; `moved` takes its output layer away from 0, so that every weight has a gradient."""
    assert data.tracks is not None
    model = VariancePrior(config, 2, len(data.traits), num_tracks=len(data.tracks.channels), seed=3)
    if moved:
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.02 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return model
