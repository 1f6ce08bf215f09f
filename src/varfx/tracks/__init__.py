"""Base-resolution signals along the genome: the quantised store, how it is built, and its windows around variants.

Imports `io`, `genome` and the rooms above. Start with `store`, then `build` (from bigWig and BED files) and `gather` (windows on
the device). Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.tracks.build import build_tracks
    from varfx.tracks.gather import TrackGather, TrackWindow
    from varfx.tracks.manifest import TrackSpec
    from varfx.tracks.store import TrackStore, open_tracks

__all__ = [
    "TrackGather",
    "TrackSpec",
    "TrackStore",
    "TrackWindow",
    "build_tracks",
    "open_tracks",
]

export(
    __name__,
    {
        "build": "build_tracks",
        "gather": "TrackGather TrackWindow",
        "manifest": "TrackSpec",
        "store": "TrackStore open_tracks",
    },
)
