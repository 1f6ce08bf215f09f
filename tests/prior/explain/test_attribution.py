"""Contributions over a panel: each variant's from its own window, aggregates that are those of the parts."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from numpy import ndarray
from torch import Tensor

from cases.simulated_panel import Simulated, window_data
from varfx.errors import DataError
from varfx.gwas.sumstats import read_sumstats
from varfx.models import ModelConfig, VariancePrior
from varfx.models.config import AttributionConfig
from varfx.models.track_enformer import DenseTracks, TrackEnformer, TrackEnformerConfig
from varfx.prior.explain.attribution import Attributions, attribute_variants, windows_of
from varfx.prior.explain.channels import Channels
from varfx.training import WindowData
from varfx.training.gwas.windows import PriorWindow

NAMES = Channels(features=("active", "eaf", "unused"))
WEIGHTS = np.array([2.0, -0.5, 0.0])


def log_linear() -> VariancePrior:
    prior = VariancePrior(ModelConfig(kind="linear", link="exp"), 3, 1).double()
    prior.network.load_state_dict({"weights.weight": torch.from_numpy(WEIGHTS)[None]})
    with torch.no_grad():
        prior.scale.fill_(0.3)
        prior.alpha.fill_(-0.5)
    return prior.eval()


@pytest.fixture(scope="module")
def features(simulated: Simulated) -> ndarray:
    rng = np.random.default_rng(3)
    return np.column_stack([simulated.active, rng.standard_normal((480, 2))])


@pytest.fixture(scope="module")
def heterozygosity() -> ndarray:
    return np.linspace(0.05, 0.25, 480)


@pytest.fixture(scope="module")
def data(simulated: Simulated, features: ndarray, heterozygosity: ndarray) -> WindowData:
    z = read_sumstats(simulated.height).table["z"].to_numpy()
    return window_data(simulated.open(), z, features, heterozygosity, dtype=torch.float64)


def test_a_linear_model_gives_weight_times_value(data: WindowData, features: ndarray, heterozygosity: ndarray) -> None:
    rows = np.array([470, 3, 41, 40, 200, 3])
    found = attribute_variants(log_linear(), data, rows, NAMES, config=AttributionConfig(variants_per_pass=1))
    table, order = found.variants, np.unique(rows)
    assert table["position"].to_list() == data.panel.variants["position"][order].to_list()
    for column, name in enumerate(NAMES.names):
        np.testing.assert_allclose(table[f"channel.{name}"], WEIGHTS[column] * features[order, column], rtol=1e-10)
    log_f = 0.3 - 0.5 * np.log(4 * heterozygosity[order]) + features[order] @ WEIGHTS - np.log(10_000)
    np.testing.assert_allclose(table["log_f"], log_f, rtol=1e-10)
    np.testing.assert_allclose(table["log_f_baseline"], log_f - features[order] @ WEIGHTS, rtol=1e-10)
    assert float(table["unexplained"].abs().max()) < 1e-12  # type: ignore[arg-type]
    assert found.num_unexplained(1e-9) == 0
    assert found.profile.is_empty()
    assert found.bases.is_empty()


def test_channels_are_means_over_the_variants(data: WindowData, features: ndarray) -> None:
    rows = np.arange(100, 300)
    found = attribute_variants(log_linear(), data, rows, NAMES)
    expected = WEIGHTS * features[rows]
    table = {row["channel"]: row for row in found.channels.iter_rows(named=True)}
    for column, name in enumerate(NAMES.names):
        assert table[name]["mean"] == pytest.approx(expected[:, column].mean(), abs=1e-12)
        assert table[name]["mean_abs"] == pytest.approx(np.abs(expected[:, column]).mean(), abs=1e-12)
        assert table[name]["kind"] == "feature"
    assert found.channels["mean_abs"].is_sorted(descending=True)
    assert table["unused"]["mean_abs"] == 0


def test_variants_are_found_in_the_window_whose_core_holds_them(data: WindowData) -> None:
    rows = np.array([0, 39, 40, 159, 160, 479])
    seen = []
    for index, inside, local in windows_of(data.panel, rows):
        core_rows, panel_rows = data.panel.rows(index)
        assert set(inside) <= set(core_rows)
        np.testing.assert_array_equal(panel_rows[local], inside)
        seen += inside.tolist()
    assert seen == rows.tolist()


def test_no_variants_is_an_error(data: WindowData) -> None:
    with pytest.raises(DataError, match="no variants are left to explain"):
        attribute_variants(log_linear(), data, np.zeros(0, dtype=np.int64), NAMES)


# --- tracks

TRACKS, WIDTH = 2, 16
TRACK_NAMES = Channels(features=("cadd",), tracks=("DNase", "H3K4me1"))


class HostTracks(DenseTracks):
    """Tracks that stay where they are."""

    def to(self, device: torch.device | str) -> HostTracks:
        return self


class WithTracks:
    """Windows whose features are tracks, as `WindowData` gives them."""

    def __init__(self, data: WindowData, tracks: Tensor, predictors: Tensor) -> None:
        self.panel, self.traits = data.panel, data.traits
        self._data, self._tracks, self._predictors = data, tracks, predictors

    def __getitem__(self, index: int) -> PriorWindow:
        rows = torch.from_numpy(self.panel.rows(index)[1])
        dense = HostTracks(self._tracks[rows], self._predictors[rows])
        plain = self._data[index]
        return PriorWindow(
            index=index,
            features=dense,  # type: ignore[arg-type]
            heterozygosity=plain.heterozygosity,
            traits=plain.traits,
            num_observed=plain.num_observed,
        )


@pytest.fixture(scope="module")
def tracks() -> Tensor:
    return torch.randn(480, TRACKS, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def explained(data: WindowData, tracks: Tensor) -> tuple[VariancePrior, Attributions]:
    predictors = torch.randn(480, 1, generator=torch.Generator().manual_seed(2))
    config = TrackEnformerConfig(window=WIDTH, width=24, heads=2, key_width=4, num_downsamples=2, zero_output=False)
    prior = VariancePrior(ModelConfig(kind="constant"), 0, 1)
    prior.network = TrackEnformer(config, TRACKS, 1, 1, torch.Generator().manual_seed(3))
    prior.eval()
    windows = WithTracks(data, tracks, predictors)
    config_of_sum = AttributionConfig(steps=8, max_steps=64, tolerance=5e-3, variants_per_pass=7)
    rows = np.arange(30, 60)
    return prior, attribute_variants(prior, windows, rows, TRACK_NAMES, detail=3, config=config_of_sum)  # type: ignore[arg-type]


def test_tracks_sum_to_log_f(explained: tuple[VariancePrior, Attributions]) -> None:
    _, found = explained
    table = found.variants
    assert table.height == 30
    total = sum(table[f"channel.{name}"].to_numpy() for name in TRACK_NAMES.names)
    np.testing.assert_allclose(
        total + table["unexplained"].to_numpy(), table["log_f"] - table["log_f_baseline"], atol=1e-6
    )
    assert found.num_unexplained(5e-3) == 0
    assert 0 < found.num_unexplained(1e-6) <= 30


def test_profile_is_the_mean_over_variants_by_offset(explained: tuple[VariancePrior, Attributions]) -> None:
    _, found = explained
    assert found.profile.columns == ["channel", "offset", "mean", "mean_abs"]
    assert found.profile["offset"].to_list() == [*range(-8, 8)] * 2
    summed = found.profile.group_by("channel", maintain_order=True).agg(pl.col("mean").sum())
    by_name = {row["channel"]: row["mean"] for row in found.channels.iter_rows(named=True)}
    for name, mean in summed.iter_rows():
        assert mean == pytest.approx(by_name[name], abs=1e-6)
    assert bool((found.profile["mean_abs"] >= found.profile["mean"].abs()).all())


def test_bases_are_kept_for_the_highest(explained: tuple[VariancePrior, Attributions]) -> None:
    _, found = explained
    highest = found.variants.sort("log_f", descending=True).head(3)
    positions = found.bases["position"].unique(maintain_order=True)
    assert positions.to_list() == highest["position"].to_list()
    summed = found.bases.group_by("position", "channel", maintain_order=True).agg(pl.col("contribution").sum())
    for position, name, value in summed.iter_rows():
        expected = highest.filter(pl.col("position") == position)[f"channel.{name}"].item()
        assert value == pytest.approx(expected, abs=1e-5)


def test_a_profile_shows_where_the_network_looks(data: WindowData, tracks: Tensor) -> None:
    """A network that reads the variant's own base of one track: its profile is a single peak at offset 0."""

    class OneBase(torch.nn.Module):
        def score(self, x: Tensor, predictors: Tensor) -> Tensor:
            return x[:, 1, WIDTH // 2 : WIDTH // 2 + 1]

    prior = VariancePrior(ModelConfig(kind="constant", link="exp"), 0, 1)
    network = TrackEnformer(
        TrackEnformerConfig(window=WIDTH, width=24, heads=2, num_downsamples=2), TRACKS, 0, 1, torch.Generator()
    )
    network.score = OneBase().score  # type: ignore[method-assign, assignment]
    prior.network = network
    windows = WithTracks(data, tracks, torch.zeros(480, 0))
    names = Channels(features=(), tracks=TRACK_NAMES.tracks)
    found = attribute_variants(prior.eval(), windows, np.arange(50), names)  # type: ignore[arg-type]
    peak = found.profile.filter(pl.col("mean_abs") > 0)
    assert peak.select("channel", "offset").rows() == [("H3K4me1", 0)]
    assert peak["mean_abs"].item() == pytest.approx(float(tracks[:50, 1, WIDTH // 2].abs().mean()), rel=1e-5)
