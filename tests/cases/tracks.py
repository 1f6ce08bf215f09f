"""A genome of a few thousand bases, and signals on it: shared by the tests of tracks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pybigtools
import pytest

from varfx.genome import builds
from varfx.tracks import build as track_build
from varfx.tracks import signals

SMALL = {"hg19": {"1": 2_011, "2": 700, "X": 301}, "hg38": {"1": 2_100, "2": 705, "X": 333}}
Interval = tuple[str, int, int, float]
# Runs cross chunks and shards, touch both ends of chromosomes, and leave gaps.
RUNS: list[Interval] = [
    ("1", 0, 7, 2.5),
    ("1", 7, 90, -1.25),
    ("1", 120, 121, 30.0),
    ("1", 250, 530, 0.375),
    ("1", 1500, 2011, 4.0),
    ("2", 100, 400, 7.75),
]


def use_small_genome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chromosomes 1, 2 and X, and chunks to match; in this process only."""
    for build, lengths in SMALL.items():
        monkeypatch.setitem(builds.LENGTHS, build, lengths)  # type: ignore[arg-type]
    monkeypatch.setattr(signals, "OVERHANG", 20)
    monkeypatch.setattr(track_build, "CHUNK", 64)
    monkeypatch.setattr(track_build, "SHARD", 256)


def write_bigwig(path: Path, runs: Iterable[Interval], *, lengths: dict[str, int] | None = None) -> Path:
    sizes = {f"chr{chrom}": size for chrom, size in (lengths or SMALL["hg19"]).items()}
    written = path.with_suffix(".bw")  # the only name that the writer takes
    pybigtools.open(str(written), "w").write(sizes, ((f"chr{c}", s, e, v) for c, s, e, v in runs))
    return written.rename(path)


def write_bedgraph(path: Path, runs: Iterable[Interval]) -> Path:
    lines = "".join(f"chr{chrom}\t{start}\t{end}\t{value}\n" for chrom, start, end, value in runs)
    path.write_text("track type=bedGraph\n" + lines)
    return path


def raster(runs: Iterable[Interval], chrom: str) -> np.ndarray:
    """The oracle: a value per base, NaN where no run covers it; the largest of several."""
    values = np.full(SMALL["hg19"][chrom], np.nan)
    for name, start, end, value in runs:
        if name == chrom:
            values[start:end] = np.fmax(values[start:end], value)
    return values
