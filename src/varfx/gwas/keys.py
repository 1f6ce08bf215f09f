"""Variants' keys: unpacked from one column, and chromosomes known or named at the door."""

from __future__ import annotations

import polars as pl

from varfx.errors import FormatError
from varfx.genome.chromosomes import CHROMOSOMES, is_contig
from varfx.genome.variants import unpack_key
from varfx.io.ledger import Ledger

_SHOWN = 5


def unpacked(block: pl.DataFrame) -> pl.DataFrame:
    """The block with the roles that its field `key` (chromosome:position:reference:alternative) holds, and without it.

    Roles that have a column of their own stay. Effects are those of the alternative allele unless a column says which
    allele is the effect allele; the other allele is then the one of the two that it is not.

    Raises:
        FormatError: the column has no keys, and no other column has the alleles.
    """
    if "key" not in block.columns:
        return block
    parts = unpack_key(block["key"])
    if not parts["position"].count() and block.height:
        if "effect_allele" in block.columns:
            return block.drop("key")
        raise FormatError(
            f"the column of keys holds no CHROMOSOME:POSITION:REF:ALT, but {str(block['key'][0])[:40]!r}. Name another one."
        )
    taken = [role for role in ("chrom", "position") if role not in block.columns]
    if "effect_allele" not in block.columns:
        taken += ["effect_allele", "other_allele"]
    elif "other_allele" not in block.columns:
        effect = block["effect_allele"].str.to_uppercase()
        reference, alternative = parts["other_allele"], parts["effect_allele"]
        other = pl.when(effect == alternative).then(reference).when(effect == reference).then(alternative)
        block = block.with_columns(pl.select(other.alias("other_allele"))["other_allele"])
    return block.drop("key").with_columns(
        parts.select(taken).with_columns(pl.col(name).cast(pl.String) for name in taken if name == "position")
    )


def with_positions_of_ids(table: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """The table with chromosomes and positions from identifiers such as `1:1000:A:G`, where it has no positions.

    Identifiers of another form, and tables fewer than half of whose identifiers are such, stay without.
    """
    if "position" in table.columns or "variant_id" not in table.columns:
        return table
    parts = unpack_key(table["variant_id"]).select("chrom", "position")
    found = parts["position"].count()
    if found < table.height / 2 or not found:
        return table
    ledger.add("positions", found, "taken from the identifiers (chromosome:position)")
    return table.drop("chrom", strict=False).with_columns(parts)


def on_chromosomes(table: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """The rows on chromosomes: those on unplaced and alternative contigs are dropped, counted and named."""
    if "chrom" not in table.columns:
        return table
    names = table["chrom"].unique().drop_nulls().to_list()
    contigs = sorted(name for name in names if name not in CHROMOSOMES and name != "0" and is_contig(name))
    if not contigs:
        return table
    elsewhere = table["chrom"].is_in(contigs).fill_null(False)
    shown = ", ".join(contigs[:_SHOWN]) + (", ..." if len(contigs) > _SHOWN else "")
    ledger.drop(int(elsewhere.sum()), f"on contigs that are no chromosome ({shown})")
    return table.filter(~elsewhere)
