"""Reads weights in enformer-pytorch's names from a local file; downloads nothing and runs no code from the file.

Names may stand under the prefix of a wrapper (DataParallel's `module.`, torch.compile's `_orig_mod.`, a Lightning module's
attribute such as `model.` or `enformer.`), and the state dict may be an entry of a training checkpoint.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from varfx.errors import FormatError
from varfx.io import sealed
from varfx.models.config import EnformerConfig
from varfx.models.enformer import Enformer

# Places of the parts in enformer-pytorch's `_trunk`, under which files hold every tensor a second time, or only there.
TRUNK_PLACES = {"1": "stem", "2": "conv_tower", "4": "transformer", "6": "final_pointwise"}
_ENTRIES = ("state_dict", "model_state_dict", "model")  # of training checkpoints, in which a state dict may stand
_FIRST = ("stem.0.weight", "_trunk.1.0.weight")  # names that every checkpoint of an Enformer has one of
# What safetensors, torch's unpickler and zipfile raise for damaged files.
_DAMAGE = (
    *(SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError, TypeError),
    *(LookupError, AttributeError, OSError, OverflowError, MemoryError, AssertionError, NotImplementedError),
)
_COUNTER = "num_batches_tracked"  # of batch norms; without effect at a fixed momentum


@dataclass(frozen=True, eq=False)
class LoadedEnformer:
    """A network with the weights of a file.

    Attributes:
        model: the network, in evaluation mode, on the CPU.
        sha256: checksum of the file.
        unused_heads: heads in the file that the configuration does not ask for.
        unused_tensors: names in the file outside the wrapped Enformer, e.g. of a wrapper's own head.
    """

    model: Enformer
    sha256: str
    unused_heads: tuple[str, ...]
    unused_tensors: tuple[str, ...] = ()


def load_enformer(path: str | os.PathLike[str], config: EnformerConfig | None = None) -> LoadedEnformer:
    """The network with the weights of a checkpoint: `.safetensors`, or saved by torch (`.bin`, `.pt`, `.pth`, `.ckpt`).

    Args:
        path: a local file.
        config: the sizes of the network; the published model's by default. Heads that it does not name are not read.

    Raises:
        FormatError: the file is missing, damaged or of another kind; it lacks tensors, has others, or of other shapes.
    """
    path = Path(path)
    config = EnformerConfig() if config is None else config
    inside, outside = _unwrapped(_read_tensors(path), path)
    tensors = _plain_names(inside, path)
    heads = sorted({name.split(".")[1] for name in tensors if name.startswith("_heads.")} - set(config.output_heads))
    tensors = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(tuple(f"_heads.{head}." for head in heads))
    }
    model = Enformer(config)
    wanted = model.state_dict()
    tensors |= {name: tensor for name, tensor in wanted.items() if name.endswith(_COUNTER) and name not in tensors}
    _check_names(tensors, wanted, path)
    model.load_state_dict(tensors)
    return LoadedEnformer(model.eval(), sealed.sha256(path), tuple(heads), outside)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FormatError(f"`{path}` does not exist or is no file. Give a checkpoint of Enformer from your disk.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        reason = str(error).split("\n")[0][:300]
        raise FormatError(
            f"`{path}` cannot be read as tensors (truncated, or not a plain state dict in .safetensors or torch format): {reason}"
        ) from error
    if not _is_state_dict(content):
        entries = [name for name in _ENTRIES if isinstance(content, dict) and _is_state_dict(content.get(name))]
        if not entries:
            raise FormatError(
                f"`{path}` is no plain state dict: it must map names to tensors. Save `model.state_dict()` instead."
            )
        content = content[entries[0]]
    return dict(content)


def _check_archive(path: Path) -> None:
    """Refuses a zip archive, as torch writes them, whose members grow when decompressed: torch stores them as they are.

    Raises:
        ValueError: with the sizes.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        inside, size = sum(member.file_size for member in archive.infolist()), path.stat().st_size
    if inside > size:
        raise ValueError(f"its members claim {inside:,} bytes in a file of {size:,}")


def _is_state_dict(content: object) -> bool:
    """Whether an object maps names to tensors."""
    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(name, str) and isinstance(each, Tensor) for name, each in content.items())
    )


def _unwrapped(tensors: Mapping[str, Tensor], path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The Enformer's tensors without their wrapper's prefix, and the names of tensors outside the wrapped Enformer.

    Raises:
        FormatError: the file holds several wrapped networks.
    """
    prefixes = {
        name.removesuffix(first) for first in _FIRST for name in tensors if name == first or name.endswith(f".{first}")
    }
    if not prefixes or "" in prefixes:
        return dict(tensors), ()
    if len(prefixes) > 1:
        raise FormatError(
            f"`{path}` holds {len(prefixes)} networks, under {', '.join(f'`{prefix}`' for prefix in sorted(prefixes))}. "
            "Save the state dict of one of them."
        )
    (prefix,) = prefixes
    inside = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return inside, tuple(name for name in tensors if not name.startswith(prefix))


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
                f"tensors, first `{names[0]}`. Check the configuration (width, depth, heads), or get the file anew. (Its "
                f"first name is `{next(iter(tensors), '')}`.)"
            )
    other = [name for name in wanted if tensors[name].shape != wanted[name].shape]
    if other:
        raise FormatError(
            f"`{path}` does not fit the network: {len(other)} of {len(wanted)} tensors have other shapes, first "
            f"`{other[0]}` with {tuple(tensors[other[0]].shape)}, not {tuple(wanted[other[0]].shape)}. Check the configuration "
            "(channels, width, heads)."
        )
