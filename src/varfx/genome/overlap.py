"""Check that two tables of variants describe the same genome; otherwise the likely cause in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int64
from numpy import ndarray

from varfx.errors import HarmonisationError
from varfx.genome.variants import chrom_rank

BLOCK = 100_000  # base pairs: overlap is judged in the blocks in which both tables have variants
PLENTY = 100  # this many shared rsIDs decide about the genome build on their own
_SAMPLE = 200_000


@dataclass(frozen=True)
class SharedIds:
    """Comparison of coordinates at the rsIDs shared by two tables.

    Attributes:
        shared: rsIDs in both (of a sample of the smaller table, above 200,000 rows).
        moved: those with another chromosome or position.
        elsewhere: those of the moved ones on another chromosome.
        same_position: those of `elsewhere` at the reference's position.
        median_shift: median of table minus reference position over the moved ones on the same chromosome.
        example: the first moved one, in words.
    """

    shared: int
    moved: int
    median_shift: float
    example: str
    elsewhere: int = 0
    same_position: int = 0

    @property
    def contradict(self) -> bool:
        """Most shared rsIDs stand at other positions."""
        return self.moved > self.shared / 2

    def describe(self) -> str:
        """The finding as a half sentence."""
        if self.elsewhere > self.moved / 2:
            return f"{self.elsewhere} of {self.shared} shared rsIDs are on other chromosomes (first: {self.example})"
        return (
            f"{self.moved} of {self.shared} shared rsIDs have other positions (median shift {self.median_shift:+.0f} "
            f"bp; first: {self.example})"
        )


def shared_ids(table: pl.DataFrame, reference: pl.DataFrame) -> SharedIds:
    """Compares the positions of rsIDs that two tables share.

    Above 200,000 rows an evenly spaced sample of the smaller table is used. rsIDs that stand at several positions
    (multi-allelic sites split over rows do not) are left out.

    Args:
        table: columns `chrom, position`, and `variant_id` if there is one.
        reference: the same.
    """
    if "variant_id" not in table.columns or "variant_id" not in reference.columns:
        return SharedIds(0, 0, 0.0, "")
    table_first = table.height <= reference.height
    small, large = (table, reference) if table_first else (reference, table)
    small = small.gather_every(max(1, small.height // _SAMPLE))
    named = pl.col("variant_id").str.starts_with("rs") & pl.col("position").is_not_null()
    columns = ["variant_id", "chrom", "position"]
    small = small.lazy().select(columns).filter(named).unique().collect()
    large = (
        large.lazy().select(columns).join(small.lazy(), on="variant_id", how="semi").filter(named).unique().collect()
    )
    one_place = pl.col("variant_id").is_unique()
    both = small.filter(one_place).join(large.filter(one_place), on="variant_id", suffix="_large")
    sign = 1 if table_first else -1
    shift = sign * (pl.col("position") - pl.col("position_large"))
    moved = both.filter(
        (pl.col("position") != pl.col("position_large")) | (pl.col("chrom") != pl.col("chrom_large"))
    ).sort(chrom_rank(), "position", "variant_id")
    example = ""
    if moved.height:
        name, *places = moved.select(columns + ["chrom_large", "position_large"]).row(0)
        one, other = f"{places[0]}:{places[1]}", f"{places[2]}:{places[3]}"
        here, there = (one, other) if table_first else (other, one)
        example = f"{name} at {here}, in the reference at {there}"
    elsewhere = moved.filter(pl.col("chrom") != pl.col("chrom_large"))
    median = moved.filter(pl.col("chrom") == pl.col("chrom_large")).select(shift.median()).item()
    return SharedIds(
        both.height,
        moved.height,
        float(median or 0.0),
        example,
        elsewhere.height,
        elsewhere.filter(pl.col("position") == pl.col("position_large")).height,
    )


def check_build(ids: SharedIds, *, source: str, reference_name: str) -> None:
    """Refuses a table of which plenty of rsIDs are shared and most stand at other positions.

    Raises:
        HarmonisationError: naming how many, the median shift, the first one, and what to do.
    """
    if ids.shared >= PLENTY and ids.contradict:
        raise HarmonisationError(f"`{source}` and `{reference_name}`: {ids.describe()}. {_build_remedy(ids)}")


def _build_remedy(ids: SharedIds) -> str:
    if ids.same_position > ids.moved / 2:
        return (
            "Their positions agree, so the build does too: the likely cause is another naming of chromosomes, or a column "
            "that does not hold them. Use the names 1 to 22, X, Y, MT."
        )
    if ids.elsewhere > ids.moved / 2:
        return (
            "No build moves variants to other chromosomes: the likely cause is a column of rsIDs, chromosomes or positions "
            "that belongs to other rows (sorted alone) or holds something else. Check the columns."
        )
    if abs(ids.median_shift) == 1:
        return "The positions look 0-based: add or subtract 1."
    return (
        "The likely cause is another genome build (GRCh37 and GRCh38): lift one of them over, or take a reference of "
        "the table's build."
    )


def share_found(table: pl.DataFrame, reference: pl.DataFrame, found: Int64[ndarray, " match"]) -> float:
    """Share of variants found, of those that could be: where both tables have variants, in shared blocks of 100 kb.

    Rows without position could be anywhere. Where there are any, the blocks are those of the variants found, and each variant
    found is left out of the count that its own presence chose: a table that hits every block once by chance has a share of 0.

    Args:
        table: the table.
        reference: the reference.
        found: rows of the reference that match, each once.
    """
    mine, theirs = (_blocks(frame) for frame in (table, reference))
    unplaced = table.height - mine.height
    inside = mine.join(theirs.unique(), on=["chrom", "block"], how="semi").height + unplaced
    if not unplaced:
        possible = min(inside, theirs.join(mine.unique(), on=["chrom", "block"], how="semi").height)
        return min(1.0, found.size / possible) if possible else 0.0
    hit = _blocks(reference[found]).group_by("chrom", "block").len("found")
    blocks = hit.join(theirs.group_by("chrom", "block").len("all"), on=["chrom", "block"])
    others, all_others = (int(blocks[name].sum()) - blocks.height for name in ("found", "all"))
    return min(1.0, max(found.size / inside, others / all_others if all_others else 0.0))


def _blocks(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("chrom", (pl.col("position") // BLOCK).alias("block")).drop_nulls()


def absent_chromosomes(
    table: pl.DataFrame, reference: pl.DataFrame, found: Int64[ndarray, " match"], *, source: str, reference_name: str
) -> list[str]:
    """A note where a table of several chromosomes has nothing on others of the reference, as a file that is cut has.

    The chromosomes of rows without position are those of the variants found.
    """
    mine = set(table["chrom"].unique().drop_nulls())
    if table["position"].has_nulls():
        mine |= set(reference["chrom"][found].unique())
    theirs = reference.select(pl.col("chrom").unique()).sort(chrom_rank())["chrom"].to_list()
    absent = [chrom for chrom in theirs if chrom not in mine]
    if not absent or len(theirs) - len(absent) < 2:
        return []
    return [
        f"`{source}` has no variants on {len(absent)} of the {len(theirs)} chromosomes of `{reference_name}` "
        f"({', '.join(absent)}): check that the file is whole."
    ]


def likely_cause(
    ids: SharedIds,
    *,
    table: pl.DataFrame,
    reference: pl.DataFrame,
    num_same_site: int,
    num_disagreeing: int,
) -> str:
    """A sentence on why few variants match, and what to do about it.

    Args:
        ids: what shared rsIDs say.
        table: the table.
        reference: the reference.
        num_same_site: table rows whose position holds a reference variant.
        num_disagreeing: those of them whose alleles fit no reference variant there.
    """
    if ids.shared and ids.contradict:
        return f"{ids.describe()}. {_build_remedy(ids)}"
    chroms = [frame["chrom"].unique().drop_nulls().to_list() for frame in (table, reference)]
    if chroms[0] and not set(chroms[0]) & set(chroms[1]):
        mine, theirs = (", ".join(sorted(names)[:5]) for names in chroms)
        return (
            f"They share no chromosome (table: {mine}; reference: {theirs}): the likely cause is another naming of "
            "chromosomes, or files of different chromosomes. Use the names 1 to 22, X, Y, MT."
        )
    if num_same_site and num_disagreeing > num_same_site / 4:
        return (
            f"At {num_disagreeing} of {num_same_site} shared positions the alleles disagree: the likely cause is "
            "another genome build. Lift one of them over, or take a reference of the table's build."
        )
    if table["position"].null_count() > table.height / 2:
        return (
            "The table has no positions and few of its rsIDs are in the reference: take a reference that carries rsIDs."
        )
    if num_same_site == 0:
        return "No position is shared: check the genome builds and that both hold the same region."
    return (
        "Alleles agree at shared positions: the likely cause is another array, imputation panel or ancestry. Take a "
        "reference of the same, or impute the table."
    )


def frequency_correlation(table: ndarray, reference: ndarray) -> tuple[float, int]:
    """Correlation of two sets of frequencies over the variants where both are known, and how many these are."""
    known = np.isfinite(table) & np.isfinite(reference)
    first, second = table[known], reference[known]
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan"), int(first.size)
    return float(np.corrcoef(first, second)[0, 1]), int(first.size)
