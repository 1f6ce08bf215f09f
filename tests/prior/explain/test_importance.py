"""Permutation importance: nothing for what a model does not use, nats with true intervals for what causes effects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import Tensor

from cases.simulated_panel import Simulated, associations, window_data
from varfx.errors import ConfigError
from varfx.gwas.sumstats import read_sumstats
from varfx.models.track_enformer import DenseTracks, TrackFeatures
from varfx.prior.explain.channels import ChannelGroup, Channels, channel_groups
from varfx.prior.explain.importance import PermutedTracks, permutation_importance, permuted
from varfx.training import WindowData

CHANNELS = Channels(features=("active", "noise", "unused", "noise.missing"))
WEIGHTS = torch.tensor([[np.log(10.0)], [0.3], [0.0], [0.2]], dtype=torch.float64)


def log_linear(features: Tensor | TrackFeatures, heterozygosity: Tensor) -> Tensor:
    """The truth in `active`; a weight on noise; none on a third channel."""
    assert isinstance(features, Tensor)
    return 0.1 * torch.exp(features @ WEIGHTS)


@pytest.fixture(scope="module")
def data(simulated: Simulated) -> WindowData:
    rng = np.random.default_rng(0)
    table = read_sumstats(simulated.height).table
    noise = rng.standard_normal(table.height)
    features = np.column_stack([simulated.active, noise, rng.standard_normal(noise.size), noise > 1])
    return window_data(simulated.open(), table["z"].to_numpy(), features, dtype=torch.float64)


ALL_WINDOWS = list(range(12))


# --- groups


def test_each_channel_takes_its_indicator_along() -> None:
    groups = channel_groups(CHANNELS)
    assert [(group.name, group.features, group.tracks) for group in groups] == [
        ("active", (0,), ()),
        ("noise", (1, 3), ()),
        ("unused", (2,), ()),
    ]
    assert groups[1].channels == ("noise", "noise.missing")


def test_prefixes_and_patterns() -> None:
    channels = Channels(features=("CADD_raw", "CADD_phred", "maf"), tracks=("K562.H3K4me3", "K562.CTCF", "liver/CTCF"))
    by_prefix = channel_groups(channels, "prefix")
    assert [(group.name, group.tracks, group.features) for group in by_prefix] == [
        ("K562", (0, 1), ()),
        ("liver", (2,), ()),
        ("CADD", (), (0, 1)),
        ("maf", (), (2,)),
    ]
    (mixed,) = channel_groups(channels, {"both": ["*CTCF", "maf"]})
    assert (mixed.tracks, mixed.features, mixed.channels) == ((1, 2), (2,), ("K562.CTCF", "liver/CTCF", "maf"))


def test_groups_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "groups.yaml"
    path.write_text("function: [active]\nrest: ['un*', noise]\n")
    assert [(group.name, group.features) for group in channel_groups(CHANNELS, path)] == [
        ("function", (0,)),
        ("rest", (1, 2, 3)),
    ]
    for text, message in (
        ("a: active\n", "must map each group to a list"),
        ("a: [activ, noise]\n", "1 names fit no channel, first `activ` of group `a`"),
        ("a: [", "is no YAML"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            channel_groups(CHANNELS, path)
    with pytest.raises(ConfigError, match=r"absent.yaml cannot be read: .*Give `each`"):
        channel_groups(CHANNELS, tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="constant model"):
        channel_groups(Channels(features=()))


# --- importance


@pytest.mark.parametrize("scope", ["window", "all"])
def test_causal_is_important_and_unused_is_exactly_nothing(data: WindowData, scope: str) -> None:
    groups = channel_groups(CHANNELS)
    result = permutation_importance(data, ALL_WINDOWS, log_linear, [1.0], groups, scope=scope, repeats=3)  # type: ignore[arg-type]
    active, noise, unused = result.entries(["height"])
    assert active["importance_ci95"][0] > 0
    assert active["importance"] > 10
    assert unused["importance"] == 0
    assert unused["importance_ci95"] == [0, 0]
    assert unused["repeat_sd"] == 0
    assert noise["importance"] != 0  # a weight on noise changes log p, one way or the other
    assert abs(noise["importance"]) < active["importance"] / 3
    assert active["n_windows"] == 12


def test_noise_that_a_model_uses_neither_helps_nor_hurts_on_average(simulated: Simulated) -> None:
    """Over simulated traits: what a channel says by chance is as good or bad as what its permutation says."""
    panel, rng = simulated.open(), np.random.default_rng(1)
    noise = rng.standard_normal(panel.variants.height)
    by_chrom = [slice(i * 160, (i + 1) * 160) for i in range(3)]

    def trait() -> ndarray:
        beta = rng.standard_normal(480) * np.sqrt(simulated.F)
        return np.hstack([associations(rng, simulated.X[:, rows], beta[rows]) for rows in by_chrom])

    features = np.column_stack([simulated.active, noise, noise, noise])
    data = window_data(panel, np.stack([trait() for _ in range(12)]), features, dtype=torch.float64)
    (group,) = channel_groups(CHANNELS, {"noise": ["noise"]})
    result = permutation_importance(
        data, ALL_WINDOWS, lambda x, p: log_linear(x, p).expand(-1, 12), [1.0] * 12, [group]
    )
    totals = np.array([entry["importance"] for entry in result.entries([str(i) for i in range(12)])])
    assert abs(totals.mean()) < 4 * totals.std(ddof=1) / 12**0.5


def test_it_is_the_difference_of_two_likelihoods(data: WindowData) -> None:
    """Against the sum written out: one window, the permutation found again from the seed."""
    from varfx.likelihood import exact

    (group,) = channel_groups(CHANNELS, {"active": ["active"]})
    result = permutation_importance(data, [3, 5], log_linear, [1.2], [group], repeats=2, seed=4)
    assert result.loss.shape == (1, 2, 2, 1)
    window = data[5]
    trait = window.traits[0]
    assert trait is not None
    rows = np.random.default_rng((4, 1, 5)).permutation(len(window.heterozygosity))
    x = window.features.clone()
    x[:, 0] = x[rows, 0]
    log_p = [float(exact(trait, log_linear(each, x)[:, 0], 1.2).log_p) for each in (window.features, x)]
    assert result.loss[0, 1, 1, 0] == pytest.approx(log_p[0] - log_p[1], rel=1e-9)


def test_seed_decides_and_groups_do_not_disturb_each_other(data: WindowData) -> None:
    groups = channel_groups(CHANNELS)
    alone = permutation_importance(data, [0, 1], log_linear, [1.0], groups[:1], repeats=2, seed=1)
    among = permutation_importance(data, [0, 1], log_linear, [1.0], groups, repeats=2, seed=1)
    np.testing.assert_array_equal(among.loss[0], alone.loss[0])
    other = permutation_importance(data, [0, 1], log_linear, [1.0], groups[:1], repeats=2, seed=2)
    assert not np.array_equal(other.loss, alone.loss)


def test_a_trait_without_data_counts_no_window(simulated: Simulated) -> None:
    z = read_sumstats(simulated.height).table["z"].to_numpy().copy()
    z[:40] = np.nan  # the first core
    again = window_data(simulated.open(), z, np.column_stack([simulated.active] * 4), dtype=torch.float64)
    (entry,) = permutation_importance(
        again, ALL_WINDOWS, log_linear, [1.0], channel_groups(CHANNELS)[:1], repeats=1
    ).entries(["height"])
    assert entry["n_windows"] == 11
    assert entry["repeat_sd"] is None


def test_options_that_make_no_sense_are_refused(data: WindowData) -> None:
    groups = channel_groups(CHANNELS)
    for options, message in (
        ({"scope": "genome"}, "`scope` must be window or all"),
        ({"repeats": 0}, "`repeats`"),
        ({"scope": "all"}, "several windows"),
    ):
        with pytest.raises(ConfigError, match=message):
            permutation_importance(data, [0], log_linear, [1.0], groups, **options)  # type: ignore[arg-type]


# --- tracks


def window_of_tracks(seed: int, variants: int = 6) -> DenseTracks:
    generator = torch.Generator().manual_seed(seed)
    return DenseTracks(torch.randn(variants, 3, 8, generator=generator), torch.randn(variants, 2, generator=generator))


def test_whole_track_windows_move_together() -> None:
    own, donor = window_of_tracks(1), window_of_tracks(2, variants=9)
    rows = torch.tensor([8, 2, 0, 1, 7, 3])
    group = ChannelGroup("g", (), tracks=(0, 2), features=(1,))
    changed = permuted(own, donor, rows, group)
    assert isinstance(changed, PermutedTracks)
    some = torch.tensor([4, 1])
    x = changed.gather(some)
    assert torch.equal(x[:, 1], own.tracks[some, 1])
    assert torch.equal(x[:, [0, 2]], donor.tracks[rows[some]][:, [0, 2]])  # base for base
    assert torch.equal(changed.predictors[:, 0], own.predictors[:, 0])
    assert torch.equal(changed.predictors[:, 1], donor.predictors[rows, 1])
    assert torch.equal(own.gather(some), window_of_tracks(1).tracks[some])  # the window itself is as before


def test_features_are_copied_not_changed() -> None:
    own = torch.arange(6.0).reshape(3, 2)
    changed = permuted(own, own, torch.tensor([2, 0, 1]), ChannelGroup("g", (), (), (1,)))
    assert isinstance(changed, Tensor)
    assert changed.tolist() == [[0, 5], [2, 1], [4, 3]]
    assert own.flatten().tolist() == list(range(6))
