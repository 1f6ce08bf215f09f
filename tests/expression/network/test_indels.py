"""Haplotypes with insertions and deletions against haplotypes spelled out as strings, on both strands, phased and not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases.donors import reverse_complement, write_fasta, write_vcf
from varfx.errors import DataError
from varfx.expression.cohort.store import GeneWindow, window_start
from varfx.expression.network.indels import Indel, IndelWindow, indel_window
from varfx.expression.network.indels import spelled as spelled_out
from varfx.genome.fasta import Fasta, bases, open_fasta
from varfx.genotypes.donors import open_donors

PEOPLE = ("z", "a", "m")
# (position, REF, ALT, genotypes); none overlaps another on the same haplotype
VARIANTS = [
    (60, 3, "T", "0|1 1|0 0|0"),  # three bases become the first: a deletion of two
    (80, 1, "+GG", "1|1 0|1 0|0"),
    (95, 1, "snv", "0|1 1|1 1|0"),
    (120, 1, "+T", "0|0 1|0 0|1"),
    (130, 6, "T", "1|0 0|0 0|1"),
    (150, 1, "snv", "1|0 0|1 0|0"),
]


@pytest.fixture
def genome(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list("ACGT"), 300))


def rows(genome: str) -> list[tuple[int, str, str, str]]:
    found = []
    for position, length, what, calls in VARIANTS:
        ref = genome[position - 1 : position - 1 + length]
        alt = {"T": ref[0], "snv": "ACGT"["ACGT".index(ref[0]) - 1]}.get(what, ref[0] + what[1:])
        found.append((position, ref, alt, calls))
    return found


def spelled(genome: str, person: int, copy: int, tss: int, strand: str, length: int) -> str:
    """The haplotype with every base's place in the genome, cut around the base of the TSS."""
    pieces, done = [], 0
    for position, ref, alt, calls in rows(genome):
        if calls.split()[person].split("|")[copy] == "1":
            pieces += list(zip(genome[done : position - 1], range(done + 1, position), strict=True))
            pieces += [(alt[0], position), *((base, 0) for base in alt[1:])]
            done = position - 1 + len(ref)
    pieces += list(zip(genome[done:], range(done + 1, len(genome) + 1), strict=True))
    places = [place for _, place in pieces]
    last = max(place for place in places if place <= tss)
    middle = places.index(last)
    text = "".join(base for base, _ in pieces)
    first = middle - (length // 2 if strand == "+" else length - 1 - length // 2)
    cut = "".join(text[k] if 0 <= k < len(text) else "N" for k in range(first, first + length))
    return reverse_complement(cut) if strand == "-" else cut


def case(folder: Path, genome: str, *more: str) -> tuple[Path, Fasta]:
    lines = [f"22 {position} . {ref} {alt.lower()} GT {calls}" for position, ref, alt, calls in rows(genome)]
    lines = sorted([*lines, *more], key=lambda line: int(line.split()[1]))
    return write_vcf(folder / "a.vcf.gz", lines, PEOPLE), open_fasta(write_fasta(folder / "r.fa", {"chr22": genome}))


def gene(tss: int, strand: str, length: int) -> GeneWindow:
    start = window_start(tss, strand, length)
    return GeneWindow("ENSG1", "G", "22", strand, tss, start, start + length)


def letters(x: torch.Tensor) -> str:
    """The bases of one-hot rows, N for zeros."""
    codes = torch.where(x.sum(-1) > 0, x.argmax(-1), 4)
    return bases(codes.numpy().astype(np.uint8))


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("tss", [100, 80, 120, 133, 130])  # 80 and 120 are followed by insertions, 133 is deleted
def test_haplotypes_are_the_spelled_ones_anchored_at_the_tss(
    tmp_path: Path, genome: str, strand: str, tss: int
) -> None:
    vcf, fasta = case(tmp_path, genome)
    found = indel_window(open_donors(vcf), gene(tss, strand, 64), fasta, pad=20, haplotypes=True)
    x = found.encode([2, 0, 1])
    assert x.shape == (3, 2, 64, 4)
    for place, person in enumerate([2, 0, 1]):
        for copy in range(2):
            assert letters(x[place, copy]) == spelled(genome, person, copy, tss, strand, 64)
    averaged = indel_window(open_donors(vcf), gene(tss, strand, 64), fasta, pad=20).encode([2, 0, 1])
    torch.testing.assert_close(averaged, x.mean(dim=1), rtol=0, atol=0)


def test_bases_that_deletions_take_away_are_unknown_without_a_pad(tmp_path: Path, genome: str) -> None:
    vcf, fasta = case(tmp_path, genome)
    x = indel_window(open_donors(vcf), gene(100, "+", 64), fasta, pad=0, haplotypes=True).encode([0, 1, 2])
    assert (x.sum(-1) == 0).any()
    for person in range(3):
        for copy in range(2):
            full = spelled(genome, person, copy, 100, "+", 64)
            assert all(mine in (base, "N") for mine, base in zip(letters(x[person, copy]), full, strict=True))


def test_odd_records_are_settled_before(tmp_path: Path, genome: str) -> None:
    ref = genome[109:112]
    mnp = "".join("ACGT"["ACGT".index(base) - 2] for base in ref)
    other = "ACGT"["ACGT".index(genome[99]) - 3]
    vcf, fasta = case(
        tmp_path,
        genome,
        f"22 110 . {ref} {mnp},*,<DEL> GT 0|1 2|3 1",
        f"22 100 . {genome[99]} {other} GT 1 0|0 1|0",
        f"22 100 . {genome[99]} {other} GT 1|1 1|1 1|1",
    )
    found = indel_window(open_donors(vcf), gene(105, "+", 32), fasta, haplotypes=True)
    x, middle = found.encode([0, 1, 2]), 16
    after = [[letters(x[p, c, middle + 5 : middle + 8]) for c in (0, 1)] for p in range(3)]
    assert (after[0], after[2]) == ([ref, mnp], [mnp, mnp])
    assert [[letters(x[p, c, middle - 5 : middle - 4]) for c in (0, 1)] for p in range(3)] == [
        [other, other],
        [genome[99], genome[99]],
        [other, genome[99]],
    ]
    expected = {"duplicates": 1, "MNPs split": 1, "haploid calls": 2, "symbolic or *": 2, "indels": 0, "complex": 0}
    assert {name: found.ledger[name] for name in expected} == expected


@pytest.mark.parametrize("strand", ["+", "-"])
def test_without_phase_substitutions_are_halved_and_indels_lie_on_the_second(
    tmp_path: Path, genome: str, strand: str
) -> None:
    ref, alt = genome[94], "ACGT"["ACGT".index(genome[94]) - 1]
    lines = [
        f"22 80 . {genome[79]} {genome[79]}GG GT 0/1 1/1 0/0",
        f"22 95 . {ref} {alt} GT 0/1 1/1 ./.",
        f"22 110 . {genome[109:113]} {genome[109]} GT 1/0 0/0 ./.",
    ]
    vcf = write_vcf(tmp_path / "b.vcf.gz", lines, PEOPLE)
    fasta = open_fasta(write_fasta(tmp_path / "r.fa", {"chr22": genome}))
    window = indel_window(open_donors(vcf), gene(100, strand, 64), fasta, pad=30, mean_of=[0, 1])
    x = window.encode([0, 1, 2]).numpy()

    def text(copies: list[int]) -> np.ndarray:
        """One-hot of a haplotype with the insertion, half or all of the substitution, and the deletion."""
        inserted, substituted, deleted = copies
        rows = np.eye(4)[["ACGT".index(base) for base in genome]]
        rows[94] = np.eye(4)["ACGT".index(ref)] * (1 - substituted / 4) + np.eye(4)["ACGT".index(alt)] * substituted / 4
        places = list(range(80)) + ([-3, -3] if inserted else []) + list(range(80, 300))
        if deleted:
            places = [place for place in places if place not in (110, 111, 112)]
        middle = places.index(99)
        first = middle - (32 if strand == "+" else 31)
        cut = np.array([np.eye(4)[2] if place == -3 else rows[place] for place in places[first : first + 64]])
        return cut[::-1, ::-1] if strand == "-" else cut

    # substitution in quarters: 2 is a heterozygote, 4 a homozygote, 3 the mean of the two
    np.testing.assert_allclose(x[0], (text([0, 2, 0]) + text([1, 2, 1])) / 2, atol=1e-6)
    np.testing.assert_allclose(x[1], text([1, 4, 0]), atol=1e-6)
    np.testing.assert_allclose(x[2], text([0, 3, 0]), atol=1e-6)
    with pytest.raises(DataError, match=r"b\.vcf\.gz` is not phased around ENSG1, and `phased` reads haplotypes"):
        indel_window(open_donors(vcf), gene(100, "+", 64), fasta, haplotypes=True)


@given(st.lists(st.tuples(st.integers(1, 38), st.integers(0, 6), st.integers(0, 3)), max_size=8), st.integers(5, 34))
def test_any_set_of_indels_is_spelled_base_by_base(drawn: list[tuple[int, int, int]], anchor: int) -> None:
    """An oracle that walks along the bases; of overlapping indels the first is applied."""
    indels = [Indel(b, min(40, b + d), (2,) * i) for b, d, i in sorted(drawn) if d or i]
    walked: list[int] = []
    applied: dict[int, Indel] = {}
    free = 0
    for indel in indels:
        again = indel.begin in applied
        if indel.begin >= free and not again:
            applied[indel.begin], free = indel, indel.end
    skip = 0
    for base in range(40):
        if base in applied and base >= skip:
            walked += [-3] * len(applied[base].inserted)
            skip = max(skip, applied[base].end)
        if base >= skip:
            walked.append(base)
    place = max((k for k, base in enumerate(walked) if 0 <= base <= anchor), default=0)
    expected = [walked[k] if 0 <= k < len(walked) else -5 for k in range(place - 6, place + 5)]
    if any(0 <= base <= anchor for base in walked):
        assert spelled_out(indels, 40, anchor, slice(-6, 5)).tolist() == expected


def test_an_indel_on_the_reference_and_nobody_else(tmp_path: Path, genome: str) -> None:
    vcf, fasta = case(tmp_path, genome)
    found = indel_window(open_donors(vcf), gene(100, "+", 64), fasta, pad=20)
    assert letters(found.reference()) == genome[99 - 32 : 99 + 32]
    number = next(n for n, indel in enumerate(found.indels) if len(indel.inserted) == 1)
    assert letters(found.with_indel(number)) == genome[99 - 32 : 120] + "T" + genome[120 : 99 + 31]
    assert isinstance(found, IndelWindow)


@pytest.mark.shared_data
def test_real_people_with_their_indels(shared_data: Path) -> None:
    fasta = open_fasta(shared_data / "reference" / "derived_GRCh37_chr22_1-22000000.fa.gz")
    vcf = shared_data / "genotypes" / "1KG_phase1_release_v3_chr22.1092.vcf.gz"
    people = open_donors(vcf).people[::200]
    donors = open_donors(vcf, people)
    window = gene(20_122_000, "-", 49_152)
    found = indel_window(donors, window, fasta, haplotypes=True).encode(list(range(len(people))))
    assert (found.sum(-1) == 1).all()
    read = donors.read("22", window.start, window.end, reference=fasta, indels=True)
    assert read.haplotypes is not None
    lengths = read.variants.select(read.variants["effect_allele"].str.len_bytes() != 1).to_series()
    changes = lengths.to_numpy() | (read.variants["other_allele"].str.len_bytes() != 1).to_numpy()
    assert changes.any()
    reference = np.array([3, 2, 1, 0, 4])[fasta.codes("22", window.start, window.end)[::-1]]
    for person in range(len(people)):
        for copy in range(2):
            same = (found[person, copy].argmax(-1).numpy() == reference).mean()
            moved = (read.haplotypes[changes, person, copy] == 1).any()
            assert (same > 0.99) == (not moved)
