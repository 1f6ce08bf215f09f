"""Tracks around a window's variants, cut out on the device: variant x track x base never exists on the host.

A window's stretch of all tracks is read once, as it is stored (a byte or two a base), and moved to the device. There
the w bases around each variant are gathered a micro-batch at a time, decoded and standardised:

    x[v, t, k] = (signal_t(p_v - w // 2 + k) - mean_t) / sd_t              k = 0 .. w - 1, p_v 0-based

so the variant's own base (of an indel its first) stands at k = w // 2. What is missing is 0, the track's mean: masked
bases, bases outside the chromosome, and all bases of a variant without a place in the tracks' build. The sd of a
constant track counts as 1.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Int, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.short_repr import short_repr
from varfx.tracks.quantise import MISSING_CODE

if TYPE_CHECKING:
    import polars as pl

    from varfx.tracks.store import TrackStore

logger = logging.getLogger(__name__)
MAX_BASES = 6_000_000  # of a block: 165 8-bit tracks take 990 MB


@dataclass(frozen=True, eq=False)
class TrackWindow:
    """The tracks of a window's variants, on a device; `gather` cuts out those of some of them.

    It is what `varfx.models.track_enformer.TrackFeatures` asks for.

    Attributes:
        codes: stored numbers of the 8-bit tracks on the window's stretch.
        halves: of the float16 tracks.
        code_rows: the 8-bit tracks' numbers in the store.
        half_rows: the float16 tracks'.
        slope: per track of the store: a standardised value is `slope * number + intercept`.
        intercept: the same.
        first: index in the block of each variant's first base; 0 where it has no place.
        placed: whether the variant has a place in the tracks' build.
        complete: whether no base of the stretch is missing in any track and every variant has a place.
        mask_rows: the tracks that have an indicator channel of what is missing, behind the tracks.
        width: bases around a variant.
        dtype: of the gathered values.
        predictors: what else is known of the variants; no columns by default.
    """

    __repr__ = short_repr

    codes: UInt8[Tensor, "coded base"]
    halves: Float16[Tensor, "half base"]
    code_rows: Int[Tensor, " coded"]
    half_rows: Int[Tensor, " half"]
    slope: Float[Tensor, " track"]
    intercept: Float[Tensor, " track"]
    first: Int[Tensor, " variant"]
    placed: Bool[Tensor, " variant"]
    complete: bool
    mask_rows: Int[Tensor, " mask"]
    width: int
    dtype: torch.dtype
    predictors: Float[Tensor, "variant predictor"] = field(repr=False)

    def to(self, device: torch.device | str) -> TrackWindow:
        """The same window on another device."""
        moved: dict[str, Any] = {
            entry.name: value.to(device, non_blocking=True)
            for entry in fields(self)
            if isinstance(value := getattr(self, entry.name), Tensor)
        }
        return replace(self, **moved)

    @property
    def num_bytes(self) -> int:
        """Memory that the stretch of tracks takes."""
        return self.codes.nbytes + self.halves.nbytes

    @property
    def num_variants(self) -> int:
        """Number of variants in the window."""
        return self.first.shape[0]

    def gather(self, rows: Int[Tensor, " row"]) -> Float[Tensor, "row channel position"]:
        """The standardised tracks around some variants, then the indicators of what is missing.

        Args:
            rows: variants of the window, in any order, on the device or the host.
        """
        rows = rows.to(self.first.device)
        first = self.first[rows]
        parts, gaps = zip(*(self._cut(numbers, tracks, first) for numbers, tracks in self._kinds()), strict=True)
        order = torch.cat([tracks for _, tracks in self._kinds()]).argsort()
        x = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)[:, order]
        if self.complete:
            return x if not self.mask_rows.shape[0] else torch.cat([x, torch.zeros_like(x[:, self.mask_rows])], dim=1)
        missing = gaps[0] if len(gaps) == 1 else torch.cat(gaps, dim=1)[:, order]
        missing |= ~self.placed[rows][:, None, None]
        x.masked_fill_(missing, 0.0)
        return torch.cat([x, missing[:, self.mask_rows].to(x.dtype)], dim=1) if self.mask_rows.shape[0] else x

    def _kinds(self) -> list[tuple[Tensor, Tensor]]:
        """Stored numbers and their tracks, of the kinds of storage that there are."""
        pairs = [(self.codes, self.code_rows), (self.halves, self.half_rows)]
        return [(numbers, tracks) for numbers, tracks in pairs if tracks.shape[0]]

    def _cut(self, numbers: Tensor, tracks: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised windows of some tracks that begin at `first`, and what of them is missing."""
        cut = numbers.unfold(1, self.width, 1).transpose(0, 1).index_select(0, first)
        x = cut.to(torch.promote_types(self.dtype, torch.float32))
        x.mul_(self.slope[tracks].to(x.dtype)[:, None]).add_(self.intercept[tracks].to(x.dtype)[:, None])
        return x.to(self.dtype), _is_missing(cut[:0] if self.complete else cut)

    def batches(self, size: int) -> Iterator[tuple[Int[Tensor, " row"], Float[Tensor, "row channel position"]]]:
        """All variants in order, `size` at a time, each with `gather` of it."""
        for begin in range(0, self.num_variants, size):
            rows = torch.arange(begin, min(begin + size, self.num_variants), device=self.first.device)
            yield rows, self.gather(rows)

    def average(self) -> tuple[Float[Tensor, "variant track"], Float[Tensor, "variant track"]]:
        """The mean of `gather`'s tracks over the w bases, and the share of these that are not missing.

        By prefix sums along the stretch, a track at a time; in float64.
        """
        shape = (self.num_variants, self.slope.shape[0])
        mean = torch.zeros(shape, dtype=torch.float64, device=self.first.device)
        known = torch.zeros_like(mean)
        for numbers, tracks in self._kinds():
            for line, track in zip(numbers, tracks.tolist(), strict=True):
                coded = line.dtype == torch.uint8
                gaps = None if self.complete else _is_missing(line)
                total = self._window_sums(
                    line if gaps is None else line.masked_fill(gaps, 0),
                    torch.float64
                    if not coded
                    else torch.int32
                    if MISSING_CODE * line.shape[0] < 2**31
                    else torch.int64,
                )
                lost = torch.zeros_like(total) if gaps is None else self._window_sums(gaps, torch.int32)
                count = (self.width - lost).to(mean.dtype)
                mean[:, track] = (self.slope[track] * total + self.intercept[track] * count) / self.width
                known[:, track] = count / self.width
        mean[~self.placed] = 0.0
        known[~self.placed] = 0.0
        return mean, known

    def _window_sums(self, line: Tensor, dtype: torch.dtype) -> Tensor:
        """Sums over each variant's window, of type `dtype`."""
        sums = line.cumsum(0, dtype=dtype)
        before = torch.where(self.first > 0, sums[(self.first - 1).clamp(min=0)], 0)
        return sums[self.first + self.width - 1] - before


def _is_missing(numbers: Tensor) -> Tensor:
    """Mask of stored numbers that encode a missing value."""
    return numbers == MISSING_CODE if numbers.dtype == torch.uint8 else numbers.isnan()


class TrackGather:
    """Loads the tracks of windows from a store to a device."""

    def __init__(
        self,
        store: TrackStore,
        *,
        width: int = 256,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        mask_channels: bool = False,
        pinned: bool | None = None,
    ) -> None:
        """Sets up; nothing is read yet.

        Args:
            store: the tracks.
            width: bases around each variant (w).
            device: where windows are kept and cut.
            dtype: of the gathered values.
            mask_channels: whether each track that masks its missing bases gets a channel that is 1 on these.
            pinned: whether blocks are read into page-locked memory; by default where `device` is a GPU.

        Raises:
            ConfigError: `width` is not positive.
        """
        from varfx.annotations.store import INDICATOR  # loads polars, which `TrackWindow` does not need

        if width < 1:
            raise ConfigError(f"`width` must be at least 1 base, got {width}.")
        self.store, self.width, self.device, self.dtype = store, width, torch.device(device), dtype
        self._pinned = self.device.type == "cuda" if pinned is None else pinned
        masked = (
            np.flatnonzero(store.tracks["missing"].to_numpy() == "mask") if mask_channels else np.zeros(0, np.int64)
        )
        self._mask_rows = torch.from_numpy(masked.astype(np.int64)).to(self.device)
        self.channels = store.names + tuple(store.names[row] + INDICATOR for row in masked)
        self.mean, sd = (store.tracks[name].to_numpy().astype(np.float64) for name in ("mean", "sd"))
        self.sd = np.where(sd > 0, sd, 1.0)

    def host_bytes(self, bases: int) -> int:
        """Host memory that loading a window takes whose first and last variant are so many bases apart."""
        return self.held_bytes(self.store.bytes_per_base() * (bases + self.width))

    def held_bytes(self, size: int) -> int:
        """Host memory of a block of that size: torch rounds page-locked memory up to a power of two."""
        return 1 << max(0, size - 1).bit_length() if self._pinned else size

    def load(
        self,
        chrom: str,
        position: Int64[ndarray, " variant"],
        *,
        placed: Bool[ndarray, " variant"] | None = None,
        predictors: Float[Tensor, "variant predictor"] | None = None,
    ) -> TrackWindow:
        """The tracks around variants of one chromosome.

        Args:
            chrom: its name.
            position: 1-based, in the tracks' build.
            placed: false for variants that have no place in that build; their position is not looked at.
            predictors: carried along, moved to the device.

        Raises:
            DataError: the chromosome is not in the store, a position lies outside it, or the variants are more than
                `MAX_BASES` apart.
            StoreError: the store is damaged.
        """
        known = np.ones(position.size, dtype=bool) if placed is None else placed
        base = np.asarray(position, dtype=np.int64) - 1
        start, end = self._stretch(chrom, base[known])
        host = torch.empty(
            (int((self.store.tracks["store"] == "uint8").sum()), end - start),
            dtype=torch.uint8,
            pin_memory=self._pinned,
        )
        block = self.store.block(chrom, start, end, out=host.numpy())
        if predictors is None:
            predictors = torch.zeros((position.size, 0), dtype=self.dtype)

        def moved(values: ndarray) -> Tensor:
            return torch.from_numpy(values).to(self.device)

        codes, halves = host.to(self.device, non_blocking=True), moved(block.halves)
        # The largest number of each track shows a missing one (NaN is larger than all) without memory for a mask.
        full = not any(len(part) and bool(_is_missing(part.amax(1)).any()) for part in (codes, halves))
        return TrackWindow(
            codes=codes,
            halves=halves,
            code_rows=moved(block.code_rows),
            half_rows=moved(block.half_rows),
            slope=moved(block.scale / self.sd),
            intercept=moved((block.offset - self.mean) / self.sd),
            first=moved(np.where(known, base - self.width // 2 - start, 0)),
            placed=moved(known),
            complete=full and bool(known.all()),
            mask_rows=self._mask_rows,
            width=self.width,
            dtype=self.dtype,
            predictors=predictors.to(self.device, non_blocking=True),
        )

    def load_near(
        self,
        chrom: pl.Series,
        position: Int64[ndarray, " variant"],
        *,
        predictors: Float[Tensor, "variant predictor"] | None = None,
    ) -> TrackWindow:
        """The same for variants that a chain file scattered: those far from most of the window are treated as missing.

        Args:
            chrom: a name per variant; null where it has no place in the tracks' build.
            position: 1-based; not looked at where `chrom` is null.
            predictors: as in `load`.

        Raises:
            DataError: as in `load`.
        """
        names = chrom.drop_nulls()
        if not names.len():
            return self.load(
                next(iter(self.store.lengths)),
                position,
                placed=np.zeros(position.size, dtype=bool),
                predictors=predictors,
            )
        name = names.mode(maintain_order=True)[0]
        there = (chrom == name).fill_null(False).to_numpy()
        placed = there & (np.abs(position - np.median(position[there])) < MAX_BASES / 2 - self.width)
        far = int(chrom.is_not_null().sum()) - int(placed.sum())
        if far:
            logger.info("%d of %d variants of a window lift far from the others: taken as missing", far, placed.size)
        return self.load(str(name), position, placed=placed, predictors=predictors)

    def _stretch(self, chrom: str, base: Int64[ndarray, " variant"]) -> tuple[int, int]:
        """The block that holds the windows of all bases; without any, a block before the chromosome."""
        if not base.size:
            return -self.width, 0
        length = self.store.lengths.get(chrom)
        first, last = int(base.min()), int(base.max())
        if length is not None and (first < 0 or last >= length):
            wrong = (base < 0) | (base >= length)
            raise DataError(
                f"{wrong.sum()} of {base.size} variants lie outside chromosome {chrom} ({length} bases in "
                f"{self.store.build}), first {chrom}:{base[wrong.argmax()] + 1}. Are they of another build? Give --chain."
            )
        if last - first + self.width > MAX_BASES:
            raise DataError(
                f"The variants of a window are {last - first + 1} bases apart; at most {MAX_BASES} fit. Use shorter windows."
            )
        return first - self.width // 2, last - self.width // 2 + self.width
