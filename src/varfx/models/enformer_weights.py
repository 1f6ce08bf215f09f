"""Reads weights in enformer-pytorch's names from a local file; downloads nothing and runs no code from the file.

Names may stand under the prefix of a wrapper (DataParallel's `module.`, torch.compile's `_orig_mod.`, a Lightning module's
attribute such as `model.` or `enformer.`), and the state dict may be an entry of a training checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from varfx.errors import FormatError
from varfx.models.checkpoint_file import LoadedCheckpoint, loaded, read_tensors, unwrapped
from varfx.models.config import EnformerConfig
from varfx.models.enformer import Enformer

# Places of the parts in enformer-pytorch's `_trunk`, under which files hold every tensor a second time, or only there.
TRUNK_PLACES = {"1": "stem", "2": "conv_tower", "4": "transformer", "6": "final_pointwise"}
_FIRST = ("stem.0.weight", "_trunk.1.0.weight")  # names that every checkpoint of an Enformer has one of


def load_enformer(path: str | os.PathLike[str], config: EnformerConfig | None = None) -> LoadedCheckpoint[Enformer]:
    """The network with the weights of a checkpoint: `.safetensors`, or saved by torch (`.bin`, `.pt`, `.pth`, `.ckpt`).

    Args:
        path: a local file.
        config: the sizes of the network; the published model's by default. Heads that it does not name are not read.

    Raises:
        FormatError: the file is missing, damaged or of another kind; it lacks tensors, has others, or of other shapes.
    """
    path = Path(path)
    config = EnformerConfig() if config is None else config
    inside, outside = unwrapped(read_tensors(path, "Enformer"), _FIRST, path)
    tensors = _plain_names(inside, path)
    heads = sorted({name.split(".")[1] for name in tensors if name.startswith("_heads.")} - set(config.output_heads))
    tensors = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(tuple(f"_heads.{head}." for head in heads))
    }
    return loaded(Enformer(config), tensors, path, heads=heads, outside=outside)


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
