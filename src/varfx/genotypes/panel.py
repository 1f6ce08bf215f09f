"""`GenotypePanel`: individuals' genotypes from one or several files, filtered, as an LD source.

The files (`plink1`, `plink2`) only say who and what they hold and read raw genotypes; everything that must be the same
for each format (filters, frequencies, standardisation, the choice of individuals) is here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from numpy.typing import DTypeLike

from varfx.errors import DataError, FormatError
from varfx.genome import variants
from varfx.genome.builds import require_same_build
from varfx.genotypes.config import Filters, check_filters
from varfx.genotypes.ld_source import (
    MissingRegion,
    PositionIndex,
    add_up,
    check_maf,
    drop_rare,
    genome_ordered,
    without_duplicates,
)
from varfx.genotypes.name_lists import read_keys
from varfx.io.ledger import LedgerRow, Sieve

logger = logging.getLogger(__name__)
CHUNK_GENOTYPES = 1 << 24  # genotypes held at once while reading
ROUNDING = 1e-10  # a variance below this share of the mean square is rounding of dosages, in any feasible sample

People = str | os.PathLike[str] | Sequence[str]


class GenotypeFile(Protocol):
    """One file of genotypes.

    Attributes:
        path: the file.
        people: columns `fid, iid` (text), one row per individual, in file order.
        sites: columns of `varfx.genome.variants.SCHEMA` without `eaf`, in file order, nothing left out. A multi-allelic
            site has a comma in `effect_allele`; a position that is not positive means that the place is not known.
        passed: where FILTER is PASS or not given, one per site; None for files without filters.
        build: genome build, where the file states it.
    """

    path: Path
    people: pl.DataFrame
    sites: pl.DataFrame

    @property
    def passed(self) -> Bool[ndarray, " variant"] | None:
        """See above."""
        ...

    @property
    def build(self) -> str | None:
        """See above."""
        ...

    def read(
        self, rows: Int[ndarray, " variant"], people: Int[ndarray, " person"]
    ) -> Float[ndarray, "variant person"] | Int[ndarray, "variant person"]:
        """Counts of `effect_allele` (0 to 2) as int8 or float32; negative where missing.

        Raises:
            FormatError: the file is truncated or damaged.
        """
        ...


class GenotypePanel:
    """Genotypes of the same individuals in one or several files (e.g. one per chromosome); a `GenotypeSource`.

    Left out, in this order and counted in `ledger`: variants that failed a filter if that is asked for, unplaced ones, multi-allelic sites, alleles outside ACGT,
    variants without a genotype, variants without variance (also those where all are heterozygous), minor-allele
    frequency below `maf`, and further copies of a variant (same position and unordered alleles; the first stays).
    Frequencies are those of the chosen individuals. Genotypes of men on chromosome X count as the file codes them.
    """

    name: str
    variants: pl.DataFrame
    num_people: int
    missing: tuple[MissingRegion, ...] = ()
    ledger: tuple[LedgerRow, ...]
    build: str | None  # what the files state
    unknown_people: int  # listed in `keep`, but in no file

    def __init__(
        self,
        files: Sequence[GenotypeFile],
        *,
        maf: float = 0.0,
        keep: People | None = None,
        filters: Filters = "all",
    ) -> None:
        """Reads each file once, for the frequencies.

        Args:
            files: the opened files; each must hold the same individuals, in any order.
            maf: the least minor-allele frequency to keep.
            keep: who is used: a file (FID and IID, or IID alone, per line) or a sequence of IIDs; by default everyone.
            filters: all variants, or only those whose FILTER is PASS (or not given).

        Raises:
            ConfigError: `maf` is not in [0, 0.5), or an unknown `filters`.
            DataError: nobody in `keep` is known, fewer than two individuals, or no variant passes the filters.
            FormatError: the files hold different individuals, or are damaged.
        """
        check_maf(maf)
        check_filters(filters)
        self._files = tuple(files)
        self.name = str(files[0].path) + (f" and {len(files) - 1} more" if len(files) > 1 else "")
        for file in files[1:]:
            require_same_build(str(files[0].path), files[0].build, str(file.path), file.build)
        self.build = next((file.build for file in files if file.build is not None), None)
        chosen, self.unknown_people = _choose(files[0].people, keep, files[0].path)
        self._people = [places_of_individuals(file, files[0], chosen) for file in files]
        self.num_people = chosen.size
        sites, self.ledger = self._filtered(maf, filters)
        self.variants, where = genome_ordered(sites)
        self._file, self._row = where["file"].to_numpy(), where["row"].to_numpy()
        self._positions = PositionIndex(self.variants)

    def select(
        self, chrom: str, start: int, end: int, flank: int
    ) -> tuple[Int[ndarray, " core"], Int[ndarray, " panel"]]:
        """See `LDSource.select`."""
        return self._positions.select(chrom, start, end, flank)

    def standardised(
        self, index: Int[ndarray, " variant"], dtype: DTypeLike = np.float32
    ) -> Float[ndarray, "person variant"]:
        """See `GenotypeSource.standardised`; computed in float64, stored variant after variant in `dtype`."""
        index = np.asarray(index, dtype=np.int64)
        X = np.empty((self.num_people, index.size), dtype=dtype, order="F")
        for number, file in enumerate(self._files):
            for columns in _chunks(np.flatnonzero(self._file[index] == number), self.num_people):
                counts = file.read(self._row[index[columns]], self._people[number])
                X[:, columns] = _standardise(counts).T
        return X

    def _filtered(self, maf: float, filters: Filters) -> tuple[pl.DataFrame, tuple[LedgerRow, ...]]:
        """The variants that stay, with `file`, `row` and `eaf`, in file order; and what was left out."""
        parts, sieves = zip(
            *[self._filtered_file(number, maf, filters) for number in range(len(self._files))], strict=True
        )
        sites, copies = without_duplicates(pl.concat(parts))
        ledger = add_up(sieves, copies)
        if not sites.height:
            why = ", ".join(f"{step['step']}: {step['count']}" for step in ledger if step["count"])
            raise DataError(f"`{self.name}`: no variant passes the filters ({why}). Lower --maf or check the files.")
        return sites, ledger

    def _filtered_file(self, number: int, maf: float, filters: Filters) -> tuple[pl.DataFrame, Sieve]:
        file, people = self._files[number], self._people[number]
        sites = file.sites.with_row_index("row")
        sieve = Sieve(sites.with_columns(pl.col("row").cast(pl.Int64), file=pl.lit(number, dtype=pl.Int32)))
        _apply_filters(sieve, file.passed, filters)
        unplaced = (pl.col("position") <= 0) | (pl.col("chrom") == "0")
        sieve.drop(sieve.frame.select(unplaced.alias("bad"))["bad"], "unplaced")
        sieve.drop(sieve.frame["effect_allele"].str.contains(",", literal=True), "multi-allelic")
        sieve.drop(variants.bad_alleles(sieve.frame), "alleles outside ACGT")
        called, total, squares = count_moments(file, sieve.frame["row"].to_numpy(), people)
        sieve.frame = sieve.frame.with_columns(
            called=pl.Series(called),
            eaf=pl.Series(total) / (2 * pl.Series(called)),
            constant=pl.Series(called * squares - total**2 <= ROUNDING * called * squares),
        )
        sieve.drop(sieve.frame["called"] == 0, "no genotypes")
        sieve.drop(sieve.frame["constant"], "no variance")
        drop_rare(sieve, maf)
        return sieve.frame.drop("called", "constant"), sieve


def _apply_filters(sieve: Sieve, passed: Bool[ndarray, " variant"] | None, filters: Filters) -> None:
    """Leaves out the sites that failed a filter, or counts them where all are kept."""
    failed = np.zeros(sieve.frame.height, dtype=bool) if passed is None else ~passed
    if filters == "pass":
        sieve.drop(failed, "FILTER is not PASS")
    elif passed is not None:
        sieve.ledger.add("FILTER is not PASS, kept (--filter all)", int(failed.sum()), left=sieve.frame.height)


def _standardise(counts: ndarray) -> Float[ndarray, "variant person"]:
    """Rows of mean 0 and mean square 1 in float64; missing (negative) counts become 0, the mean."""
    known = counts >= 0
    X = np.where(known, counts, 0).astype(np.float64)
    X -= (X.sum(axis=1) / known.sum(axis=1))[:, None]
    X *= known
    mean_square: ndarray = np.einsum("vp,vp->v", X, X) / X.shape[1]
    return np.asarray(X / np.sqrt(mean_square)[:, None])


def count_moments(file: GenotypeFile, rows: ndarray, people: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """Per variant the number of individuals with a genotype, the sum of their counts, and of the counts' squares.

    Whole counts make all three exact in float64.
    """
    called, total, squares = np.zeros(rows.size), np.zeros(rows.size), np.zeros(rows.size)
    for chunk in _chunks(np.arange(rows.size), people.size):
        counts = file.read(rows[chunk], people)
        missing = np.count_nonzero(counts < 0, axis=1)
        called[chunk] = people.size - missing
        if counts.dtype.kind == "i":
            one, two = np.count_nonzero(counts == 1, axis=1), np.count_nonzero(counts == 2, axis=1)
            total[chunk], squares[chunk] = one + 2 * two, one + 4 * two
        else:
            known = np.where(counts < 0, 0, counts).astype(np.float64)
            total[chunk], squares[chunk] = known.sum(axis=1), np.einsum("vp,vp->v", known, known)
    return called, total, squares


def _chunks(places: ndarray, people: int) -> Iterator[ndarray]:
    step = max(1, CHUNK_GENOTYPES // max(1, people))
    for start in range(0, places.size, step):
        yield places[start : start + step]


def _choose(people: pl.DataFrame, keep: People | None, path: Path) -> tuple[Int[ndarray, " person"], int]:
    """Rows of `people` that are used, ascending; and how many entries of `keep` are unknown."""
    if people.height != people.unique().height:
        bad = people.is_duplicated()
        raise FormatError(
            f"`{path}`: {bad.sum()} of {people.height} individuals share their FID and IID, first in row "
            f"{int(bad.arg_max() or 0) + 1}. Make them unique."
        )
    chosen, unknown = np.arange(people.height), 0
    if keep is not None:
        wanted = _wanted(keep)
        known = people.with_row_index("row")
        # Without a family (null in the list, "0" in the file) the IID alone decides.
        pairs = wanted.with_row_index("entry").join(known, on="iid", suffix="_known")
        pairs = pairs.filter(
            pl.col("fid").is_null() | (pl.col("fid_known") == "0") | (pl.col("fid") == pl.col("fid_known"))
        )
        several = pairs.filter(pl.col("entry").is_duplicated())
        if several.height:
            raise DataError(
                f"`{path}`: {several['entry'].n_unique()} of {wanted.height} individuals to keep have the IID of several families, first "
                f"{several['iid'][0]!r}. Give FID and IID."
            )
        chosen = np.unique(pairs["row"].to_numpy().astype(np.int64))
        unknown = wanted.height - pairs["entry"].n_unique()
        if unknown:
            logger.warning("%d of %d individuals to keep are not in %s", unknown, wanted.height, path)
        if not chosen.size:
            raise DataError(
                f"`{path}`: none of the {wanted.height} individuals to keep is in it. Give FID and IID, or IID."
            )
    if chosen.size < 2:
        raise DataError(
            f"`{path}`: LD needs at least 2 individuals, but {chosen.size} are left. Use a larger reference."
        )
    return chosen, unknown


def _wanted(keep: People) -> pl.DataFrame:
    """Columns `fid` (null where only the IID is given) and `iid` of the individuals to keep, each once."""
    schema = {"fid": pl.String(), "iid": pl.String()}
    if not isinstance(keep, str | os.PathLike):
        return pl.DataFrame([(None, str(iid)) for iid in keep], schema=schema, orient="row").unique(maintain_order=True)
    people = [(None if fid == "" else fid, iid) for fid, iid in read_keys(keep, "individuals to keep")]
    return pl.DataFrame(people, schema=schema, orient="row").unique(maintain_order=True)


def places_of_individuals(
    file: GenotypeFile, first: GenotypeFile, chosen: Int[ndarray, " person"]
) -> Int[ndarray, " person"]:
    """Rows of the chosen individuals of the first file in another one."""
    if file.people.equals(first.people):
        return chosen
    place: dict[Any, int] = {person: row for row, person in enumerate(file.people.iter_rows())}
    known = [place.get(person, -1) for person in first.people.iter_rows()]
    different = known.count(-1) + max(0, file.people.height - len(known))
    if different or len(place) != file.people.height:
        raise FormatError(
            f"`{file.path}` and `{first.path}` hold different individuals ({file.people.height} and {len(known)}, "
            f"{known.count(-1)} of the latter are not in the former). Give files of the same individuals."
        )
    return np.asarray(np.array(known, dtype=np.int64)[chosen])
