"""Enformer: equal to the published package, same result however it is computed, and errors that say what to do."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.models.attention import position_basis
from varfx.models.enformer import AttentionPool, Enformer, EnformerConfig

GOLDEN = Path(__file__).parents[1] / "golden" / "enformer"
SMALL: dict[str, Any] = {"width": 48, "depth": 2, "heads": 4, "num_downsamples": 3, "target_length": None}
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "position_dropout": 0.0}


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("enformer_golden", GOLDEN / "make_golden.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = load_script()


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return dict(json.loads((GOLDEN / "golden.json").read_text()))


def network(**changes: Any) -> Enformer:
    """A small network with lively weights: no output of a block starts at 0."""
    model = Enformer(EnformerConfig(**{**SMALL, **NO_DROPOUT, "output_heads": SCRIPT.HEADS, **changes}))
    model.load_state_dict(SCRIPT.draw_weights({name: tuple(t.shape) for name, t in model.state_dict().items()}))
    return model


def gradients(model: Enformer) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def loss(model: Enformer, x: Tensor, readout: int | slice | None = None) -> Tensor:
    return torch.stack([values.square().mean() for values in model(x, readout).values()]).sum()


# --- the published package


@pytest.mark.parametrize("case", list(SCRIPT.CASES))
def test_outputs_and_gradients_are_those_of_the_package(case: str, golden: dict[str, Any]) -> None:
    positions, target_length, training = SCRIPT.CASES[case]
    model = network(target_length=target_length, width_multiple=SCRIPT.WIDTH_MULTIPLE).train(training)
    expected = golden["cases"][case]
    output = model(SCRIPT.draw_input(positions))
    for head, values in expected["output"].items():
        torch.testing.assert_close(output[head], torch.tensor(values), rtol=1e-6, atol=1e-6)
    loss(model, SCRIPT.draw_input(positions)).backward()
    found = {name: gradient.norm().item() for name, gradient in gradients(model).items()}
    assert found == pytest.approx(expected["gradient_norm"], rel=2e-5, abs=1e-6)


def test_training_statistics_are_those_of_the_package(golden: dict[str, Any]) -> None:
    positions, target_length, _ = SCRIPT.CASES["training"]
    model = network(target_length=target_length).train()
    model(SCRIPT.draw_input(positions))
    for name, values in golden["cases"]["training"]["statistics"].items():
        torch.testing.assert_close(model.state_dict()[name], torch.tensor(values), rtol=1e-6, atol=1e-6)


def test_names_and_shapes_are_those_of_the_package(golden: dict[str, Any]) -> None:
    shapes = {name: list(tensor.shape) for name, tensor in network().state_dict().items()}
    assert shapes == golden["shapes"]


def test_published_size(golden: dict[str, Any]) -> None:
    config = EnformerConfig()
    assert config.tower_widths() == [768, 768, 896, 1024, 1152, 1280, 1536]
    heads = sum(size * (2 * config.width + 1) for size in config.output_heads.values())
    trunk = Enformer(replace(config, depth=1, output_heads={}))
    layer = sum(parameter.numel() for parameter in trunk.transformer.parameters())
    total = sum(parameter.numel() for parameter in trunk.parameters()) + 10 * layer + heads
    assert total == golden["published_parameters"]


def test_gamma_functions_scaled_by_function_are_those_of_tensorflow(golden: dict[str, Any]) -> None:
    basis = position_basis(1536, 192, "function", torch.device("cpu"))[:, 64:96]
    for row, values in golden["tensorflow_gammas"].items():
        # TensorFlow's float32 logarithms of gamma differ from torch's by up to 0.2 %
        torch.testing.assert_close(basis[int(row)], torch.tensor(values), rtol=3e-3, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.filterwarnings("ignore")  # of the package
def test_installed_package(training: bool) -> None:
    pytest.importorskip("enformer_pytorch", exc_type=ImportError)
    theirs = SCRIPT.reference(None).train(training)
    ours = network().train(training)
    x = SCRIPT.draw_input(333, batch=3)
    output = theirs(x)
    for head, values in ours(x).items():
        torch.testing.assert_close(values, output[head], rtol=1e-6, atol=1e-6)


# --- parts


@pytest.mark.parametrize("length", [1, 2, 3, 8, 9])
@torch.no_grad()
def test_pooling_is_the_softmax_over_pairs(length: int) -> None:
    pool = AttentionPool(3).double()
    generator = torch.Generator().manual_seed(5)
    pool.to_attn_logits.weight.normal_(generator=generator)
    x = torch.randn(2, 3, length, dtype=torch.float64, generator=generator)
    logits = torch.einsum("oi,bin->bon", pool.to_attn_logits.weight[:, :, 0, 0], x)
    columns = []
    for start in range(0, length, 2):
        weights = logits[:, :, start : start + 2].softmax(dim=2)
        columns.append((weights * x[:, :, start : start + 2]).sum(dim=2))
    torch.testing.assert_close(pool(x), torch.stack(columns, dim=2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("num_downsamples", [2, 3, 5])
def test_a_bin_depends_on_the_positions_within_reach(num_downsamples: int) -> None:
    model = network(num_downsamples=num_downsamples, norm="frozen").eval()
    config, length = model.config, 12 * 2**num_downsamples
    x = SCRIPT.draw_input(length, batch=1).requires_grad_()
    chosen = 5
    model.convolve(x.mT)[0, chosen].sum().backward()
    assert x.grad is not None
    touched = x.grad[0].abs().sum(dim=1).nonzero().flatten()
    assert int(touched[0]) == max(0, chosen * config.bin_size - config.reach)
    assert int(touched[-1]) == min(length, (chosen + 1) * config.bin_size + config.reach) - 1


def test_one_base_changes_five_bins_of_the_published_network() -> None:
    config = EnformerConfig()
    assert config.reach == 259
    position = 192 * 128 + 64
    bins = [b for b in range(384) if b * 128 - config.reach <= position < (b + 1) * 128 + config.reach]
    assert len(bins) == 5


@pytest.mark.parametrize("length", [1, 7, 8, 9, 63, 64, 65])
@torch.no_grad()
def test_any_length_gives_the_bins_it_promises(length: int) -> None:
    model = network().eval()
    assert model.embed(SCRIPT.draw_input(length)).shape == (2, model.config.num_bins(length), 96)


@torch.no_grad()
def test_no_transformer_layers() -> None:
    model = network(depth=0).eval()
    x = SCRIPT.draw_input(64)
    torch.testing.assert_close(model(x, 3)["human"], model(x)["human"][:, 3], rtol=1e-6, atol=1e-6)


# --- readout and crop


@pytest.mark.parametrize("target_length", [None, 12, 7])
@pytest.mark.parametrize("readout", [0, 5, -1, slice(2, 4), slice(None), slice(-3, None)])
@torch.no_grad()
def test_readout_takes_from_the_whole_output(target_length: int | None, readout: int | slice) -> None:
    model = network(target_length=target_length).eval()
    x = SCRIPT.draw_input(130)
    everything = model(x)
    for head, values in model(x, readout).items():
        torch.testing.assert_close(values, everything[head][:, readout], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("norm", ["batch", "running", "frozen", "layer"])
@torch.no_grad()
def test_readout_in_training_mode_too(norm: str) -> None:
    x = SCRIPT.draw_input(130)
    everything = network(norm=norm).train()(x)
    for head, values in network(norm=norm).train()(x, 7).items():
        torch.testing.assert_close(values, everything[head][:, 7], rtol=1e-6, atol=1e-6)


def test_gradients_of_a_readout_are_those_of_the_whole_output() -> None:
    model = network().eval()
    x = SCRIPT.draw_input(96)
    loss(model, x, 4).backward()
    local = gradients(model)
    torch.stack([values[:, 4].square().mean() for values in model(x).values()]).sum().backward()
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(local[name], gradient, rtol=1e-5, atol=1e-7, msg=name)


@torch.no_grad()
def test_crop_is_central() -> None:
    x = SCRIPT.draw_input(130)  # 17 bins
    everything = network().eval()(x)["human"]
    torch.testing.assert_close(network(target_length=7).eval()(x)["human"], everything[:, 5:12])
    # an odd rest: the package puts out one bin fewer than asked for, here the last one stays
    torch.testing.assert_close(network(target_length=4).eval()(x)["human"], everything[:, 7:11])


# --- training


def test_every_parameter_gets_a_gradient() -> None:
    model = network(norm="frozen").train()
    loss(model, SCRIPT.draw_input(96)).backward()
    found = gradients(model)
    assert set(found) == {name for name, _ in model.named_parameters()}
    assert [name for name, gradient in found.items() if not gradient.abs().sum() > 0] == []


@pytest.mark.parametrize("norm", ["batch", "running", "frozen", "layer"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_checkpointing_keeps_all_gradients_and_statistics(norm: str, dropout: float) -> None:
    found, states = [], []
    for checkpointing in (False, True):
        dropouts = dict.fromkeys(NO_DROPOUT, dropout)
        model = network(norm=norm, checkpointing=checkpointing, **dropouts).train()
        x = SCRIPT.draw_input(96).requires_grad_()
        with torch.random.fork_rng():
            torch.manual_seed(11)
            loss(model, x).backward()
        assert x.grad is not None
        found.append({**gradients(model), "input": x.grad})
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-6, atol=1e-6, msg=name)
    assert all(torch.equal(tensor, states[0][name]) for name, tensor in states[1].items())


def test_checkpointing_keeps_less() -> None:
    def kept(checkpointing: bool) -> int:
        sizes: dict[int, int] = {}
        model = network(norm="frozen", checkpointing=checkpointing)
        parameters = {parameter.data_ptr() for parameter in model.parameters()}

        def pack(tensor: Tensor) -> Tensor:
            if tensor.data_ptr() not in parameters:
                sizes[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = model(SCRIPT.draw_input(512))
        assert output["human"].requires_grad
        return sum(sizes.values())

    assert kept(True) < kept(False) / 2


def test_dropout_acts_in_training_only() -> None:
    model = network(norm="frozen", dropout=0.4)
    x = SCRIPT.draw_input(64)
    assert not torch.equal(model.train()(x)["human"], model(x)["human"])
    assert torch.equal(model.eval()(x)["human"], model(x)["human"])


def test_bfloat16_puts_out_float32() -> None:
    x = SCRIPT.draw_input(200)
    exact, model = network(norm="frozen").eval(), network(norm="frozen", precision="bfloat16").eval()
    output = model(x)["human"]
    assert output.dtype == torch.float32
    assert model.embed(x).dtype == torch.float32
    assert not torch.equal(output, output.bfloat16().float())  # the head does not round
    torch.testing.assert_close(output, exact(x)["human"], rtol=0, atol=0.02)
    loss(model, x).backward()
    reduced = gradients(model)
    assert {gradient.dtype for gradient in reduced.values()} == {torch.float32}
    assert all(bool(torch.isfinite(gradient).all()) for gradient in reduced.values())


def test_bfloat16_around_it_does_not_reach_a_float32_network() -> None:
    model = network(norm="frozen").eval()
    x = SCRIPT.draw_input(64)
    alone = model(x)["human"]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(x)["human"], alone)


def test_float64_stays_float64() -> None:
    model = network().double().eval()
    x = SCRIPT.draw_input(64)
    output = model(x.double())["human"]
    assert output.dtype == torch.float64
    torch.testing.assert_close(output.float(), network().eval()(x)["human"], rtol=1e-5, atol=1e-6)


# --- first weights


def test_first_weights_come_from_the_generator_alone() -> None:
    config = EnformerConfig(**SMALL)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = Enformer(config, generator=torch.Generator().manual_seed(4)).state_dict()
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    second = Enformer(config, generator=torch.Generator().manual_seed(4)).state_dict()
    other = Enformer(config, generator=torch.Generator().manual_seed(5)).state_dict()
    assert all(torch.equal(tensor, first[name]) for name, tensor in second.items())
    assert not torch.equal(other["stem.0.weight"], first["stem.0.weight"])
    assert all(bool(torch.isfinite(tensor).all()) for tensor in first.values())


@pytest.mark.parametrize(("depth", "num_downsamples"), [(1, 2), (8, 3), (2, 8)])
@torch.no_grad()
def test_signal_neither_dies_nor_explodes(depth: int, num_downsamples: int) -> None:
    config = EnformerConfig(**{**SMALL, "depth": depth, "num_downsamples": num_downsamples, **NO_DROPOUT})
    model = Enformer(config).train()
    hidden = model.embed(SCRIPT.draw_input(1024, batch=4))
    assert 0.02 < float(hidden.std(dim=(0, 1)).mean()) < 2


@torch.no_grad()
def test_attention_starts_as_the_identity() -> None:
    model = Enformer(EnformerConfig(**SMALL)).eval()
    layer = model.transformer[0]
    x = torch.randn(1, 9, 48, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        layer[0].fn[1](x, position_basis(9, 12, "distance", x.device), slice(0, 9, 1)), torch.zeros_like(x)
    )


# --- errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 0}, "`channels` must be at least 1, got 0"),
        ({"depth": -1}, "`depth` must not be negative, got -1"),
        ({"num_downsamples": 1}, "`num_downsamples` must be at least 2 .* got 1"),
        ({"width": 100}, "`width` must be a multiple of 6 x heads = 48, got 100. Take width 96"),
        ({"width": 45, "heads": 3}, "multiple of 6 x heads = 18, got 45. Take width 36"),
        ({"width_multiple": 7}, "`width_multiple` must be positive and divide width = 1536.* got 7"),
        ({"width_multiple": 0}, "`width_multiple` must be positive"),
        ({"target_length": 0}, "`target_length` must be at least 1.* got 0"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\), got 1.0"),
        ({"position_dropout": float("nan")}, r"`position_dropout` must be in \[0, 1\), got nan"),
        ({"norm_momentum": 0.0}, r"`norm_momentum` must be in \(0, 1\], got 0.0"),
        ({"norm": "group"}, "`norm` must be one of batch, running, frozen, layer, got 'group'"),
        ({"precision": "float16"}, "`precision` must be float32 or bfloat16, got 'float16'"),
        ({"gamma_scale": "tf"}, "`gamma_scale` must be distance or function, got 'tf'"),
        ({"output_heads": {"human": 0}}, "`output_heads` must map names to positive sizes, got 'human': 0"),
        ({"output_heads": {"a.b": 2}}, "`output_heads` must map names"),
    ],
)
def test_configuration_errors(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EnformerConfig(**changes)


@pytest.mark.parametrize("width", [48, 96, 192, 384, 768, 1536])
def test_usual_widths_need_no_other_option(width: int) -> None:
    widths = EnformerConfig(width=width).tower_widths()
    assert widths[0] == width // 2
    assert widths[-1] == width
    assert widths == sorted(widths)


@pytest.mark.parametrize("shape", [(2, 64), (2, 4, 64), (2, 64, 5), (2, 0, 4)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"`x` must be \(batch, position, channel\) with 4 channels, got shape"):
        network()(torch.zeros(shape))


def test_too_short_a_window_is_an_error() -> None:
    with pytest.raises(DataError, match="the window has 8 bins of 8, fewer than `target_length` = 9"):
        network(target_length=9)(torch.zeros(1, 64, 4))


@pytest.mark.parametrize("readout", [8, -9, slice(4, 4), slice(0, 8, 2)])
def test_readout_outside_the_output_is_an_error(readout: int | slice) -> None:
    with pytest.raises(DataError, match=r"`readout` = .* is not a run of some of the 8 output bins"):
        network()(torch.zeros(1, 64, 4), readout)


def test_dropout_stands_where_the_package_has_it() -> None:
    model = Enformer(EnformerConfig(**{**SMALL, "depth": 1}))
    rates = {name: module.p for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {
        "transformer.0.0.fn.1.pos_dropout": 0.01,
        "transformer.0.0.fn.1.attn_dropout": 0.05,
        "transformer.0.0.fn.2": 0.4,
        "transformer.0.1.fn.2": 0.4,
        "transformer.0.1.fn.5": 0.4,
        "final_pointwise.3": 0.05,
    }


@pytest.mark.parametrize("number", [0, 1])
def test_the_manual_s_examples_run(number: int) -> None:
    text = (Path(__file__).parents[2] / "docs" / "enformer.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(examples) == 2
    exec(examples[number], {})
