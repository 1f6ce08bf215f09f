"""A folder of UKBB_LD files (Weissbrod et al. 2020): correlations of UK Biobank in overlapping regions of 3 Mb.

Each region is `chr{c}_{s}_{e}.npz` (see `ukb_npz`) with `chr{c}_{s}_{e}.gz`, a table with a header
`rsid chromosome position allele1 allele2` in matrix order; s and e are 1-based, e is past the end. r refers to
`allele1`, our `effect_allele`. Regions start every 1 Mb (hg19), and each is meant for the windows in its middle.
"""

from __future__ import annotations

import gzip
import logging
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Float32, Int
from numpy import ndarray

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome import variants
from varfx.genome.chromosomes import spelled
from varfx.genotypes.ld_source import MissingRegion, genome_ordered, without_duplicates
from varfx.genotypes.ukb_npz import read_npz, write_npz
from varfx.io import sealed
from varfx.io.ledger import Ledger, LedgerRow
from varfx.io.remote import Folder
from varfx.io.text_numbers import whole_numbers
from varfx.io.text_table import read_with_header

logger = logging.getLogger(__name__)
UKB_NUM_PEOPLE = 337_545
COLUMNS = {
    "rsid": "variant_id",
    "chromosome": "chrom",
    "position": "position",
    "allele1": "effect_allele",
    "allele2": "other_allele",
}
_NAME = re.compile(r"chr([0-9A-Za-z]+)_(\d+)_(\d+)\.(npz2?|gz)")


@dataclass(frozen=True, order=True)
class _Stretch:
    """Interval in a region's name: 0-based, half-open."""

    chrom: str
    start: int
    end: int

    @property
    def stem(self) -> str:
        return f"chr{self.chrom}_{self.start + 1}_{self.end + 1}"


@dataclass(frozen=True, eq=False)
class _Region:
    """A readable region, and where its variants stand in the source."""

    stretch: _Stretch
    stem: str
    size: int  # rows of its table
    row: Int[ndarray, " kept"]  # in its matrix, ordered by `index`
    index: Int[ndarray, " kept"]  # in the source's `variants`, ascending
    flipped: Bool[ndarray, " kept"]  # its alleles are swapped against the source's

    def places(self, index: ndarray) -> ndarray | None:
        """Positions of `index` in `self.index`; None unless all are there."""
        place = np.searchsorted(self.index, index)
        inside = place < self.index.size
        return place if inside.all() and np.array_equal(self.index[place], index) else None


class UkbLD:
    """A folder of UKBB_LD files; a `CorrelationSource`.

    `variants` is the union over the regions. A variant whose alleles are swapped between regions has the alleles of
    the first region, and the signs of the others are turned. Left out and counted: alleles outside ACGT, and further
    copies of a variant within a region. `eaf` is null: the files have no frequencies.

    `missing` lists what a region with an .npz2 only, or without its partner, should have served: its middle third,
    and its outer thirds where no other region overlaps them.
    """

    name: str
    variants: pl.DataFrame
    num_people: int
    build: str | None  # that of the published files, None of others with their layout
    missing: tuple[MissingRegion, ...]
    ledger: tuple[LedgerRow, ...]

    def __init__(
        self, folder: str | os.PathLike[str], *, num_people: int = UKB_NUM_PEOPLE, chroms: Sequence[str] = ()
    ) -> None:
        """Reads the tables of all regions, and no matrix.

        Args:
            folder: where the files are; an address (`s3://...`, `https://...`) is read region by region, and nothing of it is kept.
            num_people: the sample size behind the correlations.
            chroms: the chromosomes to read; all by default.

        Raises:
            ConfigError: `num_people` is not above 2.
            FormatError: no regions in the folder, or a damaged table.
            DataError: no variant passes the filters.
            DownloadError: a remote folder that cannot be read.
        """
        if num_people <= 2:
            raise ConfigError(f"`num_people` must be above 2, got {num_people}. UK Biobank's is {UKB_NUM_PEOPLE}.")
        self._folder = Folder(folder)
        self.name, self.num_people = str(folder), num_people
        self.build = "hg19" if num_people == UKB_NUM_PEOPLE else None
        readable, unreadable = _regions(self._folder, frozenset(chroms))
        self.missing = tuple(
            _missing(stretch, reason, [*readable, *unreadable]) for stretch, reason in unreadable.items()
        )
        by_chrom: dict[str, list[_Stretch]] = defaultdict(list)
        for stretch in sorted(readable):
            by_chrom[stretch.chrom].append(stretch)
        order = pl.DataFrame({"chrom": list(by_chrom)}, schema={"chrom": pl.String()}).sort(
            variants.chrom_rank(), "chrom"
        )
        tables, self._regions, counts, offset = [], {}, [0, 0], 0
        for chrom in order["chrom"]:
            union, self._regions[chrom], dropped = self._read_chromosome(by_chrom[chrom], readable, offset)
            tables.append(union)
            counts = [a + b for a, b in zip(counts, dropped, strict=True)]
            offset += union.height
        self.variants = pl.concat(tables)
        steps = ("alleles outside ACGT", "further copies of a variant")
        self.ledger = tuple(Ledger(dict(zip(steps, counts, strict=True))).rows())
        if not self.variants.height:
            raise DataError(f"`{folder}`: none of its variants has alleles of the letters ACGT. Check the .gz files.")
        self._loaded: tuple[str, ndarray] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Without the matrix read last: each process reads its own."""
        return {**self.__dict__, "_loaded": None}

    def select(
        self, chrom: str, start: int, end: int, flank: int
    ) -> tuple[Int[ndarray, " core"], Int[ndarray, " panel"]]:
        """The variants of the core and flank in the one region that covers most of both.

        At a chromosome's end the outermost region has a flank on one side only.

        Raises:
            DataError: no single region holds all variants of the core.
        """
        none = np.empty(0, dtype=np.int64)
        regions = self._regions.get(chrom, [])
        if not regions:
            return none, none

        def coverage(region: _Region) -> tuple[int, int, int, int]:
            a, b = region.stretch.start, region.stretch.end
            left, right = min(flank, start - a), min(flank, b - end)
            # The whole core first, then the most flank, evenly on both sides, then the earlier region.
            return max(0, min(b, end) - max(a, start)), left + right, min(left, right), -a

        best = max(regions, key=coverage)
        core = _between(self.variants, best.index, start, end)
        if coverage(best)[0] < end - start:
            everywhere = np.unique(np.concatenate([_between(self.variants, r.index, start, end) for r in regions]))
            if everywhere.size != core.size:
                raise DataError(
                    f"`{self.name}`: no region holds the whole core {chrom}:{start}-{end}; the best, {best.stem}, has "
                    f"{core.size} of its {everywhere.size} variants. Use a --core of a third of the regions' length."
                )
        return core, _between(self.variants, best.index, start - flank, end + flank)

    def correlation(
        self, core: Int[ndarray, " core"], panel: Int[ndarray, " panel"]
    ) -> tuple[Float32[ndarray, "core core"], Float32[ndarray, "core panel"]]:
        """See `CorrelationSource.correlation`. The matrix of the region read last is kept in memory.

        Raises:
            DataError: no region holds all these variants, or its values cannot be right.
            FormatError: the region's matrix is damaged or of another size than its table.
        """
        region = self._region_of(np.union1d(core, panel))
        if self._loaded is None or self._loaded[0] != region.stem:
            self._loaded = None  # frees the old matrix before the next is read
            with self._folder.files(f"{region.stem}.npz") as (path,):
                self._loaded = region.stem, read_npz(path, region.size, path.with_suffix(".gz"))
        R = self._loaded[1]
        at_core, at_panel = (np.searchsorted(region.index, index) for index in (core, panel))
        cross = R[np.ix_(region.row[at_core], region.row[at_panel])]
        square = R[np.ix_(region.row[at_core], region.row[at_core])]
        sign = np.where(region.flipped, np.float32(-1), np.float32(1))
        for block, at_columns in ((square, at_core), (cross, at_panel)):
            block *= sign[at_core][:, None]
            block *= sign[at_columns]
        return square, cross

    def _region_of(self, index: ndarray) -> _Region:
        chroms = self.variants["chrom"].gather(index[[0, -1]] if index.size else []).unique()
        for chrom in chroms:
            for region in self._regions[chrom]:
                if region.places(index) is not None:
                    return region
        raise DataError(
            f"`{self.name}`: no region holds all {index.size} variants asked for. Take those that `select` gives."
        )

    def _read_chromosome(
        self, stretches: list[_Stretch], stems: dict[_Stretch, str], offset: int
    ) -> tuple[pl.DataFrame, list[_Region], tuple[int, int]]:
        """The union of a chromosome's regions; the regions; how many variants have bad alleles or are copies."""
        tables, sizes, copies = [], [], 0
        bad_variants = []
        for number, stretch in enumerate(stretches):
            with self._folder.files(f"{stems[stretch]}.gz") as (path,):
                table = _read_table(path, stretch.chrom)
            sizes.append(table.height)
            bad = variants.bad_alleles(table)
            bad_variants.append(table.filter(bad).select(variants.KEY))
            table, extra = without_duplicates(table.filter(~bad))
            copies += extra
            tables.append(table.with_columns(region=pl.lit(number, pl.Int32)))
        rows = pl.concat(tables).with_columns(pair=variants.allele_pair_expr())
        union = rows.unique(["position", "pair"], keep="first", maintain_order=True)
        ordered, rest = genome_ordered(union.with_columns(eaf=pl.lit(None, pl.Float64)))
        located = ordered.select("position", pl.col("effect_allele").alias("first")).with_columns(rest["pair"])
        rows = rows.join(located.with_row_index("index", offset=offset), on=["position", "pair"]).sort("index")
        regions = []
        for number, stretch in enumerate(stretches):
            mine = rows.filter(pl.col("region") == number)
            regions.append(
                _Region(
                    stretch,
                    stems[stretch],
                    sizes[number],
                    mine["row"].to_numpy().astype(np.int32),
                    mine["index"].to_numpy().astype(np.int64),
                    (mine["effect_allele"] != mine["first"]).to_numpy(),
                )
            )
        return ordered, regions, (pl.concat(bad_variants).unique().height, copies)


def write_ukb_ld(
    folder: str | os.PathLike[str], name: str, table: pl.DataFrame, R: Float[ndarray, "variant variant"]
) -> None:
    """Writes correlations as one region of UKBB_LD: `NAME.npz` (lower triangle, diagonal 0.5, float32) and `NAME.gz`.

    Args:
        folder: an existing folder.
        name: `chr{c}_{s}_{e}`, s and e 1-based and e past the end, e.g. "chr22_20000001_21000001".
        table: the variants, columns of `varfx.genome.variants.SCHEMA`, in the order of R.
        R: correlations; signs refer to `effect_allele`.

    Raises:
        ConfigError: `name` is not of that form.
        DataError: R is not square, or has another size than `table`.
        StoreError: the files cannot be written.
    """
    if not _NAME.fullmatch(f"{name}.npz"):
        raise ConfigError(f"`name` must look like chr22_20000001_23000001, got {name!r}.")
    if R.shape != (table.height, table.height):
        raise DataError(f"`R` has shape {R.shape}, but there are {table.height} variants. Give one row per variant.")
    text = table.select([pl.col(ours).alias(theirs) for theirs, ours in COLUMNS.items()]).write_csv(separator="\t")
    with sealed.atomic_path(Path(folder) / f"{name}.gz") as partial:
        partial.write_bytes(gzip.compress(text.encode(), mtime=0))
    write_npz(Path(folder) / f"{name}.npz", R)


def _regions(folder: Folder, chroms: frozenset[str]) -> tuple[dict[_Stretch, str], dict[_Stretch, str]]:
    """The stems of the readable regions of the chromosomes (none: all), and why the others are not."""
    found: dict[_Stretch, dict[str, str]] = defaultdict(dict)
    present: set[str] = set()
    for name in folder.names():
        match = _NAME.fullmatch(name)
        if match:
            chrom, start, end, ending = match.groups()
            chrom = spelled(chrom)
            present.add(chrom)
            if not chroms or chrom in chroms:
                found[_Stretch(chrom, int(start) - 1, int(end) - 1)][ending] = name.removesuffix(f".{ending}")
    absent = sorted(chroms - present)
    if present and absent:
        raise ConfigError(
            f"`{folder}` has no region on chromosome {', '.join(absent)}; `--chrom` names it. Leave it out."
        )
    if not found:
        raise FormatError(f"`{folder}` holds no UKBB_LD files (chr22_20000001_23000001.npz and .gz). Check the path.")
    readable, unreadable = {}, {}
    for stretch, endings in found.items():
        if "npz" in endings and "gz" in endings:
            readable[stretch] = endings["npz"]
        elif "npz2" in endings:
            unreadable[stretch] = f"{stretch.stem}: only an .npz2 file, a region of long-range LD"
        else:
            unreadable[stretch] = f"{stretch.stem}: the .{'gz' if 'npz' in endings else 'npz'} file is missing"
    if not readable:
        raise FormatError(
            f"`{folder}`: none of its {len(found)} regions has both an .npz and a .gz file, first "
            f"{next(iter(unreadable.values()))}. Fetch both."
        )
    for reason in unreadable.values():
        logger.warning("%s: %s", folder, reason)
    return readable, unreadable


def _missing(stretch: _Stretch, reason: str, others: list[_Stretch]) -> MissingRegion:
    third = (stretch.end - stretch.start) // 3
    neighbours = [other for other in others if other.chrom == stretch.chrom and other != stretch]
    before = any(other.start < stretch.start < other.end for other in neighbours)
    after = any(other.start < stretch.end < other.end for other in neighbours)
    start = stretch.start + third if before else stretch.start
    end = stretch.end - third if after else stretch.end
    return MissingRegion(stretch.chrom, start, end, reason)


def _read_table(path: Path, chrom: str) -> pl.DataFrame:
    """The variants of a region, with `row`, their place in the matrix."""
    table = read_with_header(path, list(COLUMNS), "variants").rename(COLUMNS)
    table = table.select(
        variants.chrom_expr("chrom"),
        whole_numbers(table, "position", path).alias("position"),
        "variant_id",
        pl.col("effect_allele").str.to_uppercase(),
        pl.col("other_allele").str.to_uppercase(),
    ).with_row_index("row")
    elsewhere = table["chrom"] != chrom
    if elsewhere.any():
        raise FormatError(
            f"`{path}`: {elsewhere.sum()} of {table.height} variants are not on chromosome {chrom}, first "
            f"{variants.describe(table, int(elsewhere.arg_max() or 0))}. Its name and content must agree."
        )
    return table


def _between(table: pl.DataFrame, index: ndarray, start: int, end: int) -> ndarray:
    """Subset of the ascending indexes with a (1-based) position in [start, end), 0-based."""
    positions = table["position"].gather(index).to_numpy()
    first, last = np.searchsorted(positions, [start, end], side="right")
    return index[first:last]
