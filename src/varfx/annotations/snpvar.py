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
from varfx.genome.harmonise import harmonise
from varfx.io import sealed
from varfx.io.stream import read_bytes

PREDICTION_KIND = "prior"
_KEY_NAMES = {
    "CHR": "chrom",
    "SNP": "variant_id",
    "BP": "position",
    "A1": "effect_allele",
    "A2": "other_allele",
    "SNPVAR": "f",
}


def read_variances(path: str | os.PathLike[str], reference: pl.DataFrame) -> Float[ndarray, " reference"]:
    """The variance of each reference variant's effect on standardised genotypes; NaN where the file has none.

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
        match = harmonise(table, reference, source=str(path), reference_name="the panel", palindromes="keep")
        values[match.reference_row] = table["f"].to_numpy()[match.table_row]
        return values
    places = reference.select("variant_id").with_row_index("row")
    named = table.filter(pl.col("variant_id") != ".")
    joined = named.unique("variant_id", keep="none").join(places, on="variant_id", how="inner")
    if joined.height < 0.2 * min(table.height, reference.height):
        raise DataError(
            f"`{path}`: only {joined.height} of {table.height} variants are in the panel by their rsID. Check the identifiers."
        )
    values[joined["row"].to_numpy()] = joined["f"].to_numpy()
    return values


def _read(path: str | os.PathLike[str]) -> pl.DataFrame:
    if Path(path).suffix != ".parquet":
        return _read_text(path)
    if sealed.table_kind(path) == PREDICTION_KIND:
        return sealed.read_table(path, kind=PREDICTION_KIND)[0]
    try:
        return pl.read_parquet(Path(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FormatError(f"`{path}` cannot be read as parquet: {error}.") from error


def _read_text(path: str | os.PathLike[str]) -> pl.DataFrame:
    content = read_bytes(path)
    separator = "\t" if b"\t" in content.partition(b"\n")[0] else " "
    if not content.strip():
        raise FormatError(f"`{path}` is empty: it should hold a header and one variant per row.")
    try:
        return pl.read_csv(content, separator=separator, infer_schema=False, comment_prefix="##")
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n")[0]
        raise FormatError(
            f"`{path}` cannot be read as a table: {reason}. Check that each row has as many fields as the header."
        ) from error


def _canonical(table: pl.DataFrame, source: str) -> pl.DataFrame:
    """Columns `f` and either the variant key or `variant_id` alone."""
    table = table.rename(
        {
            name: _KEY_NAMES[name.upper()]
            for name in table.columns
            if name.upper() in _KEY_NAMES and _KEY_NAMES[name.upper()] not in table.columns
        }
    )
    columns = set(table.columns)
    if "variant" in columns and "f" in columns:
        parts = (
            table["variant"]
            .cast(pl.String)
            .str.extract_groups(r"^(?:chr)?(\w+)[:_](\d+)[:_]([ACGTacgt]+)[:_]([ACGTacgt]+)")
        )
        if parts.struct[0].null_count() < table.height:
            keys = parts.struct.unnest()
            keys.columns = ["chrom", "position", "effect_allele", "other_allele"]
            table = pl.concat([table.select("variant", "f"), keys], how="horizontal").rename({"variant": "variant_id"})
        else:
            table = table.select(pl.col("variant").cast(pl.String).alias("variant_id"), "f")
    elif not {"chrom", "position", "effect_allele", "other_allele", "f"} <= columns:
        raise FormatError(
            f"`{source}` needs the columns CHR SNP BP A1 A2 SNPVAR (PolyFun), or `variant, f`; it has {', '.join(sorted(columns))}."
        )
    number = pl.col("f").cast(pl.Float64, strict=False)
    if "position" not in table.columns:
        return table.select(
            "variant_id",
            number,
            chrom=pl.lit(None, pl.String),
            effect_allele=pl.lit(None, pl.String),
            other_allele=pl.lit(None, pl.String),
        )
    name = (
        pl.col("variant_id").cast(pl.String)
        if "variant_id" in table.columns
        else pl.lit(None, pl.String).alias("variant_id")
    )
    return table.select(
        variants.chrom_expr("chrom"),
        pl.col("position").cast(pl.Int64, strict=False),
        name,
        pl.col("effect_allele").str.to_uppercase(),
        pl.col("other_allele").str.to_uppercase(),
        pl.lit(None, pl.Float64).alias("eaf"),
        number,
    )
