"""Places of variants among tracks: chromosome and base in the tracks' build, and groups of close variants."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64
from numpy import ndarray

from varfx.errors import DataError
from varfx.genome.liftover import ChainFile
from varfx.tracks.gather import MAX_BASES
from varfx.tracks.store import TrackStore

logger = logging.getLogger(__name__)
STRETCH = MAX_BASES // 4


@dataclass(frozen=True, eq=False)
class Places:
    """The variants' places in the tracks' build.

    Attributes:
        chrom: null where a variant has no place there, or no track has data on its chromosome.
        position: 1-based; not to be looked at where `chrom` is null.
        lifted: whether a chain file was used, which may scatter neighbours.
    """

    chrom: pl.Series
    position: Int64[ndarray, " variant"]
    lifted: bool

    @property
    def placed(self) -> Bool[ndarray, " variant"]:
        """Mask of the variants that have a place."""
        return np.asarray(self.chrom.is_not_null().to_numpy())

    def stretches(self) -> Iterator[tuple[str, Int64[ndarray, " row"]]]:
        """Rows of variants that lie close together, by chromosome."""
        for name in self.chrom.drop_nulls().unique(maintain_order=True):
            rows = np.flatnonzero((self.chrom == name).fill_null(False).to_numpy())
            rows = rows[np.argsort(self.position[rows], kind="stable")]
            cuts = np.flatnonzero(np.diff(self.position[rows] // STRETCH)) + 1
            yield from ((str(name), part) for part in np.split(rows, cuts) if part.size)


def place(store: TrackStore, variants: pl.DataFrame, chain: ChainFile | None = None) -> Places:
    """The variants' places among the tracks.

    Args:
        store: the tracks.
        variants: columns `chrom` and `position` (1-based).
        chain: from the variants' build to the tracks'; None where it is the same.

    Raises:
        DataError: the chain leads elsewhere, or a position lies outside its chromosome.
    """
    chrom, position = variants["chrom"], variants["position"].to_numpy().astype(np.int64)
    if chain is not None:
        chain.require_target(store.build)
        lifted = chain.lift(variants)
        chrom, position = lifted.chrom, lifted.position
        logger.info("%d of %d variants have no place in %s", int((~lifted.mapped).sum()), position.size, store.build)
    there = chrom.is_in(list(store.lengths)).fill_null(False).to_numpy()
    absent = int((~there & chrom.is_not_null().to_numpy()).sum())
    if absent:
        logger.warning("%d of %d variants are on chromosomes that no track has: missing", absent, position.size)
    length = chrom.replace_strict(dict(store.lengths), default=0, return_dtype=pl.Int64).fill_null(0).to_numpy()
    outside = there & ((position < 1) | (position > length))
    if outside.any():
        first = int(outside.argmax())
        raise DataError(
            f"{outside.sum()} of {position.size} variants lie outside their chromosome ({store.build}), first "
            f"{chrom[first]}:{position[first]}. Are they of another build? Give --chain."
        )
    known = pl.select(chrom=pl.when(pl.Series(there)).then(chrom))["chrom"]
    return Places(chrom=known, position=position, lifted=chain is not None)
