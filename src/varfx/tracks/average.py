"""Window averages of tracks as annotations, for linear models and small networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from varfx.annotations.places import KEY_SCHEMA
from varfx.annotations.store import Annotations
from varfx.errors import DataError
from varfx.genome.liftover import ChainFile
from varfx.tracks.gather import TrackGather
from varfx.tracks.places import place
from varfx.tracks.store import TrackStore


def average_tracks(
    store: TrackStore,
    variants: pl.DataFrame,
    *,
    width: int = 256,
    chain: ChainFile | None = None,
    metadata: dict[str, Any] | None = None,
) -> Annotations:
    """The mean of each track's transformed signal over the `width` bases around each variant.

    A channel is null where none of these bases has a value: masked, outside the chromosome, a chromosome that no track
    has, or a variant without a place in the tracks' build.

    Args:
        store: the tracks.
        variants: columns of `KEY_SCHEMA`.
        width: bases; the variant's base stands at `width // 2`.
        chain: from the variants' build to the tracks'; None where it is the same.
        metadata: added to the annotations', by convention with a key "provenance".

    Raises:
        DataError: the chain leads elsewhere, positions outside their chromosome, or no variant on the store's
            chromosomes.
    """
    places = place(store, variants, chain)
    position = places.position
    gather = TrackGather(store, width=width)
    values = np.full((position.size, len(store.names)), np.nan)
    for name, rows in places.stretches():
        standardised, known = (part.numpy() for part in gather.load(name, position[rows]).average())
        with np.errstate(invalid="ignore", divide="ignore"):
            values[rows] = np.where(known > 0, gather.mean + gather.sd * standardised / known, np.nan)
    if np.isnan(values).all():
        raise DataError(
            f"None of the {position.size} variants has a value in any track of `{store.path}` (chromosomes "
            f"{', '.join(store.lengths)}). Check the build and the chromosomes."
        )
    channels = [
        pl.Series(track, column.astype(np.float32), nan_to_null=True)
        for track, column in zip(store.names, values.T, strict=True)
    ]
    return Annotations(table=variants.select(list(KEY_SCHEMA)).with_columns(channels), metadata=metadata or {})
