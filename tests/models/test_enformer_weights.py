"""Checkpoints: what loads, and one clear line about what does not."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import Tensor

from varfx.errors import FormatError
from varfx.models.enformer import Enformer, EnformerConfig
from varfx.models.enformer_weights import TRUNK_PLACES, load_enformer

CONFIG = EnformerConfig(
    width=24, depth=1, heads=2, num_downsamples=3, output_heads={"human": 3, "mouse": 2}, target_length=None
)


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return dict(Enformer(CONFIG, generator=torch.Generator().manual_seed(5)).state_dict())


def write(tensors: dict[str, Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


def doubled(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """With every trunk tensor a second time under `_trunk.`, as the published files have it."""
    places = {name: place for place, name in TRUNK_PLACES.items()}
    copies = {
        f"_trunk.{places[part]}.{rest}": tensor.clone()
        for part, rest, tensor in ((*name.split(".", 1), tensor) for name, tensor in tensors.items())
        if part in places
    }
    return {**tensors, **copies}


@pytest.mark.parametrize("name", ["w.safetensors", "pytorch_model.bin", "w.pt"])
@pytest.mark.parametrize("with_copies", [False, True])
def test_a_checkpoint_gives_the_network_it_was_saved_from(
    tmp_path: Path, tensors: dict[str, Tensor], name: str, with_copies: bool
) -> None:
    path = write(doubled(tensors) if with_copies else tensors, tmp_path / name)
    loaded = load_enformer(path, CONFIG)
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.unused_heads == ()
    assert not loaded.model.training
    state = loaded.model.state_dict()
    assert state.keys() == tensors.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


def test_tensors_that_stand_only_under_trunk_are_found(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    both = doubled(tensors)
    copies = {name: tensor for name, tensor in both.items() if name.startswith(("_trunk.", "_heads."))}
    state = load_enformer(write(copies, tmp_path / "w.safetensors"), CONFIG).model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


def test_heads_that_are_not_asked_for_are_left(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    path = write(tensors, tmp_path / "w.safetensors")
    config = EnformerConfig(width=24, depth=1, heads=2, num_downsamples=3, output_heads={"mouse": 2})
    loaded = load_enformer(path, config)
    assert loaded.unused_heads == ("human",)
    assert torch.equal(loaded.model.state_dict()["_heads.mouse.0.bias"], tensors["_heads.mouse.0.bias"])


def test_missing_tensors(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    total = len(tensors)
    del tensors["stem.0.bias"], tensors["transformer.0.0.fn.1.to_q.weight"]
    path = write(tensors, tmp_path / "w.safetensors")
    with pytest.raises(FormatError, match=f"lacks 2 of {total} tensors, first `stem.0.bias`. Check the configuration"):
        load_enformer(path, CONFIG)


def test_unexpected_tensors(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    path = write({**tensors, "transformer.1.extra": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(
        FormatError, match=f"has unexpected 1 of {len(tensors) + 1} tensors, first `transformer.1.extra`"
    ):
        load_enformer(path, CONFIG)


def test_other_shapes(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    path = write(tensors, tmp_path / "w.safetensors")
    other = EnformerConfig(
        channels=5, width=24, depth=1, heads=2, num_downsamples=3, output_heads={"human": 3, "mouse": 2}
    )
    with pytest.raises(
        FormatError, match=r"1 of \d+ tensors have other shapes, first `stem.0.weight` with .12, 4, 15., not"
    ):
        load_enformer(path, other)


def test_copies_that_differ(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    both = doubled(tensors)
    both["_trunk.1.0.bias"] = both["_trunk.1.0.bias"] + 1
    path = write(both, tmp_path / "w.pt")
    with pytest.raises(FormatError, match=r"contradicts itself: tensors `stem.0.bias` and `_trunk.1.0.bias` differ"):
        load_enformer(path, CONFIG)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"does not exist or is no file. Give a checkpoint of Enformer"):
        load_enformer(tmp_path / "w.safetensors", CONFIG)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("kept", [0, 5, 300, -40])
def test_truncated_file(tmp_path: Path, tensors: dict[str, Tensor], name: str, kept: int) -> None:
    path = write(tensors, tmp_path / name)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FormatError, match="cannot be read as tensors") as caught:
        load_enformer(path, CONFIG)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "enformer.", "_orig_mod.", "module._orig_mod.", "model.enformer._orig_mod."]
)
@pytest.mark.parametrize("trunk_only", [False, True])
def test_names_under_the_prefix_of_a_wrapper(
    tmp_path: Path, tensors: dict[str, Tensor], prefix: str, trunk_only: bool
) -> None:
    names = {name: each for name, each in doubled(tensors).items() if name.startswith("_") or not trunk_only}
    wrapped = {prefix + name: each for name, each in names.items()}
    loaded = load_enformer(write({**wrapped, "to_tracks.weight": torch.ones(2)}, tmp_path / "w.pt"), CONFIG)
    assert loaded.unused_tensors == ("to_tracks.weight",)
    state = loaded.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("entry", ["state_dict", "model_state_dict", "model"])
def test_state_dict_inside_a_training_checkpoint(tmp_path: Path, tensors: dict[str, Tensor], entry: str) -> None:
    content = {
        "epoch": 3,
        "optimizer_states": [{"lr": 0.1}],
        entry: {f"model.{n}": each for n, each in tensors.items()},
    }
    torch.save(content, tmp_path / "epoch3.ckpt")
    state = load_enformer(tmp_path / "epoch3.ckpt", CONFIG).model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


def test_batch_norm_counters_may_be_missing(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    kept = {name: each for name, each in tensors.items() if not name.endswith("num_batches_tracked")}
    assert len(kept) < len(tensors)
    state = load_enformer(write(kept, tmp_path / "w.safetensors"), CONFIG).model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in kept.items())


def test_two_wrapped_networks_are_ambiguous(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    both = {f"{role}.{name}": each for role in ("student", "teacher") for name, each in tensors.items()}
    with pytest.raises(FormatError, match=r"holds 2 networks, under `student\.`, `teacher\.`"):
        load_enformer(write(both, tmp_path / "w.pt"), CONFIG)


def test_names_of_another_network_are_shown(tmp_path: Path) -> None:
    path = write({"conv1.weight": torch.zeros(3), "scale": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(FormatError, match=r"lacks \d+ of \d+ tensors, first .*Its first name is `conv1.weight`"):
        load_enformer(path, CONFIG)


@pytest.mark.parametrize("content", [{}, [1, 2], {"state_dict": {"a": 1}}, {"a": 3}, {1: torch.zeros(1)}])
def test_not_a_state_dict(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(FormatError, match="is no plain state dict"):
        load_enformer(tmp_path / "w.pt", CONFIG)


class Runs:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("code from the file ran",)


def test_code_in_the_file_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": Runs()}, tmp_path / "w.pt")
    with pytest.raises(FormatError, match="cannot be read as tensors"):
        load_enformer(tmp_path / "w.pt", CONFIG)
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("ignore")  # of the package
@pytest.mark.parametrize("safe", [True, False])
def test_files_that_the_installed_package_writes(tmp_path: Path, safe: bool) -> None:
    package = pytest.importorskip("enformer_pytorch", exc_type=ImportError)
    theirs = package.Enformer.from_hparams(
        dim=24,
        depth=1,
        heads=2,
        num_downsamples=3,
        dim_divisible_by=4,
        output_heads={"human": 3, "mouse": 2},
        target_length=-1,
    ).eval()
    if safe:  # of two names of one tensor, this keeps either
        path = tmp_path / "model.safetensors"
        save_model(theirs, str(path))
    else:
        path = tmp_path / "pytorch_model.bin"
        theirs.save_pretrained(tmp_path, safe_serialization=False)
    x = torch.eye(4)[torch.randint(0, 4, (2, 80), generator=torch.Generator().manual_seed(0))]
    with torch.no_grad():
        torch.testing.assert_close(
            load_enformer(path, CONFIG).model(x)["human"], theirs(x)["human"], rtol=1e-6, atol=1e-6
        )
