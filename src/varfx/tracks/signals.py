"""Signals along the genome from bigWig, bedGraph and BED files: values of any stretch, base by base.

Positions are 0-based and half-open in all three. A base that a file says nothing about is NaN here; what that means
is for the caller to decide.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Float32
from numpy import ndarray

from varfx.errors import ConfigError, FormatError
from varfx.genome.builds import LENGTHS, chromosome_name, wrong_length
from varfx.genome.intervals import WIGGLE_REMEDY, Intervals, read_bed, require_effective
from varfx.tracks.bigwig import MAGIC, BigWig

Kind = Literal["bigwig", "bedgraph", "bed"]
KINDS: tuple[Kind, ...] = ("bigwig", "bedgraph", "bed")
_BIGBED = (b"\xeb\xf2\x89\x87", b"\x87\x89\xf2\xeb")
COMPRESSED = (".gz", ".bgz", ".zst")
EXTENSIONS: dict[str, Kind] = {
    ".bigwig": "bigwig",
    ".bw": "bigwig",
    ".bedgraph": "bedgraph",
    ".bdg": "bedgraph",
    ".bg": "bedgraph",
    ".bed": "bed",
    ".narrowpeak": "bed",
    ".broadpeak": "bed",
}
WIGGLE_EXTENSIONS = (".wig", ".wiggle")
OVERHANG = 1000  # bases: a read or fragment that a peak caller extended over the end of its chromosome
FEW_OVERHANGS, SHARE_OVERHANGS = 20, 0.01  # per chromosome; more of them are another genome build
DECISIVE = 10  # intervals beyond the chromosomes' ends before the other build is suggested


@dataclass(frozen=True)
class Contradiction:
    """Evidence that a file is of another genome build than the one stated.

    Attributes:
        text: the evidence as a half sentence.
        decisive: whether it suffices to name the other build.
    """

    text: str
    decisive: bool


class Signal(ABC):
    """An opened file of one signal.

    Attributes:
        path: the file.
        chroms: the nuclear chromosomes (our names) that it may have values on, in genome order.
    """

    path: Path
    chroms: tuple[str, ...]

    @abstractmethod
    def values(self, chrom: str, start: int, end: int) -> Float32[ndarray, " base"]:
        """The value of each base of `[start, end)`; NaN where the file has none, or a NaN.

        Args:
            chrom: one of `chroms`.
            start: 0-based, at least 0.
            end: 0-based, at most the chromosome's length.

        Raises:
            FormatError: the file is damaged, or holds an infinite value there.
        """

    @abstractmethod
    def contradiction(self, build: str) -> Contradiction | None:
        """Evidence that the file is of another build than `build` (`hg19` or `hg38`); None without any."""

    def overhang(self, build: str) -> str | None:
        """Intervals clipped at the end of their chromosome in `build`, as a half sentence; None without any."""
        return None


class BigWigSignal(Signal):
    """A bigWig file, read piece by piece."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens the file and reads its header.

        Raises:
            FormatError: no such file, no bigWig, truncated, or without a chromosome of the human genome.
        """
        self.path = Path(path)
        head = _head(self.path)
        if head in _BIGBED:
            raise FormatError(f"`{path}` is a bigBed file. Convert it with bigBedToBed and give it as BED.")
        self._reader = BigWig(self.path)
        self._names, self.lengths = _nuclear(self._reader.lengths, self.path)
        self.chroms = tuple(self.lengths)

    def values(self, chrom: str, start: int, end: int) -> Float32[ndarray, " base"]:
        """See `Signal.values`."""
        values = self._reader.values(self._names[chrom], start, end)
        return _require_finite(values, self.path, chrom, start)

    def contradiction(self, build: str) -> Contradiction | None:
        """See `Signal.contradiction`: the header's chromosome lengths."""
        text = wrong_length(self.lengths, build)
        return None if text is None else Contradiction(text, decisive=True)


class IntervalSignal(Signal):
    """A bedGraph or BED file, held in memory: the score of the interval that covers a base, the largest of several."""

    def __init__(
        self, path: str | os.PathLike[str], kind: Literal["bedgraph", "bed"], column: int | None = None
    ) -> None:
        """Reads the file.

        Args:
            path: plain, gzip or zstd.
            kind: a bedGraph's values are in column 4; intervals of different values may not overlap.
            column: 1-based number of a BED file's score column; None for 1 in every interval.

        Raises:
            FormatError: no such file, empty, lines that are no intervals, overlapping bedGraph intervals, or no
                chromosome of the human genome.
            ConfigError: there is no such column.
        """
        self.path = Path(path)
        column = 4 if kind == "bedgraph" else column
        read = read_bed(self.path, score_column=column)
        require_effective(read, path=self.path)
        names, _ = _nuclear(dict.fromkeys(read, 0), self.path)
        self._intervals = {chrom: _scored(read[name], column) for chrom, name in names.items()}
        self.chroms = tuple(self._intervals)
        if kind == "bedgraph":
            self._intervals = {chrom: _distinct(intervals) for chrom, intervals in self._intervals.items()}
            for chrom, intervals in self._intervals.items():
                _require_consistent(intervals, self.path, chrom)
        self._longest = {chrom: int((part.end - part.start).max(initial=0)) for chrom, part in self._intervals.items()}

    def values(self, chrom: str, start: int, end: int) -> Float32[ndarray, " base"]:
        """See `Signal.values`."""
        intervals = self._intervals[chrom]
        assert intervals.score is not None
        values = np.full(end - start, np.nan, dtype=np.float32)
        low = int(np.searchsorted(intervals.start, start - self._longest[chrom], side="left"))
        high = int(np.searchsorted(intervals.start, end, side="left"))
        starts = np.maximum(intervals.start[low:high] - start, 0)
        ends = np.minimum(intervals.end[low:high] - start, end - start)
        scores = intervals.score[low:high].astype(np.float32)
        for number in np.argsort(scores, kind="stable"):  # the largest is written last; NaN sorts behind
            if ends[number] > starts[number] and not np.isnan(scores[number]):
                values[starts[number] : ends[number]] = scores[number]
        return _require_finite(values, self.path, chrom, start)

    def contradiction(self, build: str) -> Contradiction | None:
        """See `Signal.contradiction`: intervals far behind the end of their chromosome, or many a little behind it."""
        texts, count = [], 0
        for chrom, intervals in self._intervals.items():
            length = LENGTHS[build][chrom]
            beyond, far = intervals.end > length, intervals.end > length + OVERHANG
            if far.any() or beyond.sum() > max(FEW_OVERHANGS, SHARE_OVERHANGS * beyond.size):
                shown = far if far.any() else beyond
                count += int(shown.sum())
                texts.append(
                    f"{shown.sum()} of {shown.size} intervals of chromosome {chrom} end behind its last base in "
                    f"{build} ({length}), first at {intervals.end[shown.argmax()]}"
                )
        return Contradiction(texts[0], decisive=count >= DECISIVE) if texts else None

    def overhang(self, build: str) -> str | None:
        """See `Signal.overhang`."""
        texts = []
        for chrom, intervals in self._intervals.items():
            over = intervals.end - LENGTHS[build][chrom]
            if (over > 0).any():
                texts.append(f"{(over > 0).sum()} of chromosome {chrom} by up to {over.max()} bases")
        return "; ".join(texts) or None


def kind_of(path: str | os.PathLike[str]) -> Kind:
    """The kind of a file by its first bytes and its extension.

    Raises:
        FormatError: no such file.
        ConfigError: neither says what it is.
    """
    path = Path(path)
    head = _head(path)
    if head in MAGIC or head in _BIGBED:
        return "bigwig"
    extensions = [extension.lower() for extension in path.suffixes if extension.lower() not in COMPRESSED]
    if extensions and extensions[-1] in WIGGLE_EXTENSIONS:
        raise ConfigError(f"`{path}` is named as wiggle text. {WIGGLE_REMEDY}")
    kind = EXTENSIONS.get(extensions[-1]) if extensions else None
    if kind is None:
        raise ConfigError(f"`{path}`: its name does not say what kind of file it is. Add `kind`: {', '.join(KINDS)}.")
    return kind


def open_signal(path: str | os.PathLike[str], kind: Kind, column: int | None = None) -> Signal:
    """Opens a file of the given kind; errors as for the classes above."""
    if kind == "bigwig":
        return BigWigSignal(path)
    return IntervalSignal(path, kind, column)


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4)
    except OSError as error:
        raise FormatError(f"`{path}` cannot be read: {error.strerror or error}. Check the path.") from error


def _nuclear(lengths: Mapping[str, int], path: Path) -> tuple[dict[str, str], dict[str, int]]:
    """The file's names and lengths of nuclear chromosomes by our names, in genome order."""
    names: dict[str, str] = {}
    for name in lengths:
        chrom = chromosome_name(name)
        if chrom in names:
            raise FormatError(f"`{path}` names chromosome {chrom} twice ({names[chrom]} and {name}). Correct the file.")
        if chrom is not None:
            names[chrom] = name
    if not names:
        listed = ", ".join(list(lengths)[:5]) or "none"
        raise FormatError(f"`{path}` has no human chromosome 1 to 22, X or Y (it has {listed}). Check the file.")
    names = {chrom: names[chrom] for chrom in LENGTHS["hg19"] if chrom in names}
    return names, {chrom: lengths[name] for chrom, name in names.items()}


def _scored(intervals: Intervals, column: int | None) -> Intervals:
    return Intervals(intervals.start, intervals.end, np.ones(intervals.start.size)) if column is None else intervals


def _distinct(intervals: Intervals) -> Intervals:
    """The intervals that cover a base, each (start, end, value) once, by start and end."""
    table = pl.DataFrame({"start": intervals.start, "end": intervals.end, "score": intervals.score})
    table = table.filter(pl.col("end") > pl.col("start")).unique(maintain_order=True)
    return Intervals(*(table[name].to_numpy() for name in table.columns))


def _require_consistent(intervals: Intervals, path: Path, chrom: str) -> None:
    """Refuses overlapping intervals of different values; equal values do not contradict each other."""
    assert intervals.score is not None
    reach = np.maximum.accumulate(intervals.end)
    overlap = intervals.start[1:] < reach[:-1]
    if not overlap.any():
        return
    starts = np.flatnonzero(np.append(True, ~overlap))  # the first interval of each group that hangs together
    group = np.cumsum(np.append(True, ~overlap)) - 1
    score = np.where(np.isnan(intervals.score), -np.inf, intervals.score)
    mixed = np.minimum.reduceat(score, starts) != np.maximum.reduceat(score, starts)
    bad = overlap & mixed[group[1:]]
    if bad.any():
        raise FormatError(
            f"`{path}`: {bad.sum()} bedGraph intervals of chromosome {chrom} overlap the one before, first at "
            f"{int(intervals.start[1:][bad.argmax()])}, with different values. Merge them, or give the file as BED with "
            "`column: 4` to take the largest."
        )


def _require_finite(values: ndarray[Any, Any], path: Path, chrom: str, start: int) -> Float32[ndarray, " base"]:
    infinite = np.isinf(values)
    if infinite.any():
        raise FormatError(
            f"`{path}`: {infinite.sum()} bases have an infinite value, first {chrom}:{start + int(infinite.argmax()) + 1}."
            " Correct the file."
        )
    return values
