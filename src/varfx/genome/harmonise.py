"""Brings a table of variants to a reference's variants and alleles, and counts in a ledger what each rule did.

A variant is matched by position and alleles (by rsID only where the table has no position). The same variant may be
spelled with its alleles swapped, on the other strand, or both. Only a swap changes what the effect allele is, and
with it the sign: effect allele A of A/C against reference effect allele T of T/G is one allele read on two strands.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from varfx.errors import DataError, HarmonisationError
from varfx.genome import overlap
from varfx.genome.matching import Matching
from varfx.genome.palindromes import FrequencyCheck, check_frequencies, clear, signs_by_frequency
from varfx.genome.variant_codes import FLIPPED, SWAPPED, CodedVariants, encode, find, in_several_rows
from varfx.io.ledger import Ledger
from varfx.short_repr import short_repr

_DEFAULT = Matching()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Harmonised:
    """The table rows that are variants of the reference, in the reference's order.

    Attributes:
        table_row: row of the table.
        reference_row: row of the reference, ascending, each at most once.
        sign: +1, or -1 where the table's effect allele is the reference's other allele: multiply z by it, and take
            1 - eaf for eaf.
        overlap: variants found / min(table rows, reference variants), of those in the blocks of 100 kb in which both
            have variants (see `varfx.genome.overlap.share_found`).
        ledger: what became of every table row.
    """

    __repr__ = short_repr

    table_row: Int64[ndarray, " match"]
    reference_row: Int64[ndarray, " match"]
    sign: Int64[ndarray, " match"]
    overlap: float
    ledger: Ledger = field(repr=False)

    def oriented(self, table: pl.DataFrame) -> pl.DataFrame:
        """The matched rows of `table` in the reference's order, with `z` and `eaf` turned to its effect alleles.

        Other columns, the alleles among them, stay as they are in `table`.
        """
        sign = pl.Series(self.sign)
        matched = table[self.table_row]
        columns = []
        if "z" in matched.columns:
            columns.append(matched["z"] * sign)
        if "eaf" in matched.columns:
            columns.append(
                matched.select(pl.when(sign == 1).then("eaf").otherwise(1 - pl.col("eaf")).alias("eaf"))["eaf"]
            )
        return matched.with_columns(columns)


def harmonise(
    table: pl.DataFrame,
    reference: pl.DataFrame,
    *,
    source: str,
    reference_name: str,
    matching: Matching = _DEFAULT,
) -> Harmonised:
    """Matches a table's variants to a reference's, with the sign of each.

    Args:
        table: `chrom, position, variant_id, effect_allele, other_allele, eaf` (and more). Rows without position are
            matched by `variant_id`.
        reference: columns of `varfx.genome.variants.SCHEMA`.
        source: name of the table for messages.
        reference_name: name of the reference for messages.
        matching: what becomes of palindromes, how much overlap is needed (see `Harmonised.overlap`), and how far
            frequencies may differ.

    Raises:
        HarmonisationError: another genome build, too little overlap, frequencies of the wrong allele, or no variant
            is left; the message names the likely cause.
        DataError: alleles or positions that cannot be right.
    """
    for frame, name in ((table, source), (reference, reference_name)):
        if frame.height == 0:
            raise DataError(f"`{name}` holds no variants. Check the file and the filters.")
    ids = overlap.shared_ids(table, reference)
    overlap.check_build(ids, source=source, reference_name=reference_name)

    coded, target = encode([table, reference], both_strands=True, sources=[source, reference_name])
    unplaced = coded.site == -1
    if unplaced.any():
        coded = coded.placed(np.where(unplaced, _sites_by_id(table, reference, target, unplaced), coded.site))
    match = _match(coded, target)
    found = match.row[match.row >= 0]
    share = overlap.share_found(table, reference, found)
    if share < matching.min_overlap or not found.size:
        raise _little_overlap(table, reference, match, ids, share, matching, names=(source, reference_name))

    turned = (coded.form ^ np.where(match.row >= 0, target.form[match.row], coded.form)).astype(np.int64)
    judged = _judge(table, reference, match, turned, coded.palindrome, matching, names=(source, reference_name))
    used = judged.keep & ~judged.too_different
    ledger = Ledger(_counts(table, reference, coded, match, turned, judged, unplaced))
    dropped = ledger.counts["palindromic, dropped"]
    if not used.any():
        raise HarmonisationError(
            f"`{source}`: none of its {(match.row >= 0).sum()} variants found in `{reference_name}` is left: "
            f"{dropped} are palindromic and their strand is unknown, {judged.too_different.sum()} "
            "have too different frequencies. Add allele frequencies, or use --palindromes keep."
        )
    notes = judged.notes(dropped, int((match.row >= 0).sum()), names=(source, reference_name))
    if matching.min_overlap > 0:
        notes += overlap.absent_chromosomes(table, reference, found, source=source, reference_name=reference_name)
    for note in notes:
        ledger.note(note)
        _log.warning(note)
    rows = np.flatnonzero(used)
    rows = rows[np.argsort(match.row[rows], kind="stable")]
    return Harmonised(
        table_row=rows,
        reference_row=match.row[rows],
        sign=judged.sign[rows],
        overlap=share,
        ledger=ledger,
    )


@dataclass(frozen=True, eq=False)
class _Match:
    """Reference row of each table row, before strands and frequencies are considered."""

    row: Int64[ndarray, " row"]  # row in the reference, or -1
    same_site: Bool[ndarray, " row"]  # the reference has a variant at the row's position
    site_matched: Bool[ndarray, " row"]  # some table row at this position matched
    copies: Bool[ndarray, " row"]  # the row's key stands in several table rows
    reference_copies: Bool[ndarray, " variant"]
    ambiguous: Bool[ndarray, " row"]  # the row's key stands in several reference rows


def _match(coded: CodedVariants, target: CodedVariants) -> _Match:
    """Joins by position and allele pair; a key that stands twice in either table matches nothing."""
    key, target_key = coded.key, target.key
    copies, reference_copies = in_several_rows(key), in_several_rows(target_key)
    row = find(key, target_key)
    ambiguous = (row >= 0) & reference_copies[row]
    row = np.where(copies | ambiguous, -1, row)
    same_site = find(coded.site, target.site) >= 0
    site_matched = find(coded.site, coded.site[row >= 0]) >= 0
    return _Match(row, same_site, site_matched, copies, reference_copies, ambiguous & ~copies)


def _sites_by_id(
    table: pl.DataFrame, reference: pl.DataFrame, target: CodedVariants, unplaced: Bool[ndarray, " row"]
) -> Int64[ndarray, " row"]:
    """The reference's site of each table row's rsID; -1 if the rsID is absent or stands at several sites."""
    wanted = table.select(pl.col("variant_id").filter(pl.Series(unplaced))).unique().drop_nulls()
    known = (
        reference.select("variant_id")
        .with_columns(site=pl.Series(target.site))
        .join(wanted, on="variant_id", how="semi")
        .unique()
        .filter(pl.col("variant_id").is_unique())
    )
    placed = table.select("variant_id").join(known, on="variant_id", how="left", maintain_order="left")
    return placed["site"].fill_null(-1).to_numpy()


def _frequencies(
    table: pl.DataFrame, reference: pl.DataFrame, row: Int64[ndarray, " row"]
) -> tuple[Float64[ndarray, " row"], Float64[ndarray, " row"]]:
    """Effect-allele frequency of each table row, and of the reference variant it matches; NaN where unknown."""
    mine, theirs = (
        frame["eaf"].cast(pl.Float64).to_numpy() if "eaf" in frame.columns else np.full(frame.height, np.nan)
        for frame in (table, reference)
    )
    return mine, np.where(row >= 0, theirs[row], np.nan)


@dataclass(frozen=True, eq=False)
class _Judged:
    """Sign of each row, and what frequencies say about it."""

    sign: Int64[ndarray, " row"]
    keep: Bool[ndarray, " row"]  # matched, and its strand is known
    too_different: Bool[ndarray, " row"]  # frequencies differ by more than is allowed
    check: FrequencyCheck | None  # None where palindromes are not resolved by frequencies
    lacking: tuple[bool, bool]  # the table, or the reference, has no frequencies
    unconfirmed: int = (
        0  # palindromes with clear frequencies on a side of 0.5 where other variants do not confirm these
    )

    def notes(self, dropped: int, found: int, *, names: tuple[str, str]) -> list[str]:
        """Notes for the user on frequencies and palindromes.

        Args:
            dropped: number of palindromes left out.
            found: number of the table's variants in the reference.
            names: of the table and the reference.
        """
        check, (source, reference_name) = self.check, names
        if check is None:
            return []
        remedy = "use --palindromes keep if both files are on one strand"
        if any(self.lacking):
            absent = "` and `".join(name for name, lacks in zip(names, self.lacking, strict=True) if lacks)
            why, remedy = f"`{absent}` has no allele frequencies", f"Give frequencies of the effect allele, or {remedy}"
        elif check.count < overlap.PLENTY:
            why = f"only {check.count:,} other variants have a frequency in both, too few to tell"
        elif check.doubtful:
            why = (
                f"its frequencies correlate only {check.correlation:.2f} with those of `{reference_name}`, as those of minor "
                "alleles or of another ancestry do"
            )
            remedy = f"Give frequencies of the effect allele, or {remedy}"
        elif not (check.trust_low and check.trust_high):
            side = "either side" if not (check.trust_low or check.trust_high) else "one side"
            why = f"other variants do not confirm its frequencies on {side} of 0.5, as of minor alleles"
            dropped = self.unconfirmed
        else:
            return []
        if not dropped and not check.doubtful:
            return []
        what = (
            f"{dropped:,} of {found:,} variants are palindromic (A/T or C/G) and left out, because {why}"
            if dropped
            else f"no palindromic variant was left out, but {why}"
        )
        return [f"`{source}`: {what}. {remedy[0].upper()}{remedy[1:]}."]


def _judge(
    table: pl.DataFrame,
    reference: pl.DataFrame,
    match: _Match,
    turned: Int64[ndarray, " row"],
    palindrome: Bool[ndarray, " row"],
    matching: Matching,
    *,
    names: tuple[str, str],
) -> _Judged:
    """The sign of each matched row: by its letters, and of palindromes by frequencies.

    Raises:
        HarmonisationError: frequencies that run against the reference's.
    """
    frequency, target_frequency = _frequencies(table, reference, match.row)
    by_letters = np.where(turned & SWAPPED, -1, 1)
    found = match.row >= 0
    plain = found & ~palindrome
    check = check_frequencies(plain, np.where(by_letters == 1, frequency, 1 - frequency), target_frequency)
    if check.exchanged:
        raise HarmonisationError(
            f"The allele frequencies of {check.count} variants of `{names[0]}` correlate {check.correlation:.2f} with "
            f"those of `{names[1]}`: the effect and other allele, or the allele that eaf counts, are exchanged. "
            "Check which column is the effect allele; minor-allele frequencies are named so by `varfx sumstats clean --columns "
            "maf=NAME`."
        )
    unconfirmed = 0
    if matching.palindromes == "infer":
        by_frequency, known = signs_by_frequency(check, frequency, target_frequency)
        sign, keep = np.where(palindrome, by_frequency, by_letters), found & (~palindrome | known)
        unconfirmed = int((found & palindrome & ~known & clear(frequency) & clear(target_frequency)).sum())
    else:
        sign, keep = by_letters, found & (~palindrome | (matching.palindromes == "keep"))
    too_different = np.zeros_like(keep)
    if matching.max_frequency_difference is not None:
        oriented = np.where(sign == 1, frequency, 1 - frequency)
        too_different = keep & (np.abs(oriented - target_frequency) > matching.max_frequency_difference)
    lacking = not np.isfinite(frequency).any(), not np.isfinite(target_frequency).any()
    return _Judged(sign, keep, too_different, check if matching.palindromes == "infer" else None, lacking, unconfirmed)


def _little_overlap(
    table: pl.DataFrame,
    reference: pl.DataFrame,
    match: _Match,
    ids: overlap.SharedIds,
    share: float,
    matching: Matching,
    *,
    names: tuple[str, str],
) -> HarmonisationError:
    """The error on too few matches, with the likely cause."""
    cause = overlap.likely_cause(
        ids,
        table=table,
        reference=reference,
        num_same_site=int(match.same_site.sum()),
        num_disagreeing=int((match.same_site & ~match.site_matched & ~match.copies).sum()),
    )
    return HarmonisationError(
        f"`{names[0]}`: only {(match.row >= 0).sum()} of {table.height} variants are among the {reference.height} of "
        f"`{names[1]}` (overlap {share:.1%} where both have variants, at least {matching.min_overlap:.0%} is needed, "
        f"--min-overlap). {cause}"
    )


def _counts(
    table: pl.DataFrame,
    reference: pl.DataFrame,
    coded: CodedVariants,
    match: _Match,
    turned: Int64[ndarray, " row"],
    judged: _Judged,
    unplaced: Bool[ndarray, " row"],
) -> dict[str, int]:
    """Counts of every rule; those between "in reference" and "matched" add up to the table's rows."""
    found, palindrome, sign = match.row >= 0, coded.palindrome, judged.sign
    used = judged.keep & ~judged.too_different
    plain = used & ~palindrome
    unmatched = ~found & ~match.copies & ~match.ambiguous
    rules = {
        "matched as is": plain & (turned == 0),
        "swapped": plain & (turned == SWAPPED),
        "strand-flipped": plain & (turned == FLIPPED),
        "strand-flipped and swapped": plain & (turned == SWAPPED + FLIPPED),
        "palindromic, same effect allele": used & palindrome & (sign == 1),
        "palindromic, swapped": used & palindrome & (sign == -1),
        "palindromic, dropped": found & ~judged.keep,
        "frequency differs too much, dropped": judged.too_different,
        "duplicate keys, dropped": match.copies,
        "duplicate keys in the reference, dropped": match.ambiguous,
        "multi-allelic, another allele pair matched": unmatched & match.same_site & match.site_matched,
        "alleles do not match": unmatched & match.same_site & ~match.site_matched,
        "not in reference": unmatched & ~match.same_site,
    }
    return {
        "in table": table.height,
        "in reference": reference.height,
        **{rule: int(rows.sum()) for rule, rows in rules.items()},
        "matched": int(used.sum()),
        "matched by rsID": int((used & unplaced).sum()),
    }
