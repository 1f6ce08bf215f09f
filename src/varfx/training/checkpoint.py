"""Lightning checkpoints as safetensors plus JSON: nothing is pickled, so nothing can be run or smuggled by loading one."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from varfx.errors import StoreError
from varfx.io import sealed, sealed_folder


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The nested dictionary of a checkpoint, on the CPU.

    Raises:
        StoreError: it is missing or damaged.
    """
    sealed_folder.check_directory(path)
    tensors = safetensors.torch.load_file(Path(path) / "tensors.safetensors")
    state = _unpack(json.loads((Path(path) / "state.json").read_text()), tensors)
    if not isinstance(state, dict):
        raise StoreError(f"`{path}` holds no checkpoint.")
    return state


class SafetensorsCheckpointIO(CheckpointIO):
    """Writes a checkpoint's nested dictionary as a folder: `tensors.safetensors` and `state.json`."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Writes the folder, complete or not at all."""
        tensors: dict[str, torch.Tensor] = {}
        state = _pack(checkpoint, tensors)
        with sealed.atomic_path(path) as partial:
            partial.mkdir()
            safetensors.torch.save_file(tensors, partial / "tensors.safetensors")
            sealed.write_json(partial / "state.json", state)
            sealed_folder.seal_directory(partial)

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads the folder back.

        Raises:
            StoreError: it is missing or damaged.
        """
        return read_checkpoint(path)

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Removes the folder."""
        sealed.remove(Path(path))


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """JSON for `value`; its tensors go to `tensors`, numbered."""
    match value:
        case torch.Tensor():
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().contiguous().clone()
            return {"tensor": name}
        case dict():
            return {"items": [[_pack(key, tensors), _pack(item, tensors)] for key, item in value.items()]}
        case list() | tuple():
            kind = "tuple" if isinstance(value, tuple) else "list"
            return {kind: [_pack(item, tensors) for item in value]}
        case float() if not math.isfinite(value):
            return {"float": str(value)}
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__}")


def _unpack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    (kind, content), *_ = value.items()
    match kind:
        case "tensor":
            return tensors[content]
        case "items":
            return {_unpack(key, tensors): _unpack(item, tensors) for key, item in content}
        case "tuple":
            return tuple(_unpack(item, tensors) for item in content)
        case "list":
            return [_unpack(item, tensors) for item in content]
        case "float":
            return float(content)
    raise StoreError(f"a checkpoint holds an unknown entry {kind!r}.")
