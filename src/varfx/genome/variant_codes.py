"""Variants as integers, so that millions of them are joined by sorting instead of by comparing strings.

A variant's `key` packs chromosome, position and allele pair into one int64, the same for every spelling of the pair:
either order of the two alleles and, on request, either strand. Its `form` says which spelling stands in the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Int, Int64, UInt8
from numpy import ndarray

from varfx.errors import DataError
from varfx.genome import variants

SWAPPED = 1
FLIPPED = 2
_NO_SITE = -1


@dataclass(frozen=True, eq=False)
class CodedVariants:
    """One table's variants in codes that are shared with the tables encoded together with it.

    Attributes:
        site: chromosome and position; -1 where the position is unknown.
        pair: the allele pair.
        form: bit SWAPPED and bit FLIPPED of the spelling relative to the pair's first spelling. Between two rows of
            one pair, `form ^ form` says how one is turned into the other.
        palindrome: the alleles are each other's complement, so that swap and strand flip look the same.
        num_pairs: how many pairs there are in all tables.
    """

    site: Int64[ndarray, " variant"]
    pair: Int64[ndarray, " variant"]
    form: UInt8[ndarray, " variant"]
    palindrome: Bool[ndarray, " variant"]
    num_pairs: int

    @property
    def key(self) -> Int64[ndarray, " variant"]:
        """Site and pair in one number; -1 where the site is unknown."""
        return np.where(self.site == _NO_SITE, -1, self.site * self.num_pairs + self.pair)

    def placed(self, site: Int64[ndarray, " variant"]) -> CodedVariants:
        """The variants at other sites."""
        return CodedVariants(site, self.pair, self.form, self.palindrome, self.num_pairs)


def encode_sites(frames: Sequence[pl.DataFrame], *, sources: Sequence[str]) -> list[Int64[ndarray, " variant"]]:
    """A number for each row's `chrom` and `position`, shared by all tables; -1 where either is null.

    Raises:
        DataError: a position below 1 or above 2^31 - 1.
    """
    names = pl.concat([frame.select(pl.col("chrom").unique()) for frame in frames])["chrom"].unique().drop_nulls()
    chrom = pl.Enum(names.sort())
    for frame, source in zip(frames, sources, strict=True):
        bad = ~pl.col("position").is_between(1, 2**31 - 1)
        variants.require_no(
            frame.select(bad.fill_null(False).alias("bad"))["bad"],
            frame,
            "position is below 1 or above 2147483647",
            "Positions are 1-based; remove these rows.",
            source=source,
        )
    code = pl.col("chrom").cast(chrom).to_physical().cast(pl.Int64) * 2**31 + pl.col("position").cast(pl.Int64)
    return [frame.select(code.fill_null(_NO_SITE).alias("site"))["site"].to_numpy() for frame in frames]


def encode(frames: Sequence[pl.DataFrame], *, both_strands: bool, sources: Sequence[str]) -> list[CodedVariants]:
    """The variants of several tables in shared codes.

    Args:
        frames: tables with `chrom, position, effect_allele, other_allele`.
        both_strands: whether A/C and T/G are one pair (strand unknown) or two.
        sources: a name of each table for messages.

    Raises:
        DataError: alleles that are missing, equal or outside ACGT; positions out of range.
    """
    sites = encode_sites(frames, sources=sources)
    pairs = _spellings(frames, both_strands=both_strands)
    if pairs["bad"].any():
        for frame, source in zip(frames, sources, strict=True):
            variants.require_no(
                variants.bad_alleles(frame),
                frame,
                "alleles are missing, equal, or hold letters other than ACGT",
                "Remove these rows.",
                source=source,
            )
    num_pairs = int(pairs["pair"].to_numpy().max()) + 1
    if max((int(site.max()) for site in sites if site.size), default=0) >= 2**62 // num_pairs:
        raise DataError(
            f"`{sources[0]}`: too many contigs and allele pairs ({num_pairs}) to number. Remove unplaced contigs."
        )
    coded = []
    for frame, site in zip(frames, sites, strict=True):
        spelled = frame.select("effect_allele", "other_allele").join(
            pairs, on=["effect_allele", "other_allele"], how="left", maintain_order="left"
        )
        pair, form, palindrome = (spelled[name].to_numpy() for name in ("pair", "form", "palindrome"))
        coded.append(CodedVariants(site, pair, form, palindrome, num_pairs))
    return coded


def _spellings(frames: Sequence[pl.DataFrame], *, both_strands: bool) -> pl.DataFrame:
    """Every (effect, other) spelling that occurs: the number of its pair, its form, and whether it is legal."""
    spelled = pl.concat([frame.select("effect_allele", "other_allele").unique() for frame in frames]).unique()
    effect, other = pl.col("effect_allele"), pl.col("other_allele")
    forms = [pl.concat_str(effect, pl.lit("/"), other), pl.concat_str(other, pl.lit("/"), effect)]
    if both_strands:
        far_effect, far_other = (variants.complement_expr(name) for name in ("effect_allele", "other_allele"))
        forms += [pl.concat_str(far_effect, pl.lit("/"), far_other), pl.concat_str(far_other, pl.lit("/"), far_effect)]
    spelled = spelled.with_columns(
        variants.bad_alleles(spelled), *(form.alias(f"form{k}") for k, form in enumerate(forms))
    )
    names = [f"form{k}" for k in range(len(forms))]
    spelled = spelled.with_columns(first=pl.min_horizontal(names))
    form = pl.coalesce(pl.when(pl.col(name) == pl.col("first")).then(pl.lit(k)) for k, name in enumerate(names))
    return spelled.select(
        "effect_allele",
        "other_allele",
        "bad",
        (pl.col("first").rank("dense") - 1).cast(pl.Int64).alias("pair"),
        form.cast(pl.UInt8).alias("form"),
        variants.palindromic_expr().alias("palindrome"),
    )


def in_several_rows(key: Int64[ndarray, " variant"]) -> Bool[ndarray, " variant"]:
    """True on rows whose key stands in another row too; rows with key -1 (no site) are no copies of each other."""
    order = np.argsort(key, kind="stable")
    same = np.zeros(key.size + 1, dtype=bool)
    same[1:-1] = (key[order][1:] == key[order][:-1]) & (key[order][1:] != -1)
    copies = np.empty(key.size, dtype=bool)
    copies[order] = same[1:] | same[:-1]
    return copies


def find(keys: Int64[ndarray, " row"], among: Int64[ndarray, " candidate"]) -> Int[ndarray, " row"]:
    """For each key the row of `among` that holds it (the last of several), or -1; key -1 is never found."""
    if among.size == 0:
        return np.full(keys.size, -1, dtype=np.int64)
    order = np.argsort(among, kind="stable")
    place = np.searchsorted(among[order], keys, side="right") - 1
    row = order[np.maximum(place, 0)]
    return np.where((place >= 0) & (among[row] == keys) & (keys != -1), row, -1)
