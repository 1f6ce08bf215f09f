"""Positions of variants in another genome build, by a UCSC chain file that the user gives (plain or compressed).

A chain aligns a stretch of the build it comes from ("target" in UCSC's words, always the + strand) to one of the build
it leads to ("query", either strand), as blocks without gaps. Both are 0-based and half-open; on the - strand, query
positions count from the end of the chromosome. A base is lifted by the chain with the highest score that has it in
a block. A base in no block, or that leads to a contig outside chromosomes 1 to 22, X and Y, has no place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64
from numpy import ndarray

from varfx.errors import DataError, FormatError
from varfx.genome.builds import builds_of, chromosome_name
from varfx.io.text_lines import as_text, numbered_lines
from varfx.short_repr import short_repr

_HEADER_FIELDS = 12  # "chain" to qEnd; the id behind it is optional


@dataclass(frozen=True, eq=False)
class Chain:
    """One alignment: blocks of equal length in both builds.

    Attributes:
        score: of the alignment.
        start: 0-based first base of each block where it comes from, ascending.
        size: bases of each block.
        to_chrom: our name of the chromosome it leads to; None for other contigs.
        to_start: first base of each block where it leads to, on its strand.
        to_size: length of that chromosome.
        forward: whether it leads to the + strand.
    """

    score: float
    start: Int64[ndarray, " block"]
    size: Int64[ndarray, " block"]
    to_chrom: str | None
    to_start: Int64[ndarray, " block"]
    to_size: int
    forward: bool

    def place(self, base: Int64[ndarray, " base"]) -> tuple[Bool[ndarray, " base"], Int64[ndarray, " base"]]:
        """Mask of 0-based positions within a block, and their 0-based + strand positions in the other build."""
        block = np.searchsorted(self.start, base, side="right") - 1
        within = base - self.start[np.maximum(block, 0)]
        inside = (block >= 0) & (within < self.size[np.maximum(block, 0)])
        there = self.to_start[np.maximum(block, 0)] + within
        return inside, there if self.forward else self.to_size - 1 - there


@dataclass(frozen=True, kw_only=True, eq=False)
class Lifted:
    """Positions of variants in the other build.

    Attributes:
        chrom: our names; null where `mapped` is false.
        position: 1-based, + strand; 0 where `mapped` is false.
        forward: false where the chain leads to the - strand: alleles and directions are those of the other strand.
        mapped: whether the variant has a place there.
    """

    chrom: pl.Series
    position: Int64[ndarray, " variant"]
    forward: Bool[ndarray, " variant"]
    mapped: Bool[ndarray, " variant"]


@dataclass(frozen=True, eq=False)
class ChainFile:
    """A chain file.

    Attributes:
        path: the file.
        chains: by the chromosome they come from (our names), highest score first.
        from_builds: the builds whose chromosome lengths the file comes from; usually one.
        to_builds: the builds it leads to.
    """

    __repr__ = short_repr

    path: Path
    chains: dict[str, list[Chain]]
    from_builds: tuple[str, ...]
    to_builds: tuple[str, ...]

    def require_target(self, build: str) -> None:
        """Refuses a chain file that does not lead to a build.

        Raises:
            DataError: with where it leads.
        """
        if build not in self.to_builds:
            there = " or ".join(self.to_builds) or "neither hg19 nor hg38"
            raise DataError(
                f"`{self.path}` leads to {there}, but {build} is needed. Give the chain file that leads there."
            )

    def lift(self, variants: pl.DataFrame) -> Lifted:
        """The variants' places in the other build.

        Args:
            variants: columns `chrom` (our names) and `position` (1-based).
        """
        size = variants.height
        chrom = np.full(size, None, dtype=object)
        position = np.zeros(size, dtype=np.int64)
        forward, done = np.ones(size, dtype=bool), np.zeros(size, dtype=bool)
        rows_of = variants.with_row_index("row").group_by("chrom").agg("row", "position")
        for name, row_list, position_list in rows_of.iter_rows():
            rows, base = np.asarray(row_list, dtype=np.int64), np.asarray(position_list, dtype=np.int64) - 1
            order = np.argsort(base, kind="stable")
            rows, base = rows[order], base[order]
            for chain in self.chains.get(name, ()):
                low, high = np.searchsorted(base, [chain.start[0], chain.start[-1] + chain.size[-1]])
                inside, there = chain.place(base[low:high])
                inside &= ~done[rows[low:high]]
                hit = rows[low:high][inside]
                done[hit] = True
                if chain.to_chrom is not None:
                    chrom[hit], position[hit], forward[hit] = chain.to_chrom, there[inside] + 1, chain.forward
        return Lifted(
            chrom=pl.Series("chrom", chrom.tolist(), dtype=pl.String),
            position=position,
            forward=forward,
            mapped=position > 0,
        )


def read_chain(path: str | os.PathLike[str]) -> ChainFile:
    """Reads a chain file.

    Raises:
        FormatError: no such file, no chain file, damaged, or blocks that do not add up to their chain.
    """
    path = Path(path)
    chains: dict[str, list[Chain]] = {}
    from_sizes: dict[str, int] = {}
    to_sizes: dict[str, int] = {}
    for number, header, blocks in _stanzas(path):
        chain = _chain(path, number, header, blocks)
        from_chrom = chromosome_name(header[2])
        if from_chrom is None:
            continue
        from_sizes[from_chrom] = int(header[3])
        if chain.to_chrom is not None:
            to_sizes[chain.to_chrom] = chain.to_size
        chains.setdefault(from_chrom, []).append(chain)
    if not chains:
        raise FormatError(f"`{path}` holds no chain of a human chromosome. Give a UCSC chain file (*.over.chain.gz).")
    for listed in chains.values():
        listed.sort(key=lambda chain: -chain.score)
    return ChainFile(path, chains, builds_of(from_sizes), builds_of(to_sizes))


def _stanzas(path: Path) -> Iterator[tuple[int, list[str], list[list[str]]]]:
    """Line number and fields of each header, and the fields of its blocks."""
    number, header = 0, None
    blocks: list[list[str]] = []
    for line_number, line in numbered_lines(path):
        fields = as_text(line).split()
        if not fields or fields[0].startswith("#"):
            continue
        if fields[0] == "chain":
            if header is not None:
                yield number, header, blocks
            number, header, blocks = line_number, fields, []
        elif header is None:
            raise FormatError(f"`{path}` is no chain file: line {line_number} is no header ({as_text(line)[:40]!r}).")
        else:
            blocks.append(fields)
    if header is not None:
        yield number, header, blocks


def _chain(path: Path, number: int, header: list[str], blocks: list[list[str]]) -> Chain:
    fault = f"`{path}`: the chain of line {number}"
    try:
        _, score, _, from_size, from_strand, first, last, to_name, to_size, to_strand, to_first, to_last = header[
            :_HEADER_FIELDS
        ]
        ends = [int(value) for value in (from_size, first, last, to_size, to_first, to_last)]
        size = np.array([int(fields[0]) for fields in blocks], dtype=np.int64)
        gaps = np.array([[int(value) for value in fields[1:]] for fields in blocks[:-1]], dtype=np.int64).reshape(-1, 2)
        closed = bool(blocks) and len(blocks[-1]) == 1
        rank = float(score)
        if max((abs(number) for number in (*ends, *size.tolist(), *gaps.ravel().tolist())), default=0) >= 2**31:
            raise ValueError("a position or size is beyond any chromosome")
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{fault} cannot be read: {str(error)[:100]}. Fetch the file again.") from error
    if from_strand != "+" or to_strand not in ("+", "-"):
        raise FormatError(f"{fault} has the strands {from_strand!r} and {to_strand!r}. Fetch the file again.")
    length = size.sum() + gaps.sum(axis=0)
    if not closed or (size < 0).any() or (gaps < 0).any() or (length != (ends[2] - ends[1], ends[5] - ends[4])).any():
        raise FormatError(f"{fault} has blocks that do not add up to its ends: it is truncated. Fetch the file again.")
    if not (0 <= ends[1] <= ends[2] <= ends[0] and 0 <= ends[4] <= ends[5] <= ends[3]):
        raise FormatError(f"{fault} ends behind the end of its chromosome. Fetch the file again.")
    steps = np.vstack([np.zeros((1, 2), dtype=np.int64), size[:-1, None] + gaps]).cumsum(axis=0)
    return Chain(
        score=rank,
        start=ends[1] + steps[:, 0],
        size=size,
        to_chrom=chromosome_name(to_name),
        to_start=ends[4] + steps[:, 1],
        to_size=ends[3],
        forward=to_strand == "+",
    )
