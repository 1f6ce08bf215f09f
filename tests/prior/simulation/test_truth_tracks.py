"""Truths that read tracks base by base."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from cases.simulated_panel import Simulated
from cases.simulated_tracks import LENGTHS
from varfx.errors import ConfigError
from varfx.genome import builds
from varfx.prior.experiment.materials import simulated_signal
from varfx.prior.simulation.config import TruthConfig
from varfx.prior.simulation.simulate import simulate
from varfx.prior.simulation.truth_network import BIN, random_filter
from varfx.tracks.build import build_tracks
from varfx.tracks.manifest import TrackSpec
from varfx.tracks.panel import PanelTracks
from varfx.tracks.store import open_tracks

WINDOW = 64
FILTER = TruthConfig(kind="filter", window=WINDOW, seed=3)


@pytest.fixture(scope="module")
def tracks(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tracks")
    path = folder / "a.bedgraph"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(builds.LENGTHS, "hg19", LENGTHS)  # type: ignore[arg-type]
        path.write_text(simulated_signal(simulated.open(), "hg19", 97))
        spec = TrackSpec(name="a", file=path, kind="bedgraph", store="float16")
        build_tracks([spec], folder / "T.tracks.zarr", build="hg19", workers=1)
        yield folder / "T.tracks.zarr"


def test_a_filter_weighs_bases_and_averages_know_nothing_of_it(
    simulated: Simulated, tracks: Path, tmp_path: Path
) -> None:
    made = simulate(simulated.panel, tmp_path / "SIM", tracks=tracks, truth=FILTER)
    panel = simulated.open()
    signals = PanelTracks(open_tracks(tracks), panel.variants, width=WINDOW)
    core, _ = panel.rows(0)
    window = signals.window(0, core, torch.zeros(core.size, 0), most_bases=300_000)
    score = (window.gather(torch.arange(core.size)).double() * random_filter(1, FILTER)).sum((1, 2)).numpy()
    log_f = np.log(made.truth["f"].to_numpy())[core]
    assert np.corrcoef(score, log_f)[0, 1] == pytest.approx(1, abs=1e-6)
    assert made.record["linear_r2"] < 0.2


def test_weights_have_mean_0_and_are_the_same_within_a_bin() -> None:
    weights = random_filter(3, FILTER)
    assert weights.shape == (3, WINDOW)
    torch.testing.assert_close(weights.mean(1), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
    assert (weights.reshape(3, -1, BIN) == weights[:, ::BIN, None]).all()


def test_a_random_enformer_varies(simulated: Simulated, tracks: Path, tmp_path: Path) -> None:
    truth = TruthConfig(kind="enformer", window=WINDOW, width=24, depth=1, seed=1)
    made = simulate(simulated.panel, tmp_path / "SIM", tracks=tracks, truth=truth)
    log_f = np.log(made.truth["f"].to_numpy())
    assert log_f.std() == pytest.approx(1)
    again = simulate(simulated.panel, tmp_path / "AGAIN", tracks=tracks, truth=truth)
    assert again.truth.equals(made.truth)


def test_it_needs_tracks_alone(simulated: Simulated, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a random filter reads tracks, and no annotations"):
        simulate(simulated.panel, tmp_path / "SIM", annotations=simulated.annot, truth=FILTER)
