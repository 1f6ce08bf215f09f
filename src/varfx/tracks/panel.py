"""The tracks of a panel's windows: each variant's place is found once, each window's stretch is read when it is needed.

A window's block is held by whoever works on it, and at most one more is read ahead, so that a process needs two blocks of
host memory. Blocks are kept only where all of that stays within `HOST_BYTES`. For a GPU, blocks lie in page-locked memory and count
with the power of two that torch rounds them up to. torch gives such memory back to later blocks of the same power of two only, never
to the system: windows whose lengths differ by a factor of 2^k hold up to 2 (k + 1) blocks in place of 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from varfx.errors import DataError
from varfx.genome.liftover import ChainFile
from varfx.tracks.gather import TrackGather, TrackWindow
from varfx.tracks.places import place
from varfx.tracks.store import TrackStore

HOST_BYTES = 1_000_000_000  # of blocks, in one process


class PanelTracks:
    """Tracks around the variants of a panel."""

    def __init__(
        self,
        store: TrackStore,
        variants: pl.DataFrame,
        *,
        width: int,
        chain: ChainFile | None = None,
        dtype: torch.dtype = torch.float32,
        host_bytes: int = HOST_BYTES,
    ) -> None:
        """Finds the variants' places; no signal is read yet.

        Args:
            store: the tracks, in the network's order, with the mean and sd to standardise by.
            variants: of the panel.
            width: bases around each variant.
            chain: from the panel's build to the tracks'; None where it is the same.
            dtype: of the gathered values.
            host_bytes: memory that blocks may take.

        Raises:
            DataError: the chain leads elsewhere, or a position lies outside its chromosome.
        """
        self._gather = TrackGather(
            store, width=width, dtype=dtype, mask_channels=True, pinned=torch.cuda.is_available()
        )
        self._places = place(store, variants, chain)
        self._placed = self._places.placed
        self._host_bytes = host_bytes
        self._kept: dict[int, TrackWindow] = {}
        self._kept_bytes = 0

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of what the network reads: the tracks, and an indicator of what is missing for those that mask."""
        return self._gather.channels

    def require(self, panel_rows: Sequence[Int[ndarray, " variant"]], names: Sequence[str]) -> None:
        """Refuses windows in which no variant has a place among the tracks.

        Raises:
            DataError: with how many, and the first.
        """
        bare = [name for name, rows in zip(names, panel_rows, strict=True) if not self._placed[rows].any()]
        if bare:
            store = self._gather.store
            raise DataError(
                f"{len(bare)} of {len(names)} windows lie where no track of `{store.path}` has data, first {bare[0]} "
                f"(chromosomes {', '.join(store.lengths)}, {store.build}). Build the tracks with these chromosomes, or leave "
                "them out with --exclude-chrom."
            )

    def window(
        self,
        index: int,
        rows: Int[ndarray, " variant"],
        predictors: Float[Tensor, "variant predictor"],
        *,
        most_bases: int,
    ) -> TrackWindow:
        """The tracks of one window.

        Args:
            index: the window's number, under which its block may be kept.
            rows: of its variants in the panel.
            predictors: carried along.
            most_bases: of the longest window, so that what is kept leaves room for two more blocks.

        Raises:
            DataError: the window is too long for one block.
            StoreError: the store is damaged.
        """
        if index in self._kept:
            return self._kept[index]
        predictors = predictors.to(self._gather.dtype)
        chrom, position, placed = self._places.chrom[rows], self._places.position[rows], self._placed[rows]
        if self._places.lifted or not placed.any():
            loaded = self._gather.load_near(chrom, position, predictors=predictors)
        else:
            name = str(chrom[int(np.argmax(placed))])
            loaded = self._gather.load(name, position, placed=placed, predictors=predictors)
        room = self._host_bytes - 2 * self._gather.host_bytes(most_bases)
        size = self._gather.held_bytes(loaded.num_bytes)
        if self._kept_bytes + size <= room:
            self._kept[index] = loaded
            self._kept_bytes += size
        return loaded

    def __getstate__(self) -> dict[str, object]:
        """For other processes: without what is kept."""
        return {**self.__dict__, "_kept": {}, "_kept_bytes": 0}
