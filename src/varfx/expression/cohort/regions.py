"""Genes divided by regions of the genome: those that a network was pretrained, tuned and tested on.

A BED of Basenji2's sequences, which Enformer has too: chrom, start, end, and train, valid or test. Each is lengthened around its middle
to what the network reads. A gene belongs to a part if its window lies in the part's regions and shares no base with another part's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int64
from numpy import ndarray

from varfx.errors import DataError, FormatError
from varfx.expression.cohort.fold_lists import PART_OF
from varfx.genome.chromosomes import spelled
from varfx.io.ledger import Sieve
from varfx.io.text_lines import read_fields
from varfx.io.text_numbers import whole_of

PART = "region_part"  # column of the genes


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions of one part on one chromosome, merged: sorted and apart.

    Attributes:
        start: 0-based.
        end: 0-based, exclusive.
    """

    start: Int64[ndarray, " region"]
    end: Int64[ndarray, " region"]

    def hold(self, start: int, end: int) -> bool:
        """Whether [start, end) lies in one of them."""
        place = int(np.searchsorted(self.start, start, side="right")) - 1
        return place >= 0 and end <= self.end[place]

    def touch(self, start: int, end: int) -> bool:
        """Whether [start, end) shares a base with any."""
        place = int(np.searchsorted(self.start, end, side="left")) - 1
        return place >= 0 and start < self.end[place]


def read_regions(path: str | os.PathLike[str], size: int) -> dict[tuple[str, str], Regions]:
    """The regions of a BED by chromosome and part (train, tune, test), each lengthened to `size` bases if it is shorter.

    Raises:
        FormatError: no such file, or a line without chromosome, whole numbers with start < end, and a part.
        DataError: no region of training, or of no other part.
    """
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for line, fields in read_fields(path, "regions"):
        if fields[0].startswith(("#", "track", "browser")):
            continue
        word = fields[3].strip().lower() if len(fields) > 3 else ""
        first, last = map(whole_of, fields[1:3]) if len(fields) > 2 else (None, None)
        if word not in PART_OF or first is None or last is None or not 0 <= first < last:
            raise FormatError(
                f"`{path}`, line {line}: {' '.join(fields[:4])!r} is no region. Each line has chromosome, start, end, and train, valid or "
                "test."
            )
        more = max(size - (last - first), 0)
        start, end = first - more // 2, last + more - more // 2
        found.setdefault((spelled(fields[0]), PART_OF[word]), []).append((max(start, 0), end))
    parts = {part for _, part in found}
    if "train" not in parts or len(parts) < 2:
        raise DataError(
            f"`{path}` has regions of {', '.join(sorted(parts)) or 'no part'}; it must have train, and valid or test."
        )
    return {key: _merged(pairs) for key, pairs in found.items()}


def part_of(regions: Mapping[tuple[str, str], Regions], chrom: str, start: int, end: int) -> str | None:
    """The part whose regions hold a window that no other part's touch; "" if they do, None in no region."""
    parts = {part: found for (name, part), found in regions.items() if name == chrom}
    touched = [part for part, found in parts.items() if found.touch(start, end)]
    held = [part for part in touched if parts[part].hold(start, end)]
    if not held:
        return None if len(touched) < 2 else ""
    return held[0] if len(touched) == 1 else ""


def keep_in_regions(sieve: Sieve, path: str | os.PathLike[str], size: int) -> None:
    """Adds the part of each gene, and leaves out genes in no region or in those of two parts.

    Args:
        sieve: of genes with `chrom, start, end`.
        path: of `read_regions`.
        size: bases of each region.
    """
    regions = read_regions(path, size)
    places = sieve.frame.select("chrom", "start", "end").iter_rows()
    sieve.frame = sieve.frame.with_columns(
        pl.Series(PART, [part_of(regions, *place) for place in places], dtype=pl.String())
    )
    sieve.drop(sieve.frame[PART].is_null(), "in no region of --regions")
    sieve.drop(sieve.frame[PART] == "", "in regions of two parts of --regions")


def _merged(pairs: list[tuple[int, int]]) -> Regions:
    merged: list[list[int]] = []
    for start, end in sorted(pairs):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return Regions(*np.array(merged, dtype=np.int64).T)
