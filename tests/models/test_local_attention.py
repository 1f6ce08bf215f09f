"""The transformer where few bins changed: the outputs of the whole, also where differences of sums would cancel."""

from __future__ import annotations

import pytest
import torch

from cases.local_attention import changed_sequences, lively, sequence
from varfx.models import local_attention
from varfx.models.enformer import Enformer
from varfx.models.local_attention import LocalTransformer
from varfx.models.local_tower import ChangedBins, LocalTower
from varfx.models.low_rank import adapt_attention


def differences(network: Enformer, length: int, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs by the local way and from whole sequences, for a change of every third base."""
    dtype = next(network.parameters()).dtype
    reference, places = sequence(length, dtype), torch.arange(0, length, 3)
    values = sequence(length, dtype, seed=7)[places]
    tower = LocalTower(network, reference)
    local = LocalTransformer(network, tower.bins, rows).change(tower.change(places, values))
    with torch.no_grad():
        whole = network.attend(network.convolve(changed_sequences(reference, places, values).mT), rows)
        assert (whole - network.attend(tower.bins[None], rows)).abs().amax() > 1e-4
    return local, whole


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("rows", [slice(20, 21), slice(0, 3), slice(0, 42), slice(41, 42)], ids=str)
def test_equal_to_the_whole(depth: int, rows: slice) -> None:
    local, whole = differences(lively(depth=depth), 333, rows)
    torch.testing.assert_close(local, whole, rtol=1e-11, atol=1e-13)


def test_in_float32() -> None:
    local, whole = differences(lively(torch.float32), 333, slice(20, 21))
    torch.testing.assert_close(local, whole, rtol=1e-5, atol=1e-5)


def test_low_rank_adapters_count() -> None:
    network = lively(torch.float32)
    adapt_attention(network, 2, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith(".up"):
                weight.normal_(generator=torch.Generator().manual_seed(4))
    local, whole = differences(network.double(), 200, slice(5, 6))
    torch.testing.assert_close(local, whole, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("trusted", [True, False])
def test_bins_that_had_all_attention(trusted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the reference looks at the changed bins only, what is left of its sums is noise; such variants are redone."""
    network = lively(torch.float32)
    bins = torch.randn(30, 48, generator=torch.Generator().manual_seed(2))
    attention = next(m for m in network.modules() if isinstance(m, local_attention.RelativeAttention))
    with torch.no_grad():
        attention.rel_content_bias.zero_()
        attention.rel_pos_bias.zero_()
        normal = network.transformer[0][0].fn[0](bins)  # type: ignore[index, union-attr, operator]
        attention.to_k.weight.copy_(60 * attention.to_k.weight)
        attention.rel_content_bias += attention._split(attention.to_k(normal[:1]))  # all look at bin 0
    changed = ChangedBins(torch.tensor([0]), torch.randn(1, 3, 48, generator=torch.Generator().manual_seed(8)))
    x = bins.clone()
    x[:3] = changed.values[0]
    if trusted:
        monkeypatch.setattr(local_attention, "MIN_SHARE", 0.0)
    with torch.no_grad():
        whole = network.attend(x[None], slice(10, 11))
        local = LocalTransformer(network, bins, slice(10, 11)).change(changed)
    close = torch.allclose(local, whole, rtol=1e-4, atol=1e-4)
    assert close is not trusted
