"""Options of track files; free of numpy, for help pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Missing = Literal["zero", "mask"]
StoredAs = Literal["uint8", "float16"]


@dataclass(frozen=True, kw_only=True)
class TrackFiles:
    """The files of a track store; the manifest's tracks come first, then bigWig, bedGraph and BED files in the order given."""

    manifest: Path | None = None
    """YAML file with name, file, assay, transform, missing and store of each track; see docs/tracks.md."""
    bigwig: tuple[str, ...] = ()
    """bigWig files, each FILE or NAME=FILE."""
    bedgraph: tuple[str, ...] = ()
    """bedGraph files, each FILE or NAME=FILE."""
    bed: tuple[str, ...] = ()
    """BED files, each FILE or NAME=FILE: 1 where an interval covers a base."""
    transform: str = "none"
    """For files given by options: none, log1p, sqrt, asinh, clip:LOW:HIGH, or some joined by commas."""
    missing: Missing = "zero"
    """For files given by options: a base without a value is zero, or masked as unknown (mask)."""
    store: StoredAs = "uint8"
    """For files given by options: uint8 (256 steps between the smallest and largest value), or float16."""


@dataclass(frozen=True, kw_only=True)
class AverageConfig:
    """Averages of tracks around the variants of a panel."""

    tracks: Path = field()  # required
    """A store made by `varfx tracks build`."""
    panel: Path = field()  # required
    """LD panel made by `varfx ld build`; it gives the variants."""
    width: int = 256
    """Bases around each variant."""
    chain: Path | None = None
    """UCSC chain file from the panel's genome build to the tracks', where they differ (hg19ToHg38.over.chain.gz)."""
