"""The cohort on disk, as `varfx expr prepare` writes it and every other command of `varfx expr` reads it.

    cohort.json    genes.parquet    variants.parquet    expression.parquet    [covariates.parquet]    manifest.json
    genotypes.zarr/{dosages, [haplotypes]}    reference.zarr/codes
    splits/people-{train,tune,test}-fold{k}.txt    splits/genes-{train,heldout,[tune]}.txt

It holds individuals' names, dosages and expression, and the windows of the *reference* genome; nobody's sequence is ever
written. Arrays are checksummed chunk by chunk (crc32c), tables and lists by the manifest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import polars as pl
import zarr
from jaxtyping import Float32, Float64, Int8, Int64, UInt8
from numpy import ndarray

from varfx.errors import ConfigError, DataError, StoreError
from varfx.expression.cohort.config import Normalisation
from varfx.io import sealed, sealed_folder
from varfx.io.recognise import seems
from varfx.short_repr import short_repr

KIND = "expression cohort"
TUNED = "genes-tune"  # list below splits, if there is one
TABLE_KINDS = {name: f"expression-{name}" for name in ("genes", "variants", "expression", "covariates")}
Part = Literal["train", "tune", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
GENES_SCHEMA: dict[str, pl.DataType] = {
    "gene_id": pl.String(),  # Ensembl, without version
    "name": pl.String(),
    "gene_type": pl.String(),
    "chrom": pl.String(),  # without "chr"
    "strand": pl.String(),  # "+" or "-"
    "tss": pl.Int64(),  # 1-based
    "start": pl.Int64(),  # 0-based, of the window
    "end": pl.Int64(),  # 0-based, exclusive
    "masked_bases": pl.Int64(),  # bases of the window that are not A, C, G or T
    "first_variant": pl.Int64(),  # row of `variants`
    "num_variants": pl.Int64(),
}
VARIANTS_SCHEMA: dict[str, pl.DataType] = {
    "chrom": pl.String(),
    "position": pl.Int64(),  # 1-based
    "variant_id": pl.String(),
    "effect_allele": pl.String(),  # ALT, which dosages count
    "other_allele": pl.String(),  # REF
}


@dataclass(frozen=True)
class GeneWindow:
    """One gene and the stretch of the genome that its expression is predicted from.

    Attributes:
        gene_id: Ensembl id without version.
        name: its symbol.
        chrom: without "chr".
        strand: "+" or "-".
        tss: 1-based position of the first transcribed base.
        start: 0-based first base of the window, on the genome's forward strand.
        end: 0-based, exclusive.
    """

    gene_id: str
    name: str
    chrom: str
    strand: str
    tss: int
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Fold:
    """Training, tuning and test individuals as ascending, disjoint rows of `Cohort.people`."""

    train: Int64[ndarray, " train"]
    tune: Int64[ndarray, " tune"]
    test: Int64[ndarray, " test"]

    def thinned(self, size: int | None, seed: int) -> Fold:
        """The fold with `size` training individuals, the first of an order drawn by `seed`: smaller sets lie within larger ones.

        Raises:
            DataError: fewer training individuals than `size`.
        """
        if size is None:
            return self
        if size > self.train.size:
            raise DataError(
                f"`train_size` {size} is above the {self.train.size} training individuals of the fold. Lower it."
            )
        order = np.random.default_rng([seed, self.train.size]).permutation(self.train.size)
        return replace(self, train=np.sort(self.train[order[:size]]))


def window_start(tss: int, strand: str, window: int) -> int:
    """The 0-based first base of the window that puts the TSS at base `window // 2` of the strand-oriented sequence.

    On the minus strand the sequence is read backwards, so that the TSS stands at `window - 1 - window // 2` of the
    forward strand.
    """
    return tss - 1 - (window // 2 if strand == "+" else window - 1 - window // 2)


@dataclass(frozen=True, eq=False)
class Cohort:
    """An opened cohort; genotypes and reference bases are read from disk when asked for, and checked as they are read.

    Attributes:
        path: the folder.
        people: names, in the order of every individual axis.
        genes: one row a gene, in genome order; columns of `GENES_SCHEMA`.
        variants: all SNVs in any window, in genome order; columns of `VARIANTS_SCHEMA`. Never multi-allelic, but a
            position may stand in several rows with different ALT alleles.
        window: bases of each window.
        phased: whether haplotypes are kept.
        num_folds: of the individuals.
        normalise: how expression is transformed, per fold (`varfx.expression.cohort.adjust`).
        covariates: regressed out of expression, per fold; None without.
        covariate_names: in the order of `covariates`.
        genes_train: ids of the genes that models are trained on.
        genes_heldout: ids of the genes that no model is trained on.
        genes_tune: those of them on which a network may be tuned; empty unless regions say so.
        metadata: `options`, `ledger` and `provenance` of `cohort.json`.
    """

    __repr__ = short_repr

    path: Path
    people: tuple[str, ...]
    genes: pl.DataFrame
    variants: pl.DataFrame
    window: int
    phased: bool
    num_folds: int
    normalise: Normalisation
    covariates: Float64[ndarray, "covariate individual"] | None
    covariate_names: tuple[str, ...]
    genes_train: tuple[str, ...]
    genes_heldout: tuple[str, ...]
    genes_tune: tuple[str, ...]
    metadata: dict[str, Any]

    @property
    def seal(self) -> str:
        """SHA-256 of the manifest: two cohorts with the same seal hold the same bytes."""
        return sealed.sha256(self.path / sealed.MANIFEST)

    def gene(self, gene_id: str) -> GeneWindow:
        """A gene by its Ensembl id, with or without version.

        Raises:
            DataError: the cohort does not have it.
        """
        row = self.genes.row(self.gene_row(gene_id), named=True)
        return GeneWindow(*(row[name] for name in GeneWindow.__dataclass_fields__))

    def gene_row(self, gene_id: str) -> int:
        """The row of a gene in `genes` and in `expression()`.

        Raises:
            DataError: the cohort does not have it.
        """
        row = self._gene_rows.get(gene_id, self._gene_rows.get(gene_id.partition(".")[0]))
        if row is None:
            raise DataError(
                f"`{self.path}` has no gene {gene_id}; it has {len(self._gene_rows)}, first {self.genes['gene_id'][0]}. "
                "Give Ensembl ids."
            )
        return row

    def window_variants(self, gene_id: str) -> tuple[pl.DataFrame, slice]:
        """The rows of `variants` in a gene's window, and which they are."""
        first, count = self.genes.select("first_variant", "num_variants").row(self.gene_row(gene_id))
        return self.variants.slice(first, count), slice(first, first + count)

    def region_variants(self, chrom: str, start: int, end: int) -> tuple[pl.DataFrame, slice]:
        """The rows of `variants` in [start, end), 0-based, of a chromosome, and which they are; empty where there are none."""
        offset, positions = self._positions.get(chrom, (0, np.empty(0, dtype=np.int64)))
        low, high = (offset + int(place) for place in np.searchsorted(positions, [start + 1, end + 1]))
        return self.variants.slice(low, high - low), slice(low, high)

    def genotypes(
        self, rows: slice
    ) -> tuple[Int8[ndarray, "variant individual"], Int8[ndarray, "variant individual 2"] | None]:
        """Dosages and, of a phased cohort, haplotypes of some rows of `variants`, as `dosages` and `haplotypes` give them.

        Raises:
            StoreError: a chunk is missing or damaged.
        """
        haplotypes = self._read("genotypes.zarr/haplotypes", rows) if self.phased else None
        return self._read("genotypes.zarr/dosages", rows), haplotypes

    def dosages(self, gene_id: str) -> Int8[ndarray, "variant individual"]:
        """Counts of ALT (0, 1, 2) in a gene's window; -1 is missing.

        Raises:
            StoreError: a chunk is missing or damaged.
        """
        return self._read("genotypes.zarr/dosages", self.window_variants(gene_id)[1])

    def haplotypes(self, gene_id: str) -> Int8[ndarray, "variant individual 2"]:
        """ALT (1) or not (0) on either chromosome; -1 is missing.

        Raises:
            DataError: the cohort is not phased.
            StoreError: a chunk is missing or damaged.
        """
        if not self.phased:
            raise DataError(f"`{self.path}` has no haplotypes. Prepare it from phased genotypes, without --phased no.")
        return self._read("genotypes.zarr/haplotypes", self.window_variants(gene_id)[1])

    def reference(self, gene_id: str) -> UInt8[ndarray, " base"]:
        """The reference bases of a gene's window on the forward strand: A, C, G, T = 0 to 3, any other 4.

        Raises:
            StoreError: a chunk is missing or damaged.
        """
        row = self.gene_row(gene_id)
        return np.asarray(self._read("reference.zarr/codes", slice(row, row + 1))[0])

    def expression(self) -> Float32[ndarray, "gene individual"]:
        """Expression as it came, rows as `genes`; finite.

        Raises:
            StoreError: the table is damaged.
        """
        return self._expression

    def fold(self, number: int) -> Fold:
        """A fold of the individuals, counted from 0.

        Raises:
            ConfigError: there is no such fold.
            StoreError: its files are damaged.
        """
        if not 0 <= number < self.num_folds:
            raise ConfigError(f"`fold` must be from 0 to {self.num_folds - 1}, got {number}.")
        row = {name: place for place, name in enumerate(self.people)}
        rows = [
            np.sort(np.array([row[name] for name in self._list(f"people-{part}-fold{number}")], dtype=np.int64))
            for part in PARTS
        ]
        return Fold(*rows)

    @cached_property
    def _gene_rows(self) -> dict[str, int]:
        return {gene: row for row, gene in enumerate(self.genes["gene_id"].to_list())}

    @cached_property
    def _positions(self) -> dict[str, tuple[int, Int64[ndarray, " variant"]]]:
        """First row and positions of the variants of each chromosome."""
        parts = self.variants.with_row_index("row").group_by("chrom", maintain_order=True)
        return {str(chrom): (int(part["row"][0]), part["position"].to_numpy()) for (chrom,), part in parts}

    @cached_property
    def _manifest(self) -> dict[str, tuple[int, str]]:
        return sealed_folder.read_manifest(self.path)

    @cached_property
    def _opened(self) -> dict[str, zarr.Array[Any]]:
        return {}

    @cached_property
    def _expression(self) -> Float32[ndarray, "gene individual"]:
        table, _ = sealed.read_table(self.path / "expression.parquet", kind=TABLE_KINDS["expression"])
        return np.asarray(_values_of(table, self.people), dtype=np.float32, order="C")

    def _list(self, name: str) -> list[str]:
        return _read_list(self.path, self._manifest, name)

    def _read(self, name: str, rows: slice) -> ndarray[Any, Any]:
        """Rows of an array; presence and size of its files are checked when it is opened, each chunk as it is read."""
        try:
            if name not in self._opened:
                entries = {file: entry for file, entry in self._manifest.items() if file.startswith(f"{name}/")}
                sealed_folder.check_array(self.path, entries or {f"{name}/zarr.json": (0, "")})
                self._opened[name] = zarr.open_array(self.path / name, mode="r")
            return np.asarray(self._opened[name][rows])
        except (ValueError, OSError, KeyError, RuntimeError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"`{self.path}` is damaged: `{name}` cannot be read ({error}). Make it anew.") from error


def open_cohort(path: str | os.PathLike[str]) -> Cohort:
    """Opens a cohort and reads its tables and lists, not its genotypes.

    Raises:
        StoreError: not a cohort, unfinished, damaged, or of a newer version.
    """
    root = Path(path)
    if not root.is_dir():
        found = f"seems to be {seems(root)}, but a cohort is a folder" if root.exists() else "does not exist"
        raise StoreError(f"`{root}` {found}. Give a cohort made by `varfx expr prepare`.")
    manifest = sealed_folder.read_manifest(root)
    if "cohort.json" not in manifest:
        raise StoreError(f"`{root}` is no cohort: it seems to be {seems(root)}. Give one made by `varfx expr prepare`.")
    sealed_folder.check_file(root, "cohort.json", manifest["cohort.json"])
    record = sealed.read_json(root / "cohort.json")
    if record["kind"] != KIND:
        raise StoreError(f"`{root}` holds {record['kind']}, where a cohort is needed.")
    if record["format_version"] > sealed.FORMAT_VERSION:
        raise StoreError(f"`{root}` has format version {record['format_version']}: update varfx.")
    genes, _ = sealed.read_table(root / "genes.parquet", kind=TABLE_KINDS["genes"])
    variants, _ = sealed.read_table(root / "variants.parquet", kind=TABLE_KINDS["variants"])
    people = tuple(record["people"])
    covariates, names = None, ()
    if "covariates.parquet" in manifest:
        table, _ = sealed.read_table(root / "covariates.parquet", kind=TABLE_KINDS["covariates"])
        covariates = np.asarray(_values_of(table, people), dtype=np.float64, order="C")
        names = tuple(table.to_series(0))
    return Cohort(
        path=root,
        people=people,
        genes=genes,
        variants=variants,
        window=int(record["window"]),
        phased=bool(record["phased"]),
        num_folds=int(record["num_folds"]),
        normalise=cast(Normalisation, record["normalise"]),
        covariates=covariates,
        covariate_names=names,
        genes_train=tuple(_read_list(root, manifest, "genes-train")),
        genes_heldout=tuple(_read_list(root, manifest, "genes-heldout")),
        genes_tune=tuple(_read_list(root, manifest, TUNED)) if f"splits/{TUNED}.txt" in manifest else (),
        metadata={name: record[name] for name in ("options", "ledger", "provenance")},
    )


def _read_list(root: Path, manifest: dict[str, tuple[int, str]], name: str) -> list[str]:
    """The names in one file below `splits`, one a line."""
    file = f"splits/{name}.txt"
    sealed_folder.check_file(root, file, manifest.get(file, (0, "")))
    # Lines end with \n alone: names may hold what else Python takes for the end of a line.
    return (root / file).read_bytes().decode().split("\n")[:-1]


def _values_of(table: pl.DataFrame, people: tuple[str, ...]) -> ndarray[Any, Any]:
    """The columns of the individuals, by place: polars takes names such as `*` and `^x$` for patterns."""
    place = {name: number for number, name in enumerate(table.columns) if number}  # the first column names the rows
    return np.column_stack([table.to_series(place[name]).to_numpy() for name in people])


def label_column(name: str, people: Sequence[str]) -> str:
    """A name for the column beside those of the individuals that none of them has."""
    while name in people:
        name += "_"
    return name
