"""Reads a network's weights from a local file, strictly: downloads nothing and runs no code from the file."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from varfx.errors import FormatError
from varfx.io import sealed

COUNTER = "num_batches_tracked"  # of batch norms; without effect at a fixed momentum
Network = TypeVar("Network", bound=nn.Module)
_ENTRIES = ("state_dict", "model_state_dict", "model")  # of training checkpoints, in which a state dict may stand
# What safetensors, torch's unpickler and zipfile raise for damaged files.
_DAMAGE = (
    *(SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError, TypeError),
    *(LookupError, AttributeError, OSError, OverflowError, MemoryError, AssertionError, NotImplementedError),
)


@dataclass(frozen=True, eq=False)
class LoadedCheckpoint(Generic[Network]):
    """A network with the weights of a file.

    Attributes:
        model: the network, in evaluation mode, on the CPU.
        sha256: checksum of the file.
        unused_heads: heads in the file that the configuration does not ask for.
        unused_tensors: names in the file outside the wrapped network, e.g. of a wrapper's own head.
    """

    model: Network
    sha256: str
    unused_heads: tuple[str, ...]
    unused_tensors: tuple[str, ...] = ()


def read_tensors(path: Path, of: str) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Args:
        path: a local file.
        of: the network's name, for messages.

    Raises:
        FormatError: it is missing, damaged, or no state dict.
    """
    if not path.is_file():
        raise FormatError(f"`{path}` does not exist or is no file. Give a checkpoint of {of} from your disk.")
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


def unwrapped(
    tensors: Mapping[str, Tensor], first_names: Sequence[str], path: Path
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The network's tensors without their wrapper's prefix, and the names of tensors outside the wrapped network.

    Args:
        tensors: of the file.
        first_names: names that every checkpoint of the network has one of.
        path: of the file, for messages.

    Raises:
        FormatError: the file holds several wrapped networks.
    """
    prefixes = {
        name.removesuffix(first)
        for first in first_names
        for name in tensors
        if name == first or name.endswith(f".{first}")
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


def check_names(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Compares names and shapes with those of the network.

    Raises:
        FormatError: tensors are missing, left over, or of other shapes.
    """
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


def loaded(
    model: Network, tensors: dict[str, Tensor], path: Path, *, heads: Sequence[str], outside: Sequence[str]
) -> LoadedCheckpoint[Network]:
    """The network with these weights, in evaluation mode. Counters of batch norms that the file lacks stay as they are.

    Args:
        model: the network.
        tensors: by the network's names.
        path: of the file.
        heads: in the file that are not read.
        outside: names in the file outside the network.

    Raises:
        FormatError: see `check_names`.
    """
    wanted = model.state_dict()
    tensors |= {name: tensor for name, tensor in wanted.items() if name.endswith(COUNTER) and name not in tensors}
    check_names(tensors, wanted, path)
    model.load_state_dict(tensors)
    return LoadedCheckpoint(model.eval(), sealed.sha256(path), tuple(heads), tuple(outside))
