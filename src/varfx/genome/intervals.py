"""Genome intervals from BED files (0-based, half-open), and which variants (1-based) they cover.

A variant at position p is the base [p - 1, p): an interval covers it where start <= p - 1 < end. Only the first
base of an indel counts.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Float64, Int64
from numpy import ndarray

from varfx.errors import ConfigError, FormatError
from varfx.genome.chromosomes import unknown_names
from varfx.genome.variants import chrom_expr
from varfx.io.stream import stream_bytes
from varfx.io.text_lines import as_text, numbered_lines
from varfx.io.text_numbers import missing_as_null, require_exact, whole
from varfx.short_repr import short_repr

Combine = Literal["max", "mean"]
_log = logging.getLogger(__name__)
_PLINK_BED = b"\x6c\x1b"
_HEADERS = (b"#", b"track ", b"track\t", b"browser ", b"browser\t")
SHIFTED_AT_LEAST, SHIFTED_TIMES = (
    20,
    3,
)  # positions one base off: so many, and so many times those in place, are no chance
_PAIRS_AT_ONCE = 5_000_000


@dataclass(frozen=True, eq=False)
class Intervals:
    """The intervals of one chromosome, sorted by start; they may overlap.

    Attributes:
        start: 0-based, first base covered.
        end: 0-based, first base no longer covered.
        score: a value per interval, NaN where the file has none; None if no score column was read.
    """

    __repr__ = short_repr

    start: Int64[ndarray, " interval"]
    end: Int64[ndarray, " interval"]
    score: Float64[ndarray, " interval"] | None = None

    def cover(self, position: Int64[ndarray, " variant"]) -> Bool[ndarray, " variant"]:
        """Mask of 1-based positions covered by any interval."""
        whole = self.union()
        place = np.searchsorted(whole.start, position - 1, side="right") - 1
        inside: Bool[ndarray, " variant"] = (place >= 0) & (position - 1 < whole.end[np.maximum(place, 0)])
        return inside

    def union(self) -> Intervals:
        """The bases covered, as intervals that neither overlap nor adjoin; without scores."""
        furthest = np.maximum.accumulate(self.end)
        first = np.ones(self.start.size, dtype=bool)
        first[1:] = self.start[1:] > furthest[:-1]  # where a gap begins a new interval
        return Intervals(self.start[first], furthest[np.append(np.flatnonzero(first)[1:] - 1, self.start.size - 1)])

    def scores(self, position: Int64[ndarray, " variant"], combine: Combine) -> Float64[ndarray, " variant"]:
        """The largest or mean score of the intervals over each 1-based position; NaN at uncovered positions."""
        assert self.score is not None
        scored = np.flatnonzero(np.isfinite(self.score))
        order = np.argsort(position, kind="stable")
        base = position[order] - 1
        low, high = (np.searchsorted(base, edge[scored], side="left") for edge in (self.start, self.end))
        total = np.full(base.size, -np.inf if combine == "max" else 0.0)
        count = np.zeros(base.size, dtype=np.int64)
        covered = np.concatenate([[0], np.cumsum(high - low)])
        blocks = np.searchsorted(covered, np.arange(0, covered[-1], _PAIRS_AT_ONCE), side="right") - 1
        for begin, end in pairwise([*blocks, scored.size]):
            length = (high - low)[begin:end]
            which = np.repeat(np.arange(begin, end), length)
            offset = np.arange(which.size) - np.repeat(np.cumsum(length) - length, length)
            row, value = low[which] + offset, self.score[scored[which]]
            np.add.at(count, row, 1)
            (np.maximum if combine == "max" else np.add).at(total, row, value)
        combined = np.where(count > 0, total if combine == "max" else total / np.maximum(count, 1), np.nan)
        result = np.empty(base.size)
        result[order] = combined
        return result


def read_bed(path: str | os.PathLike[str], *, score_column: int | None = None) -> dict[str, Intervals]:
    """The intervals of a BED file by chromosome, in our chromosome names.

    Plain, gzip, bgzip or zstd; tabs or blanks; header lines (`track`, `browser`, `#`) anywhere; any order. Intervals of
    length 0 (insertion points) are allowed and cover nothing.

    Args:
        path: the file.
        score_column: 1-based number of a column with a value per interval; ".", "NA" or nothing is no value.

    Raises:
        FormatError: no such file, damaged, no interval, or lines that are no intervals, counted and the first named.
        ConfigError: `score_column` is below 4 or not in the file.
    """
    if score_column is not None and score_column < 4:
        raise ConfigError(f"`{path}`: score column {score_column} is no score: columns 1 to 3 hold the interval.")
    if next(stream_bytes(path), b"").startswith(_PLINK_BED):
        raise FormatError(f"`{path}` is a PLINK genotype file, not a BED file of intervals. Give intervals here.")
    fields = _fields(_lines(Path(path)), score_column or 3)
    for name in ("start", "end"):
        require_exact(fields[name], name, path)
    value = missing_as_null(fields["value"])
    numbers = fields.select(
        "number", "line", "fields", chrom_expr("chrom"), value=value, score=value.cast(pl.Float64, strict=False)
    ).with_columns(whole(fields["start"]), whole(fields["end"]))
    _check(numbers, Path(path), score_column)
    numbers = numbers.sort("start", "end")
    groups = numbers.partition_by("chrom", as_dict=True, maintain_order=True)
    return {
        str(chrom): Intervals(
            group["start"].to_numpy(),
            group["end"].to_numpy(),
            None if score_column is None else group["score"].fill_null(np.nan).to_numpy(),
        )
        for (chrom,), group in groups.items()
    }


WIGGLE_REMEDY = "Convert it with UCSC's wigToBigWig and give the bigWig."
_WIGGLE = (b"fixedStep", b"variableStep")


def _lines(path: Path) -> pl.DataFrame:
    """Data lines and their 1-based line numbers."""
    remedy = "Give a BED file: chrom, start, end, split by tabs."
    numbers, lines = [], []
    for number, line in numbered_lines(path):
        bare = line.lstrip().rstrip(b" ")  # an empty score at the end stays
        if bare.startswith(_WIGGLE):
            raise FormatError(
                f"`{path}` is wiggle text (fixedStep or variableStep lines), not intervals. {WIGGLE_REMEDY}"
            )
        if bare.strip() and not bare.startswith(_HEADERS):
            numbers.append(number)
            lines.append(as_text(bare))
    if not lines:
        nothing = "is empty" if not next(stream_bytes(path), b"").strip() else "holds no interval, only header lines"
        raise FormatError(f"`{path}` {nothing}. {remedy}")
    return pl.DataFrame({"number": numbers, "line": lines}, schema={"number": pl.UInt32(), "line": pl.String()})


def _fields(lines: pl.DataFrame, last: int) -> pl.DataFrame:
    """Fields 1 to 3 and field `last` as text, and the number of fields of each line.

    A line is split at tabs if it has them between its first three fields, else at any run of blanks.
    """
    tabs = pl.col("line").str.contains(r"^[^\t]*\t[^\t]*\t")
    line = pl.when(tabs).then("line").otherwise(pl.col("line").str.replace_all(r"[ \t]+", "\t"))
    parts = line.str.split_exact("\t", last - 1)

    def field(number: int) -> pl.Expr:
        return pl.col("parts").struct.field(f"field_{number}").str.strip_chars().str.strip_chars('"')

    return lines.with_columns(parts=parts, fields=line.str.count_matches("\t", literal=True) + 1).select(
        "number", "line", "fields", chrom=field(0), start=field(1), end=field(2), value=field(last - 1)
    )


def _check(lines: pl.DataFrame, path: Path, score_column: int | None) -> None:
    """Raises for the first kind of fault found in any line."""
    faults = [
        (pl.col("fields") < 3, "fewer than 3 columns", "A BED file has chrom, start, end."),
        (
            pl.col("start").is_null() | pl.col("end").is_null(),
            "start or end is not a whole number",
            "Remove a header line, or convert the file.",
        ),
        (pl.col("start") < 0, "start is negative", "BED starts at 0."),
        (pl.col("end") < pl.col("start"), "end is before start", "Check the columns."),
    ]
    if score_column is not None:
        if lines.select((pl.col("fields") < score_column).all()).item():
            most = int(lines["fields"].to_numpy().max())
            raise ConfigError(f"`{path}`: there is no column {score_column}, lines have {most}. Columns count from 1.")
        text = pl.col("score").is_null() & pl.col("value").is_not_null()
        faults += [
            (pl.col("fields") < score_column, f"no column {score_column}", "Give every interval a score, or a dot."),
            (text, f"column {score_column} is not a number", "Choose a numeric column, counted from 1."),
        ]
    for fault, what, remedy in faults:
        bad = lines.filter(fault.fill_null(False))
        if bad.height:
            number, line = bad.select("number", "line").row(0)
            raise FormatError(
                f"`{path}`: {what} in {bad.height} of {lines.height} lines, first line {number} "
                f"({line[:60]!r}). {remedy}"
            )


def require_effective(intervals: Mapping[str, Intervals], *, path: str | os.PathLike[str]) -> None:
    """Refuses a file all of whose intervals have length 0, and logs one half of whose do.

    Raises:
        FormatError: no interval covers a base.
    """
    total = sum(part.start.size for part in intervals.values())
    empty = sum(int((part.start == part.end).sum()) for part in intervals.values())
    finding = f"`{path}`: {empty} of {total} intervals have length 0 and cover nothing"
    remedy = "If start and end are both the 1-based position of a variant, subtract 1 from the start."
    if empty == total:
        raise FormatError(f"{finding}. {remedy}")
    if empty > total / 2:
        _log.warning("%s. %s", finding, remedy)


def require_shared_chromosome(
    intervals: Mapping[str, Intervals], variants: pl.DataFrame, *, path: str | os.PathLike[str]
) -> None:
    """Refuses intervals none of which is on a chromosome of the variants, and logs those under unknown names.

    Raises:
        FormatError: with both sets of names.
    """
    names = variants["chrom"].unique(maintain_order=True).to_list()
    if not set(names) & set(intervals):
        raise FormatError(
            f"`{path}`: no interval is on a chromosome of the variants (intervals: {_some(intervals)}; variants: "
            f"{_some(names)}). Use the names 1 to 22, X, Y, MT, with or without chr."
        )
    unknown = unknown_names(set(intervals) - set(names))
    if unknown:
        lost = sum(intervals[name].start.size for name in unknown)
        _log.warning(
            "`%s`: %d of %d intervals are on chromosomes of unknown names, first %r: they are lost. Use the names 1 to 22, "
            "X, Y, MT.", path, lost, sum(part.start.size for part in intervals.values()), unknown[0],
        )  # fmt: skip


def require_zero_based(
    intervals: Mapping[str, Intervals], variants: pl.DataFrame, *, path: str | os.PathLike[str]
) -> None:
    """Refuses intervals of one base that start where variants are: their starts count from 1.

    Args:
        intervals: by chromosome, from `read_bed`.
        variants: columns `chrom, position` (1-based).
        path: for the message.

    Raises:
        FormatError: many more of them hold a variant if starts count from 1.
    """
    hits = {0: 0, 1: 0}
    for chrom, _, position in _by_chrom(variants):
        if chrom in intervals:
            part = intervals[chrom]
            single = part.start[part.end - part.start == 1]
            for shift in hits:
                hits[shift] += int(np.isin(position, single + 1 - shift).sum())
    if hits[1] >= SHIFTED_AT_LEAST and hits[1] > SHIFTED_TIMES * hits[0]:
        raise FormatError(
            f"`{path}`: {hits[1]} intervals of one base start at a variant's position, and {hits[0]} end there: the starts seem to "
            "count from 1. Subtract 1 from start and end."
        )


def _some(names: Mapping[str, object] | list[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")


def covered(intervals: Mapping[str, Intervals], variants: pl.DataFrame) -> Float32[ndarray, " variant"]:
    """Indicator of each variant: 1 if covered by an interval, else 0.

    Args:
        intervals: by chromosome, from `read_bed`.
        variants: columns `chrom, position` (1-based).
    """
    values = np.zeros(variants.height, dtype=np.float32)
    for chrom, rows, position in _by_chrom(variants):
        if chrom in intervals:
            values[rows] = intervals[chrom].cover(position)
    return values


def covering_score(
    intervals: Mapping[str, Intervals], variants: pl.DataFrame, *, combine: Combine = "max"
) -> Float32[ndarray, " variant"]:
    """The largest or mean score of the intervals over each variant; NaN for uncovered variants.

    Args:
        intervals: by chromosome, from `read_bed` with a score column.
        variants: columns `chrom, position` (1-based).
        combine: the largest or the mean score of several covering intervals.
    """
    values = np.full(variants.height, np.nan, dtype=np.float32)
    for chrom, rows, position in _by_chrom(variants):
        if chrom in intervals:
            values[rows] = intervals[chrom].scores(position, combine)
    return values


def _by_chrom(variants: pl.DataFrame) -> list[tuple[str, ndarray, ndarray]]:
    placed = variants.select("chrom", "position").with_row_index("row")
    groups = placed.partition_by("chrom", as_dict=True, maintain_order=True)
    return [
        (str(chrom), group["row"].to_numpy(), group["position"].to_numpy().astype(np.int64))
        for (chrom,), group in groups.items()
    ]
