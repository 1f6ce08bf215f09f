"""Stem and tower around a changed base: all bins as computed from the whole sequence, for every place and length."""

from __future__ import annotations

import pytest
import torch

from cases.local_attention import changed_sequences, lively, sequence
from varfx.models.local_tower import LocalTower


@pytest.mark.parametrize(
    ("length", "stages"),
    [(512, 3), (97, 3), (333, 3), (130, 7), (49, 4), (17, 2), (15, 3), (3, 2)],
    ids=lambda value: str(value),
)
def test_every_single_change_gives_the_bins_of_the_whole_sequence(length: int, stages: int) -> None:
    network = lively(num_downsamples=stages)
    reference, places = sequence(length), torch.arange(length)
    values = sequence(length, seed=7)
    tower = LocalTower(network, reference)
    torch.testing.assert_close(tower.bins, network.convolve(reference.mT[None])[0])
    changed = tower.change(places, values)
    whole = network.convolve(changed_sequences(reference, places, values).mT)
    count = changed.values.shape[1]
    assert count == min(6, network.config.num_bins(length)) or stages == 2
    mine = tower.bins.repeat(length, 1, 1)
    for row, first in enumerate(changed.first):
        mine[row, first : first + count] = changed.values[row]
    torch.testing.assert_close(mine, whole, rtol=1e-12, atol=1e-14)
    assert (whole - tower.bins).abs().amax() > 1e-6  # something did change


@pytest.mark.parametrize("norm", ["layer", "frozen", "batch"])
def test_any_norm_and_tracks_instead_of_bases(norm: str) -> None:
    network = lively(norm=norm, channels=3)
    generator = torch.Generator().manual_seed(1)
    reference = torch.randn(200, 3, dtype=torch.float64, generator=generator)
    places, values = torch.tensor([0, 99, 199]), torch.randn(3, 3, dtype=torch.float64, generator=generator)
    changed = LocalTower(network, reference).change(places, values)
    whole = network.convolve(changed_sequences(reference, places, values).mT)
    for row, first in enumerate(changed.first):
        torch.testing.assert_close(changed.values[row], whole[row, first : first + 6], rtol=1e-12, atol=1e-14)
