"""Reads weights in enformer-pytorch's names from a local file; downloads nothing and runs no code from the file."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from varfx.errors import FormatError
from varfx.io import sealed
from varfx.models.enformer import Enformer, EnformerConfig

# Places of the parts in enformer-pytorch's `_trunk`, under which files hold every tensor a second time, or only there.
TRUNK_PLACES = {"1": "stem", "2": "conv_tower", "4": "transformer", "6": "final_pointwise"}


@dataclass(frozen=True, eq=False)
class LoadedEnformer:
    """A network with the weights of a file.

    Attributes:
        model: the network, in evaluation mode, on the CPU.
        sha256: checksum of the file.
        unused_heads: heads in the file that the configuration does not ask for.
    """

    model: Enformer
    sha256: str
    unused_heads: tuple[str, ...]


def load_enformer(path: str | os.PathLike[str], config: EnformerConfig | None = None) -> LoadedEnformer:
    """The network with the weights of a checkpoint: `.safetensors`, or a state dict saved by torch (`.bin`, `.pt`, `.pth`).

    Args:
        path: a local file.
        config: the sizes of the network; the published model's by default. Heads that it does not name are not read.

    Raises:
        FormatError: the file is missing, damaged or of another kind; it lacks tensors, has others, or of other shapes.
    """
    path = Path(path)
    config = EnformerConfig() if config is None else config
    tensors = _plain_names(_read_tensors(path), path)
    heads = sorted({name.split(".")[1] for name in tensors if name.startswith("_heads.")} - set(config.output_heads))
    tensors = {name: tensor for name, tensor in tensors.items() if name.split(".")[1] not in heads}
    model = Enformer(config)
    _check_names(tensors, model.state_dict(), path)
    model.load_state_dict(tensors)
    return LoadedEnformer(model.eval(), sealed.sha256(path), tuple(heads))


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FormatError(f"`{path}` does not exist or is no file. Give a checkpoint of Enformer from your disk.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = str(error).split("\n")[0]
        raise FormatError(
            f"`{path}` cannot be read as tensors (truncated, or not a plain state dict in .safetensors or torch format): {reason}"
        ) from error
    if not isinstance(content, dict) or not content or not all(isinstance(each, Tensor) for each in content.values()):
        raise FormatError(
            f"`{path}` is no plain state dict: it must map names to tensors. Save `model.state_dict()` instead."
        )
    return content


def _plain_names(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors under their short names, after checking that second copies are copies."""
    plain = {name: tensor for name, tensor in tensors.items() if not name.startswith("_trunk.")}
    for name, tensor in tensors.items():
        parts = name.split(".", 2)
        if parts[0] != "_trunk" or len(parts) < 3 or parts[1] not in TRUNK_PLACES:
            continue
        short = f"{TRUNK_PLACES[parts[1]]}.{parts[2]}"
        if not torch.equal(plain.setdefault(short, tensor), tensor):
            raise FormatError(f"`{path}` contradicts itself: tensors `{short}` and `{name}` differ. Get the file anew.")
    return plain


def _check_names(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in tensors if name not in wanted]
    for names, what in ((missing, "lacks"), (unexpected, "has unexpected")):
        if names:
            raise FormatError(
                f"`{path}` does not fit the network: it {what} {len(names)} of {len(wanted if names is missing else tensors)} "
                f"tensors, first `{names[0]}`. Check the configuration (width, depth, heads), or get the file anew."
            )
    other = [name for name in wanted if tensors[name].shape != wanted[name].shape]
    if other:
        raise FormatError(
            f"`{path}` does not fit the network: {len(other)} of {len(wanted)} tensors have other shapes, first "
            f"`{other[0]}` with {tuple(tensors[other[0]].shape)}, not {tuple(wanted[other[0]].shape)}. Check the configuration "
            "(channels, width, heads)."
        )
