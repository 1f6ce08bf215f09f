"""Full precision: whatever the training precision and mode were, and all as it was afterwards."""

from __future__ import annotations

import pytest
import torch

from cases.local_attention import lively, sequence
from varfx.errors import DataError
from varfx.models.full_precision import full_precision


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
