"""Checkpoints without pickles: round trip of anything Lightning may put in, damage, and no code in the files."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from varfx.errors import StoreError
from varfx.training.checkpoint import SafetensorsCheckpointIO

DTYPES = [torch.float32, torch.float64, torch.float16, torch.int64, torch.bool, torch.uint8]


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    values = np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape) * 3
    tensor = torch.as_tensor(values).to(draw(st.sampled_from(DTYPES)))
    return tensor.t() if tensor.ndim == 2 else tensor  # not contiguous


keys = st.one_of(st.text(max_size=5), st.integers(-9, 9), st.sampled_from(["a/b", "1", "tensor", "items"]))
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), tensors())
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.nan_to_num(7), b.nan_to_num(7))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return bool(a == b)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(keys, values, max_size=4))
def test_round_trip(checkpoint: dict[Any, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last"
        SafetensorsCheckpointIO().save_checkpoint(checkpoint, path)
        assert same(SafetensorsCheckpointIO().load_checkpoint(path), checkpoint)


def test_tensors_whose_places_read_alike_are_kept_apart(tmp_path: Path) -> None:
    one, two = torch.ones(2), torch.zeros(3)
    for checkpoint in ({1: one, "1": two}, {"a/b": one, "a": {"b": two}}):
        SafetensorsCheckpointIO().save_checkpoint(checkpoint, tmp_path / "last")
        assert same(SafetensorsCheckpointIO().load_checkpoint(tmp_path / "last"), checkpoint)


def test_an_object_is_refused_and_the_earlier_checkpoint_stays(tmp_path: Path) -> None:
    io = SafetensorsCheckpointIO()
    io.save_checkpoint({"step": 1}, tmp_path / "last")
    with pytest.raises(TypeError, match="a checkpoint cannot hold PosixPath"):
        io.save_checkpoint({"step": tmp_path}, tmp_path / "last")
    assert io.load_checkpoint(tmp_path / "last") == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_files_are_tensors_and_json(tmp_path: Path) -> None:
    SafetensorsCheckpointIO().save_checkpoint({"x": torch.ones(2), "y": math.nan}, tmp_path / "last")
    assert {path.name for path in (tmp_path / "last").iterdir()} == {
        "tensors.safetensors",
        "state.json",
        "manifest.json",
    }
    json.loads((tmp_path / "last" / "state.json").read_text())


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_flipped_byte_is_noticed(tmp_path: Path, name: str) -> None:
    SafetensorsCheckpointIO().save_checkpoint({"x": torch.ones(50), "step": 3}, tmp_path / "last")
    content = bytearray((tmp_path / "last" / name).read_bytes())
    content[-5] ^= 1
    (tmp_path / "last" / name).write_bytes(content)
    with pytest.raises(StoreError, match=f"`{name}` is not as it was written"):
        SafetensorsCheckpointIO().load_checkpoint(tmp_path / "last")


def test_removal(tmp_path: Path) -> None:
    io = SafetensorsCheckpointIO()
    io.save_checkpoint({}, tmp_path / "last")
    io.remove_checkpoint(tmp_path / "last")
    assert not (tmp_path / "last").exists()
