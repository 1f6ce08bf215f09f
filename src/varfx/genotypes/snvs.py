"""Single-nucleotide variants from the records of a genotype file: one row per position and ALT base.

A multi-allelic record gives a row per ALT; a multi-nucleotide variant (REF and ALT of equal length) a row per base that
differs. Indels, `*`, symbolic alleles and others that are no bases are counted and left out. Of further copies of a variant
only those genotypes are taken that the first one lacks. A half-called genotype is missing, unless the other records of the
site complete it (`half_calls`); a haploid one (X in men) counts as two copies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Bool, Int8, Int64
from numpy import ndarray

from varfx.errors import FormatError
from varfx.genome.fasta import AMBIGUOUS, Fasta, bases
from varfx.genotypes.config import Filters, Mismatch
from varfx.genotypes.half_calls import SiteRecord, completed
from varfx.genotypes.records import ABSENT, Record

ON_MISMATCH: tuple[Mismatch, ...] = ("fail", "flip", "drop")
STEPS = (
    "records",  # read from the file
    "FILTER is not PASS",  # records that failed a filter; left out only if that is asked for
    "no ALT",  # records that are left out, as the next one
    "no genotypes",  # with neither GT nor a dosage
    "symbolic or *",  # alleles that are left out, as the next three
    "not ACGT",
    "indels",  # unless they are asked for
    "complex",  # where indels are asked for: those that are no plain insertion or deletion
    "MNPs split",  # alleles
    "checked",  # records compared with the reference genome
    "oriented",  # of those: PLINK 1 records whose A1 is the reference's base, turned round
    "exchanged",  # of those: ALT is the reference's base; turned round or left out, as `on_mismatch` says
    "mismatches",  # of those: neither REF nor ALT is the reference's base, or that is N; left out
    "IUPAC reference",  # of those: REF is one of the bases of an ambiguity code of the reference, and agrees with it
    "duplicates",  # further rows of the same variant; they only fill gaps of the first
    "duplicate calls that differ",  # genotypes of the former that contradict the first row, which stays
    "variants",  # rows of the result
    "rounded dosages",  # genotypes in records that were kept: no call, but a dosage (DS, GP), rounded to whole copies
    "missing calls",  # genotypes in records that were kept
    "half calls",  # genotypes with one of two alleles missing; they count as missing
    "completed calls",  # genotypes that were missing, but known from other records of the site or of the variant
    "haploid calls",  # they count as two copies
    "unphased calls",  # heterozygous without phase, or in another phase set (PS), in a phased file: only the dosage is kept
    "conflicting calls",  # more than two ALT alleles at a position in separate records: made missing
)
_BASES = re.compile(r"[ACGT]+\Z")
_NO_ALT = ("", ".", "0")  # PLINK 1 writes 0 where everyone has the same allele


@dataclass(slots=True, eq=False)
class _Row:
    """One position and ALT base."""

    position: int
    variant_id: str | None
    ref: str
    alt: str
    record: int  # the number of the record it comes from
    part: bool  # of a multi-nucleotide variant
    dosage: Int8[ndarray, " individual"]
    copies: Int8[ndarray, "individual 2"]  # 1 where the haplotype carries ALT; -1 missing or not phased

    def merge(self, other: _Row) -> int:
        """Adds the copies of another row of the same variant; returns how many individuals then have more than two."""
        missing = (self.dosage < 0) | (other.dosage < 0)
        self.dosage = np.where(missing, np.int8(-1), self.dosage + other.dosage)
        unknown = (self.copies < 0) | (other.copies < 0)
        self.copies = np.where(unknown, np.int8(-1), self.copies + other.copies)
        conflict = (self.dosage > 2) | (self.copies > 1).any(axis=1)
        self.dosage[conflict] = -1
        self.copies[conflict] = -1
        return int(conflict.sum())

    def fill(self, other: _Row) -> tuple[int, int]:
        """Takes genotypes that are missing here from another row of the variant.

        Returns:
            How many were taken, and how many known ones the other row contradicts.
        """
        gaps = (self.dosage < 0) & (other.dosage >= 0)
        differ = (self.dosage >= 0) & (other.dosage >= 0) & (self.dosage != other.dosage)
        if gaps.any():
            self.dosage = np.where(gaps, other.dosage, self.dosage)
            self.copies = np.where(gaps[:, None], other.copies, self.copies)
        return int(gaps.sum()), int(differ.sum())


@dataclass(slots=True, eq=False)
class _Pending:
    """A record whose genotypes may be completed by the other records of its site."""

    site: SiteRecord
    record: Record
    usable: list[bool]  # per ALT; none: the record is left out, and only completes others


class SnvTable:
    """Collects the rows of one region, record by record, and counts what happens to them."""

    ledger: dict[str, int]

    def __init__(
        self,
        chrom: str,
        start: int,
        end: int,
        people: int,
        *,
        reference: Fasta | None,
        on_mismatch: Mismatch,
        indels: bool = False,
        filters: Filters = "all",
    ) -> None:
        """For [start, end), 0-based; without a reference, REF is taken as the file has it.

        With `indels`, insertions and deletions have rows too, with the base before them as in a VCF. With `filters` = pass,
        records that failed a filter are left out.
        """
        self._filters = filters
        self._chrom, self._start, self._end, self._people = chrom, start, end, people
        self._reference, self._on_mismatch, self._indels = reference, on_mismatch, indels
        self._bases = bases(reference.codes(chrom, start, end)) if reference is not None else ""
        self.ledger = dict.fromkeys(STEPS, 0)
        self.first_mismatch = ""  # in words
        self.heterozygous = 0  # genotypes in records that were kept
        self._rows: list[_Row] = []
        self._pending: list[_Pending] = []
        self._phase_set: Int64[ndarray, " individual"] | None = (
            None  # the first of each individual, 0 before there is one
        )

    def add(self, record: Record) -> None:
        """Adds the single-nucleotide variants of a record.

        Raises:
            FormatError: a genotype has more than two alleles.
        """
        number, ledger = self.ledger["records"], self.ledger
        ledger["records"] += 1
        if self._pending and self._pending[0].record.position != record.position:
            self._finish_site()
        ledger["FILTER is not PASS"] += not record.passed
        if not record.passed and self._filters == "pass":
            return
        if not record.alts or record.alts[0] in _NO_ALT:
            ledger["no ALT"] += 1
        elif not record.alleles.shape[1]:
            ledger["no genotypes"] += 1
        else:
            usable = [self._usable(record.ref, alt) for alt in record.alts]
            agreed = self._agreed(record) if any(usable) else None
            if agreed is not None:
                agreed = self._in_one_set(agreed)
                self._pending.append(_Pending(self._two_copies(number, agreed), agreed, usable))
                ledger["rounded dosages"] += record.rounded
            elif record.alleles.shape[1] <= 2:
                site, _ = _site_record(number, record)
                self._pending.append(_Pending(site, record, [False] * len(record.alts)))

    def variants(self) -> pl.DataFrame:
        """The rows in order of position and ALT base; after `combine`."""
        schema = {"position": pl.Int64(), "variant_id": pl.String(), "effect_allele": pl.String()}
        rows = [(row.position, row.variant_id, row.alt, row.ref) for row in self._rows]
        frame = pl.DataFrame(rows, schema={**schema, "other_allele": pl.String()}, orient="row")
        return frame.select(pl.lit(self._chrom, pl.String).alias("chrom"), pl.all())

    def dosages(self) -> Int8[ndarray, "variant individual"]:
        """Copies of ALT per row and individual, -1 where missing; after `combine`."""
        empty = np.empty((0, self._people), dtype=np.int8)
        return np.stack([row.dosage for row in self._rows]) if self._rows else empty

    def haplotypes(self) -> Int8[ndarray, "variant individual 2"]:
        """ALT (1) or not (0) per row, individual and haplotype, -1 where missing or not phased; after `combine`."""
        empty = np.empty((0, self._people, 2), dtype=np.int8)
        return np.stack([row.copies for row in self._rows]) if self._rows else empty

    def combine(self, phased: bool) -> None:
        """Brings the rows into order, one per variant; call it once, after the last record."""
        self._finish_site()
        if not phased:
            self.ledger["unphased calls"] = 0  # nothing is lost
        self._rows.sort(key=lambda row: (row.position, row.alt, row.ref, row.record))
        kept: list[_Row] = []
        for row in self._rows:
            first = kept[-1] if kept else None
            if first is None or (first.position, first.alt, first.ref) != (row.position, row.alt, row.ref):
                kept.append(row)
            elif row.record == first.record or row.part or first.part:
                # Parts of different multi-nucleotide alleles are different copies of one variant.
                self.ledger["conflicting calls"] += first.merge(row)
            else:
                filled, differ = first.fill(row)
                self.ledger["duplicates"] += 1
                self.ledger["completed calls"] += filled
                self.ledger["missing calls"] -= filled
                self.ledger["duplicate calls that differ"] += differ
        self._rows = kept
        self._resolve_conflicts()
        self.ledger["variants"] = len(kept)

    def _usable(self, ref: str, alt: str) -> bool:
        """True if an ALT is a substitution of bases; others are counted."""
        if alt == "*" or alt[:1] == "<" or "[" in alt or "]" in alt:
            self.ledger["symbolic or *"] += 1
        elif not (_BASES.match(ref) and _BASES.match(alt)) or ref == alt:
            self.ledger["not ACGT"] += 1
        elif len(ref) != len(alt):
            _, old, new = _trimmed(ref, alt)
            plain = min(len(old), len(new)) == 1 and old[0] == new[0]
            self.ledger["complex" if self._indels else "indels"] += not (self._indels and plain)
            return self._indels and plain
        else:
            self.ledger["MNPs split"] += len(ref) > 1
            return True
        return False

    def _agreed(self, record: Record) -> Record | None:
        """The record with REF as in the reference genome, or None where it is left out."""
        if self._reference is None:
            return record
        expected = self._reference_bases(record)
        self.ledger["checked"] += 1
        if expected == record.ref:
            return record
        if "N" in expected:
            letters = self._letters(record)
            if not record.oriented:  # which of the two is REF, VCF 4.3 says: the first base of the code
                expected = "".join(AMBIGUOUS.get(letter, letter)[0] for letter in letters)
            if _agrees(record.ref, expected if not record.oriented else letters):
                self.ledger["IUPAC reference"] += 1
                return record
        if expected in record.alts:
            self.ledger["exchanged" if record.oriented else "oriented"] += 1
            if not record.oriented or self._on_mismatch == "flip":
                return _exchange(record, record.alts.index(expected) + 1)
        else:
            self.ledger["mismatches"] += 1
        if not self.first_mismatch:
            alleles = f"{_short(record.ref)}/{_short(','.join(record.alts))}"
            has = _short(self._letters(record) if "N" in expected else expected) or "nothing there"
            self.first_mismatch = f"{self._chrom}:{record.position} {alleles} where the reference has {has}"
        return None

    def _in_one_set(self, record: Record) -> Record:
        """The record without phase where an individual's phase set is another than the first one of the region."""
        if record.phase_set is None and self._phase_set is None:
            return record
        sets = np.zeros(self._people, dtype=np.int64) if record.phase_set is None else record.phase_set
        first = np.zeros_like(sets) if self._phase_set is None else self._phase_set
        tied = record.phased & (record.alleles[:, 0] != record.alleles[:, -1])
        self._phase_set = np.where(tied & (first == 0), sets, first)
        return replace(record, phased=record.phased & ~(tied & (sets != self._phase_set)))

    def _reference_bases(self, record: Record) -> str:
        first = record.position - 1
        last = first + len(record.ref)
        if self._start <= first and last <= self._end:
            return self._bases[first - self._start : last - self._start]
        assert self._reference is not None
        if first < 0 or last > self._reference.lengths[self._chrom]:
            return ""
        return bases(self._reference.codes(self._chrom, first, last))

    def _letters(self, record: Record) -> str:
        """The reference's letters at REF, IUPAC codes too; empty outside the chromosome."""
        first, last = record.position - 1, record.position - 1 + len(record.ref)
        assert self._reference is not None
        inside = first >= 0 and last <= self._reference.lengths[self._chrom]
        return self._reference.letters(self._chrom, first, last) if inside else ""

    def _finish_site(self) -> None:
        """Completes the genotypes of the records at one position by each other, and makes their rows."""
        pending, self._pending = self._pending, []
        kept = {each.site.number for each in pending if any(each.usable)}
        if len(pending) > 1:
            halves = {each.site.number: (each.site.alleles >= 0).any(axis=1) for each in pending}
            for site, whole in completed([each.site for each in pending]):
                if site.number in kept:
                    self.ledger["completed calls"] += int(whole.sum())
                    self.ledger["missing calls"] -= int(whole.sum())
                    self.ledger["half calls"] -= int((whole & halves[site.number]).sum())
        for each in pending:
            if any(each.usable):
                self._split(each)

    def _split(self, pending: _Pending) -> None:
        """A row for each ALT base of a record."""
        record, number = pending.record, pending.site.number
        called = np.asarray((pending.site.alleles >= 0).all(axis=1))
        alleles = np.where(called[:, None], pending.site.alleles, -1)
        known = called & pending.site.phased
        self.heterozygous += int((alleles[:, 0] != alleles[:, 1]).sum())
        self.ledger["unphased calls"] += int((called & ~pending.site.phased).sum())
        for k, alt in enumerate(record.alts, start=1):
            if not pending.usable[k - 1]:
                continue
            copies = (alleles == k).astype(np.int8)
            dosage = copies.sum(axis=1, dtype=np.int8)
            dosage[alleles[:, 0] < 0] = -1
            copies[~known] = -1
            if len(alt) != len(record.ref):
                offset, old, new = _trimmed(record.ref, alt)
                position = record.position + offset
                if self._start < position <= self._end:
                    self._rows.append(_Row(position, record.variant_id, old, new, number, False, dosage, copies))
                continue
            for offset, (old, new) in enumerate(zip(record.ref, alt, strict=True)):
                position = record.position + offset
                if old != new and self._start < position <= self._end:
                    row = _Row(position, record.variant_id, old, new, number, len(alt) > 1, dosage, copies)
                    self._rows.append(row)

    def _two_copies(self, number: int, record: Record) -> SiteRecord:
        """The record with two alleles per individual, after counting.

        Raises:
            FormatError: a genotype has more than two alleles.
        """
        alleles = record.alleles
        if alleles.shape[1] > 2:
            polyploid = (alleles[:, 2:] != ABSENT).any(axis=1)
            if polyploid.any():
                raise FormatError(
                    f"{self._chrom}:{record.position}: {int(polyploid.sum())} of {polyploid.size} genotypes have more "
                    "than two alleles. varfx reads haploid and diploid calls."
                )
        site, haploid = _site_record(number, record)
        missing = (site.alleles < 0).any(axis=1)
        counts = self.ledger
        counts["haploid calls"] += int((haploid & ~missing).sum())
        counts["half calls"] += int((missing & (site.alleles >= 0).any(axis=1)).sum())
        counts["missing calls"] += int(missing.sum())
        return site

    def _resolve_conflicts(self) -> None:
        """Individuals with more than two ALT alleles at a position become missing there."""
        start = 0
        for stop in range(1, len(self._rows) + 1):
            if stop < len(self._rows) and self._rows[stop].position == self._rows[start].position:
                continue
            here = self._rows[start:stop]
            if len(here) > 1:
                dosage = np.sum([row.dosage.clip(min=0) for row in here], axis=0)
                copies = np.sum([row.copies.clip(min=0) for row in here], axis=0)
                conflict = (dosage > 2) | (copies > 1).any(axis=1)
                self.ledger["conflicting calls"] += int(conflict.sum())
                for row in here if conflict.any() else ():
                    row.dosage = np.where(conflict, np.int8(-1), row.dosage)
                    row.copies = np.where(conflict[:, None], np.int8(-1), row.copies)
            start = stop


def _agrees(ref: str, letters: str) -> bool:
    """True if each base of REF is the reference's letter, or a base of its ambiguity code."""
    pairs = zip(ref, letters, strict=True)
    return all(base == letter or base in AMBIGUOUS.get(letter, "") for base, letter in pairs)


def _site_record(number: int, record: Record) -> tuple[SiteRecord, Bool[ndarray, " individual"]]:
    """The record with two alleles per individual, a haploid one twice; and who is haploid."""
    first = record.alleles[:, 0]
    second = record.alleles[:, 1] if record.alleles.shape[1] > 1 else np.full_like(first, ABSENT)
    haploid = second == ABSENT
    second = np.where(haploid, first, second)
    alleles = np.stack([first, second], axis=1)
    return SiteRecord(number, record.ref, record.alts, alleles, record.phased | (first == second)), haploid


def _exchange(record: Record, k: int) -> Record:
    """The record with REF and its k-th ALT exchanged, in the genotypes too."""
    alts = (*record.alts[: k - 1], record.ref, *record.alts[k:])
    alleles = np.where(record.alleles == 0, k, np.where(record.alleles == k, 0, record.alleles))
    return replace(record, ref=record.alts[k - 1], alts=alts, alleles=alleles)


def _trimmed(ref: str, alt: str) -> tuple[int, str, str]:
    """REF and ALT without the bases that both end and begin with, but for one before; and how far that one moved."""
    while len(ref) > 1 and len(alt) > 1 and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    offset = 0
    while len(ref) > 1 and len(alt) > 1 and ref[:2] == alt[:2]:
        ref, alt, offset = ref[1:], alt[1:], offset + 1
    return offset, ref, alt


def _short(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:17]}..."
