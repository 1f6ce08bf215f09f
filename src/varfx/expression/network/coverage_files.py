"""Individuals' coverage: the table that names their bigWig files, and the sums over bins of a gene's window."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float32
from numpy import ndarray

from varfx.errors import DataError, FormatError
from varfx.expression.cohort.store import GeneWindow, window_start
from varfx.genome.chromosomes import spelled
from varfx.io import sealed
from varfx.io.text_table import read_with_header
from varfx.tracks.bigwig import BigWig

PLUS, MINUS, SIZE = "bigwig_plus", "bigwig_minus", "library_size"
OPEN_FILES = 64
CHECKSUM_THREADS = 4


@dataclass(frozen=True, eq=False)
class CoverageFiles:
    """bigWig files by individual.

    Attributes:
        files: of each individual, of the plus strand and, of stranded libraries, of the minus strand.
        scale: of each individual, to a million mapped reads; 1 where library sizes are not given.
    """

    files: dict[str, tuple[Path, ...]]
    scale: dict[str, float]

    @property
    def tracks(self) -> int:
        """1, or 2 of stranded libraries."""
        return len(next(iter(self.files.values())))

    def checksum(self) -> str:
        """The SHA-256 of all files' SHA-256, in the order of the individuals' names: one number for all, which names nobody."""
        paths = [path for name in sorted(self.files) for path in self.files[name]]
        with ThreadPoolExecutor(max_workers=min(CHECKSUM_THREADS, os.cpu_count() or 1)) as pool:
            digests = list(pool.map(sealed.sha256, paths))
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def bins(self, name: str, gene: GeneWindow, window: int, bin_size: int) -> Float32[ndarray, "bin track"]:
        """Coverage of an individual summed over the bins of a gene's window, along the gene's strand; its own strand first.

        Bases without data count as 0.

        Raises:
            FormatError: a file cannot be read, or lacks the chromosome.
            DataError: coverage below 0.
        """
        first = window_start(gene.tss, gene.strand, window)
        found = []
        for path in self.files[name]:
            values = _values(path, gene.chrom, first, first + window)
            values = np.where(np.isnan(values), 0, values)
            if (values < 0).any() or np.isinf(values).any():
                raise DataError(
                    f"`{path}` has values near {gene.gene_id} that are below 0 or infinite: it is no coverage. Files of the minus "
                    "strand are sometimes written with a minus: take it away."
                )
            values = values[::-1] if gene.strand == "-" else values
            count = window // bin_size
            found.append(values[: count * bin_size].reshape(count, bin_size).sum(axis=1, dtype=np.float64))
        if gene.strand == "-":
            found.reverse()
        return np.stack(found, axis=1).astype(np.float32) * np.float32(self.scale[name])


def read_manifest(path: Path, people: Sequence[str]) -> CoverageFiles:
    """The table of individuals and their files.

    Args:
        path: the table.
        people: of the cohort; others in the table are left out.

    Raises:
        FormatError: it cannot be read, lacks a column or a value.
        DataError: an individual stands twice, or nobody is of the cohort.
    """
    table = read_with_header(path, ["person", PLUS], "individuals and their bigWig files", optional=[MINUS, SIZE])
    twice = table["person"].is_duplicated()
    if twice.any():
        raise DataError(
            f"`{path}`: {int(twice.sum())} rows share an individual, first {table['person'].filter(twice)[0]}. Keep one each."
        )
    known = set(people)
    table = table.filter(pl.col("person").is_in(list(known)))
    if not table.height:
        raise DataError(f"`{path}` names nobody of the cohort's {len(people)} individuals. Check its column `person`.")
    columns = [PLUS, *([MINUS] if MINUS in table.columns else [])]
    files = {
        name: tuple(path.parent / file for file in row) for name, *row in table.select("person", *columns).iter_rows()
    }
    absent = [file for row in files.values() for file in row if not file.is_file()]
    if absent:
        raise FormatError(
            f"`{path}`: {len(absent)} bigWig files do not exist, first `{absent[0]}`. Names are relative to the table."
        )
    return CoverageFiles(files, _scales(table, path))


def _scales(table: pl.DataFrame, path: Path) -> dict[str, float]:
    if SIZE not in table.columns:
        return dict.fromkeys(table["person"], 1.0)
    sizes = table[SIZE].cast(pl.Float64, strict=False)
    wrong = sizes.is_null() | ~(sizes > 0) | sizes.is_infinite()
    if wrong.any():
        first = table["person"].filter(wrong)[0]
        raise FormatError(f"`{path}`: {int(wrong.sum())} values of `{SIZE}` are no positive number, first of {first}.")
    return dict(zip(table["person"], (1e6 / sizes).to_list(), strict=True))


@lru_cache(maxsize=OPEN_FILES)
def _opened(path: Path) -> tuple[BigWig, dict[str, str]]:
    opened = BigWig(path)
    return opened, {spelled(name): name for name in opened.lengths}


def _values(path: Path, chrom: str, start: int, end: int) -> Float32[ndarray, " base"]:
    opened, names = _opened(path)
    if chrom not in names:
        raise FormatError(f"`{os.fspath(path)}` has no chromosome {chrom}. Give bigWig files of the cohort's genome.")
    name = names[chrom]
    inside = slice(max(0, start), min(end, opened.lengths[name]))
    values = np.zeros(end - start, dtype=np.float32)
    if inside.start < inside.stop:
        values[inside.start - start : inside.stop - start] = opened.values(name, inside.start, inside.stop)
    return values
