"""Stretches of the genome to fine-map: around lead variants, or from a BED file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.stats import norm

from varfx.errors import ConfigError
from varfx.finemap.config import LocusConfig
from varfx.genome.intervals import read_bed, require_effective
from varfx.ld.windows import Core

_log = logging.getLogger(__name__)
MHC = ("6", 25_000_000, 36_000_000)


@dataclass(frozen=True, order=True)
class Locus:
    """A stretch [start, end), 0-based, whose variants are fitted together; those in [own_start, own_end) are reported."""

    chrom: str
    start: int
    end: int
    own_start: int
    own_end: int

    @property
    def name(self) -> str:
        """`chr22_20000000_23000000`, of the stretch that is reported."""
        return f"chr{self.chrom}_{self.own_start}_{self.own_end}"

    @property
    def centre(self) -> float:
        """The middle of the fitted stretch."""
        return (self.start + self.end) / 2

    def holds(self, position: Int[ndarray, " variant"]) -> Bool[ndarray, " variant"]:
        """Which 1-based positions lie in the fitted stretch."""
        return np.asarray((position > self.start) & (position <= self.end))

    def reports(self, position: Int[ndarray, " variant"]) -> Bool[ndarray, " variant"]:
        """Which 1-based positions are reported."""
        return np.asarray((position > self.own_start) & (position <= self.own_end))


def whole(chrom: str, start: int, end: int) -> Locus:
    """A locus that reports all it fits."""
    return Locus(chrom, start, end, start, end)


def threshold(p: float) -> float:
    """The |z| of a two-sided p-value."""
    return float(norm.isf(p / 2))


def loci_of_bed(path: str | os.PathLike[str], chroms: Iterable[str]) -> list[Locus]:
    """The intervals of a BED file on the given chromosomes, as they are; warnings count those on others, twice there, or of no length.

    Raises:
        FormatError: no BED file.
        ConfigError: none lies on these chromosomes.
    """
    intervals, known, name = read_bed(path), list(chroms), os.fspath(path)
    require_effective(intervals, path=path)
    empty = sum(int((part.start == part.end).sum()) for part in intervals.values())
    if empty:
        _log.warning("%d intervals of `%s` have no length and are left out", empty, name)
    listed = [
        whole(chrom, int(start), int(end))
        for chrom in known
        if chrom in intervals
        for start, end in zip(intervals[chrom].start, intervals[chrom].end, strict=True)
        if end > start
    ]
    found = list(dict.fromkeys(listed))
    if len(found) < len(listed):
        _log.warning("%d intervals of `%s` are there twice and fitted once", len(listed) - len(found), name)
    if not found:
        raise ConfigError(
            f"`{path}` has no interval on the chromosomes of the panel ({', '.join(known[:5])}...): its chromosomes are "
            f"{', '.join(list(intervals)[:5])}. Give intervals of the same genome."
        )
    others = [chrom for chrom in intervals if chrom not in known]
    if others:
        _log.warning(
            "%d intervals of `%s` are left out: they are on chromosomes that the panel lacks (%s)",
            sum(intervals[chrom].start.size for chrom in others),
            name,
            ", ".join(others[:5]),
        )
    return found


def remarks(loci: Sequence[Locus], cores: Sequence[Core], *, mhc: bool) -> list[str]:
    """Sentences on loci that a user named: those that overlap, lie in the MHC, or lie mostly where the panel has no window.

    Args:
        loci: intervals, in genome order.
        cores: the panel's.
        mhc: whether the MHC was asked for.
    """
    sentences = []
    furthest: dict[str, int] = {}
    shared = []
    for each in loci:
        if each.start < furthest.get(each.chrom, 0):
            shared.append(each)
        furthest[each.chrom] = max(each.end, furthest.get(each.chrom, 0))
    if shared:
        sentences.append(
            f"{len(shared)} of {len(loci)} loci overlap one before them, first {shared[0].name}: each is fitted by itself, and a variant "
            "of several is reported once per locus"
        )
    inside = [each for each in loci if each.chrom == MHC[0] and each.start < MHC[2] and each.end > MHC[1]]
    if inside and not mhc:
        sentences.append(
            f"{len(inside)} of {len(loci)} loci lie in the MHC (chr6:25-36 Mb), first {inside[0].name}: its LD is too long for most panels, "
            "read their sets with care"
        )
    outside = [each for each in loci if _covered(each, cores) < 0.5]
    if outside:
        sentences.append(
            f"the panel has no LD for more than half of {len(outside)} of {len(loci)} loci, first {outside[0].name}: only variants in its "
            "windows are fitted"
        )
    return sentences


def _covered(locus: Locus, cores: Sequence[Core]) -> float:
    """Share of a locus's bases in the panel's windows."""
    shared = [min(locus.end, core.end) - max(locus.start, core.start) for core in cores if core.chrom == locus.chrom]
    return sum(max(0, length) for length in shared) / (locus.end - locus.start)


def loci_of_associations(variants: pl.DataFrame, z: Float[ndarray, " variant"], config: LocusConfig) -> list[Locus]:
    """Loci around lead variants, in genome order.

    The strongest association is a lead; so is the strongest beyond `flank` of it, and so on while p is at most `lead_p`. Stretches
    that overlap are merged; a merged one longer than `longest` is cut into windows.

    Args:
        variants: `chrom` and `position`, in genome order.
        z: their associations; NaN for none.
        config: thresholds; lengths left open are those of a panel that is not dense.
    """
    config = config.sized(dense=False)
    position = variants["position"].to_numpy()
    limit = threshold(config.lead_p)
    size = np.abs(np.nan_to_num(z))
    found: list[Locus] = []
    for chrom in variants["chrom"].unique(maintain_order=True):
        here = (variants["chrom"] == chrom).to_numpy()
        if chrom == MHC[0] and not config.mhc:
            here &= (position <= MHC[1]) | (position > MHC[2])
        strong = here & (size >= limit)
        assert config.flank is not None
        assert config.longest is not None
        for start, end in _merged(_leads(position[strong], size[strong], config.flank), config.flank):
            found += _cut(chrom, start, end, position[strong], config.flank, config.longest, mhc=config.mhc)
    return found


def _leads(position: ndarray, size: ndarray, flank: int) -> list[int]:
    """Positions of the leads."""
    leads = []
    left = np.ones(position.size, dtype=bool)
    for row in np.argsort(-size, kind="stable"):
        if left[row]:
            leads.append(int(position[row]))
            left &= np.abs(position - position[row]) > flank
    return sorted(leads)


def _merged(leads: list[int], flank: int) -> list[tuple[int, int]]:
    """Stretches around leads, overlapping ones as one."""
    merged: list[tuple[int, int]] = []
    for lead in leads:
        start, end = max(0, lead - 1 - flank), lead + flank
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def _cut(chrom: str, start: int, end: int, strong: ndarray, flank: int, longest: int, *, mhc: bool) -> list[Locus]:
    """A stretch without the MHC, in windows if it is long; windows that would report no strong association are left out."""
    parts = [(start, end)]
    if chrom == MHC[0] and not mhc:
        parts = [part for part in ((start, min(end, MHC[1])), (max(start, MHC[2]), end)) if part[0] < part[1]]
        if end <= MHC[1] or start >= MHC[2]:
            parts = [(start, end)]
    found = []
    for first, last in parts:
        if last - first <= longest:
            found.append(whole(chrom, first, last))
            continue
        width, step = 2 * flank, 2 * flank // 3
        starts = range(first, max(first + 1, last - width + step), step)
        for number, begin in enumerate(starts):
            middle = begin + width // 2
            own_start = first if number == 0 else middle - step // 2
            own_end = last if number == len(starts) - 1 else middle - step // 2 + step
            found.append(Locus(chrom, begin, max(begin + width, own_end), own_start, own_end))
    return [each for each in found if each.reports(strong).any()]
