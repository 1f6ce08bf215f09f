"""Overlap of annotations, from the `.annot[.gz]` files behind LD scores.

Of disjoint annotations heritability can be summed from coefficients and counts alone; of overlapping ones (baseline
models) the heritability of annotation c is sum_d tau_d O_cd with O_cd = sum_k annot_c(k) annot_d(k) (Finucane et al. 2015).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray

from varfx.annotations.ld_scores import CHROMOSOMES, LDScores, read_columns
from varfx.errors import DataError, FormatError

ENDINGS = (".annot.gz", ".annot", ".annot.parquet")
COMMON = 0.05  # the minor-allele frequency above which LDSC's M_5_50 counts


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotationOverlap:
    """Sums of products of annotations over the reference's variants.

    Attributes:
        matrix: O_cd = sum_k annot_c(k) annot_d(k).
        num_variants: how many variants were summed over.
    """

    matrix: Float[ndarray, "annotation annotation"]
    num_variants: int


def read_overlap(
    path: str | os.PathLike[str], ref_ld: LDScores, *, frequencies: str | os.PathLike[str] | None = None
) -> AnnotationOverlap:
    """The overlap of the annotations of `ref_ld`.

    Args:
        path: `.annot` files: a file, a prefix, or a pattern with @ for the chromosome; with or without (thin) the
            columns CHR BP SNP CM.
        ref_ld: LD scores with the same annotations in the same order.
        frequencies: PLINK `.frq` files in the same order of variants, spelled in the same ways; variants of
            minor-allele frequency up to 5 % are left out, as they are from M_5_50. None takes all variants, as M does.

    Raises:
        FormatError: no such files, or damaged ones.
        DataError: other annotations than those of `ref_ld`, or another number of rows in the frequencies.
    """
    files = _find(path, ENDINGS)
    frequency_files = [None] * len(files) if frequencies is None else _find(frequencies, (".frq",))
    if len(frequency_files) != len(files):
        raise FormatError(
            f"`{frequencies}` leads to {len(frequency_files)} files, `{path}` to {len(files)}: give both for the same "
            "chromosomes."
        )
    size = len(ref_ld.names)
    matrix, num_variants = np.zeros((size, size)), 0
    for file, frequency_file in zip(files, frequency_files, strict=True):
        table = read_columns(file)
        annotations = [name for name in table.columns if name not in ("CHR", "BP", "SNP", "CM", "A1", "A2")]
        if len(annotations) != size:
            raise DataError(
                f"`{file}` has {len(annotations)} annotations, but `{ref_ld.source}` has {size} columns of LD scores. "
                "Give the `.annot` files that the LD scores were made from."
            )
        values = _numbers(table, annotations, file)
        if frequency_file is not None:
            maf = _numbers(read_columns(frequency_file), ["MAF"], frequency_file)[:, 0]
            if maf.size != values.shape[0]:
                raise DataError(
                    f"`{frequency_file}` has {maf.size} variants, but `{file}` has {values.shape[0]}: they must hold "
                    "the same variants in the same order. Give the frequencies of the same reference panel."
                )
            values = values[maf > COMMON]
        matrix += values.T @ values
        num_variants += values.shape[0]
    return AnnotationOverlap(matrix=matrix, num_variants=num_variants)


def _find(path: str | os.PathLike[str], endings: tuple[str, ...]) -> list[Path]:
    text = os.fspath(path)
    single = [Path(text + ending) for ending in ("", *endings) if Path(text + ending).is_file()]
    if single:
        return single[:1]
    pattern = text if "@" in text else text + "@"
    found = []
    for chrom in CHROMOSOMES:
        stem = pattern.replace("@", chrom)
        found += [Path(stem + ending) for ending in ("", *endings) if Path(stem + ending).is_file()][:1]
    if not found:
        raise FormatError(
            f"`{path}` leads to no file (tried the endings {', '.join(endings)}). Give a file, a prefix, or a pattern "
            "with @ for the chromosome."
        )
    return found


def _numbers(table: pl.DataFrame, names: list[str], file: Path) -> ndarray:
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise FormatError(f"`{file}` has no column {absent[0]} (it has {table.columns[:6]}). Check the file.")
    values = table.select(pl.col(names).cast(pl.Float64, strict=False)).fill_null(np.nan).to_numpy()
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise DataError(
            f"`{file}`: {bad.size} of {values.shape[0]} rows have a value that is missing or not finite, first row "
            f"{bad[0] + 1}. Fill in or correct these rows."
        )
    return values
