"""The key of a variant, and recognition of two spellings of the same variant.

A variant's key is `chrom, position, effect_allele, other_allele`: `chrom` without "chr" (1 to 22, X, Y, MT),
`position` 1-based, alleles in capital ACGT. Statistics (z, eaf, signs of r) refer to `effect_allele`.
"""

from __future__ import annotations

import polars as pl

from varfx.errors import DataError
from varfx.genome.chromosomes import CHROMOSOMES, PLINK_CODES, spelled

KEY = ("chrom", "position", "effect_allele", "other_allele")
SCHEMA: dict[str, pl.DataType] = {
    "chrom": pl.String(),
    "position": pl.Int64(),
    "variant_id": pl.String(),
    "effect_allele": pl.String(),
    "other_allele": pl.String(),
    "eaf": pl.Float64(),
}
_PLACE = r"^(?:[Cc][Hh][Rr])?0?(\d{1,2}|[XxYy]|[Xx][Yy]|[Mm][Tt]?)"
_PACKED = (
    _PLACE + r"[:_-](\d+)(?:\[b\d+\]([ACGTacgt]+),([ACGTacgt]+))?"
    r"(?:[:_|;-]([ACGTacgt]+)[:_/|;,>-]([ACGTacgt]+)(?:[:_-](?:b|hg|GRCh)\d+)?(?:[:_](?:imp|typed|gen)[\w:.]*)?)?$"
)
_PLACE_ALONE = _PLACE + r":(\d+)[:_|;\[-].*$"  # 1:1000:SNP, 1:1000:rs1, 1:1000:A:<DEL>
COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}


def chrom_expr(column: str, *, codes: dict[str, str] | None = None) -> pl.Expr:
    """Chromosome names in our spelling, of a column of any type; see `varfx.genome.chromosomes.spelled`.

    Args:
        column: name of the column.
        codes: numbers of X, Y and MT in place of PLINK's (GWAS-SSF: 23 = X, 24 = Y, 25 = MT).
    """
    numbers = PLINK_CODES if codes is None else {**PLINK_CODES, **codes}

    def rename(names: pl.Series) -> pl.Series:
        text = names.alias("chrom").cast(pl.String)
        different = text.unique().drop_nulls().to_list()
        return text.replace(different, [spelled(name, numbers) for name in different])

    return pl.col(column).map_batches(rename, return_dtype=pl.String()).alias("chrom")


def chrom_rank(column: str = "chrom") -> pl.Expr:
    """A number that orders chromosomes as the genome does: 1 to 22, X, Y, MT, then any other."""
    ranks = {name: rank for rank, name in enumerate(CHROMOSOMES)}
    return pl.col(column).replace_strict(ranks, default=len(CHROMOSOMES), return_dtype=pl.Int32)


def in_genome_order(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows sorted by chromosome, position, and alleles; stable and the same on every machine."""
    columns = [name for name in ("position", "effect_allele", "other_allele") if name in frame.columns]
    return frame.sort([chrom_rank(), "chrom", *columns], maintain_order=True)


def complement_expr(column: str) -> pl.Expr:
    """The alleles as read on the other strand: complemented and, for several bases, reversed."""
    return pl.col(column).str.replace_many(list(COMPLEMENT), list(COMPLEMENT.values())).str.reverse()


def palindromic_expr(first: str = "effect_allele", second: str = "other_allele") -> pl.Expr:
    """True where the two alleles are each other's complement (A/T, C/G), so that the strand cannot be seen."""
    return pl.col(first) == complement_expr(second)


def allele_pair_expr(first: str = "effect_allele", second: str = "other_allele") -> pl.Expr:
    """The unordered pair of alleles as one string, the same whichever of the two is the effect allele."""
    low = pl.when(pl.col(first) <= pl.col(second)).then(pl.col(first)).otherwise(pl.col(second))
    high = pl.when(pl.col(first) <= pl.col(second)).then(pl.col(second)).otherwise(pl.col(first))
    return pl.concat_str(low, pl.lit("/"), high)


def unpack_key(names: pl.Series) -> pl.DataFrame:
    """Keys packed into one column, unpacked: `chrom, position, other_allele, effect_allele`, null where it is no key.

    The parts are split by `:`, `_` or `-`, with or without "chr": `1:1000:G:A`, `chr1_1000_G_A_b38`, `1-1000-G-A`,
    `1:1000_G/A`, `1:1000[b37]G,A`. Alleles are null where there are none (`1:1000`), or others than two of ACGT behind a colon
    (`1:1000:INDEL`, `1:1000:rs1`, `1:1000:G:<DEL>`). By the field's habit the first allele is the
    reference; which one an effect refers to is for the caller to know.
    """
    text = names.cast(pl.String).str.strip_chars()
    whole = text.str.extract_groups(_PACKED).struct.unnest()
    whole.columns = ["chrom", "position", "bracketed_0", "bracketed_1", "other_allele", "effect_allele"]
    alone = text.str.extract_groups(_PLACE_ALONE).struct.unnest()
    alone.columns = ["place_chrom", "place_position"]
    parts = pl.concat([whole, alone], how="horizontal").select(
        chrom=pl.coalesce("chrom", "place_chrom"),
        position=pl.coalesce("position", "place_position"),
        other_allele=pl.coalesce("bracketed_0", "other_allele"),
        effect_allele=pl.coalesce("bracketed_1", "effect_allele"),
    )
    return parts.with_columns(
        chrom_expr("chrom"),
        pl.col("position").cast(pl.Int64, strict=False),
        pl.col("other_allele", "effect_allele").str.to_uppercase(),
    )


def identifier() -> pl.Expr:
    """The variant's name for other tools' files: its `variant_id`, or `chrom:position:effect_allele:other_allele`."""
    place = pl.concat_str("chrom", "position", "effect_allele", "other_allele", separator=":")
    unnamed = pl.col("variant_id").is_null() | pl.col("variant_id").is_in([".", ""])
    return pl.when(unnamed).then(place).otherwise("variant_id").alias("variant_id")


def bad_alleles(frame: pl.DataFrame) -> pl.Series:
    """True on rows whose alleles are missing, hold letters other than ACGT, or are equal."""
    legal = pl.col("effect_allele").str.contains(r"^[ACGT]+$") & pl.col("other_allele").str.contains(r"^[ACGT]+$")
    differ = pl.col("effect_allele") != pl.col("other_allele")
    return frame.select((~(legal & differ)).fill_null(True).alias("bad"))["bad"]


def duplicated(frame: pl.DataFrame) -> pl.Series:
    """True on rows whose position and unordered alleles stand in another row too; by rsID where positions are null."""
    key = pl.struct("chrom", "position", allele_pair_expr().alias("pair"))
    if "variant_id" in frame.columns:
        key = (
            pl.when(pl.col("position").is_null())
            .then(pl.struct(chrom=pl.lit(None, pl.String), position=pl.lit(None, pl.Int64), pair=pl.col("variant_id")))
            .otherwise(key)
        )
    return frame.select(key.is_duplicated().alias("duplicated"))["duplicated"]


def describe(frame: pl.DataFrame, row: int) -> str:
    """One variant in words for a message, e.g. `row 17 (rs123, 1:1000 A/G)`."""
    record = frame.row(row, named=True)
    place = f"{record.get('chrom')}:{record.get('position')} {record.get('effect_allele')}/{record.get('other_allele')}"
    name = record.get("variant_id")
    return f"row {row + 1} ({name + ', ' if name else ''}{place})"


def require_no(bad: pl.Series, frame: pl.DataFrame, what: str, remedy: str, *, source: str) -> None:
    """Raises if any row is bad, naming how many, the first one, and the remedy.

    Args:
        bad: Boolean, one value per row of `frame`.
        frame: the variants.
        what: the fault, as in "alleles outside ACGT".
        remedy: what the user can do.
        source: the file or argument the rows came from.

    Raises:
        DataError: at least one value of `bad` is true.
    """
    count = int(bad.sum())
    if count:
        first = int(bad.arg_max() or 0)
        raise DataError(
            f"`{source}`: {what} in {count} of {frame.height} rows, first {describe(frame, first)}. {remedy}"
        )
