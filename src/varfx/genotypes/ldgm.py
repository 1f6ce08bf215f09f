"""LD graphical models (Salehi Nowbandegani et al. 2023): a sparse precision matrix per block of the genome.

A folder holds `metadata.csv`, and per block an `.edgelist` (i, j, value: half of the precision matrix P and its
diagonal) and a `.snplist` of variants with their `index` in P. Positions are GRCh38. R = P^-1, scaled to a unit
diagonal; variants that share an index are in perfect LD; blocks are independent.

Signs of P refer to the derived allele, our `effect_allele`, and frequencies are of the derived allele. The column
`swap` says "-" where the derived allele is the reference genome's allele, and needs no action: in the published
chr1:16,103-2,888,443 block, UK Biobank frequencies agree with the file's on both kinds (correlation above 0.999),
and z-scores of pairs of unlike `swap` agree with the sign of R as those of like `swap` do.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float32, Int
from numpy import ndarray
from scipy import sparse
from scipy.sparse.linalg import splu

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome import variants
from varfx.genotypes import ld_source
from varfx.genotypes.ld_source import MissingRegion, PositionIndex
from varfx.io.ledger import LedgerRow, Sieve
from varfx.io.remote import Mirror
from varfx.io.stream import is_file
from varfx.io.text_numbers import decimals, whole_numbers
from varfx.io.text_table import read_headerless, read_with_header

logger = logging.getLogger(__name__)
# Individuals of the 1000 Genomes Project behind each published population. The frequencies in the published lists are
# multiples of 1 / (2 n) for exactly these n.
NUM_PEOPLE = {"AFR": 661, "AMR": 347, "EAS": 504, "EUR": 503, "SAS": 489}
METADATA_COLUMNS = ("chrom", "chromStart", "chromEnd", "name", "snplistName", "population")
MAX_ABS_R = 1.01
METADATA = "metadata.csv"
_SOLVE_COLUMNS = 512
_BLOCKS_IN_MEMORY = 3


@dataclass(frozen=True)
class _Block:
    """One block: where its files are."""

    chrom: str
    start: int
    end: int
    edges: Path
    sites: Path


class Ldgm:
    """A folder of LD graphical models, for one population; a `CorrelationSource`.

    All variants of an index stay by default, so that R is singular (the rank rule of the panel takes care of that).
    Left out and counted, in this order: variants whose index is absent in the population (no diagonal in P), alleles
    outside ACGT, variants without variance in the population, minor-allele frequency below `maf`, further copies of a
    variant, and with `one_per_index` all but the first variant of each index.
    """

    name: str
    variants: pl.DataFrame
    num_people: int
    build: str = "hg38"
    missing: tuple[MissingRegion, ...]
    ledger: tuple[LedgerRow, ...]

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        population: str | None = None,
        maf: float = 0.0,
        num_people: int | None = None,
        one_per_index: bool = False,
        mirror: Mirror | None = None,
    ) -> None:
        """Reads the lists of variants, and of the precision matrices only which indexes they have.

        Args:
            path: `metadata.csv`, or the folder that holds it.
            population: which population's matrices; may be left out if there is one.
            maf: the least minor-allele frequency to keep.
            num_people: sample size behind the matrices; by default that of the 1000 Genomes population.
            one_per_index: keep one variant per index.
            mirror: where the files lie on another machine; `path` then has their names alone.

        Raises:
            ConfigError: an unknown population, or several and none chosen; `maf` outside [0, 0.5); no `num_people`.
            FormatError: a file is missing columns, holds text where numbers belong, or no block can be read.
            DataError: no variant passes the filters.
        """
        ld_source.check_maf(maf)
        path = Path(path)
        path = path / METADATA if path.is_dir() else path
        self.name = str(path)
        self._mirror = mirror
        self._blocks, self.missing, self.population = _read_metadata(self._here(path), path.parent, population)
        if num_people is None and self.population not in NUM_PEOPLE:
            raise ConfigError(f"`num_people` must be given: the size of population {self.population} is not known.")
        self.num_people = NUM_PEOPLE[self.population] if num_people is None else num_people
        if self.num_people <= 2:
            raise ConfigError(f"`num_people` must be above 2, got {num_people}.")
        tables, sieves = zip(
            *[self._read_block(number, maf, one_per_index) for number in range(len(self._blocks))], strict=True
        )
        sites, copies = ld_source.without_duplicates(pl.concat(tables))
        self.ledger = ld_source.add_up(sieves, copies)
        if not sites.height:
            raise DataError(f"`{path}`: no variant of {self.population} passes the filters. Lower --maf.")
        self.variants, where = ld_source.genome_ordered(sites)
        self._block, self._node = where["block"].to_numpy(), where["node"].to_numpy()
        self._positions = PositionIndex(self.variants)
        self._loaded: OrderedDict[int, ndarray] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        """Without the matrices in memory: each process solves its own."""
        return {**self.__dict__, "_loaded": OrderedDict()}

    def select(
        self, chrom: str, start: int, end: int, flank: int
    ) -> tuple[Int[ndarray, " core"], Int[ndarray, " panel"]]:
        """See `LDSource.select`."""
        return self._positions.select(chrom, start, end, flank)

    def correlation(
        self, core: Int[ndarray, " core"], panel: Int[ndarray, " panel"]
    ) -> tuple[Float32[ndarray, "core core"], Float32[ndarray, "core panel"]]:
        """See `CorrelationSource.correlation`. The blocks used last are kept in memory.

        Raises:
            DataError: a precision matrix is not positive definite.
        """
        square = np.zeros((core.size, core.size), dtype=np.float32)
        cross = np.zeros((core.size, panel.size), dtype=np.float32)
        for number in np.unique(self._block[core]):
            R = self._block_correlation(int(number))
            rows = np.flatnonzero(self._block[core] == number)
            columns = np.flatnonzero(self._block[panel] == number)
            nodes = self._node[core[rows]]
            square[np.ix_(rows, rows)] = R[np.ix_(nodes, nodes)]
            cross[np.ix_(rows, columns)] = R[np.ix_(nodes, self._node[panel[columns]])]
        return square, cross

    def _here(self, path: Path) -> Path:
        """Where a file of the source can be read: a remote one is fetched."""
        return path if self._mirror is None else self._mirror.bring(path.name)

    def _block_correlation(self, number: int) -> Float32[ndarray, "node node"]:
        if number not in self._loaded:
            while len(self._loaded) >= _BLOCKS_IN_MEMORY:
                self._loaded.popitem(last=False)
            edges = self._here(self._blocks[number].edges)
            try:
                self._loaded[number] = correlation_of(precision_matrix(edges)[1], edges)
            except (DataError, FormatError) as error:
                if self._mirror is None:
                    raise
                raise type(error)(self._mirror.told(str(error))) from error
        self._loaded.move_to_end(number)
        return self._loaded[number]

    def _read_block(self, number: int, maf: float, one_per_index: bool) -> tuple[pl.DataFrame, Sieve]:
        """The block's variants that stay, with `block` and `node` (place among the indexes present)."""
        block = self._blocks[number]
        sites = _read_sites(self._here(block.sites), block.chrom, self.population)
        present, _ = precision_matrix(self._here(block.edges))
        beyond = present[-1] - int(sites["index"].max())  # type: ignore[arg-type]
        if beyond > 0:
            raise FormatError(
                f"`{block.edges}` has the index {present[-1]}, but `{block.sites}` ends at {present[-1] - beyond}. "
                "Give files that belong together."
            )
        node = np.searchsorted(present, sites["index"].to_numpy()).clip(max=present.size - 1)
        sites = sites.with_columns(node=pl.Series(node), block=pl.lit(number, pl.Int32))
        sieve = Sieve(sites)
        sieve.drop(pl.Series(present[node] != sites["index"].to_numpy()), "index absent in the population")
        sieve.drop(variants.bad_alleles(sieve.frame), "alleles outside ACGT")
        sieve.drop((sieve.frame["eaf"] <= 0) | (sieve.frame["eaf"] >= 1), "no variance")
        ld_source.drop_rare(sieve, maf)
        sieve.drop(~sieve.frame["node"].is_first_distinct() & one_per_index, "shares its index with an earlier variant")
        return sieve.frame.drop("index"), sieve


def precision_matrix(path: Path) -> tuple[Int[ndarray, " node"], sparse.csc_matrix]:
    """The indexes that are present (they have a diagonal), ascending; and P of them, symmetric.

    Raises:
        FormatError: not three columns of numbers, an index below 0, a pair given twice, or an entry of an index
            without a diagonal.
    """
    table = read_headerless(path, ("i", "j", "value"), "entries")
    i, j = (whole_numbers(table, column, path).to_numpy() for column in ("i", "j"))
    value = decimals(table, "value", path).to_numpy()
    present = np.unique(i[i == j])
    pairs = np.stack([np.minimum(i, j), np.maximum(i, j)], axis=1)
    if i.size != np.unique(pairs, axis=0).shape[0]:
        raise FormatError(
            f"`{path}`: {i.size - np.unique(pairs, axis=0).shape[0]} pairs of indexes stand more than once."
        )
    stray = ~(np.isin(i, present) & np.isin(j, present)) | (pairs[:, 0] < 0)
    if stray.any():
        first = int(stray.argmax())
        raise FormatError(
            f"`{path}`: {stray.sum()} of {i.size} entries belong to an index without a diagonal entry, first row "
            f"{first + 1} ({i[first]}, {j[first]}). Fetch the file again."
        )
    a, b, off = np.searchsorted(present, i), np.searchsorted(present, j), i != j
    rows, columns = np.concatenate([a, b[off]]), np.concatenate([b, a[off]])
    P = sparse.csc_matrix((np.concatenate([value, value[off]]), (rows, columns)), shape=(present.size, present.size))
    return present, P


def correlation_of(P: sparse.csc_matrix, path: Path) -> Float32[ndarray, "node node"]:
    """R = D P^-1 D with a unit diagonal, by a sparse factorisation of P in float64.

    Raises:
        DataError: P is not positive definite.
    """
    size = P.shape[0]
    try:
        # Pivots stay on the diagonal, so that U's diagonal has the signs of P's eigenvalues (Sylvester).
        factor = splu(P, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        positive = bool((factor.U.diagonal() > 0).all())
    except RuntimeError:  # exactly singular
        positive = False
    if not positive:
        raise DataError(f"`{path}`: its precision matrix of {size} indexes is not positive definite. Fetch it again.")
    R = np.empty((size, size), dtype=np.float32)
    variance = np.empty(size)
    for start in range(0, size, _SOLVE_COLUMNS):
        columns = np.arange(start, min(start + _SOLVE_COLUMNS, size))
        unit = np.zeros((size, columns.size))
        unit[columns, columns - start] = 1.0
        solved = factor.solve(unit)
        variance[columns] = solved[columns, columns - start]
        R[columns] = solved.T
    if (variance > 0).all():
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            scale = (1 / np.sqrt(variance)).astype(np.float32)
            R *= scale[:, None]
            R *= scale
        np.fill_diagonal(R, 1.0)
    if not (variance > 0).all() or not (np.abs(R) <= MAX_ABS_R).all():  # also of NaN
        raise DataError(f"`{path}`: its precision matrix of {size} indexes leads to no correlations. Fetch it again.")
    return R


def _read_metadata(
    path: Path, folder: Path, population: str | None
) -> tuple[list[_Block], tuple[MissingRegion, ...], str]:
    """The blocks whose files are in the folder, those whose are not, and the population."""
    table = read_with_header(path, METADATA_COLUMNS, "blocks")
    populations = table["population"].unique().sort().to_list()
    if population is None and len(populations) > 1:
        raise ConfigError(f"`population` must be chosen: `{path}` holds {', '.join(populations)}.")
    chosen = populations[0] if population is None else population
    if chosen not in populations:
        raise ConfigError(f"`population` {chosen!r} is not in `{path}`, which holds {', '.join(populations)}.")
    start, end = (whole_numbers(table, column, path) for column in ("chromStart", "chromEnd"))
    table = table.with_columns(start, end, variants.chrom_expr("chrom")).filter(pl.col("population") == chosen)
    blocks, missing = [], []
    for row in table.iter_rows(named=True):
        block = _Block(
            row["chrom"],
            row["chromStart"],
            row["chromEnd"],
            folder / row["name"],
            folder / row["snplistName"],
        )
        absent = [file.name for file in (block.edges, block.sites) if not is_file(file)]
        if absent:
            logger.warning("%s: %s is missing", path, absent[0][:100])
            missing.append(MissingRegion(block.chrom, block.start, block.end, f"{absent[0][:100]} is missing"))
        else:
            blocks.append(block)
    if not blocks:
        raise FormatError(
            f"`{path}`: none of its {len(missing)} blocks is there, first: {missing[0].reason}. Fetch them."
        )
    return blocks, tuple(missing), chosen


def _read_sites(path: Path, chrom: str, population: str) -> pl.DataFrame:
    """All variants of a block: `SCHEMA` and `index`."""
    columns = ("index", "anc_alleles", "deriv_alleles", "site_ids", "position", population)
    table = read_with_header(path, columns, "variants", may_be_empty="site_ids")
    return table.select(
        pl.lit(chrom).alias("chrom"),
        whole_numbers(table, "position", path).alias("position"),
        pl.col("site_ids").alias("variant_id"),
        pl.col("deriv_alleles").str.to_uppercase().alias("effect_allele"),
        pl.col("anc_alleles").str.to_uppercase().alias("other_allele"),
        decimals(table, population, path).alias("eaf"),
        whole_numbers(table, "index", path).alias("index"),
    )
