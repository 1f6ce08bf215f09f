"""Sequences against strings of haplotypes that are spelled base by base with cyvcf2 and pysam."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cyvcf2
import numpy as np
import pysam
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cases.cohort import small_cohort
from cases.donors import reverse_complement, write_fasta, write_vcf
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import open_cohort
from varfx.expression.network.batches import gene_sequences
from varfx.expression.network.sequences import WindowSequences, WindowVariants
from varfx.genome.fasta import bases, open_fasta
from varfx.genotypes.donors import DonorVariants, open_donors

PEOPLE = ("x", "y", "z")
ROWS = (
    "22 5 . T G GT 0|1 1|0 1|1",
    "22 20 . A G,T GT 1|2 2|0 2|2",
    "22 31 . CGA TGT,TGA GT 1|2 0|1 0|0",
    "22 40 . C A GT .|. 0|1 1|1",
    "22 44 . TA T GT 0|1 0|1 0|1",
    "22 50 . G A GT 1|0 .|1 0|0",
    "22 51 . C *,G GT 1|2 0|0 2|1",
)


@pytest.fixture
def genome(rng: np.random.Generator) -> str:
    letters = rng.choice(list("ACGT"), 80)
    for row in ROWS:
        position, ref = int(row.split()[1]), row.split()[3]
        letters[position - 1 : position - 1 + len(ref)] = list(ref)
    letters[60:63] = "N"
    return "".join(letters)


def spelled(vcf: Path, genome: str, start: int, end: int) -> list[list[str]]:
    """Both haplotypes of everyone in [start, end): each called substitution is written over the reference."""
    file = cyvcf2.VCF(str(vcf))
    haplotypes = [[list(genome), list(genome)] for _ in file.samples]
    for record in file:
        for person, call in enumerate(record.genotypes):
            if -1 in call[:2]:
                continue  # missing, also where one allele is known
            for haplotype, allele in zip(haplotypes[person], call[:2], strict=True):
                text = record.ALT[allele - 1] if allele else record.REF
                if len(text) == len(record.REF) and set(text) <= set("ACGT"):
                    haplotype[record.POS - 1 : record.POS - 1 + len(text)] = list(text)
    return [["".join(haplotype)[start:end] for haplotype in person] for person in haplotypes]


def one_hot(bases: str) -> np.ndarray:
    x = np.zeros((len(bases), 4))
    for row, base in zip(x, bases, strict=True):
        if base in "ACGT":
            row["ACGT".index(base)] = 1
    return x


def sequences(*window: Tensor, strand: str, **options: Any) -> WindowSequences:
    """Sequences of a window given as reference, offsets, REF, ALT and genotypes."""
    return WindowSequences(WindowVariants(*window[:-1], strand), window[-1], **options)


def encode(*window: Tensor, **options: Any) -> Tensor:
    """Everyone's sequences of one window."""
    return sequences(*window, **options).encode()


def arguments(codes: np.ndarray, start: int, result: DonorVariants) -> list[Tensor]:
    position = torch.from_numpy(result.variants["position"].to_numpy() - 1 - start)
    alleles = [
        torch.tensor(["ACGT".index(base) for base in result.variants[column]], dtype=torch.uint8)
        for column in ("other_allele", "effect_allele")
    ]
    return [torch.from_numpy(codes), position, *alleles]


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize(("start", "end"), [(0, 80), (3, 78), (31, 51)])
def test_sequences_are_the_spelled_haplotypes(tmp_path: Path, genome: str, strand: str, start: int, end: int) -> None:
    vcf = write_vcf(tmp_path / "a.vcf.gz", ROWS, PEOPLE)
    fasta = open_fasta(write_fasta(tmp_path / "r.fa", {"22": genome}))
    result = open_donors(vcf).read("22", start, end, reference=fasta)
    assert result.haplotypes is not None
    window = arguments(fasta.codes("22", start, end), start, result)
    orient = reverse_complement if strand == "-" else str
    expected = np.stack([[one_hot(orient(text)) for text in person] for person in spelled(vcf, genome, start, end)])
    haplotypes = torch.from_numpy(result.haplotypes).permute(1, 2, 0)
    found = encode(*window, haplotypes, strand=strand)
    assert found.dtype == torch.float32
    assert np.array_equal(found, expected)
    dosages = torch.from_numpy(result.dosages).T
    assert np.array_equal(encode(*window, dosages, strand=strand), expected.mean(axis=1))
    half = encode(*window, dosages, strand=strand, dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert np.array_equal(half.float(), expected.mean(axis=1))


def test_unphased_and_shuffled_phase_give_the_same_mean(tmp_path: Path, genome: str) -> None:
    fasta = open_fasta(write_fasta(tmp_path / "r.fa", {"22": genome}))
    found = []
    for name, rows in (("a", ROWS), ("b", [row.replace("|", "/") for row in ROWS])):
        result = open_donors(write_vcf(tmp_path / f"{name}.vcf.gz", rows, PEOPLE)).read("22", 0, 80, reference=fasta)
        assert (result.haplotypes is None) == (name == "b")
        window = arguments(fasta.codes("22", 0, 80), 0, result)
        found.append(encode(*window, torch.from_numpy(result.dosages).T, strand="-"))
    assert torch.equal(*found)


def toy(length: int = 12) -> list[Tensor]:
    """A C G T A C G T ... with an A > G at 0, a T > C at 7 and T > G there too, and G > A at the last but one."""
    reference = torch.arange(length, dtype=torch.uint8) % 4
    offsets = torch.tensor([0, 7, 7, length - 2])
    return [reference, offsets, reference[offsets], torch.tensor([2, 1, 2, 0], dtype=torch.uint8)]


def test_missing_genotypes_are_the_reference_or_the_mean() -> None:
    dosages = torch.tensor([[-1, 0, -1, 2], [1, 1, 1, -1], [2, 1, -1, -1]], dtype=torch.int8)
    x = encode(*toy(), dosages, strand="+")
    assert x[0, 0].tolist() == [1, 0, 0, 0]
    assert x[0, 7].tolist() == [0, 0, 0, 1]
    assert x[1, 7].tolist() == [0, 0.5, 0.5, 0]
    x = encode(*toy(), dosages, strand="+", missing="mean")
    assert x[0, 0].tolist() == [0.25, 0, 0.75, 0]  # mean dosage 1.5
    assert x[0, 7].tolist() == [0, 0, 0.5, 0.5]
    assert x[1, 10].tolist() == [1, 0, 0, 0]
    some = sequences(*toy(), dosages, strand="+", missing="mean", mean_of=[1])
    assert some.encode([0])[0, 0].tolist() == [0.5, 0, 0.5, 0]
    assert some.encode([0])[0, 10].tolist() == [1, 0, 0, 0]
    assert some.encode([1])[0, 10].tolist() == [0, 0, 1, 0]  # nobody's genotype is known
    haplotypes = torch.tensor([[[-1, 0, 0, 0], [1, 0, 1, 0]], [[0, 0, 0, 0], [0, 1, 0, -1]]], dtype=torch.int8)
    x = encode(*toy(), haplotypes, strand="+", missing="mean")
    torch.testing.assert_close(x[0, 0, 0], torch.tensor([2 / 3, 0, 1 / 3, 0]))
    assert x[0, 1, 7].tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("length", [12, 13, 256])
def test_the_tss_stands_in_the_middle_on_both_strands(length: int, strand: str) -> None:
    """The window is placed as the cohort places it; only the TSS base of the genome is a G (or, read backwards, a C)."""
    tss = 1000  # 1-based
    start = tss - 1 - (length // 2 if strand == "+" else length - 1 - length // 2)
    genome = np.zeros(2000, dtype=np.uint8)  # A everywhere
    genome[tss - 1] = 2
    offset = torch.tensor([tss - 1 - start])
    window = sequences(
        torch.from_numpy(genome[start : start + length]),
        offset,
        torch.tensor([2], dtype=torch.uint8),
        torch.tensor([3], dtype=torch.uint8),
        torch.tensor([[0], [1]], dtype=torch.int8),
        strand=strand,
    )
    middle = length // 2
    assert window.offsets.tolist() == [middle]
    # G, or its complement C; T, or its complement A.
    expected = [[0, 0, 1, 0], [0, 0, 0.5, 0.5]] if strand == "+" else [[0, 1, 0, 0], [0.5, 0.5, 0, 0]]
    x = window.encode()
    assert x[:, middle].tolist() == expected
    assert (x.argmax(-1) != (0 if strand == "+" else 3)).sum(-1).tolist()[0] == 1
    # On the other strand it stays there, so that the same bin of the network reads it.
    turned = window.encode(reverse_complement=True)
    assert turned[:, middle].tolist() == [row[::-1] for row in expected]
    if length % 128 == 0:
        assert middle // 128 == (length // 128) // 2


def test_turning_is_the_reverse_complement_about_the_middle() -> None:
    dosages = torch.tensor([[2, 0, 1, 1], [0, 2, 0, 2]], dtype=torch.int8)
    for length in (12, 13):
        for strand in "+-":
            window = sequences(*toy(length), dosages, strand=strand)
            x, turned = window.encode(), window.encode(reverse_complement=True)
            backwards = x.flip(1, 2)
            if length % 2:
                assert torch.equal(turned, backwards)
            else:
                assert torch.equal(turned[:, 1:], backwards[:, :-1])
                assert (turned[:, 0] == 0).all()
            assert torch.equal(window.reference(reverse_complement=True).sum(1), turned[0].sum(1))


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shift", [-12, -11, -3, -1, 0, 1, 5, 11, 12])
def test_a_shift_moves_the_window_along_the_sequence(strand: str, turned: bool, shift: int) -> None:
    dosages = torch.tensor([[2, 0, 1, 1], [0, 2, 0, -1]], dtype=torch.int8)
    window = sequences(*toy(), dosages, strand=strand, missing="mean")
    x = torch.zeros(2, 36, 4)
    x[:, 12:24] = window.encode()
    if turned:  # about base 6 of the window, which is base 18 here
        about = 36 - torch.arange(36)
        x = torch.where((about < 36)[:, None], x[:, about.clamp(max=35)], 0).flip(2)
    assert torch.equal(window.encode(reverse_complement=turned, shift=shift), x[:, 12 + shift : 24 + shift])


def test_random_augmentation_is_drawn_from_the_generator() -> None:
    dosages = torch.tensor([[2, 1, 1, 0], [0, 0, 2, 2]], dtype=torch.int8)
    window = sequences(*toy(), dosages, strand="+")
    known = {
        (turned, shift): window.encode(reverse_complement=turned, shift=shift)
        for turned in (False, True)
        for shift in range(-2, 3)
    }
    generator = torch.Generator().manual_seed(3)
    drawn = [window.encode(generator=generator, reverse_complement=True, shift=2) for _ in range(200)]
    seen = [next(key for key, x in known.items() if torch.equal(x, y)) for y in drawn]
    assert set(seen) == set(known)
    assert 70 < sum(turned for turned, _ in seen) < 130
    again = torch.Generator().manual_seed(3)
    assert all(torch.equal(window.encode(generator=again, reverse_complement=True, shift=2), y) for y in drawn)
    assert all(torch.equal(window.encode(generator=again), known[False, 0]) for _ in range(5))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_sequences_add_up_and_are_linear_in_the_dosage(data: st.DataObject) -> None:
    length = data.draw(st.integers(2, 40))
    reference = torch.tensor(
        data.draw(st.lists(st.integers(0, 4), min_size=length, max_size=length)), dtype=torch.uint8
    )
    sites = [(i, a) for i in range(length) for a in range(4) if reference[i] < 4 and a != reference[i]]
    chosen = sorted(data.draw(st.sets(st.sampled_from(sites), max_size=len(sites)))) if sites else []
    haplotypes = torch.zeros(3, 2, len(chosen), dtype=torch.int8)
    for person in range(3):
        for copy in range(2):
            for offset in {i for i, _ in chosen}:
                columns = [k for k, (i, _) in enumerate(chosen) if i == offset]
                carried = data.draw(st.sampled_from([None, *columns]))
                if carried is not None:
                    haplotypes[person, copy, carried] = 1
    offsets = torch.tensor([i for i, _ in chosen], dtype=torch.int64)
    alt = torch.tensor([a for _, a in chosen], dtype=torch.uint8)
    window = (reference, offsets, reference[offsets], alt)
    strand, shift = data.draw(st.sampled_from("+-")), data.draw(st.integers(-3, 3))
    two = sequences(*window, haplotypes, strand=strand).encode(reverse_complement=True, shift=shift)
    one = sequences(*window, haplotypes.sum(1, dtype=torch.int8), strand=strand)
    assert torch.equal(two.mean(1), one.encode(reverse_complement=True, shift=shift))
    assert set(two.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(one.encode().sum(-1), one.reference().sum(-1).expand(3, -1))


def test_people_are_chosen_by_rows() -> None:
    dosages = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [2, 0, 0, 0]], dtype=torch.int8)
    window = sequences(*toy(), dosages, strand="+", device="cpu")
    assert (window.num_people, window.length, window.device) == (3, 12, torch.device("cpu"))
    everyone = window.encode()
    for rows in ([2, 0, 2], torch.tensor([2, 0, 2])):
        assert torch.equal(window.encode(rows), everyone[[2, 0, 2]])
    assert torch.equal(window.encode(slice(1, 3)), everyone[1:])
    assert torch.equal(window.encode([]), everyone[:0])
    everyone.zero_()
    assert window.encode()[0].sum() == 12  # nothing is shared with what was returned


def test_the_window_of_a_cohort(tmp_path: Path) -> None:
    cohort = open_cohort(small_cohort(tmp_path, phased=True, missing=0.1, window=256))
    assert set(cohort.genes["strand"]) == {"+", "-"}
    for gene_id in cohort.genes["gene_id"]:
        gene, (variants, _) = cohort.gene(gene_id), cohort.window_variants(gene_id)
        dosages, haplotypes = cohort.dosages(gene_id), cohort.haplotypes(gene_id)
        text = bases(cohort.reference(gene_id))
        orient = reverse_complement if gene.strand == "-" else str
        averaged = gene_sequences(cohort, gene_id, missing="reference")
        phased = gene_sequences(cohort, gene_id, haplotypes=True, dtype=torch.float64, missing="reference")
        assert np.array_equal(averaged.reference(), one_hot(orient(text)))
        tss = text[gene.tss - 1 - gene.start]
        assert np.array_equal(averaged.reference()[128], one_hot(orient(tss))[0])
        for person in (0, 7):
            spelled = [list(text), list(text)]
            for row, variant in enumerate(variants.iter_rows(named=True)):
                for copy in range(2):
                    if haplotypes[row, person, copy] == 1:
                        spelled[copy][variant["position"] - 1 - gene.start] = variant["effect_allele"]
            expected = np.stack([one_hot(orient("".join(copy))) for copy in spelled])
            assert np.array_equal(phased.encode([person])[0], expected)
            known = dosages[:, person] >= 0
            assert known.any()
            assert np.array_equal(averaged.encode([person])[0], expected.mean(0))
    with pytest.raises(DataError, match=r"has no haplotypes"):
        gene_sequences(open_cohort(small_cohort(tmp_path, name="other")), gene_id, haplotypes=True, missing="reference")


def changed(**changes: object) -> list[Tensor]:
    names = ("reference", "offsets", "ref_code", "alt_code")
    values = dict(zip(names, toy(), strict=True))
    return [
        torch.as_tensor(changes[name], dtype=values[name].dtype) if name in changes else values[name] for name in names
    ]


@pytest.mark.parametrize(
    ("window", "match"),
    [
        (changed(offsets=[0, 7, 7, 12]), r"1 of 4 variants are outside the window, first number 4\."),
        (changed(offsets=[-1, 7, 7, 10]), r"1 of 4 variants are outside the window, first number 1\."),
        (changed(alt_code=[2, 1, 4, 0]), r"1 of 4 variants are with alleles that are not two different bases, first"),
        (changed(alt_code=[2, 3, 2, 0]), r"1 of 4 .* not two different bases, first number 2"),
        (
            changed(ref_code=[1, 3, 3, 2]),
            r"1 of 4 variants are with REF that is not the reference's base, first number 1",
        ),
        (changed(alt_code=[2, 1, 1, 0]), r"1 of 4 variants are given twice, first number 3\. Read the window's"),
        (changed(offsets=[0, 7, 7]), r"`offsets`, `ref_code` and `alt_code` are of 3, 4 and 4 variants"),
    ],
)
def test_variants_that_do_not_fit_the_window(window: Sequence[Tensor], match: str) -> None:
    with pytest.raises(DataError, match=match):
        encode(*window, torch.zeros(2, 4, dtype=torch.int8), strand="+")


def test_genotypes_of_other_variants_are_refused() -> None:
    with pytest.raises(DataError, match="`genotypes` have 3 variants, but 4 offsets are given"):
        encode(*toy(), torch.zeros(2, 3, dtype=torch.int8), strand="+")


def test_options_are_checked() -> None:
    dosages = torch.zeros(2, 4, dtype=torch.int8)
    with pytest.raises(ConfigError, match=r"`strand` must be \+ or -, but is '1'"):
        encode(*toy(), dosages, strand="1")
    with pytest.raises(ConfigError, match=r"`missing` must be reference or mean, but is 'zero'"):
        encode(*toy(), dosages, strand="+", missing="zero")  # type: ignore[arg-type]


@pytest.mark.shared_data
@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_real_window_of_real_people(shared_data: Path, strand: str) -> None:
    vcf = shared_data / "genotypes" / "1KG_phase1_release_v3_chr22.1092.vcf.gz"
    path = shared_data / "reference" / "derived_GRCh37_chr22_1-22000000.fa.gz"
    start, end = 20_090_000, 20_090_000 + 49_152
    people = open_donors(vcf).people[::50]
    fasta = open_fasta(path)
    result = open_donors(vcf, people).read("22", start, end, reference=fasta)
    assert result.haplotypes is not None
    assert result.variants.height > 10
    with pysam.FastaFile(str(path)) as file:
        text = file.fetch("22", start, end).upper()
    expected = [[list(text), list(text)] for _ in people]
    file = cyvcf2.VCF(str(vcf))
    rows = [file.samples.index(name) for name in people]
    for record in file(f"22:{start + 1}-{end}"):
        if len(record.REF) == len(record.ALT[0]) == 1:
            for person, row in zip(expected, rows, strict=True):
                for haplotype, allele in zip(person, record.genotypes[row][:2], strict=True):
                    haplotype[record.POS - 1 - start] = (record.REF, record.ALT[0])[allele]
    orient = reverse_complement if strand == "-" else str
    spelled = np.stack([[one_hot(orient("".join(haplotype))) for haplotype in person] for person in expected])
    window = arguments(fasta.codes("22", start, end), start, result)
    haplotypes = torch.from_numpy(result.haplotypes).permute(1, 2, 0)
    assert np.array_equal(encode(*window, haplotypes, strand=strand), spelled)
    assert np.array_equal(encode(*window, torch.from_numpy(result.dosages).T, strand=strand), spelled.mean(axis=1))
