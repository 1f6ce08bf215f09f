"""Large matrices of low precision, seen as a stream of small blocks in the working precision."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.errors import ConfigError

CPU_BLOCK_BYTES = 4 * 2**20  # stays in the cache between conversion and product: half costs little more than float32
CUDA_BLOCK_BYTES = 256 * 2**20  # large enough to hide the launches


def default_block_bytes(device: torch.device) -> int:
    """The size of a converted block that is fast on a device."""
    return CPU_BLOCK_BYTES if device.type == "cpu" else CUDA_BLOCK_BYTES


def column_blocks(
    matrix: Float[Tensor, "rows columns"], dtype: torch.dtype, block_bytes: int | None = None
) -> Iterator[tuple[slice, Float[Tensor, "rows block"]]]:
    """Column ranges of a matrix and their content in `dtype`, in turn.

    A matrix that has the dtype already comes as one block, uncopied, unless `block_bytes` is given. Otherwise one buffer is
    filled again and again: a block is valid until the next is asked for, and may be overwritten only if it was converted.

    Args:
        matrix: any floating dtype; also a view of a memory-mapped file.
        dtype: of the blocks.
        block_bytes: the size of a block in `dtype`; at least one column is taken. None chooses for the device.

    Raises:
        ConfigError: `block_bytes` is not positive.
    """
    rows, columns = matrix.shape
    if block_bytes is not None and block_bytes <= 0:
        raise ConfigError(f"`block_bytes` must be positive, got {block_bytes}.")
    converted = matrix.dtype != dtype
    if not converted and block_bytes is None:
        yield slice(0, columns), matrix
        return
    budget = default_block_bytes(matrix.device) if block_bytes is None else block_bytes
    width = min(columns, max(1, budget // max(1, rows * dtype.itemsize)))
    buffer = matrix.new_empty((rows, width), dtype=dtype) if converted else None
    for start in range(0, columns, max(1, width)):
        part = slice(start, min(start + width, columns))
        block = matrix[:, part]
        yield part, block if buffer is None else buffer[:, : block.shape[1]].copy_(block)
