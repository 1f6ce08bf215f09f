"""Reads weights in borzoi-pytorch's names from a local file (`model.safetensors` of johahi/borzoi-replicate-0 or flashzoi-replicate-0)."""

from __future__ import annotations

import os
from pathlib import Path

from varfx.models.borzoi import Borzoi
from varfx.models.borzoi_config import BorzoiConfig
from varfx.models.checkpoint_file import LoadedCheckpoint, loaded, read_tensors, unwrapped

_FIRST = ("conv_dna.conv_layer.weight",)
_HEADS = ("human", "mouse")
# Buffers of the package that follow from the configuration: flash-attn's rotary rates, and tables of tracks.
_DERIVED = ("rotary_emb.inv_freq", "scale_values", "clip_values", "track_transform")


def load_borzoi(path: str | os.PathLike[str], config: BorzoiConfig | None = None) -> LoadedCheckpoint[Borzoi]:
    """The network with the weights of a checkpoint: `.safetensors`, or saved by torch (`.bin`, `.pt`, `.pth`, `.ckpt`).

    Args:
        path: a local file.
        config: the sizes of the network; the published Borzoi's by default. Heads that it does not name are not read.

    Raises:
        FormatError: the file is missing, damaged or of another kind; it lacks tensors, has others, or of other shapes.
    """
    path = Path(path)
    config = BorzoiConfig() if config is None else config
    inside, outside = unwrapped(read_tensors(path, "Borzoi or Flashzoi"), _FIRST, path)
    inside = {name: tensor for name, tensor in inside.items() if not name.endswith(_DERIVED)}
    heads = tuple(
        head
        for head in _HEADS
        if head not in config.output_heads and any(n.startswith(f"{head}_head.") for n in inside)
    )
    unread = tuple(f"{head}_head." for head in heads)
    tensors = {name: tensor for name, tensor in inside.items() if not name.startswith(unread)}
    return loaded(Borzoi(config), tensors, path, heads=heads, outside=outside)
