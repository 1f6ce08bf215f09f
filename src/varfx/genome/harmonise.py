"""Brings a table of variants to a reference's variants and alleles, and counts in a ledger what each rule did.

A variant is matched by position and alleles (by rsID only where the table has no position). The same variant may be
spelled with its alleles swapped, on the other strand, or both. Only a swap changes what the effect allele is, and
with it the sign: effect allele A of A/C against reference effect allele T of T/G is one allele read on two strands.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from varfx.errors import ConfigError, DataError, HarmonisationError
from varfx.genome import overlap
from varfx.genome.variant_codes import FLIPPED, SWAPPED, CodedVariants, encode, find, in_several_rows

Palindromes = Literal["frequency", "drop", "keep"]
AMBIGUOUS = (0.4, 0.6)  # a palindrome's strand cannot be told from frequencies strictly between
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ledger:
    """What became of every row of a table.

    Attributes:
        source: the table.
        reference: what it was brought to.
        counts: rule -> number of table rows, in the order of the rules.
        notes: what the user should know, one sentence each.
    """

    source: str
    reference: str
    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rules in order, as rows `{"step": rule, "variants": count}`."""
        return iter([{"step": rule, "variants": count} for rule, count in self.counts.items()])

    def to_dict(self) -> dict[str, Any]:
        """The ledger as JSON-able values."""
        return {
            "source": self.source,
            "reference": self.reference,
            "counts": dict(self.counts),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Harmonised:
    """The table rows that are variants of the reference, in the reference's order.

    Attributes:
        table_row: row of the table.
        reference_row: row of the reference, ascending, each at most once.
        sign: +1, or -1 where the table's effect allele is the reference's other allele: multiply z by it, and take
            1 - eaf for eaf.
        overlap: share of comparable variants that were found (see `harmonise`).
        ledger: what became of every table row.
    """

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
    palindromes: Palindromes = "frequency",
    min_overlap: float = 0.2,
    source: str,
    reference_name: str,
    max_frequency_difference: float | None = None,
) -> Harmonised:
    """Matches a table's variants to a reference's, with the sign of each.

    Args:
        table: `chrom, position, variant_id, effect_allele, other_allele, eaf` (and more). Rows without position are
            matched by `variant_id`.
        reference: columns of `varfx.genome.variants.SCHEMA`.
        palindromes: A/T and C/G variants: "frequency" compares the two effect-allele frequencies, which must stand on
            the same side of 0.5, and drops variants with 0.4 < eaf < 0.6 or unknown in either; "drop" drops all;
            "keep" trusts that both tables are on one strand.
        min_overlap: the smallest acceptable (variants found) / min(reference variants on the table's chromosomes,
            table variants in the reference's regions).
        source: name of the table for messages.
        reference_name: name of the reference for messages.
        max_frequency_difference: drops variants whose frequencies, once turned to one allele, differ by more.

    Raises:
        HarmonisationError: another genome build, too little overlap, frequencies of the wrong allele, or no variant
            is left; the message names the likely cause.
        DataError: alleles or positions that cannot be right.
        ConfigError: an argument is out of range.
    """
    _check_arguments(palindromes, min_overlap, max_frequency_difference)
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
    frequency, target_frequency = _frequencies(table, reference, match.row)
    turned = (coded.form ^ np.where(match.row >= 0, target.form[match.row], coded.form)).astype(np.int64)
    sign, keep = _signs(turned, coded.palindrome, frequency, target_frequency, palindromes)
    keep &= match.row >= 0
    too_different = np.zeros_like(keep)
    if max_frequency_difference is not None:
        oriented = np.where(sign == 1, frequency, 1 - frequency)
        too_different = keep & (np.abs(oriented - target_frequency) > max_frequency_difference)

    share = _overlap(table, reference, match, unplaced)
    if share < min_overlap or not match.row.max() >= 0:
        cause = overlap.likely_cause(
            ids,
            table=table,
            reference=reference,
            num_same_site=int(match.same_site.sum()),
            num_disagreeing=int((match.same_site & ~match.site_matched & ~match.copies).sum()),
        )
        raise HarmonisationError(
            f"`{source}`: only {(match.row >= 0).sum()} of {table.height} variants are among the {reference.height} of "
            f"`{reference_name}` (overlap {share:.1%}, at least {min_overlap:.0%} is needed). {cause}"
        )
    plain = keep & ~coded.palindrome
    notes = _frequency_notes(plain, sign, frequency, target_frequency, source, reference_name)
    ledger = _ledger(table, reference, coded, match, turned, sign, keep, too_different, unplaced)
    dropped = ledger["palindromic, dropped"]
    lacking = [
        name
        for name, known in ((source, frequency), (reference_name, target_frequency))
        if not np.isfinite(known).any()
    ]
    if palindromes == "frequency" and dropped and lacking:
        notes.append(
            f"{dropped} palindromic variants were dropped because `{'` and `'.join(lacking)}` has no allele frequencies. "
            "Add frequencies, or keep palindromes if both are known to be on one strand."
        )
    keep &= ~too_different
    if not keep.any():
        raise HarmonisationError(
            f"`{source}`: none of its {(match.row >= 0).sum()} variants found in `{reference_name}` is left: "
            f"{dropped} are palindromic and their strand is unknown, {too_different.sum()} "
            'have too different frequencies. Add allele frequencies, or use palindromes="keep".'
        )
    for note in notes:
        _log.warning(note)
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(match.row[rows], kind="stable")]
    return Harmonised(
        table_row=rows,
        reference_row=match.row[rows],
        sign=sign[rows],
        overlap=share,
        ledger=Ledger(source, reference_name, ledger, tuple(notes)),
    )


@dataclass(frozen=True, eq=False)
class _Match:
    """Where each table row stands in the reference, before strands and frequencies are looked at."""

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


def _signs(
    turned: Int64[ndarray, " row"],
    palindrome: Bool[ndarray, " row"],
    frequency: Float64[ndarray, " row"],
    target_frequency: Float64[ndarray, " row"],
    palindromes: Palindromes,
) -> tuple[Int64[ndarray, " row"], Bool[ndarray, " row"]]:
    """Sign of each row, and whether its strand is known."""
    by_letters = np.where(turned & SWAPPED, -1, 1)
    if palindromes == "keep":
        return by_letters, np.ones(turned.size, dtype=bool)
    if palindromes == "drop":
        return by_letters, ~palindrome
    # The letters of a palindrome say nothing: whatever they are, two frequencies on one side of 0.5 mean one allele.
    low, high = AMBIGUOUS
    clear = ((frequency <= low) | (frequency >= high)) & ((target_frequency <= low) | (target_frequency >= high))
    by_frequency = np.where((frequency < 0.5) == (target_frequency < 0.5), 1, -1)
    return np.where(palindrome, by_frequency, by_letters), ~palindrome | clear


def _overlap(table: pl.DataFrame, reference: pl.DataFrame, match: _Match, unplaced: Bool[ndarray, " row"]) -> float:
    """Variants found as a share of those that could have been."""
    inside, on_chromosomes = overlap.comparable(table, reference)
    possible = min(int(inside.sum()), int(on_chromosomes.sum()))
    found = int((match.row >= 0).sum())
    return found / possible if possible else 0.0


def _ledger(
    table: pl.DataFrame,
    reference: pl.DataFrame,
    coded: CodedVariants,
    match: _Match,
    turned: Int64[ndarray, " row"],
    sign: Int64[ndarray, " row"],
    keep: Bool[ndarray, " row"],
    too_different: Bool[ndarray, " row"],
    unplaced: Bool[ndarray, " row"],
) -> dict[str, int]:
    """Counts of every rule; those between "in reference" and "matched" add up to the table's rows."""
    found, palindrome = match.row >= 0, coded.palindrome
    used = keep & ~too_different
    plain = used & ~palindrome
    unmatched = ~found & ~match.copies & ~match.ambiguous
    rules = {
        "matched as is": plain & (turned == 0),
        "swapped": plain & (turned == SWAPPED),
        "strand-flipped": plain & (turned == FLIPPED),
        "strand-flipped and swapped": plain & (turned == SWAPPED + FLIPPED),
        "palindromic, same effect allele": used & palindrome & (sign == 1),
        "palindromic, swapped": used & palindrome & (sign == -1),
        "palindromic, dropped": found & ~keep,
        "frequency differs too much, dropped": too_different,
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


def _frequency_notes(
    plain: Bool[ndarray, " row"],
    sign: Int64[ndarray, " row"],
    frequency: Float64[ndarray, " row"],
    target_frequency: Float64[ndarray, " row"],
    source: str,
    reference_name: str,
) -> list[str]:
    """Refuses frequencies that run against the reference's, and notes those that do not follow it.

    Raises:
        HarmonisationError: the correlation over 100 or more non-palindromic variants is below -0.5.
    """
    oriented = np.where(sign == 1, frequency, 1 - frequency)
    correlation, count = overlap.frequency_correlation(oriented[plain], target_frequency[plain])
    if count < overlap.PLENTY or not correlation < 0.5:
        return []
    finding = (
        f"allele frequencies of {count} variants of `{source}` correlate {correlation:.2f} with those of "
        f"`{reference_name}`"
    )
    if correlation < -0.5:
        raise HarmonisationError(
            f"The {finding}: the effect and other allele, or the allele that eaf counts, are exchanged. "
            "Check which column is the effect allele."
        )
    return [
        f"The {finding}: they may be minor-allele frequencies, or of another ancestry. "
        'Palindromes resolved by them are then wrong: use palindromes="drop".'
    ]


def _check_arguments(palindromes: str, min_overlap: float, max_frequency_difference: float | None) -> None:
    if palindromes not in ("frequency", "drop", "keep"):
        raise ConfigError(f'`palindromes` must be "frequency", "drop" or "keep", but is "{palindromes}".')
    if not 0 <= min_overlap <= 1:
        raise ConfigError(f"`min_overlap` must be between 0 and 1, but is {min_overlap}.")
    if max_frequency_difference is not None and not 0 < max_frequency_difference <= 1:
        raise ConfigError(f"`max_frequency_difference` must be in (0, 1], but is {max_frequency_difference}.")
