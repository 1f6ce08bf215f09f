"""Positions for files that have only rsIDs (COJO, LDSC), taken from a .bim, a .pvar or a Parquet table."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from varfx.errors import FormatError
from varfx.genome.variants import allele_pair_expr, chrom_expr, complement_expr
from varfx.io import text_numbers, text_table
from varfx.io.ledger import Ledger

_NAMES = {
    "variant_id": ("variant_id", "id", "snp", "rsid"),
    "chrom": ("chrom", "chr", "chromosome"),
    "position": ("position", "pos", "bp", "base_pair_location"),
    "effect_allele": ("effect_allele", "a1", "alt"),
    "other_allele": ("other_allele", "a2", "ref"),
}
_BIM = ("chrom", "variant_id", "cm", "position", "effect_allele", "other_allele")


def read_positions(path: str | os.PathLike[str]) -> pl.DataFrame:
    """`variant_id, chrom, position, effect_allele, other_allele` of a .bim, .pvar, or table with a header.

    Raises:
        FormatError: the file cannot be read, or lacks one of these columns.
    """
    table = text_table.open_table(path)
    if _without_header(Path(path), table):
        whole = text_table.read_headerless(Path(path), _BIM, "variants", optional="cm").select(*_NAMES)
    else:
        text_table.refuse_alike(table.names, {name for names in _NAMES.values() for name in names}, path)
        lower = [name.lower() for name in table.names]
        columns = {
            role: next(lower.index(name) for name in names if name in lower)
            for role, names in _NAMES.items()
            if set(names) & set(lower)
        }
        if lacking := [names[0] for role, names in _NAMES.items() if role not in columns]:
            raise FormatError(f"`{path}` has no column {', '.join(lacking)}. Give a .bim, .pvar or such a table.")
        chosen = [pl.col(str(number)).cast(pl.String).alias(role) for role, number in columns.items()]
        parts = [frame.select(chosen) for frame in table.frames(sorted(columns.values()), frozenset())]
        if not parts:
            raise FormatError(f"`{path}` has a header but no rows.")
        whole = pl.concat(parts)
    text_numbers.require_exact(whole["position"], "position", path)
    position = text_numbers.whole(whole["position"])
    if position.null_count():
        row = int(position.is_null().arg_max() or 0)
        raise FormatError(
            f"`{path}`: {position.null_count()} positions are not numbers, first row {row + 1} "
            f"({str(whole['position'][row])[:40]!r})."
        )
    return whole.with_columns(
        position,
        chrom_expr("chrom"),
        pl.col("effect_allele").str.to_uppercase(),
        pl.col("other_allele").str.to_uppercase(),
    )


def _without_header(path: Path, table: text_table.Table) -> bool:
    """Whether a file is a .bim, or a .pvar that PLINK 2 wrote without header (the columns of a .bim)."""
    name = path.name.removesuffix(".gz").removesuffix(".zst")
    return name.endswith(".bim") or (name.endswith(".pvar") and "POS" not in table.names)


def add_positions(raw: pl.DataFrame, reference: pl.DataFrame, ledger: Ledger, *, source: str) -> pl.DataFrame:
    """The rows whose rsID and alleles (either order, either strand) stand once in `reference`, with its positions.

    Raises:
        FormatError: no row does.
    """
    sides = []
    for table in (raw, reference):
        table = table.with_columns(pair=allele_pair_expr())
        strand = table.select(complement_expr("effect_allele").alias("a"), complement_expr("other_allele").alias("b"))
        flipped = strand.select(allele_pair_expr("a", "b").alias("flipped"))["flipped"]
        sides.append(table.with_columns(pair=pl.min_horizontal("pair", flipped)))
    keyed, places = sides
    places = places.select("variant_id", "pair", "chrom", "position").unique()
    places = places.filter(~pl.struct("variant_id", "pair").is_duplicated())
    found = keyed.join(places, on=["variant_id", "pair"], how="inner", maintain_order="left").drop("pair")
    if not found.height:
        raise FormatError(f"None of the {raw.height} rsIDs stands, with its alleles, in `{source}`. Give another file.")
    ledger.add("positions", found.height, f"found by rsID and alleles in {Path(source).name}")
    ledger.drop(raw.height - found.height, "no position: rsID and alleles are not in the file of positions")
    return found
