"""What the files know is kept: split records, copies from two batches, dosages without calls, FILTER, ambiguous bases."""

from __future__ import annotations

import gzip
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.donors import write_fasta
from varfx.errors import ConfigError, FormatError
from varfx.genome.fasta import open_fasta
from varfx.genotypes.donors import DonorVariants, open_donors
from varfx.genotypes.half_calls import SiteRecord, completed

FORMATS = (
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n##FORMAT=<ID=DS,Number=A,Type=Float,Description="d">\n'
    '##FORMAT=<ID=GP,Number=G,Type=Float,Description="p">\n##FILTER=<ID=low,Description="l">\n'
)


def read(folder: Path, *rows: str, header: str = FORMATS, name: str = "a.vcf.gz", **options: object) -> DonorVariants:
    """Rows are `POS REF ALT FILTER FORMAT genotype...`."""
    return open_donors(write(folder / name, *rows, header=header)).read("22", 0, 300, **options)  # type: ignore[arg-type]


def write(path: Path, *rows: str, header: str = FORMATS, contig: str = "22") -> Path:
    people = [f"p{number}" for number in range(len(rows[0].split()) - 5)]
    text = f"##fileformat=VCFv4.2\n{header}##contig=<ID={contig}>\n"
    text += "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *people)) + "\n"
    for row in rows:
        position, ref, alt, passed, form, *calls = row.split()
        text += "\t".join((contig, position, ".", ref, alt, ".", passed, ".", form, *calls)) + "\n"
    plain = path.with_suffix("")
    plain.write_text(text)
    pysam.tabix_compress(str(plain), str(path), force=True)
    pysam.tabix_index(str(path), preset="vcf", force=True)
    return path


def test_records_that_vt_decompose_splits(tmp_path: Path) -> None:
    # the individuals are 1/2, 0/2, 2/2, ./2, 0/0, ./. and 1/1
    result = read(tmp_path, "9 A C PASS GT 1/. 0/. ./. ./. 0/0 ./. 1/1", "9 A G PASS GT ./1 0/1 1/1 ./1 0/0 ./. ./.")
    assert result.dosages.tolist() == [[1, 0, 0, -1, 0, -1, 2], [1, 1, 2, -1, 0, -1, 0]]
    ledger = {step: number for step, number in result.ledger.items() if number}
    assert ledger == {"records": 2, "variants": 2, "missing calls": 4, "half calls": 1, "completed calls": 5}


def test_dots_for_alleles_that_are_left_out_themselves(tmp_path: Path) -> None:
    result = read(tmp_path, "9 A C PASS GT 1/. ./.", "9 AT A PASS GT ./1 1/1")
    assert result.variants["effect_allele"].to_list() == ["C"]
    assert result.dosages.tolist() == [[1, 0]]
    assert result.ledger["missing calls"] == 0


def test_with_phase_a_dot_is_completed_on_its_own_chromosome(tmp_path: Path) -> None:
    result = read(tmp_path, "9 A C PASS GT 1|. .|1 1|. .|0", "9 A G PASS GT .|1 .|1 1|. .|1")
    assert result.dosages.tolist() == [[1, -1, -1, -1], [1, -1, -1, -1]]
    assert result.haplotypes is not None
    assert result.haplotypes[:, 0].tolist() == [[1, 0], [0, 1]]


def decomposed(genotype: tuple[int, int], alt: int) -> tuple[int, int]:
    """A genotype in the record of one ALT, as vt decompose writes it."""
    first, second = (0 if allele == 0 else 1 if allele == alt else -1 for allele in genotype)
    return first, second


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 4).flatmap(
        lambda alts: st.tuples(
            st.just(alts), st.lists(st.tuples(st.integers(0, alts), st.integers(0, alts)), min_size=1, max_size=8)
        )
    ),
    st.booleans(),
)
def test_decomposing_loses_nothing(case: tuple[int, list[tuple[int, int]]], phased: bool) -> None:
    count, genotypes = case
    everyone = np.full(len(genotypes), phased)
    site = [
        SiteRecord(alt, "A", (f"C{alt}",), np.array([decomposed(each, alt) for each in genotypes]), everyone.copy())
        for alt in range(1, count + 1)
    ]
    completed(site)
    for alt, record in enumerate(site, start=1):
        whole = (record.alleles >= 0).all(axis=1)
        expected = np.array([each.count(alt) for each in genotypes])
        np.testing.assert_array_equal((record.alleles == 1).sum(axis=1)[whole], expected[whole])
        assert whole.all()


def test_copies_of_a_variant_fill_each_others_gaps(tmp_path: Path) -> None:
    first = write(tmp_path / "a.vcf.gz", "9 A C PASS GT 0/1 ./. 0/0 ./.")
    second = write(tmp_path / "b.vcf.gz", "9 A C PASS GT ./. 1/1 0/1 ./.", "19 A C PASS GT 0/0 0/1 0/1 0/1")
    result = open_donors([first, second]).read("22", 0, 300)
    assert result.dosages.tolist() == [[1, 2, 0, -1], [0, 1, 1, 1]]
    assert result.ledger["duplicates"] == 1
    assert result.ledger["completed calls"] == 1
    assert result.ledger["duplicate calls that differ"] == 1


@pytest.mark.parametrize("defined", [True, False])
def test_dosages_without_calls_are_rounded(tmp_path: Path, defined: bool) -> None:
    rows = (
        "9 A C PASS DS 0.2 0.9 1.6 .",
        "12 A C,G PASS DS 1.1,0 0.9,1 0,1.8 .",
        "15 A C PASS GT:DS ./.:1 0/1:0 0|0:0.9 .:2",
    )
    result = read(tmp_path, *rows, header=FORMATS if defined else "")
    assert result.dosages.tolist() == [[0, 1, 2, -1], [1, 1, 0, -1], [0, 1, 2, -1], [1, 1, 0, 2]]
    assert result.ledger["rounded dosages"] == 3 + 3 + 2
    assert result.haplotypes is None


def test_genotype_probabilities_without_calls(tmp_path: Path) -> None:
    pairs = [(a, b) for b in range(3) for a in range(b + 1)]
    assert sorted(pairs) == sorted(combinations_with_replacement(range(3), 2))  # 0/0 0/1 1/1 0/2 1/2 2/2 in VCF's order
    certain = [",".join("1" if other == pair else "0" for other in pairs) for pair in pairs]
    result = read(
        tmp_path,
        "9 A C PASS GP 0.9,0.1,0 0.1,0.8,0.1 0,0.4,0.6 . 0.34,0.33,0.33 0,0,1",
        f"12 A C,G PASS GP {' '.join(certain)}",
    )
    assert result.dosages.tolist() == [
        [0, 1, 2, -1, 1, 2],
        [pair.count(1) for pair in pairs],
        [pair.count(2) for pair in pairs],
    ]


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("9 A C PASS DS 0.2 3.1", r"22:9: 1 of 2 dosages \(DS\) are not between 0 and 2"),
        ("9 A C PASS GP 0,30,40 0,1,0", r"22:9: 1 of 6 genotype probabilities \(GP\) do not sum to 1.*Phred"),
    ],
)
def test_values_that_are_no_dosages(tmp_path: Path, row: str, match: str) -> None:
    with pytest.raises(FormatError, match=match.replace("of 6", r"of \d")):
        read(tmp_path, row)


def test_a_file_without_genotypes_among_several_is_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "a.vcf.gz", "9 A C PASS GT 0/1 0/0")
    second = write(
        tmp_path / "b.vcf.gz",
        "9 A C PASS DP 4 5",
        contig="21",
        header='##FORMAT=<ID=DP,Number=1,Type=Integer,Description="d">\n',
    )
    donors = open_donors([first, second])
    donors.read("22", 0, 300)
    donors.check_genotypes()
    donors.read("21", 0, 300)
    with pytest.raises(FormatError, match=r"b\.vcf\.gz`: none of the 1 records read has genotypes \(GT\) or dosages"):
        donors.check_genotypes()


def test_filter_is_counted_and_left_out_only_if_asked_for(tmp_path: Path) -> None:
    rows = ("9 A C PASS GT 0/1 0/0", "12 A C low GT 0/1 0/0", "15 A C . GT 0/1 0/0")
    every = read(tmp_path, *rows)
    assert every.variants["position"].to_list() == [9, 12, 15]
    assert every.ledger["FILTER is not PASS"] == 1
    passed = read(tmp_path, *rows, filters="pass")
    assert passed.variants["position"].to_list() == [9, 15]
    assert passed.ledger["FILTER is not PASS"] == 1
    with pytest.raises(ConfigError, match="`filters` must be one of all, pass, but is 'PASS'"):
        read(tmp_path, *rows, filters="PASS")


def test_ref_agrees_with_an_ambiguity_code_of_the_reference(tmp_path: Path) -> None:
    fasta = open_fasta(write_fasta(tmp_path / "r.fa", {"22": "ACGTRyKNAC" + "A" * 290}))
    rows = ("5 A G PASS GT 0/1 0/0", "6 T C PASS GT 0/1 0/0", "7 A C PASS GT 0/1 0/1", "8 A C PASS GT 0/1 0/1")
    result = read(tmp_path, *rows, reference=fasta, on_mismatch="drop")
    assert result.variants["position"].to_list() == [5, 6]
    assert result.ledger["IUPAC reference"] == 2
    assert result.ledger["mismatches"] == 2
    with pytest.raises(Exception, match="first 22:7 A/C where the reference has K"):
        read(tmp_path, *rows[:3], reference=fasta)
    with pytest.raises(Exception, match="first 22:8 A/C where the reference has N"):
        read(tmp_path, rows[3], reference=fasta)


def test_names_that_stand_twice_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.vcf.gz", "9 A C PASS GT 0/1 0/0 0/0")
    text = gzip.decompress(path.read_bytes()).decode().replace("p0\tp1\tp2", "p0\tp1\tp1")
    (tmp_path / "b.vcf").write_text(text)
    pysam.tabix_compress(str(tmp_path / "b.vcf"), str(tmp_path / "b.vcf.gz"))
    Path(f"{tmp_path / 'b.vcf.gz'}.tbi").write_bytes(Path(f"{path}.tbi").read_bytes())
    with pytest.raises(FormatError, match=r"b\.vcf\.gz`: 1 names of individuals stand there twice, first 'p1'"):
        open_donors(tmp_path / "b.vcf.gz")


PHASE_SETS = FORMATS + '##FORMAT=<ID=PS,Number=1,Type=Integer,Description="s">\n'


def test_phase_is_known_within_a_phase_set_only(tmp_path: Path) -> None:
    # WhatsHap: the first individual's calls are in two sets, the second one's in one, the third's without any
    rows = (
        "9 A C PASS GT:PS 0|1:9 1|0:9 0|1:.",
        "11 A G PASS GT:PS 1|1:. 0|1:9 1|0:.",
        "13 A C PASS GT:PS 1|0:13 0|1:9 0|1:.",
        "15 C T PASS GT 1|0 0|0 0|1",
    )
    result = read(tmp_path, *rows, header=PHASE_SETS)
    assert result.dosages.tolist() == [[1, 1, 1], [2, 1, 1], [1, 1, 1], [1, 0, 1]]
    assert result.haplotypes is not None
    assert result.haplotypes[:, 0].tolist() == [[0, 1], [1, 1], [-1, -1], [-1, -1]]
    assert result.haplotypes[:, 1].tolist() == [[1, 0], [0, 1], [0, 1], [0, 0]]
    assert result.haplotypes[:, 2].tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]]
    assert (result.ledger["unphased calls"], result.heterozygous, result.phase_is_lost) == (2, 10, True)


def test_phase_sets_as_text_and_of_some_individuals(tmp_path: Path) -> None:
    text = PHASE_SETS.replace("ID=PS,Number=1,Type=Integer", "ID=PS,Number=1,Type=String")
    rows = ("9 A C PASS GT:PS 0|1:a 0|1:.", "13 A C PASS GT:PS 1|0:b 0|1:.")
    donors = open_donors(write(tmp_path / "a.vcf.gz", *rows, header=text), people=["p1"])
    assert donors.read("22", 0, 300).ledger["unphased calls"] == 0
    assert open_donors(tmp_path / "a.vcf.gz").read("22", 0, 300).ledger["unphased calls"] == 1
