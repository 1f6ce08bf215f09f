"""Borzoi against the package's golden outputs, Flashzoi's attention against loops, and the parts against their definitions."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from varfx.errors import ConfigError, DataError, FormatError
from varfx.models.borzoi import Borzoi, box_basis
from varfx.models.borzoi_config import BorzoiConfig
from varfx.models.borzoi_weights import load_borzoi
from varfx.models.full_precision import full_precision
from varfx.models.rotary import RotaryAttention

GOLDEN = Path(__file__).parents[1] / "golden" / "borzoi"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_golden_borzoi", GOLDEN / "make_golden.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = _script()
HEADS = {"human": 7611, "mouse": 2608}
PACKAGE = BorzoiConfig(**SCRIPT.SIZES, output_heads=HEADS, target_length=SCRIPT.BINS)
SMALL = BorzoiConfig(
    stem_width=8, tower_widths=(8, 12), width=24, depth=2, heads=2, key_width=8, final_width=20, output_heads={"human": 3},
    target_length=None,
)  # fmt: skip


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return dict(json.loads((GOLDEN / "golden.json").read_text()))


def drawn(config: BorzoiConfig) -> Borzoi:
    """The network with the drawn weights, in evaluation mode."""
    model = Borzoi(config)
    model.load_state_dict(SCRIPT.draw_weights({name: tuple(t.shape) for name, t in model.state_dict().items()}))
    return model.eval()


@torch.no_grad()
def test_outputs_are_those_of_the_package(golden: dict[str, Any]) -> None:
    output = drawn(PACKAGE)(SCRIPT.draw_input())
    for name, values in golden["outputs"].items():
        found = output[name][:, SCRIPT.ROWS, : SCRIPT.KEPT_TRACKS]
        torch.testing.assert_close(found, torch.tensor(values), rtol=1e-6, atol=1e-6)


def test_names_and_shapes_are_those_of_the_package(golden: dict[str, Any]) -> None:
    with torch.device("meta"):
        shapes = {name: list(tensor.shape) for name, tensor in Borzoi(PACKAGE).state_dict().items()}
    assert shapes == golden["shapes"]


def test_the_published_size(golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Borzoi, "to_empty", lambda self, device: self)
    monkeypatch.setattr("varfx.models.borzoi.initialise", lambda network, generator: None)
    published = Borzoi(BorzoiConfig(output_heads=HEADS))
    assert {name: list(tensor.shape) for name, tensor in published.state_dict().items()} == golden["published_shapes"]
    human = sum(parameter.numel() for name, parameter in published.named_parameters() if "mouse" not in name)
    assert human == 185_892_699
    flashzoi = Borzoi(BorzoiConfig(attention="rotary"))
    assert flashzoi.state_dict()["transformer.0.0.fn.1.mha.Wqkv.weight"].shape == (3072, 1536)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")  # of the package
def test_installed_package() -> None:
    if importlib.util.find_spec("borzoi_pytorch") is None:
        pytest.skip("borzoi-pytorch is not installed")
    theirs, ours, x = SCRIPT.reference(), drawn(PACKAGE), SCRIPT.draw_input(1536)
    torch.testing.assert_close(ours(x)["human"], theirs(x.mT).mT, rtol=1e-6, atol=1e-6)


# --- parts


@pytest.mark.parametrize("readout", [0, 5, 15, slice(3, 9), slice(15, 16)])
@pytest.mark.parametrize("attention", ["relative", "rotary"])
@torch.no_grad()
def test_a_readout_is_part_of_the_whole_output(readout: int | slice, attention: Any) -> None:
    model = drawn(BorzoiConfig(**{**vars(SMALL), "attention": attention}))
    x = SCRIPT.draw_input(64)
    whole = model(x)["human"]
    assert whole.shape == (2, 16, 3)
    torch.testing.assert_close(model(x, readout)["human"], whole[:, readout], rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_the_crop_takes_the_centre() -> None:
    model = drawn(SMALL)
    cropped = drawn(BorzoiConfig(**{**vars(SMALL), "target_length": 6}))
    x = SCRIPT.draw_input(64)
    torch.testing.assert_close(cropped(x)["human"], model(x)["human"][:, 5:11], rtol=1e-5, atol=1e-6)


def test_a_bin_answers_to_its_own_bases_most() -> None:
    model = drawn(BorzoiConfig(**{**vars(SMALL), "depth": 0}))
    x = SCRIPT.draw_input(128, batch=1).requires_grad_()
    for row in (4, 17, 31):
        (gradient,) = torch.autograd.grad(model(x, row)["human"].sum(), x)
        reached = gradient.abs().sum(dim=2)[0].nonzero()[:, 0]
        assert reached.min() <= 4 * row
        assert reached.max() >= 4 * row + 3
        assert reached.numel() < 128


def test_the_boxes_of_distances() -> None:
    basis = box_basis(6, 32, 4096, torch.device("cpu"))
    width = 4097 ** (np.arange(1, 17) / 16) - 1
    for distance in range(-5, 6):
        box = (width > abs(distance)).astype(float)
        np.testing.assert_array_equal(basis[distance + 5], np.concatenate([box, np.sign(distance) * box]))


@torch.no_grad()
def test_rotary_attention_is_the_sum_over_positions() -> None:
    """Head by head and position by position, turned as complex numbers, in float64."""
    width, heads, length = 40, 4, 7
    attention = RotaryAttention(width, heads=heads, dropout=0.1).double().eval()
    for number, parameter in enumerate(attention.parameters()):
        parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    x = torch.randn(1, length, width, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    rows = slice(2, 5)
    found = attention(x, None, rows)[0].numpy()

    made = x[0].numpy() @ attention.mha.Wqkv.weight.numpy().T + attention.mha.Wqkv.bias.numpy()
    size, half = 10, 3  # two thirds of ten channels, to an even number, turn

    def turned(vector: np.ndarray, position: int) -> np.ndarray:
        rate = 20000.0 ** (-np.arange(half, dtype=np.float32) / half)
        pairs = (vector[:half] + 1j * vector[half : 2 * half]) * np.exp(1j * position * rate)
        return np.concatenate([pairs.real, pairs.imag, vector[2 * half :]])

    joined = np.zeros((3, width))
    for head in range(heads):
        group = head // 2
        q = made[:, head * size : (head + 1) * size]
        k = made[:, width + group * size : width + (group + 1) * size]
        v = made[:, width * 3 // 2 + group * size : width * 3 // 2 + (group + 1) * size]
        for place, i in enumerate(range(2, 5)):
            logits = np.array([turned(q[i], i) @ turned(k[j], j) for j in range(length)]) / size**0.5
            weights = np.exp(logits - logits.max())
            joined[place, head * size : (head + 1) * size] = weights @ v / weights.sum()
    expected = joined @ attention.mha.out_proj.weight.numpy().T + attention.mha.out_proj.bias.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_checkpointing_changes_nothing() -> None:
    x, gradients = SCRIPT.draw_input(64), []
    for checkpointing in (False, True):
        model = drawn(BorzoiConfig(**{**vars(SMALL), "checkpointing": checkpointing, "dropout": 0.0, "norm": "frozen"}))
        model(x)["human"].square().mean().backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        assert gradient is not None, name
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-5, atol=1e-7)


@torch.no_grad()
def test_bfloat16_is_close_and_full_precision_exact() -> None:
    x, plain = SCRIPT.draw_input(64), drawn(SMALL)
    model = drawn(BorzoiConfig(**{**vars(SMALL), "precision": "bfloat16"}))
    rough, exact = model(x)["human"], plain(x)["human"]
    assert rough.dtype == torch.float32
    assert 1e-6 < (rough - exact).abs().max() < 0.1
    with full_precision(model):
        torch.testing.assert_close(model(x)["human"], exact, rtol=0, atol=0)


# --- sizes and files


def test_small_sizes_follow_the_width() -> None:
    mini, micro = BorzoiConfig.of_width(768), BorzoiConfig.of_width(320, depth=4, key_width=32)
    assert (mini.stem_width, mini.tower_widths, mini.heads) == (320, (384, 448, 512, 576, 672), 4)
    assert (micro.tower_widths[0], micro.depth, micro.key_width) == (160, 4, 32)
    assert BorzoiConfig.of_width(1536) == BorzoiConfig()
    assert BorzoiConfig.of_width(12).tower_widths[-1] >= BorzoiConfig.of_width(12).tower_widths[0]


def test_a_file_round_trip_with_heads_that_are_not_asked_for(tmp_path: Path) -> None:
    tensors = drawn(BorzoiConfig(**{**vars(SMALL), "output_heads": {"human": 3, "mouse": 2}})).state_dict()
    wrapped = {f"model.{name}": tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    safetensors.torch.save_file({**wrapped, "other.weight": torch.zeros(1)}, tmp_path / "b.safetensors")
    loaded = load_borzoi(tmp_path / "b.safetensors", SMALL)
    assert loaded.unused_heads == ("mouse",)
    assert loaded.unused_tensors == ("other.weight",)
    x = SCRIPT.draw_input(64)
    with torch.no_grad():
        expected = Borzoi(SMALL)
        expected.load_state_dict({name: t for name, t in tensors.items() if "mouse" not in name})
        torch.testing.assert_close(loaded.model(x)["human"], expected.eval()(x)["human"], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("separable0.conv_layer.1.bias"), "it lacks 1 of .* first `separable0.conv_layer.1.bias`"),
        (lambda t: t.update(odd=torch.zeros(1)), "has unexpected 1 of .* first `odd`"),
        (
            lambda t: t.update({"unet1.1.norm.bias": torch.zeros(3)}),
            "1 of .* have other shapes, first `unet1.1.norm.bias`",
        ),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, change: Any, message: str) -> None:
    tensors = dict(Borzoi(SMALL).state_dict())
    change(tensors)
    safetensors.torch.save_file(tensors, tmp_path / "b.safetensors")
    with pytest.raises(FormatError, match=message):
        load_borzoi(tmp_path / "b.safetensors", SMALL)
    with pytest.raises(FormatError, match=r"does not exist or is no file\. Give a checkpoint of Borzoi or Flashzoi"):
        load_borzoi(tmp_path / "none.safetensors", SMALL)


def test_mistakes() -> None:
    with pytest.raises(DataError, match=r"multiples of 16 bases, got 70\. Take 64\."):
        Borzoi(SMALL)(SCRIPT.draw_input(70))
    with pytest.raises(DataError, match=r"must be \(batch, position, channel\) with 4 channels"):
        Borzoi(SMALL)(torch.zeros(1, 64, 5))
    with pytest.raises(ConfigError, match="`width` must be a multiple of heads = 5, got 24"):
        BorzoiConfig(**{**vars(SMALL), "heads": 5})
    with pytest.raises(ConfigError, match="`heads` must be even for rotary attention, got 3"):
        BorzoiConfig(**{**vars(SMALL), "heads": 3, "attention": "rotary"})
