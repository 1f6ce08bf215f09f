"""The network of expression: its sizes, which base it reads, what learns, precision, and published weights from a file."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from varfx.errors import ConfigError, DataError, FormatError
from varfx.io import sealed
from varfx.models.channel_norm import ChannelNorm, fold_statistics
from varfx.models.enformer import Enformer, EnformerConfig
from varfx.models.expression import ExpressionNetwork, ExpressionNetworkConfig, load_network
from varfx.models.full_precision import full_precision
from varfx.models.low_rank import ADAPTED, LowRankLinear

SIZES: dict[str, Any] = {"window": 64, "width": 24, "depth": 2, "num_downsamples": 3}
PLAIN: dict[str, Any] = {"dropout": 0.0, "attention_dropout": 0.0, "position_dropout": 0.0, "norm": "running"}


def build(**changes: Any) -> ExpressionNetwork:
    """A network in which nothing that starts at 0 is 0."""
    network = ExpressionNetwork(ExpressionNetworkConfig(**{**SIZES, **PLAIN, **changes}))
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("to_out.weight", "to_out.base.weight", ".up", "head.weight")):
                parameter.normal_(std=0.3, generator=generator)
    return network


def sequences(people: int = 6, window: int = 64, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.eye(4)[torch.randint(0, 4, (people, window), generator=generator)]


# --- sizes


@pytest.mark.parametrize(
    ("width", "depth", "heads", "key_width"),
    [(1536, 11, 8, 64), (384, 2, 8, 16), (96, 2, 8, 16), (48, 1, 8, 16), (36, 1, 6, 16)],
)
def test_sizes_follow_from_the_width(width: int, depth: int, heads: int, key_width: int) -> None:
    trunk = ExpressionNetworkConfig(width=width, depth=depth).trunk()
    assert (trunk.heads, trunk.key_width) == (heads, key_width)
    if width < 384:
        assert Enformer(trunk)


def test_the_default_is_the_published_model() -> None:
    config = ExpressionNetworkConfig()
    published = EnformerConfig()
    for name in (
        "channels",
        "width",
        "depth",
        "heads",
        "key_width",
        "num_downsamples",
        "dropout",
        "attention_dropout",
        "position_dropout",
    ):
        assert getattr(config.trunk(), name) == getattr(published, name), name
    assert config.readout == 192  # Variformer's bin of 384
    assert ExpressionNetworkConfig(**config.to_json()) == config


@pytest.mark.parametrize("window", [1024, 1152, 49_152, 49_408, 1000])
def test_the_bin_read_holds_the_tss(window: int) -> None:
    config = ExpressionNetworkConfig(window=window, width=48, depth=1)
    tss = window // 2
    assert config.readout * 128 <= tss < (config.readout + 1) * 128
    if window % 128 == 0:
        assert config.readout == (window // 128) // 2


# --- what it reads


def test_prediction_is_the_head_of_one_bin_of_the_whole_output() -> None:
    network = build().eval()
    x = sequences()
    whole = network.trunk.embed(x)[:, network.config.readout]
    expected = whole @ network.head.weight[0] + network.head.bias
    torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)
    assert network(x).shape == (6,)


def test_without_a_transformer_it_sees_the_tss_and_its_reach_only() -> None:
    network = build(depth=0, window=256).eval()
    x = sequences(1, 256).requires_grad_()
    network(x).sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(1).nonzero()[:, 0]
    first = network.config.readout * 8
    reach = network.trunk.config.reach
    assert first - reach <= int(seen.min()) <= first
    assert first + 7 <= int(seen.max()) < first + 8 + reach
    assert int(seen.min()) <= 128 <= int(seen.max())


def test_haplotypes_are_predicted_and_averaged() -> None:
    network = build().eval()
    one, two = sequences(seed=1), sequences(seed=2)
    both = network(torch.stack([one, two], dim=1))
    torch.testing.assert_close(both, (network(one) + network(two)) / 2)
    assert not torch.allclose(both, network((one + two) / 2), atol=1e-4)  # the network is not linear


def test_it_starts_at_the_mean() -> None:
    assert torch.equal(ExpressionNetwork(ExpressionNetworkConfig(**SIZES))(sequences()), torch.zeros(6))


@pytest.mark.parametrize("shape", [(2, 63, 4), (64, 4), (2, 64, 5)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="must be"):
        build()(torch.zeros(shape))


def test_bfloat16_is_of_the_trunk_alone() -> None:
    full, half = build().eval(), build(precision="bfloat16").eval()
    x = sequences()
    assert half(x).dtype == torch.float32
    torch.testing.assert_close(half(x), full(x), rtol=0.1, atol=0.1)
    assert not torch.equal(half(x), full(x))
    with full_precision(half):
        assert torch.equal(half(x), full(x))
    seen: list[torch.dtype] = []
    half.head.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        half(x)
    assert seen == [torch.float32]


def test_recomputation_changes_no_gradient() -> None:
    x = sequences()
    found = []
    for checkpointing in (False, True):
        network = build(checkpointing=checkpointing).train()
        network(x).square().sum().backward()
        found.append({name: parameter.grad for name, parameter in network.named_parameters()})
    for name, expected in found[0].items():
        torch.testing.assert_close(found[1][name], expected, rtol=1e-4, atol=1e-5, msg=name)


def test_statistics_are_those_of_all_bins() -> None:
    network, twin = build(), build()
    x = sequences()
    network.train()(x)
    twin.trunk.train().embed(x)
    fold_statistics(network)
    fold_statistics(twin)
    for (name, found), expected in zip(network.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(found, expected, msg=name)
    before = network.train()(x)
    torch.testing.assert_close(network.eval()(x), before, rtol=1e-5, atol=1e-5)


# --- what learns


def step(network: ExpressionNetwork) -> None:
    """One step of gradient descent that moves all that learns."""
    network.train()
    (network(sequences()) - torch.arange(6.0)).square().mean().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    fold_statistics(network)


def moved(network: ExpressionNetwork) -> tuple[set[str], set[str]]:
    """Names of weights and of statistics that a step moves."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    step(network)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    buffers = {name for name, _ in network.named_buffers()}
    return changed - buffers, changed & buffers


def norm_weights(network: ExpressionNetwork) -> set[str]:
    return {
        f"{name}.{part}"
        for name, module in network.named_modules()
        if isinstance(module, ChannelNorm)
        for part in ("weight", "bias")
    }


@pytest.mark.parametrize("norm", ["running", "batch"])
def test_random_weights_really_train_their_batch_norms(norm: str) -> None:
    network = build(norm=norm)
    weights, statistics = moved(network)
    assert weights == {name for name, _ in network.named_parameters()}  # a gradient reaches all of them
    assert norm_weights(network) <= weights
    assert statistics == {name for name, _ in network.named_buffers()}


def test_frozen_norms_do_not_move_and_all_else_does() -> None:
    network = build(norm="frozen")
    weights, statistics = moved(network)
    assert weights == {name for name, _ in network.named_parameters()} - norm_weights(network)
    assert not statistics


def test_frozen_trunk() -> None:
    network = build(freeze_trunk=True, dropout=0.4)
    weights, statistics = moved(network)
    assert weights == {"head.weight", "head.bias"}
    assert not statistics
    network.train()
    assert torch.equal(network(sequences()), network(sequences()))  # without dropout


def test_adapters_start_without_effect_and_learn_alone() -> None:
    x = sequences()
    plain = build().eval()
    adapted = ExpressionNetwork(replace(plain.config, lora_rank=3), trunk=copy.deepcopy(plain.trunk)).eval()
    adapted.head = plain.head
    torch.testing.assert_close(adapted(x), plain(x), rtol=1e-5, atol=1e-6)
    network = build(lora_rank=3, norm="frozen")
    expected = {
        f"trunk.transformer.{layer}.0.fn.1.{name}.{part}"
        for layer in range(2)
        for name in ADAPTED
        for part in ("down", "up")
    }
    assert {name for name, p in network.named_parameters() if p.requires_grad} == expected | {
        "head.weight",
        "head.bias",
    }
    weights, statistics = moved(network)
    assert weights == expected | {"head.weight", "head.bias"}
    assert not statistics


def test_calibration_standardises_every_norm() -> None:
    network = build(norm="frozen", window=256)
    x = sequences(8, 256)
    network.calibrate(x)
    seen: dict[str, tuple[float, float]] = {}
    for name, module in network.named_modules():
        if isinstance(module, ChannelNorm):
            module.register_forward_hook(
                lambda module, inputs, output, name=name: seen.update(
                    {name: (float(output.detach().mean()), float(output.detach().std()))}
                )
            )
    network.eval().trunk.embed(x)  # all bins
    assert len(seen) == 6
    for name, (mean, sd) in seen.items():
        assert abs(mean) < 1e-3, name
        assert sd == pytest.approx(1, abs=0.02), name
    assert network.training is False


def test_weights_follow_from_the_generator() -> None:
    config = ExpressionNetworkConfig(**SIZES, lora_rank=2)
    torch.manual_seed(1)
    one = ExpressionNetwork(config, generator=torch.Generator().manual_seed(5)).state_dict()
    state = torch.get_rng_state()
    same = ExpressionNetwork(config, generator=torch.Generator().manual_seed(5)).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    other = ExpressionNetwork(config, generator=torch.Generator().manual_seed(6)).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["trunk.stem.0.weight"], other["trunk.stem.0.weight"])


# --- published weights


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small file in the published names, with a head, every tensor a second time."""
    config = ExpressionNetworkConfig(**SIZES).trunk()
    published = Enformer(
        EnformerConfig(
            width=24, depth=2, heads=config.heads, key_width=16, num_downsamples=3, output_heads={"human": 5}
        ),
        generator=torch.Generator().manual_seed(77),
    )
    tensors = published.state_dict()
    safetensors.torch.save_file(tensors, tmp_path / "enformer.safetensors")
    return tmp_path / "enformer.safetensors"


def test_published_weights_start_the_trunk(checkpoint: Path) -> None:
    loaded = load_network(checkpoint, ExpressionNetworkConfig(**SIZES))
    expected = safetensors.torch.load_file(checkpoint)
    for name, value in loaded.network.trunk.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert loaded.sha256 == sealed.sha256(checkpoint)
    adapted = load_network(checkpoint, ExpressionNetworkConfig(**SIZES, lora_rank=2)).network.eval()
    torch.testing.assert_close(adapted.trunk.embed(sequences()), loaded.network.eval().trunk.embed(sequences()))


def test_a_checkpoint_that_lacks_tensors(checkpoint: Path) -> None:
    tensors = safetensors.torch.load_file(checkpoint)
    del tensors["stem.0.weight"], tensors["conv_tower.0.0.2.bias"]
    safetensors.torch.save_file(tensors, checkpoint)
    with pytest.raises(FormatError, match=r"lacks 2 of \d+ tensors, first `stem\.0\.weight`") as error:
        load_network(checkpoint, ExpressionNetworkConfig(**SIZES))
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"does not exist\. Download .*enformer-official-rough.*--checkpoint"):
        load_network(tmp_path / "none.bin", ExpressionNetworkConfig(**SIZES))


def test_a_checkpoint_of_other_sizes(checkpoint: Path) -> None:
    with pytest.raises(FormatError, match="tensors have other shapes"):
        load_network(checkpoint, ExpressionNetworkConfig(**{**SIZES, "width": 48}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 50}, "`width` must be a multiple of 12, got 50. Take 48"),
        ({"window": 7}, "`window` must be at least one bin of 8 bases"),
        ({"lora_rank": -1}, "`lora-rank` must not be negative"),
        ({"lora_rank": 2, "freeze_trunk": True}, "exclude each other"),
        ({"lora_rank": 2, "depth": 0}, "depth of at least 1"),
        ({"precision": "float16"}, "`precision` must be float32 or bfloat16"),
        ({"norm": "none"}, "`norm` must be one of"),
    ],
)
def test_sizes_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExpressionNetworkConfig(**{**SIZES, **changes})


def test_layer_norms_have_no_use_for_a_checkpoint(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="`norm` = layer cannot use a checkpoint"):
        load_network(checkpoint, ExpressionNetworkConfig(**SIZES, norm="layer"))


@pytest.mark.parametrize(("rank", "scale"), [(1, 1.0), (4, 1.0), (4, 3.0)])
def test_a_low_rank_change_is_divided_by_its_rank(rank: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.nn.Linear(5, 3)
    layer = LowRankLinear(base, rank, scale=scale, generator=generator)
    torch.nn.init.normal_(layer.up, generator=generator)
    x = torch.randn(7, 5, generator=generator)
    weight = base.weight + scale / rank * layer.up @ layer.down
    torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, weight, base.bias))
