"""Per-variant prior variances in the formats that other tools write: PolyFun's snpvar files, and plain `variant, f` tables."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray

from varfx.errors import DataError, FormatError
from varfx.genome import variants
from varfx.genome.builds import known_build
from varfx.genome.harmonise import harmonise
from varfx.genome.matching import Matching
from varfx.genome.overlap import share_found
from varfx.io import sealed
from varfx.io.text_numbers import MISSING, require_exact, whole
from varfx.io.text_table import open_table

PREDICTION_KIND = "prior"
_ROLES = {
    "CHR": "chrom",
    "CHROM": "chrom",
    "SNP": "variant_id",
    "VARIANT_ID": "variant_id",
    "BP": "position",
    "POSITION": "position",
    "A1": "effect_allele",
    "EFFECT_ALLELE": "effect_allele",
    "A2": "other_allele",
    "OTHER_ALLELE": "other_allele",
    "SNPVAR": "f",
    "F": "f",
    "VARIANT": "variant",
    "SIGMA2": "sigma2",
}


def read_variances(path: str | os.PathLike[str], reference: pl.DataFrame) -> Float[ndarray, " reference"]:
    """Variance of each reference variant's effect on standardised genotypes; NaN for variants that the file lacks.

    Args:
        path: PolyFun's `CHR SNP BP A1 A2 SNPVAR ...` (text or parquet), a table with `variant` (rsID, or chrom:position:A:B)
            and `f`, or a parquet of `varfx prior predict` with one trait.
        reference: the variants, columns of `varfx.genome.variants.SCHEMA`.

    Raises:
        FormatError: columns are missing.
        DataError: a variance is negative or not a number.
        HarmonisationError: the file is of another build or shares too few variants.
    """
    table = _canonical(_read(path), str(path))
    bad = table.select((~(pl.col("f").is_finite() & (pl.col("f") >= 0)).fill_null(False)).alias("bad"))["bad"]
    variants.require_no(
        bad, table, "the variance is missing, negative or not finite", "Correct or remove these rows.", source=str(path)
    )
    values = np.full(reference.height, np.nan)
    if "position" in table.columns:
        # A variance has no sign: which of two alleles is counted does not matter, so palindromes can stay.
        match = harmonise(
            table, reference, source=str(path), reference_name="the panel", matching=Matching(palindromes="keep")
        )
        values[match.reference_row] = table["f"].to_numpy()[match.table_row]
        return values
    places = reference.select("variant_id").with_row_index("row")
    named = table.filter(pl.col("variant_id") != ".")
    joined = named.unique("variant_id", keep="none").join(places, on="variant_id", how="inner")
    unplaced = named.with_columns(chrom=pl.lit(None, pl.String), position=pl.lit(None, pl.Int64))
    share, least = share_found(unplaced, reference, joined["row"].to_numpy()), Matching().min_overlap
    if share < least:
        raise DataError(
            f"`{path}`: only {joined.height} of {table.height} variants are in the panel by their rsID (overlap {share:.1%} where both have "
            f"variants, at least {least:.0%} is needed). Check the identifiers."
        )
    values[joined["row"].to_numpy()] = joined["f"].to_numpy()
    return values


def build_of_variances(path: str | os.PathLike[str]) -> str | None:
    """Genome build of a Parquet file of `varfx prior predict`, hg19 or hg38; None where the file does not say."""
    if Path(path).suffix != ".parquet" or sealed.table_kind(path) != PREDICTION_KIND:
        return None
    return known_build(sealed.read_table(path, kind=PREDICTION_KIND)[1].get("build"))


def read_sigma2(path: str | os.PathLike[str]) -> float | None:
    """The residual variance that a file of `varfx prior predict` carries in its column `sigma2`; None if it has none.

    Of several values (a cross-fitted prior has one per fold) the mean over variants.

    Raises:
        FormatError: the file cannot be read.
        DataError: a value that is not positive.
    """
    table = _read(path)
    if "sigma2" not in table.columns:
        return None
    values = table["sigma2"].cast(pl.Float64, strict=False)
    if not (values.is_finite() & (values > 0)).fill_null(False).all():
        raise DataError(
            f"`{path}`: the column `sigma2` has values that are not positive. Give --sigma2 NUMBER instead."
        )
    return float(values.to_numpy().mean()) if values.len() else None


def _read(path: str | os.PathLike[str]) -> pl.DataFrame:
    """The columns that have a role, under its name."""
    if Path(path).suffix == ".parquet" and sealed.table_kind(path) == PREDICTION_KIND:
        return sealed.read_table(path, kind=PREDICTION_KIND)[0]
    table = open_table(path)
    roles: dict[str, int] = {}
    for number, name in enumerate(table.names):
        role = _ROLES.get(name.upper())
        if role in roles:
            raise FormatError(
                f"`{path}`: the columns `{table.names[roles[role]]}` and `{name}` may both be the {role}. Keep one."
            )
        if role is not None:
            roles[role] = number
    parts = [frame.drop("row") for frame in table.frames(list(roles.values()), MISSING)]
    if not parts:
        raise FormatError(f"`{path}` is empty below its header: it should hold one variant per row.")
    return pl.concat(parts).rename({str(number): role for role, number in roles.items()})


def _canonical(table: pl.DataFrame, source: str) -> pl.DataFrame:
    """Columns `f` and either the variant key or `variant_id` alone."""
    columns = set(table.columns)
    if {"variant", "f"} <= columns:
        keys = variants.unpack_key(table["variant"])
        if keys["effect_allele"].null_count() == table.height:
            return table.select(
                pl.col("variant").cast(pl.String).alias("variant_id"), pl.col("f").cast(pl.Float64, strict=False)
            )
        table = keys.with_columns(table["variant"].cast(pl.String).alias("variant_id"), table["f"])
    elif not {"chrom", "position", "effect_allele", "other_allele", "f"} <= columns:
        raise FormatError(
            f"`{source}` needs the columns CHR SNP BP A1 A2 SNPVAR (PolyFun), or `variant, f`; of these it has "
            f"{', '.join(sorted(columns)) or 'none'}."
        )
    require_exact(table["position"], "position", source)
    if "variant_id" not in table.columns:
        table = table.with_columns(variant_id=pl.lit(None, pl.String))
    return table.select(
        variants.chrom_expr("chrom"),
        whole(table["position"]).alias("position"),
        pl.col("variant_id").cast(pl.String),
        pl.col("effect_allele").str.to_uppercase(),
        pl.col("other_allele").str.to_uppercase(),
        pl.lit(None, pl.Float64).alias("eaf"),
        pl.col("f").cast(pl.Float64, strict=False),
    )
