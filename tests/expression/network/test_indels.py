from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from cases.donors import reverse_complement, write_fasta, write_vcf
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import GeneWindow, window_start
from varfx.expression.network.indels import indel_sequences
from varfx.genome.fasta import Fasta, bases, open_fasta
from varfx.genotypes.donors import open_donors

with_genvarloader = pytest.mark.skipif(
    importlib.util.find_spec("genvarloader") is None, reason="the extra `indels` is not installed"
)
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


@with_genvarloader
@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("tss", [100, 80, 120, 133, 130])  # 80 and 120 are followed by insertions, 133 is deleted
def test_haplotypes_are_the_spelled_ones_anchored_at_the_tss(
    tmp_path: Path, genome: str, strand: str, tss: int
) -> None:
    vcf, fasta = case(tmp_path, genome)
    found = indel_sequences(open_donors(vcf), gene(tss, strand, 64), fasta, pad=20)
    assert (found.people, found.num_filled, found.codes.shape) == (PEOPLE, 0, (3, 2, 64))
    for person in range(3):
        for copy in range(2):
            assert bases(found.codes[person, copy]) == spelled(genome, person, copy, tss, strand, 64)
    x = found.encode([2, 0])
    assert x.shape == (2, 2, 64, 4)
    assert torch.equal(x.argmax(-1), torch.from_numpy(found.codes[[2, 0]]).long())
    assert (x.sum(-1) == 1).all()


@with_genvarloader
def test_bases_that_deletions_take_away_are_unknown_without_a_pad(tmp_path: Path, genome: str) -> None:
    vcf, fasta = case(tmp_path, genome)
    found = indel_sequences(open_donors(vcf), gene(100, "+", 64), fasta, pad=0)
    assert found.num_filled > 0
    assert (found.encode().sum(-1) == 0).any()
    for person in range(3):
        for copy in range(2):
            known = found.codes[person, copy] < 4
            full = spelled(genome, person, copy, 100, "+", 64)
            assert bases(found.codes[person, copy][known]) == "".join(np.array(list(full))[known])


@with_genvarloader
def test_what_genvarloader_would_get_wrong_is_settled_before(tmp_path: Path, genome: str) -> None:
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
    found = indel_sequences(open_donors(vcf), gene(105, "+", 32), fasta)
    middle = 16
    assert bases(found.codes[0, 1, middle + 5 : middle + 8]) == mnp
    assert bases(found.codes[0, 0, middle + 5 : middle + 8]) == ref
    assert [bases(found.codes[2, copy, middle + 5 : middle + 8]) for copy in (0, 1)] == [mnp, mnp]
    assert [[bases(found.codes[p, c, middle - 5 : middle - 4]) for c in (0, 1)] for p in range(3)] == [
        [other, other],
        [genome[99], genome[99]],
        [other, genome[99]],
    ]
    expected = {"duplicates": 1, "MNPs split": 1, "haploid calls": 2, "symbolic or *": 2, "indels": 0, "complex": 0}
    assert {name: found.ledger[name] for name in expected} == expected


@with_genvarloader
@pytest.mark.shared_data
def test_real_people_with_their_indels(shared_data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fasta = open_fasta(shared_data / "reference" / "derived_GRCh37_chr22_1-22000000.fa.gz")
    vcf = shared_data / "genotypes" / "1KG_phase1_release_v3_chr22.1092.vcf.gz"
    people = open_donors(vcf).people[::100]
    donors = open_donors(vcf, people)
    window = gene(20_122_000, "-", 49_152)
    found = indel_sequences(donors, window, fasta)
    assert found.num_filled == 0
    read = donors.read("22", window.start, window.end, reference=fasta, indels=True)
    assert read.haplotypes is not None
    lengths = read.variants.select(read.variants["effect_allele"].str.len_bytes() != 1).to_series()
    changes = lengths.to_numpy() | (read.variants["other_allele"].str.len_bytes() != 1).to_numpy()
    assert changes.any()
    reference = np.array([3, 2, 1, 0, 4])[fasta.codes("22", window.start, window.end)[::-1]]
    for person in range(len(people)):
        for copy in range(2):
            same = (found.codes[person, copy] == reference).mean()
            moved = (read.haplotypes[changes, person, copy] == 1).any()
            assert (same > 0.99) == (not moved)
    assert capfd.readouterr().err == ""


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, genome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "genvarloader", None)
    vcf, fasta = case(tmp_path, genome)
    with pytest.raises(ConfigError, match=r"which is not installed\. Install it with `pip install 'varfx\[indels\]'`"):
        indel_sequences(open_donors(vcf), gene(100, "+", 64), fasta)


@with_genvarloader
def test_indels_need_phase(tmp_path: Path, genome: str) -> None:
    _, fasta = case(tmp_path, genome)
    vcf = write_vcf(tmp_path / "b.vcf.gz", [f"22 100 . {genome[99]} {genome[99]}A GT 0/1 0/0 1/1"], PEOPLE)
    with pytest.raises(DataError, match=r"b\.vcf\.gz` is not phased, and indels need haplotypes\."):
        indel_sequences(open_donors(vcf), gene(100, "+", 64), fasta)
