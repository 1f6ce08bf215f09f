"""Writes a cohort: variants block by block, then the tables; the folder is complete or not there at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
import zarr
from jaxtyping import Float32, Float64, Int8, UInt8
from numpy import ndarray
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

from varfx.errors import DataError
from varfx.expression.cohort.config import Normalisation
from varfx.expression.cohort.splits import PeopleSplit
from varfx.expression.cohort.store import (
    GENES_SCHEMA,
    KIND,
    PARTS,
    TABLE_KINDS,
    TUNED,
    VARIANTS_SCHEMA,
    label_column,
)
from varfx.genome.variants import chrom_rank
from varfx.io import sealed, sealed_folder
from varfx.io.run_folder import RunFolder

VARIANTS_PER_CHUNK = 1024
GENES_PER_SHARD = 64


class VariantBlock(Protocol):
    """Variants of one stretch of the genome with individuals' genotypes, e.g. `varfx.genotypes.donors.DonorVariants`.

    Attributes:
        variants: columns of `VARIANTS_SCHEMA`, by position.
        dosages: counts of `effect_allele`, -1 missing.
        haplotypes: the same per chromosome, or None.
    """

    @property
    def variants(self) -> pl.DataFrame:
        """See the class."""
        ...

    @property
    def dosages(self) -> Int8[ndarray, "variant individual"]:
        """See the class."""
        ...

    @property
    def haplotypes(self) -> Int8[ndarray, "variant individual 2"] | None:
        """See the class."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class CohortTables:
    """All of a cohort but its genotypes and reference.

    Attributes:
        genes: columns of `GENES_SCHEMA` but the last two, in any order of rows.
        expression: rows as `genes`.
        covariates: (covariate, individual), or None.
        covariate_names: in their order.
        normalise: how expression is to be transformed.
        folds: of the individuals.
        genes_train: ids.
        genes_heldout: ids.
        genes_tune: ids of held-out genes on which a network may be tuned.
    """

    genes: pl.DataFrame
    expression: Float32[ndarray, "gene individual"]
    covariates: Float64[ndarray, "covariate individual"] | None = None
    covariate_names: tuple[str, ...] = ()
    normalise: Normalisation = "inverse-normal"
    folds: tuple[PeopleSplit, ...]
    genes_train: tuple[str, ...]
    genes_heldout: tuple[str, ...]
    genes_tune: tuple[str, ...] = ()


class CohortWriter:
    """Takes blocks of variants in genome order, then the rest; made by `writing_cohort`."""

    def __init__(self, root: Path, people: Sequence[str], *, phased: bool) -> None:
        self._root = root
        self.people = tuple(people)
        self.phased = phased
        self._variants: list[pl.DataFrame] = []
        root.mkdir()
        group = zarr.create_group(root / "genotypes.zarr")
        shapes = {"dosages": (len(people),), "haplotypes": (len(people), 2)}
        self._arrays = {
            name: _Growing(_create(group, name, (0, *rest), (VARIANTS_PER_CHUNK, *rest), "int8"))
            for name, rest in shapes.items()
            if phased or name == "dosages"
        }

    def add(self, block: VariantBlock) -> None:
        """Adds variants that lie behind all earlier ones, with the genotypes of exactly the cohort's individuals."""
        self._variants.append(block.variants.select(*VARIANTS_SCHEMA).cast(pl.Schema(VARIANTS_SCHEMA)))
        self._arrays["dosages"].append(block.dosages)
        if self.phased:
            if block.haplotypes is None:
                raise DataError("`haplotypes` are missing for a part of the genome. Use --phased no.")
            self._arrays["haplotypes"].append(block.haplotypes)

    @property
    def variants(self) -> pl.DataFrame:
        """All variants added so far."""
        return pl.concat(self._variants) if self._variants else pl.DataFrame(schema=VARIANTS_SCHEMA)

    def drop_haplotypes(self) -> None:
        """Leaves out the haplotypes of all variants, earlier and later ones: the cohort is not phased."""
        if self.phased:
            del self._arrays["haplotypes"]
            sealed.remove(self._root / "genotypes.zarr" / "haplotypes")
        self.phased = False

    def finish(
        self,
        tables: CohortTables,
        reference: Callable[[str, int, int], UInt8[ndarray, " base"]],
        *,
        window: int,
        options: Mapping[str, Any],
        ledger: Mapping[str, Any],
        provenance: Mapping[str, Any],
    ) -> None:
        """Writes reference, tables, lists, and last the manifest.

        Args:
            tables: the tables.
            reference: the bases of a stretch of the genome (chrom, start, end), e.g. `Fasta.codes`.
            window: bases of each gene's.
            options: of the command, for the record.
            ledger: what was left out and why.
            provenance: from `varfx.io.sealed.provenance`.
        """
        root = self._root
        for array in self._arrays.values():
            array.close()
        order = tables.genes.with_row_index("row").sort(chrom_rank(), "chrom", "start", "gene_id")["row"].to_numpy()
        genes = with_variant_rows(tables.genes[order], self.variants)
        _write_reference(root / "reference.zarr", genes, reference, window)
        self._write_table("genes", genes.select(*GENES_SCHEMA).cast(pl.Schema(GENES_SCHEMA)))
        self._write_table("variants", self.variants)
        values = pl.DataFrame(tables.expression[order].astype(np.float32), schema=list(self.people))
        ids = genes["gene_id"].alias(label_column("gene_id", self.people)).to_frame()
        self._write_table("expression", pl.concat([ids, values], how="horizontal"))
        if tables.covariates is not None:
            values = pl.DataFrame(tables.covariates.astype(np.float64), schema=list(self.people))
            labels = pl.DataFrame({label_column("covariate", self.people): list(tables.covariate_names)})
            self._write_table("covariates", pl.concat([labels, values], how="horizontal"))
        _write_splits(root / "splits", tables)
        record = {
            "format_version": sealed.FORMAT_VERSION,
            "kind": KIND,
            "window": window,
            "phased": self.phased,
            "num_folds": len(tables.folds),
            "normalise": tables.normalise,
            "people": list(self.people),
            "options": dict(options),
            "ledger": dict(ledger),
            "provenance": dict(provenance),
        }
        sealed.write_json(root / "cohort.json", record)
        sealed_folder.seal_directory(root)

    def _write_table(self, name: str, frame: pl.DataFrame) -> None:
        sealed.write_table(frame, self._root / f"{name}.parquet", kind=TABLE_KINDS[name], metadata={})


@contextmanager
def writing_cohort(
    path: str | os.PathLike[str], people: Sequence[str], *, phased: bool, overwrite: bool = False
) -> Iterator[CohortWriter]:
    """A writer of the cohort `path`, which appears under its name when the block ends well and `finish` was called.

    Raises:
        StoreError: the folder exists already, or cannot be written.
    """
    cohort_folder(path).check(overwrite=overwrite)
    with sealed.atomic_path(path) as partial:
        yield CohortWriter(partial, people, phased=phased)


def cohort_folder(path: str | os.PathLike[str]) -> RunFolder:
    """The folder of a cohort: written in one go, so that there is no unfinished one."""
    return RunFolder(out=Path(path), holds="cohort", record="cohort.json", made_by="varfx expr prepare")


def with_variant_rows(genes: pl.DataFrame, variants: pl.DataFrame) -> pl.DataFrame:
    """The genes with `first_variant` and `num_variants`: the rows of `variants` (genome order) in each window."""
    bounds = {
        chrom: (rows[0], positions.to_numpy())
        for (chrom,), part in variants.with_row_index("row").group_by("chrom", maintain_order=True)
        for rows, positions in [(part["row"], part["position"])]
    }
    first, count = np.zeros(genes.height, dtype=np.int64), np.zeros(genes.height, dtype=np.int64)
    for row, (chrom, start, end) in enumerate(genes.select("chrom", "start", "end").iter_rows()):
        offset, positions = bounds.get(chrom, (0, np.empty(0, dtype=np.int64)))
        low, high = np.searchsorted(positions, [start + 1, end + 1])  # positions are 1-based
        first[row], count[row] = offset + low, high - low
    return genes.with_columns(first_variant=first, num_variants=count)


class _Growing:
    """Appends rows to an array in whole chunks."""

    def __init__(self, array: zarr.Array[Any]) -> None:
        self._array = array
        self._waiting: list[ndarray[Any, Any]] = []
        self._rows = 0

    def append(self, values: ndarray[Any, Any]) -> None:
        self._waiting.append(np.asarray(values, dtype=np.int8))
        self._rows += values.shape[0]
        if self._rows >= VARIANTS_PER_CHUNK:
            self._flush(self._rows - self._rows % VARIANTS_PER_CHUNK)

    def close(self) -> None:
        self._flush(self._rows)

    def _flush(self, rows: int) -> None:
        if rows:
            values = np.concatenate(self._waiting)
            self._array.append(values[:rows])
            self._waiting, self._rows = [values[rows:]], values.shape[0] - rows


def _create(
    group: zarr.Group, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str, **sharding: Any
) -> zarr.Array[Any]:
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        serializer=BytesCodec(),
        compressors=(ZstdCodec(level=3), Crc32cCodec()),
        **sharding,
    )


def _write_reference(
    path: Path, genes: pl.DataFrame, reference: Callable[[str, int, int], UInt8[ndarray, " base"]], window: int
) -> None:
    shards = (min(GENES_PER_SHARD, max(1, genes.height)), window)
    shape = (genes.height, window)
    array = _create(zarr.create_group(path), "codes", shape, (1, window), "uint8", shards=shards)
    for first in range(0, genes.height, shards[0]):
        places = genes.slice(first, shards[0]).select("chrom", "start", "end").iter_rows()
        array[first : first + shards[0]] = np.stack([reference(*place) for place in places])


def _write_splits(folder: Path, tables: CohortTables) -> None:
    folder.mkdir()
    lists: dict[str, Sequence[str]] = {"genes-train": tables.genes_train, "genes-heldout": tables.genes_heldout}
    if tables.genes_tune:
        lists[TUNED] = tables.genes_tune
    for number, fold in enumerate(tables.folds):
        lists |= {f"people-{part}-fold{number}": getattr(fold, part) for part in PARTS}
    for name, names in lists.items():
        sealed.write_text(folder / f"{name}.txt", "".join(f"{line}\n" for line in names))
