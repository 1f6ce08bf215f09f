"""Harmonisation against a brute-force oracle, its laws, its ledger and its refusals."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varfx.errors import ConfigError, DataError, HarmonisationError
from varfx.genome.harmonise import harmonise
from varfx.genome.matching import Matching
from varfx.genome.variants import SCHEMA

OTHER_STRAND = {"A": "T", "T": "A", "C": "G", "G": "C"}
PARTITION = slice(2, -2)  # ledger counts between "in reference" and "matched" add up to the table
Row = tuple[str | None, int | None, str | None, str, str, float | None]


def frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def reverse_complement(allele: str) -> str:
    return "".join(OTHER_STRAND[base] for base in reversed(allele))


# Variants that show that both tables' frequencies are of the effect allele: without them no palindrome is resolved.
AGREEING: list[Row] = [("21", k + 1, None, "A", "C", (k % 99 + 1) / 100) for k in range(198)]


@dataclass(frozen=True)
class Verdict:
    sign: int | None  # None: not used
    rule: str


def oracle(row: Row, target: Row) -> Verdict:
    """The rules of the field, for one table row and one reference variant at its position, spelled out case by case."""
    effect, other, frequency = row[3], row[4], row[5]
    target_effect, target_other, target_frequency = target[3], target[4], target[5]
    same_letters = {effect, other} == {target_effect, target_other}
    if reverse_complement(effect) == other:
        if not same_letters:
            return Verdict(None, "alleles do not match")
        if frequency is None or target_frequency is None:
            return Verdict(None, "palindromic, dropped")
        if 0.4 < frequency < 0.6 or 0.4 < target_frequency < 0.6:
            return Verdict(None, "palindromic, dropped")
        if (frequency > 0.5 and target_frequency > 0.5) or (frequency < 0.5 and target_frequency < 0.5):
            return Verdict(1, "palindromic, same effect allele")
        return Verdict(-1, "palindromic, swapped")
    if (effect, other) == (target_effect, target_other):
        return Verdict(1, "matched as is")
    if (other, effect) == (target_effect, target_other):
        return Verdict(-1, "swapped")
    if (reverse_complement(effect), reverse_complement(other)) == (target_effect, target_other):
        return Verdict(1, "strand-flipped")
    if (reverse_complement(other), reverse_complement(effect)) == (target_effect, target_other):
        return Verdict(-1, "strand-flipped and swapped")
    return Verdict(None, "alleles do not match")


ALLELES = ("A", "C", "G", "T", "AC", "GT", "AT", "CG", "AG", "CT", "GATTA")


def test_every_allele_pair_against_every_other_agrees_with_the_oracle() -> None:
    pairs = list(itertools.permutations(ALLELES, 2))
    frequencies = (None, 0.1, 0.4, 0.41, 0.5, 0.59, 0.6, 0.9)
    cases = [
        (pair, target, mine, theirs)
        for pair, target in itertools.product(pairs, pairs)
        for mine, theirs in (
            itertools.product(frequencies, frequencies) if reverse_complement(pair[0]) == pair[1] else [(None, 0.3)]
        )
    ]
    table = [("7", k + 1, None, *pair, mine) for k, (pair, _, mine, _) in enumerate(cases)]
    reference = [("7", k + 1, None, *target, theirs) for k, (_, target, _, theirs) in enumerate(cases)]
    # enough plain matches with sensible frequencies that overlap and frequencies are in order
    plain = [("8", k + 1, None, "A", "C", (k % 99 + 1) / 100) for k in range(5000)]
    result = harmonise(
        frame(table + plain),
        frame(reference + plain),
        source="gwas",
        reference_name="panel",
        matching=Matching(min_overlap=0.0),
    )

    verdicts = [oracle(row, target) for row, target in zip(table + plain, reference + plain, strict=True)]
    expected = {k: verdict.sign for k, verdict in enumerate(verdicts) if verdict.sign is not None}
    assert dict(zip(result.table_row.tolist(), result.sign.tolist(), strict=True)) == expected
    np.testing.assert_array_equal(result.table_row, result.reference_row)
    rules = [verdict.rule for verdict in verdicts]
    for rule, count in result.ledger.counts.items():
        if rule not in ("in table", "in reference", "matched"):
            assert count == rules.count(rule), rule
    assert result.ledger.counts["matched"] == len(expected)


def test_effect_allele_on_the_other_strand_keeps_its_sign() -> None:
    """The published research code had this wrong: A (of A/C) and T (of T/G) are one allele read on two strands."""
    table = frame([("1", 10, "rs1", "A", "C", 0.3), ("1", 20, "rs2", "C", "A", 0.3)])
    reference = frame([("1", 10, "rs1", "T", "G", 0.3), ("1", 20, "rs2", "T", "G", 0.7)])
    result = harmonise(table, reference, source="gwas", reference_name="panel")
    assert result.sign.tolist() == [1, -1]
    oriented = result.oriented(table.with_columns(z=pl.Series([2.0, 3.0])))
    assert oriented["z"].to_list() == [2.0, -3.0]
    assert oriented["eaf"].to_list() == [0.3, 0.7]


bases = st.sampled_from("ACGT")
snv = st.tuples(bases, bases).filter(lambda pair: pair[0] != pair[1])
insertion = st.tuples(bases, st.text("ACGT", min_size=1, max_size=2)).map(lambda parts: (parts[0], parts[0] + parts[1]))
frequency = st.one_of(st.none(), st.sampled_from([0.05, 0.3, 0.4, 0.45, 0.5, 0.6, 0.62, 0.95]))


@st.composite
def variant_rows(draw: st.DrawFn) -> list[Row]:
    """Rows over few positions, so that multi-allelic sites, duplicates and mismatches are common."""
    places = draw(st.lists(st.tuples(st.sampled_from(["1", "X"]), st.integers(1, 6)), min_size=1, max_size=12))
    rows: list[Row] = []
    for chrom, position in places:
        first, second = draw(st.one_of(snv, insertion))
        if draw(st.booleans()):
            first, second = second, first
        rows.append((chrom, position, f"rs{position}", first, second, draw(frequency)))
    return rows


def signs(table: pl.DataFrame, reference: pl.DataFrame) -> dict[int, tuple[int, int]] | None:
    """Table row -> (reference row, sign), or None where the tables are refused."""
    try:
        result = harmonise(
            pl.concat([table, frame(AGREEING)]),
            pl.concat([reference, frame(AGREEING)]),
            source="gwas",
            reference_name="panel",
            matching=Matching(min_overlap=0.0),
        )
    except HarmonisationError:
        return None
    assert sum(list(result.ledger.counts.values())[PARTITION]) == table.height + len(AGREEING)
    assert result.ledger.counts["matched"] == result.table_row.size
    assert (np.diff(result.reference_row) > 0).all()
    rows = zip(result.reference_row.tolist(), result.sign.tolist(), strict=True)
    found = dict(zip(result.table_row.tolist(), rows, strict=True))
    return {row: place for row, place in found.items() if row < table.height}


def canonical(row: Row) -> tuple[object, ...]:
    spellings = [(row[3], row[4]), (row[4], row[3])]
    spellings += [(reverse_complement(a), reverse_complement(b)) for a, b in spellings]
    return (row[0], row[1], min(spellings))


@settings(max_examples=120, deadline=None)
@given(variant_rows(), variant_rows())
def test_matches_agree_with_a_search_over_all_pairs(rows: list[Row], targets: list[Row]) -> None:
    keys, target_keys = [canonical(row) for row in rows], [canonical(row) for row in targets]
    expected = {}
    for k, row in enumerate(rows):
        if keys.count(keys[k]) == 1 and target_keys.count(keys[k]) == 1:
            place = target_keys.index(keys[k])
            verdict = oracle(row, targets[place])
            if verdict.sign is not None:
                expected[k] = (place, verdict.sign)
    assert (signs(frame(rows), frame(targets)) or {}) == expected


@settings(max_examples=40, deadline=None)
@given(variant_rows(), variant_rows())
def test_exchanging_the_alleles_of_the_table_negates_every_sign(rows: list[Row], targets: list[Row]) -> None:
    exchanged = [(*row[:3], row[4], row[3], None if row[5] is None else 1 - row[5]) for row in rows]
    before, after = signs(frame(rows), frame(targets)), signs(frame(exchanged), frame(targets))
    negated = before and {k: (place, -sign) for k, (place, sign) in before.items()}
    assert after == negated


@settings(max_examples=40, deadline=None)
@given(variant_rows(), variant_rows())
def test_reading_the_table_on_the_other_strand_changes_nothing(rows: list[Row], targets: list[Row]) -> None:
    # Holds for palindromes too: their strand comes from the frequency, not from the letters.
    read = [(*row[:3], reverse_complement(row[3]), reverse_complement(row[4]), row[5]) for row in rows]
    assert signs(frame(read), frame(targets)) == signs(frame(rows), frame(targets))


@settings(max_examples=40, deadline=None)
@given(variant_rows(), variant_rows(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[Row], targets: list[Row], random: object) -> None:
    order, target_order = list(range(len(rows))), list(range(len(targets)))
    random.shuffle(order)  # type: ignore[attr-defined]
    random.shuffle(target_order)  # type: ignore[attr-defined]
    before = signs(frame(rows), frame(targets))
    after = signs(frame(rows)[order], frame(targets)[target_order])
    mapped = after and {order[k]: (target_order[place], sign) for k, (place, sign) in after.items()}
    assert mapped == before


def test_ledger_counts_each_rule() -> None:
    reference = frame(
        [
            ("1", 1, "rs1", "A", "C", 0.2),
            ("1", 2, "rs2", "A", "C", 0.2),
            ("1", 3, "rs3", "A", "T", 0.2),
            ("1", 4, "rs4", "A", "T", 0.2),
            ("1", 5, "rs5", "A", "C", 0.2),  # the table has A/C and A/G here
            ("1", 6, "rs6", "A", "C", 0.2),  # the table has A/G only
            ("1", 7, "rs7", "A", "C", 0.2),  # twice in the table
            ("1", 8, "rs8", "A", "C", 0.2),  # twice here
            ("1", 8, "rs8", "T", "G", 0.2),
            ("1", 9, "rs9", "A", "C", 0.2),  # by rsID
            ("1", 10, "rs10", "A", "G", 0.9),
        ]
    )
    table = frame(
        [
            ("1", 1, "rs1", "A", "C", 0.2),
            ("1", 2, "rs2", "C", "A", 0.8),
            ("1", 3, "rs3", "A", "T", 0.8),
            ("1", 4, "rs4", "A", "T", 0.5),
            ("1", 5, "rs5", "A", "C", 0.2),
            ("1", 5, "rs5", "A", "G", 0.1),
            ("1", 6, "rs6", "A", "G", 0.2),
            ("1", 7, "rs7", "A", "C", 0.2),
            ("1", 7, "rs7", "C", "A", 0.8),
            ("1", 8, "rs8", "A", "C", 0.2),
            (None, None, "rs9", "G", "T", 0.7),
            ("1", 10, "rs10", "A", "G", 0.2),
            ("1", 11, "rs11", "A", "G", 0.2),
        ]
    )
    result = harmonise(
        pl.concat([table, frame(AGREEING)]),
        pl.concat([reference, frame(AGREEING)]),
        source="gwas",
        reference_name="panel",
        matching=Matching(min_overlap=0.0, max_frequency_difference=0.3),
    )
    assert list(result.ledger.counts.items()) == [
        ("in table", 13 + 198),
        ("in reference", 11 + 198),
        ("matched as is", 2 + 198),
        ("swapped", 1),
        ("strand-flipped", 0),
        ("strand-flipped and swapped", 1),
        ("palindromic, same effect allele", 0),
        ("palindromic, swapped", 1),
        ("palindromic, dropped", 1),
        ("frequency differs too much, dropped", 1),
        ("duplicate keys, dropped", 2),
        ("duplicate keys in the reference, dropped", 1),
        ("multi-allelic, another allele pair matched", 1),
        ("alleles do not match", 1),
        ("not in reference", 1),
        ("matched", 5 + 198),
        ("matched by rsID", 1),
    ]
    assert result.table_row[:5].tolist() == [0, 1, 2, 4, 10]
    assert result.reference_row[:5].tolist() == [0, 1, 2, 4, 9]
    assert result.sign[:5].tolist() == [1, -1, -1, 1, -1]
    assert result.ledger.rows()[2] == {"step": "matched as is", "count": 2 + 198, "note": ""}


def grid(count: int, *, start: int = 1000, step: int = 100, prefix: str = "rs", seed: int = 0) -> pl.DataFrame:
    """`count` non-palindromic variants of chromosome 1."""
    rng = np.random.default_rng(seed)
    pairs = [("A", "C"), ("A", "G"), ("C", "A"), ("G", "A"), ("T", "C"), ("T", "G"), ("C", "T"), ("G", "T")]
    chosen = [pairs[k] for k in rng.integers(0, len(pairs), count)]
    position = start + step * np.arange(count)
    return frame(
        [
            ("1", int(position[k]), f"{prefix}{k}", *chosen[k], float(value))
            for k, value in enumerate(rng.uniform(0.05, 0.95, count))
        ]
    )


def test_rs_ids_match_only_where_the_position_is_missing() -> None:
    reference = grid(200)
    table = reference.with_columns(
        position=pl.when(pl.int_range(pl.len()) % 2 == 0).then(None).otherwise("position"),
        chrom=pl.when(pl.int_range(pl.len()) % 2 == 0).then(None).otherwise("chrom"),
    )
    # rs4 is at two positions of the reference: it names no single one
    reference = reference.with_columns(variant_id=pl.col("variant_id").replace({"rs5": "rs4"}))
    result = harmonise(table, reference, source="gwas", reference_name="panel")
    assert result.ledger.counts["matched by rsID"] == 99
    assert result.table_row.tolist() == [k for k in range(200) if k != 4]
    np.testing.assert_array_equal(result.table_row, result.reference_row)
    assert result.ledger.counts["not in reference"] == 1


def test_palindromes_without_frequencies_are_dropped_with_a_remedy() -> None:
    table = frame([("1", 10, "rs1", "A", "C", None), ("1", 20, "rs2", "A", "T", None)])
    reference = frame([("1", 10, "rs1", "A", "C", 0.3), ("1", 20, "rs2", "T", "A", 0.3)])
    result = harmonise(table, reference, source="gwas", reference_name="panel")
    assert result.table_row.tolist() == [0]
    assert result.ledger.counts["palindromic, dropped"] == 1
    assert result.ledger.notes[0] == (
        "`gwas`: 1 of 2 variants are palindromic (A/T or C/G) and left out, because `gwas` has no allele frequencies. Give frequencies "
        "of the effect allele, or use --palindromes keep if both files are on one strand."
    )
    reverse = harmonise(reference, table, source="gwas", reference_name="panel")
    assert "because `panel` has no allele frequencies" in reverse.ledger.notes[0]
    kept = harmonise(table, reference, source="gwas", reference_name="panel", matching=Matching(palindromes="keep"))
    assert kept.sign.tolist() == [1, -1]
    with pytest.raises(HarmonisationError, match=r"none of its 1 variants found in `panel` is left: 1 are palindromic"):
        harmonise(table[1:], reference, source="gwas", reference_name="panel")


def test_dropping_palindromes_drops_those_with_clear_frequencies_too() -> None:
    rows: list[Row] = [("1", 10, "rs1", "A", "C", 0.3), ("1", 20, "rs2", "G", "C", 0.1)]
    result = harmonise(
        frame(rows), frame(rows), source="gwas", reference_name="panel", matching=Matching(palindromes="drop")
    )
    assert result.table_row.tolist() == [0]
    assert result.ledger.counts["palindromic, dropped"] == 1


def palindromes(count: int, *, seed: int = 1) -> pl.DataFrame:
    """`count` palindromic variants of chromosome 2, with frequencies that tell their alleles apart."""
    rng = np.random.default_rng(seed)
    eaf = np.where(rng.random(count) < 0.5, rng.uniform(0.05, 0.35, count), rng.uniform(0.65, 0.95, count))
    return frame([("2", 100 * k + 1, f"rsp{k}", "A", "T", float(value)) for k, value in enumerate(eaf)])


def used_palindromes(table: pl.DataFrame, reference: pl.DataFrame, **options: object) -> tuple[int, tuple[str, ...]]:
    result = harmonise(
        table,
        reference,
        source="gwas",
        reference_name="panel",
        matching=Matching(**options),  # type: ignore[arg-type]
    )
    counts = result.ledger.counts
    return counts["palindromic, same effect allele"] + counts["palindromic, swapped"], result.ledger.notes


def minor(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(eaf=pl.min_horizontal("eaf", 1 - pl.col("eaf")))


def test_minor_allele_frequencies_sign_no_palindrome() -> None:
    reference = pl.concat([grid(400), palindromes(60)])
    assert used_palindromes(reference, reference) == (60, ())
    used, notes = used_palindromes(minor(reference), reference)
    assert used == 0
    assert (
        "60 of 460 variants are palindromic (A/T or C/G) and left out, because its frequencies correlate only"
        in notes[0]
    )
    assert len(notes[0]) < 300  # two lines
    assert used_palindromes(minor(reference), reference, palindromes="keep") == (60, ())
    assert used_palindromes(minor(reference), reference, palindromes="drop") == (0, ())


def test_minor_allele_frequencies_are_seen_in_a_panel_that_counts_the_minor_allele_mostly() -> None:
    """Of 400 variants 20 have a frequency above 0.5: the correlation is high, and yet these are wrong."""
    reference = pl.concat([minor(grid(400)), minor(palindromes(60))])
    turned = pl.int_range(pl.len()) % 20 == 0
    reference = reference.with_columns(eaf=pl.when(turned).then(1 - pl.col("eaf")).otherwise("eaf"))
    used, notes = used_palindromes(minor(reference), reference)
    assert used == 57  # those 3 above 0.5 in the panel are not confirmed
    assert (
        "3 of 460 variants are palindromic (A/T or C/G) and left out, because other variants do not confirm its"
        in notes[0]
    )
    assert used_palindromes(reference, reference) == (60, ())


def test_palindromes_near_one_half_are_no_fault_of_the_frequencies() -> None:
    """A panel that counts minor alleles has no variant above 0.5 that could confirm frequencies there, and needs none."""
    reference = pl.concat([minor(grid(400)), minor(palindromes(60))])
    near = frame([("3", 1000 * k + 1, f"rsn{k}", "A", "T", 0.45) for k in range(20)])
    both = pl.concat([reference, near])
    result = harmonise(both, both, source="gwas", reference_name="panel")
    assert result.ledger.counts["palindromic, dropped"] == 20
    assert result.ledger.notes == ()


def test_few_comparable_frequencies_resolve_no_palindrome() -> None:
    reference = pl.concat([grid(90), palindromes(60)])
    used, notes = used_palindromes(reference, reference)
    assert used == 0
    assert "left out, because only 90 other variants have a frequency in both, too few to tell" in notes[0]
    assert "--palindromes keep" in notes[0]


def test_a_locus_is_judged_where_both_have_variants() -> None:
    """A regional GWAS of 6,000 variants on a panel of the chromosome that has a tenth of them."""
    locus = grid(6000, start=20_000_000, prefix="rs1")
    thin = locus.gather_every(10)
    before = grid(9000, start=1_000_000, step=2000, prefix="rsb")
    after = grid(9000, start=40_000_000, step=2000, prefix="rsa")
    chromosome = pl.concat([before, thin, after])
    result = harmonise(locus, chromosome, source="gwas", reference_name="panel")
    assert result.overlap == 1.0
    assert result.table_row.size == 600
    # Another array in the same region is still refused, unless less is asked for.
    other = locus.with_columns(
        position=pl.col("position") + pl.when(pl.int_range(pl.len()) % 20 == 0).then(0).otherwise(1)
    )
    other = other.with_columns(variant_id=pl.lit(None, pl.String))
    with pytest.raises(
        HarmonisationError, match=r"overlap 5.0% where both have variants, at least 20% is needed, --min-ov"
    ):
        harmonise(other, locus, source="gwas", reference_name="panel")
    few = harmonise(other, locus, source="gwas", reference_name="panel", matching=Matching(min_overlap=0.04))
    assert few.table_row.size == 300


def without_positions(table: pl.DataFrame) -> pl.DataFrame:
    """A table as COJO's or LDSC's: rsIDs alone."""
    return table.with_columns(chrom=pl.lit(None, pl.String), position=pl.lit(None, pl.Int64))


def test_a_locus_of_rs_ids_alone_is_judged_where_its_variants_are() -> None:
    """6,000 rsIDs of which a panel of the chromosome has 600: all that it has in their region."""
    locus = grid(6000, start=20_000_000, prefix="rs1")
    before = grid(9000, start=1_000_000, step=2000, prefix="rs2")
    after = grid(9000, start=40_000_000, step=2000, prefix="rs3")
    chromosome = pl.concat([before, locus.gather_every(10), after])
    result = harmonise(without_positions(locus), chromosome, source="gwas", reference_name="panel")
    assert result.overlap == 1.0
    assert result.table_row.size == 600
    # Half of the panel's variants of the region: 299 of 599 others, since each block found is counted without one.
    half = without_positions(pl.concat([locus.gather_every(20), grid(5700, start=1, prefix="rs4")]))
    thin = harmonise(half, chromosome, source="gwas", reference_name="panel")
    assert thin.overlap == pytest.approx(0.5, abs=0.02)


def test_rs_ids_that_match_by_chance_all_over_the_genome_are_still_refused() -> None:
    """Every block with a hit was chosen by it: with one hit each, the share found of the other variants is 0."""
    reference = grid(9000, start=1_000_000, step=2000, prefix="rs2")  # 50 per block of 100 kb
    hits = reference.gather_every(50)
    table = without_positions(pl.concat([hits, grid(5000, start=1, prefix="rs4")]))
    with pytest.raises(
        HarmonisationError, match=r"only 180 of 5180 variants .* \(overlap 3.5% where both have variants"
    ):
        harmonise(table, reference, source="gwas", reference_name="panel")


def test_chromosomes_that_a_table_of_rs_ids_lacks_are_noted() -> None:
    parts = [grid(300, prefix=f"rs{chrom}0").with_columns(chrom=pl.lit(str(chrom))) for chrom in (1, 2, 3)]
    reference = pl.concat(parts)
    result = harmonise(without_positions(reference[:600]), reference, source="gwas", reference_name="panel")
    assert any("has no variants on 1 of the 3 chromosomes of `panel` (3)" in note for note in result.ledger.notes)


def test_overlap_counts_what_could_have_matched() -> None:
    reference = grid(1000)
    # other chromosomes, and variants far outside the reference's region, do not count against a genome-wide table
    elsewhere = grid(4000, start=50_000_000, prefix="rs9").with_columns(
        chrom=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("2")).otherwise(pl.lit("1"))
    )
    result = harmonise(pl.concat([reference[:500], elsewhere]), reference, source="gwas", reference_name="panel")
    assert result.overlap == 1.0
    # nor do chromosomes of the reference that the table does not have
    wide = pl.concat([reference, elsewhere.with_columns(chrom=pl.lit("3"))])
    inside = reference.with_columns(position=pl.col("position") + pl.int_range(pl.len()) % 4, variant_id=pl.lit("."))
    assert harmonise(inside, wide, source="gwas", reference_name="panel").overlap == 0.25


def test_another_build_is_recognised_by_shared_rs_ids() -> None:
    reference = grid(1000)
    moved = reference.with_columns(position=pl.col("position") + 12_345_600)
    message = (
        r"^`gwas` and `panel`: 1000 of 1000 shared rsIDs have other positions \(median shift \+12345600 bp; first: rs0 "
        r"at 1:12346600, in the reference at 1:1000\)\. The likely cause is another genome build"
    )
    with pytest.raises(HarmonisationError, match=message):
        harmonise(moved, reference, source="gwas", reference_name="panel", matching=Matching(min_overlap=0.0))
    # even where most of the shifted positions hold a variant by chance
    shifted = reference.with_columns(position=pl.col("position") + 100, effect_allele=pl.lit("A")).with_columns(
        other_allele=pl.lit("G")
    )
    target = reference.with_columns(effect_allele=pl.lit("A"), other_allele=pl.lit("G"))
    with pytest.raises(HarmonisationError, match=r"median shift \+100 bp"):
        harmonise(shifted, target, source="gwas", reference_name="panel")
    # the smaller table is the sampled one: the shift keeps its direction
    with pytest.raises(
        HarmonisationError, match=r"50 of 50 shared rsIDs.*shift -12345600 bp; first: rs0 at 1:1000, in"
    ):
        harmonise(reference[:50], moved, source="gwas", reference_name="panel")
    with pytest.raises(
        HarmonisationError, match=r"999 of 999 shared.*shift \-12345600 bp; first: rs1 at 1:1100, in the"
    ):
        harmonise(reference, moved[1:], source="gwas", reference_name="panel")


def test_zero_based_positions_are_named() -> None:
    reference = grid(500)
    moved = reference.with_columns(position=pl.col("position") - 1)
    with pytest.raises(HarmonisationError, match="The positions look 0-based"):
        harmonise(moved, reference, source="gwas", reference_name="panel")


def test_another_build_is_recognised_by_alleles_where_there_are_no_rs_ids() -> None:
    reference = grid(1000, prefix="1:")
    wrong = grid(1000, prefix="1:").with_columns(
        effect_allele=pl.lit("A"), other_allele=pl.lit("AT"), eaf=pl.lit(0.1, pl.Float64)
    )
    table = pl.concat([reference[:100], wrong[100:]])
    with pytest.raises(
        HarmonisationError,
        match=r"only 100 of 1000 .* \(overlap 10.0% where both have variants, at least 20% is needed, --min-overlap\)\. At 900 of 1000 shared positions the "
        r"alleles disagree: the likely cause is another genome build",
    ):
        harmonise(table, reference, source="gwas", reference_name="panel")


def test_other_causes_of_little_overlap_are_named() -> None:
    reference = grid(1000)
    names = reference.with_columns(chrom=pl.lit("NC_000001.10"))
    with pytest.raises(HarmonisationError, match=r"share no chromosome \(table: NC_000001.10; reference: 1\)"):
        harmonise(
            names.with_columns(variant_id=pl.lit(None, pl.String)), reference, source="gwas", reference_name="panel"
        )
    apart = grid(1000, start=1001, prefix="rsx")
    with pytest.raises(HarmonisationError, match="No position is shared"):
        harmonise(apart, reference, source="gwas", reference_name="panel", matching=Matching(min_overlap=0.0))
    array = pl.concat([reference[:100], apart])
    with pytest.raises(HarmonisationError, match="another array, imputation panel or ancestry"):
        harmonise(array, reference, source="gwas", reference_name="panel")
    bare = apart.with_columns(position=pl.lit(None, pl.Int64), chrom=pl.lit(None, pl.String))
    with pytest.raises(HarmonisationError, match="The table has no positions and few of its rsIDs"):
        harmonise(bare, reference, source="gwas", reference_name="panel")


def test_exchanged_effect_alleles_are_refused_and_doubtful_frequencies_noted() -> None:
    reference = grid(400)
    exchanged = reference.with_columns(eaf=1 - pl.col("eaf"))
    with pytest.raises(HarmonisationError, match=r"400 variants of `gwas` correlate -1.00 .*are exchanged"):
        harmonise(exchanged, reference, source="gwas", reference_name="panel")
    minor = reference.with_columns(eaf=pl.min_horizontal("eaf", 1 - pl.col("eaf")))
    notes = harmonise(minor, reference, source="gwas", reference_name="panel").ledger.notes
    assert len(notes) == 1
    assert "no palindromic variant was left out, but its frequencies correlate only" in notes[0]
    assert "as those of minor alleles or of another ancestry do" in notes[0]
    assert harmonise(reference, reference, source="gwas", reference_name="panel").ledger.notes == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"effect_allele": "N"}, r"`gwas`: alleles are missing, equal, or hold letters other than ACGT in 1 of 3 rows"),
        ({"effect_allele": None}, "alleles are missing"),
        ({"other_allele": "A", "effect_allele": "A"}, "equal"),
        ({"position": 0}, r"`gwas`: position is below 1 or above 2147483647 in 1 of 3 rows, first row 2 \(rs1, 1:0"),
        ({"position": 2**40}, "position is below 1"),
    ],
)
def test_impossible_values_are_refused(change: dict[str, object], message: str) -> None:
    reference = grid(3)
    rows = reference.to_dicts()
    rows[1].update(change)
    with pytest.raises(DataError, match=message):
        harmonise(pl.DataFrame(rows, schema=SCHEMA), reference, source="gwas", reference_name="panel")


def test_arguments_are_checked() -> None:
    rows = grid(3)
    with pytest.raises(ConfigError, match=r"`--palindromes` must be infer, drop or keep, but is 'guess'"):
        Matching(palindromes="guess")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"`--min-overlap` must be between 0 and 1, but is 20"):
        Matching(min_overlap=20)
    with pytest.raises(ConfigError, match="`--max-frequency-difference` must be"):
        Matching(max_frequency_difference=0)
    with pytest.raises(DataError, match="`gwas` holds no variants"):
        harmonise(rows[:0], rows, source="gwas", reference_name="panel")


@pytest.mark.shared_data
def test_polypred_gwas_matches_its_panel(shared_data: Path) -> None:
    folder = shared_data / "gwas" / "polypred"
    names = ["chrom", "variant_id", "cm", "position", "effect_allele", "other_allele"]
    panel = pl.concat(
        [
            pl.read_csv(
                folder / f"1000G.subset.{c}.bim",
                separator="\t",
                has_header=False,
                new_columns=names,
                infer_schema=False,
            )
            for c in range(1, 23)
        ]
    ).select("chrom", pl.col("position").cast(pl.Int64), *names[1:2], *names[4:], eaf=pl.lit(None, pl.Float64))
    gwas = pl.read_csv(folder / "bolt.sumstats.txt.gz", separator="\t", schema_overrides={"CHR": pl.String}).select(
        chrom="CHR",
        position="BP",
        variant_id="SNP",
        effect_allele="ALLELE1",
        other_allele="ALLELE0",
        eaf="A1FREQ",
    )
    result = harmonise(gwas, panel, source="bolt", reference_name="polypred", matching=Matching(palindromes="keep"))
    counts = result.ledger.counts
    assert counts["matched"] == panel.height
    one, other = gwas[result.table_row], panel[result.reference_row]
    assert (one["variant_id"] == other["variant_id"]).mean() > 0.99
    assert (one["position"] == other["position"]).all()
    same = (one["effect_allele"] == other["effect_allele"]).to_numpy()
    np.testing.assert_array_equal(result.sign, np.where(same, 1, -1))
    assert counts["strand-flipped"] == counts["strand-flipped and swapped"] == 0


def test_a_shift_of_0_is_not_taken_for_another_build() -> None:
    """Where shared rsIDs are on other chromosomes, the naming or the columns are at fault, not the build."""
    panel = pl.DataFrame(
        [("1", 1000 + 10 * k, f"rs{k}", "A", "G", None) for k in range(200)], schema=SCHEMA, orient="row"
    )
    renamed = panel.with_columns(chrom=pl.lit("1p"))
    with pytest.raises(
        HarmonisationError, match=r"200 of 200 shared rsIDs are on other chromosomes .* another naming"
    ) as caught:
        harmonise(renamed, panel, source="t", reference_name="panel")
    assert "lift" not in str(caught.value)
    shuffled = panel.with_columns(chrom=pl.lit("2"), position=pl.col("position").reverse())
    with pytest.raises(
        HarmonisationError, match=r"No build moves variants to other chromosomes: the likely cause is a col"
    ):
        harmonise(shuffled, panel, source="t", reference_name="panel")
    with pytest.raises(HarmonisationError, match=r"median shift \+7 bp.*another genome build"):
        harmonise(panel.with_columns(pl.col("position") + 7), panel, source="t", reference_name="panel")


def test_chromosomes_on_which_a_table_has_nothing_are_noted() -> None:
    panel = frame([(chrom, 1000 + k, f"rs{chrom}{k}", "A", "G", 0.3) for chrom in "1234" for k in range(3)])
    cut = panel.filter(pl.col("chrom").is_in(["1", "2"]))
    (note,) = harmonise(cut, panel, source="S", reference_name="P").ledger.notes
    assert note == "`S` has no variants on 2 of the 4 chromosomes of `P` (3, 4): check that the file is whole."
    assert not harmonise(panel, cut, source="S", reference_name="P").ledger.notes
    one = panel.filter(pl.col("chrom") == "1")  # a GWAS of one chromosome is a choice
    assert not harmonise(one, panel, source="S", reference_name="P").ledger.notes
