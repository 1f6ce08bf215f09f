"""Full precision: whatever the training precision and mode were, and all as it was afterwards."""

from __future__ import annotations

import pytest
import torch

from cases.local_attention import lively, sequence
from varfx.errors import DataError
from varfx.models import ModelConfig, TrackEnformerConfig, VariancePrior
from varfx.models.full_precision import full_precision
from varfx.models.track_enformer import DenseTracks


def test_a_bfloat16_network_computes_in_float32_and_stays_what_it_was() -> None:
    x = sequence(200, torch.float32)[None]
    plain = lively(torch.float32)
    network = lively(torch.float32, precision="bfloat16", checkpointing=True, dropout=0.4).train()
    network.stem.eval()
    modes = [module.training for module in network.modules()]
    with torch.autocast("cpu", torch.bfloat16):
        with full_precision(network), torch.no_grad():
            assert not network.training
            assert torch.equal(network.embed(x, 5), plain.embed(x, 5))
        assert torch.is_autocast_enabled("cpu")
    assert [module.training for module in network.modules()] == modes
    assert (network.config.precision, network.config.checkpointing) == ("bfloat16", True)
    with torch.no_grad():
        assert not torch.allclose(network.eval().embed(x, 5), plain.embed(x, 5), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("before", [True, False])
def test_tf32_is_off_inside_and_as_it_was_outside(before: bool) -> None:
    """torch's default leaves TF32 on for convolutions: 11 bits of a product."""
    flags = torch.backends.cudnn, torch.backends.cuda.matmul
    defaults = [each.allow_tf32 for each in flags]
    try:
        for each in flags:
            each.allow_tf32 = before
        with full_precision(lively(torch.float32)):
            assert [each.allow_tf32 for each in flags] == [False, False]
        assert [each.allow_tf32 for each in flags] == [before, before]
    finally:
        for each, value in zip(flags, defaults, strict=True):
            each.allow_tf32 = value


def test_a_prior_over_tracks_is_evaluated_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """predict, evaluate, explain and importance all call the prior in evaluation mode; training keeps its own precision."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    config = TrackEnformerConfig(
        window=16, width=24, depth=1, heads=2, key_width=4, num_downsamples=2, precision="bfloat16", zero_output=False
    )
    prior = VariancePrior(ModelConfig(kind="enformer", enformer=config), 0, 1, num_tracks=2)
    seen: list[tuple[bool, torch.dtype]] = []
    prior.network.trunk.stem[0].register_forward_hook(  # type: ignore[union-attr, index]
        lambda module, x, y: seen.append((torch.backends.cudnn.allow_tf32, y.dtype))
    )
    features = DenseTracks(torch.randn(3, 2, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(3, 0))
    for mode in (True, False):
        prior.train(mode)
        prior(features, torch.full((3,), 0.2))
    assert seen == [(True, torch.bfloat16), (False, torch.float32)]
    assert torch.backends.cudnn.allow_tf32
    assert prior.network.trunk.config.precision == "bfloat16"  # type: ignore[union-attr]


def test_an_error_inside_restores_too() -> None:
    network = lively(torch.float32, precision="bfloat16").train()
    with pytest.raises(ZeroDivisionError), full_precision(network):
        raise ZeroDivisionError
    assert network.training
    assert network.config.precision == "bfloat16"


def test_weights_stored_in_less_are_refused() -> None:
    network = lively(torch.bfloat16)
    with (
        pytest.raises(DataError, match=r"of the network's weights are stored in less than float32, first `stem\.0"),
        full_precision(network),
    ):
        pass
