from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cyvcf2
import numpy as np
import pgenlib
import pysam
import pytest
from bed_reader import to_bed

from cases.donors import write_fasta, write_vcf
from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome.builds import LENGTHS
from varfx.genome.fasta import Fasta, open_fasta
from varfx.genotypes.donors import DonorVariants, open_donors
from varfx.genotypes.snvs import STEPS

BASES = "ACGTACGTAC" * 30  # position p (1-based) holds "ACGT"[(p - 1) % 10 % 4]
PEOPLE = ("x", "y", "z")


@pytest.fixture
def fasta(tmp_path: Path) -> Fasta:
    return open_fasta(write_fasta(tmp_path / "r.fa", {"chr22": BASES, "X": BASES}))


def read(
    folder: Path, fasta: Fasta | None, *rows: str, start: int = 0, end: int = 300, **options: str
) -> DonorVariants:
    contigs = ("22",) if rows[0].startswith("22") else ("X",)
    path = write_vcf(folder / "a.vcf.gz", sorted(rows, key=lambda row: int(row.split()[1])), PEOPLE, contigs)
    return open_donors(path).read(contigs[0], start, end, reference=fasta, **options)  # type: ignore[arg-type]


def names(result: DonorVariants) -> list[str]:
    return [f"{r['position']}{r['other_allele']}>{r['effect_allele']}" for r in result.variants.iter_rows(named=True)]


def counted(result: DonorVariants) -> dict[str, int]:
    assert tuple(result.ledger) == STEPS
    return {step: number for step, number in result.ledger.items() if number}


def test_phased_calls_give_dosages_and_haplotypes(tmp_path: Path, fasta: Fasta) -> None:
    result = read(tmp_path, fasta, "22 11 rs1 A G GT 0|1 1|0 1|1", "22 13 rs2 G t GT .|. 0|0 0|1")
    assert result.variants.to_dicts() == [
        {"chrom": "22", "position": 11, "variant_id": "rs1", "effect_allele": "G", "other_allele": "A"},
        {"chrom": "22", "position": 13, "variant_id": "rs2", "effect_allele": "T", "other_allele": "G"},
    ]
    assert result.dosages.dtype == np.int8
    assert result.dosages.tolist() == [[1, 1, 2], [-1, 0, 1]]
    assert result.haplotypes is not None
    assert result.haplotypes.tolist() == [[[0, 1], [1, 0], [1, 1]], [[-1, -1], [0, 0], [0, 1]]]
    assert counted(result) == {"records": 2, "checked": 2, "variants": 2, "missing calls": 1}


def test_without_phase_there_are_no_haplotypes(tmp_path: Path, fasta: Fasta) -> None:
    result = read(tmp_path, fasta, "22 11 rs1 A G GT 0/1 1/0 1/1", "22 12 rs1 C G GT 0|1 1|0 1|1")
    assert result.haplotypes is None
    assert result.dosages.tolist() == [[1, 1, 2], [1, 1, 2]]
    assert "unphased calls" not in counted(result)


def test_a_later_call_without_phase_keeps_its_dosage_only(tmp_path: Path, fasta: Fasta) -> None:
    # The first thousand heterozygous calls decide whether a file is phased.
    people = [f"p{i}" for i in range(300)]
    rows = [f"22 {p} . A G GT {' '.join(['0|1'] * 300)}" for p in (1, 11, 21, 31)]
    late = f"22 41 . A G GT {' '.join(['0/1', '1/1'] * 150)}"
    donors = open_donors(write_vcf(tmp_path / "a.vcf.gz", [*rows, late], people))
    result = donors.read("22", 40, 41, reference=fasta)
    assert result.haplotypes is not None
    assert result.dosages[0, :2].tolist() == [1, 2]
    assert result.haplotypes[0, :2].tolist() == [[-1, -1], [1, 1]]
    assert result.ledger["unphased calls"] == 150


def test_half_calls_are_missing_and_haploid_calls_are_two_copies(tmp_path: Path, fasta: Fasta) -> None:
    result = read(tmp_path, fasta, "X 11 . A G GT 1 0 .", "X 12 . C G GT .|1 1 0|1")
    assert result.dosages.tolist() == [[2, 0, -1], [-1, 2, 1]]
    assert result.haplotypes is not None
    assert result.haplotypes.tolist() == [[[1, 1], [0, 0], [-1, -1]], [[-1, -1], [1, 1], [0, 1]]]
    assert counted(result) == {
        "records": 2,
        "checked": 2,
        "variants": 2,
        "missing calls": 2,
        "half calls": 1,
        "haploid calls": 3,
    }


def test_more_than_two_alleles_are_refused(tmp_path: Path, fasta: Fasta) -> None:
    with pytest.raises(FormatError, match=r"22:11: 1 of 3 genotypes have more than two alleles\."):
        read(tmp_path, fasta, "22 11 . A G GT 0/1/1 0/1 1")


def test_what_is_no_substitution_is_counted_and_left_out(tmp_path: Path, fasta: Fasta) -> None:
    result = read(
        tmp_path,
        fasta,
        "22 11 rs1 A G,*,<DEL>,AT,N GT 1|2 3|4 1|5",
        "22 12 . CG C GT 0|1 0|1 0|1",
        "22 13 . G . GT 0|0 0|0 0|0",
        "22 14 . T C DP 1 2 3",
        "22 15 . A ]22:200]A GT 0|1 0|1 0|1",
        "22 16 . C R GT 0|1 0|1 0|1",
    )
    assert names(result) == ["11A>G"]
    assert result.dosages.tolist() == [[1, 0, 1]]
    assert counted(result) == {
        "records": 6,
        "no ALT": 1,
        "no genotypes": 1,
        "symbolic or *": 3,
        "not ACGT": 2,
        "indels": 2,
        "checked": 1,
        "variants": 1,
    }


def test_a_multi_allelic_record_is_a_row_per_alt(tmp_path: Path, fasta: Fasta) -> None:
    result = read(tmp_path, fasta, "22 11 rs1 A G,T GT 1|2 2|0 2|2")
    assert names(result) == ["11A>G", "11A>T"]
    assert result.dosages.tolist() == [[1, 0, 0], [1, 1, 2]]
    assert result.haplotypes is not None
    assert result.haplotypes[1].tolist() == [[0, 1], [1, 0], [1, 1]]


def test_mnps_are_split_and_their_parts_added(tmp_path: Path, fasta: Fasta) -> None:
    # ACG: GTG differs at two bases; GCG at the first, as GTG does; TTT at all.
    result = read(tmp_path, fasta, "22 11 . ACG GTG,GCG,TTT GT 1|2 3|1 0|2")
    assert names(result) == ["11A>G", "11A>T", "12C>T", "13G>T"]
    assert result.dosages.tolist() == [[2, 1, 1], [0, 1, 0], [1, 2, 0], [0, 1, 0]]
    assert result.haplotypes is not None
    assert result.haplotypes[:, 1].tolist() == [[0, 1], [1, 0], [1, 1], [1, 0]]
    assert counted(result) == {"records": 1, "MNPs split": 3, "checked": 1, "variants": 4}


def test_only_the_part_of_an_mnp_inside_the_region_counts(tmp_path: Path, fasta: Fasta) -> None:
    row = "22 11 . ACG TTT GT 0|1 0|0 0|0"
    for start, end, expected in ((11, 12, ["12C>T"]), (0, 11, ["11A>T"]), (12, 300, ["13G>T"]), (13, 20, [])):
        result = read(tmp_path, fasta, row, start=start, end=end)
        assert names(result) == expected
        assert result.dosages.shape == (len(expected), 3)


def test_the_same_snv_alone_and_within_an_mnp_is_added(tmp_path: Path, fasta: Fasta) -> None:
    result = read(tmp_path, fasta, "22 11 . A G GT 1|0 0|1 0|1", "22 11 . AC GT GT 0|1 0|0 0|1")
    assert names(result) == ["11A>G", "12C>T"]
    assert result.dosages.tolist() == [[2, 1, -1], [1, 0, 1]]  # the third carries it twice on one haplotype
    assert counted(result)["conflicting calls"] == 1


def test_further_copies_are_left_out(tmp_path: Path, fasta: Fasta) -> None:
    result = read(
        tmp_path, fasta, "22 11 a A G GT 1|0 0|0 0|1", "22 11 b A g GT 1|1 1|1 1|1", "22 11 c A T GT 0|1 0|0 0|0"
    )
    assert result.variants["variant_id"].to_list() == ["a", "c"]
    assert result.dosages.tolist() == [[1, 0, 1], [1, 0, 0]]
    assert counted(result)["duplicates"] == 1


def test_more_than_two_alts_at_a_position_are_missing(tmp_path: Path, fasta: Fasta) -> None:
    result = read(tmp_path, fasta, "22 11 . A G GT 1|0 1|1 0|1", "22 11 . A T GT 0|1 0|1 0|1")
    assert result.dosages.tolist() == [[1, -1, -1], [1, -1, -1]]
    assert result.haplotypes is not None
    assert result.haplotypes[:, 1:].max() == -1
    assert counted(result)["conflicting calls"] == 2


def test_ref_that_is_not_the_reference(tmp_path: Path, fasta: Fasta) -> None:
    # Positions 11 to 14 hold ACGT.
    rows = ("22 11 . A G GT 0|1 0|0 1|1", "22 12 . T C,G GT 0|2 1|1 .|.", "22 13 . A T GT 0|1 0|0 0|0")
    with pytest.raises(
        DataError, match=r"REF is not the base of .* in 2 of 3 variants, first 22:12 T/C,G where the ref"
    ) as e:
        read(tmp_path, fasta, *rows)
    assert "ALT is that base in 1 of them: --on-mismatch flip" in str(e.value)
    assert "--on-mismatch drop leaves them out." in str(e.value)
    dropped = read(tmp_path, fasta, *rows, on_mismatch="drop")
    assert names(dropped) == ["11A>G"]
    assert counted(dropped) == {"records": 3, "checked": 3, "exchanged": 1, "mismatches": 1, "variants": 1}
    flipped = read(tmp_path, fasta, *rows, on_mismatch="flip")
    assert names(flipped) == ["11A>G", "12C>G", "12C>T"]
    assert flipped.dosages.tolist() == [[1, 0, 2], [1, 0, -1], [1, 0, -1]]
    assert names(read(tmp_path, None, *rows)) == ["11A>G", "12T>C", "12T>G", "13A>T"]
    with pytest.raises(ConfigError, match=r"`on_mismatch` must be one of fail, flip, drop, but is 'guess'"):
        read(tmp_path, fasta, *rows, on_mismatch="guess")


@pytest.mark.parametrize("on_mismatch", ["fail", "flip", "drop"])
def test_the_wrong_build_is_named(tmp_path: Path, on_mismatch: str) -> None:
    fasta = open_fasta(write_fasta(tmp_path / "r.fa", {"22": BASES}))
    shifted = [f"22 {p} . {BASES[p]} {'ACGT'[('ACGT'.find(BASES[p]) + 1) % 4]} GT 0/1 0/0 1/1" for p in range(1, 60)]
    match = r"neither REF nor ALT is the base of `.*r\.fa` in \d+ of 59 variants, first 22:1 "
    with pytest.raises(DataError, match=match + r".*They are probably of another build \(hg19, hg38\)"):
        read(tmp_path, fasta, *shifted, on_mismatch=on_mismatch)
    object.__setattr__(fasta, "lengths", {"22": LENGTHS["hg38"]["22"]})
    with pytest.raises(DataError, match=match + r".*The reference is hg38, so the genotypes are probably hg19: give"):
        read(tmp_path, fasta, *shifted, on_mismatch=on_mismatch)


def test_the_header_says_which_build_it_is(tmp_path: Path) -> None:
    fasta = open_fasta(write_fasta(tmp_path / "r.fa", {"22": BASES}))
    path = write_vcf(tmp_path / "a.vcf.gz", ["22 11 . A G GT 0/1 0/0 1/1"], PEOPLE)
    donors = open_donors(path)
    donors._files[0].lengths = {"22": LENGTHS["hg19"]["22"]}
    ledger = {"checked": 1000, "mismatches": 51}
    with pytest.raises(
        DataError, match=r"header has the lengths of hg19: give the reference genome of hg19, not one wh"
    ):
        donors.check(ledger, fasta)
    donors.check({"checked": 1000, "mismatches": 50}, fasta)
    object.__setattr__(fasta, "lengths", {"22": LENGTHS["hg38"]["22"]})
    with pytest.raises(DataError, match=r"lengths of hg19: give the reference genome of hg19, not one that is hg38\."):
        donors.check(ledger, fasta)
    object.__setattr__(fasta, "lengths", {"22": LENGTHS["hg19"]["22"]})
    with pytest.raises(DataError, match=r"Both have the lengths of hg19: check how the genotypes were made"):
        donors.check(ledger, fasta)


def test_messages_hold_no_genotypes(tmp_path: Path, fasta: Fasta) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, fasta, "22 11 . C G GT 0|1 1|1 0|0")
    assert "|" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_chromosomes_go_by_either_name_and_unknown_ones_are_errors(tmp_path: Path, fasta: Fasta) -> None:
    path = write_vcf(tmp_path / "a.vcf.gz", ["chr22 11 . A G GT 0/1 0/0 1/1"], PEOPLE, ("chr22",))
    donors = open_donors(path)
    for name in ("22", "chr22"):
        assert donors.read(name, 0, 20, reference=fasta).variants["chrom"].to_list() == ["22"]
    with pytest.raises(DataError, match=r"a\.vcf\.gz` has no variants of chromosome 7; it has 22\. Give its file too"):
        donors.read("chr7", 0, 20)
    with pytest.raises(DataError, match=r"22:1-301 is not within chromosome 22, which has 300 bases"):
        donors.read("22", 0, 301, reference=fasta)


def test_a_region_without_variants_is_empty(tmp_path: Path, fasta: Fasta) -> None:
    result = read(tmp_path, fasta, "22 11 . A G GT 0|1 0|0 1|1", start=20, end=40)
    assert result.variants.height == 0
    assert result.variants.columns == ["chrom", "position", "variant_id", "effect_allele", "other_allele"]
    assert result.dosages.shape == (0, 3)
    assert result.haplotypes is not None
    assert result.haplotypes.shape == (0, 3, 2)


def test_files_of_the_same_people_are_one(tmp_path: Path, fasta: Fasta) -> None:
    first = write_vcf(tmp_path / "a.vcf.gz", ["22 11 . A G GT 0/1 0/0 1/1"], "xyz")
    second = write_vcf(tmp_path / "b.vcf.gz", ["X 11 . A G GT 0/0 0/1 1/1"], "zxy", ("X", "22"))
    donors = open_donors([first, second])
    assert (donors.people, donors.chroms) == (PEOPLE, ("22", "X"))
    assert donors.read("22", 0, 20).dosages.tolist() == [[1, 0, 2]]
    assert donors.read("X", 0, 20).dosages.tolist() == [[1, 2, 0]]
    chosen = open_donors([first, second], people=["z", "x"])
    assert chosen.people == ("z", "x")
    assert chosen.read("X", 0, 20).dosages.tolist() == [[0, 1]]
    other = write_vcf(tmp_path / "c.vcf.gz", ["X 11 . A G GT 0/0 0/1 1/1"], "xyw", ("X",))
    with pytest.raises(
        FormatError, match=r"c\.vcf\.gz` and `.*a\.vcf\.gz` hold different individuals: 2 are in one only"
    ):
        open_donors([first, other])
    with pytest.raises(DataError, match=r"1 of 2 individuals are not in it, first 'q'"):
        open_donors(first, people=["x", "q"])
    with pytest.raises(DataError, match=r"an individual is wanted twice"):
        open_donors(first, people=["x", "x"])


def test_unknown_kinds_of_files(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "x.txt"):
        with pytest.raises(
            ConfigError, match=r"is no file of genotypes that varfx knows, or does not exist\. Give X\.vcf"
        ):
            open_donors(path)
    with pytest.raises(ConfigError, match=r"no genotypes are given"):
        open_donors([])
    with pytest.raises(FormatError, match=r"x\.vcf` is not compressed\. Compress and index it: `bgzip"):
        open_donors(tmp_path / "x.vcf")


def write_bed(prefix: Path, counts: Sequence[Sequence[int]], positions: Sequence[int], a1: str, a2: str) -> Path:
    """Counts of A1, (variant, individual); -9 missing."""
    values = np.where(np.array(counts) < 0, np.nan, counts).T.astype(np.float32)
    properties = {"iid": list(PEOPLE), "chromosome": ["22"] * len(positions), "bp_position": list(positions)}
    properties |= {"sid": [f"rs{p}" for p in positions], "allele_1": a1.split(), "allele_2": a2.split()}
    to_bed(f"{prefix}.bed", values, properties=properties)
    return Path(f"{prefix}.bed")


def test_a_bed_is_oriented_by_the_reference(tmp_path: Path, fasta: Fasta) -> None:
    # 11 to 17 hold ACGTACG; the file is not in order; 16 is an MNP CG > TT with A1 the reference.
    counts = [[0, 1, 2], [0, 1, 2], [2, -9, 0], [2, 1, 0], [1, 0, 0]]
    path = write_bed(tmp_path / "a.b", counts, [13, 11, 12, 16, 14], "g g 0 CG A", "T A C TT C")
    donors = open_donors(path)
    assert (donors.people, donors.phased, donors.chroms) == (PEOPLE, False, ("22",))
    with pytest.raises(
        DataError, match=r"in 1 of 4 variants, first 22:14 C/A where the reference has T\. --on-mismatch d"
    ):
        donors.read("22", 0, 300, reference=fasta)
    result = donors.read("22", 0, 300, reference=fasta, on_mismatch="drop")
    assert names(result) == ["11A>G", "13G>T", "16C>T", "17G>T"]
    assert result.dosages.tolist() == [[0, 1, 2], [2, 1, 0], [0, 1, 2], [0, 1, 2]]
    assert result.haplotypes is None
    assert counted(result) == {
        "records": 5,
        "no ALT": 1,
        "MNPs split": 1,
        "checked": 4,
        "oriented": 2,
        "mismatches": 1,
        "variants": 4,
    }
    assert names(donors.read("22", 10, 13)) == ["11A>G", "13T>G"]
    assert names(open_donors(tmp_path / "a.b", people=["z"]).read("22", 16, 17, reference=fasta)) == ["17G>T"]


def write_pgen(prefix: Path, alleles: Sequence[Sequence[int]], phased: bool, rows: Sequence[str]) -> Path:
    """Two allele codes per individual; -9 missing."""
    limit = max(max(row) for row in alleles) + 1
    with pgenlib.PgenWriter(
        f"{prefix}.pgen".encode(),
        len(PEOPLE),
        variant_ct=len(alleles),
        nonref_flags=False,
        hardcall_phase_present=phased,
        allele_ct_limit=max(2, limit),
    ) as writer:
        for row in alleles:
            writer.append_alleles(np.array(row, dtype=np.int32), all_phased=phased, allele_ct=max(2, max(row) + 1))
    Path(f"{prefix}.pvar").write_text(
        "#CHROM\tPOS\tID\tREF\tALT\n" + "".join("\t".join(r.split()) + "\n" for r in rows)
    )
    Path(f"{prefix}.psam").write_text("#IID\n" + "\n".join(PEOPLE) + "\n")
    return Path(f"{prefix}.pgen")


@pytest.mark.parametrize("phased", [True, False])
def test_a_pgen_with_all_its_alleles(tmp_path: Path, fasta: Fasta, phased: bool) -> None:
    alleles = [[0, 1, 1, 0, 1, 1], [1, 2, 2, 0, -9, -9], [0, 1, 0, 0, 1, 0]]
    rows = ["22 11 rs1 A G", "22 12 rs2 C T,A", "22 13 rs3 T G"]
    donors = open_donors(write_pgen(tmp_path / "a", alleles, phased, rows))
    assert donors.phased == phased
    with pytest.raises(DataError, match=r"in 1 of 3 variants, first 22:13 T/G .* --on-mismatch flip"):
        donors.read("22", 0, 300, reference=fasta)
    result = donors.read("22", 0, 300, reference=fasta, on_mismatch="flip")
    assert names(result) == ["11A>G", "12C>A", "12C>T", "13G>T"]
    assert result.dosages.tolist() == [[1, 1, 2], [1, 1, -1], [1, 0, -1], [1, 2, 1]]
    assert (result.haplotypes is not None) == phased
    if result.haplotypes is not None:
        expected = [[0, 1, 1, 0, 1, 1], [0, 1, 1, 0, -1, -1], [1, 0, 0, 0, -1, -1], [1, 0, 1, 1, 0, 1]]
        assert result.haplotypes.reshape(4, 6).tolist() == expected


def test_dosages_of_a_pgen_without_hard_calls_are_rounded(tmp_path: Path) -> None:
    with pgenlib.PgenWriter(
        str(tmp_path / "d.pgen").encode(), 3, variant_ct=1, nonref_flags=False, dosage_present=True
    ) as writer:
        writer.append_dosages(np.array([0.7, 1.6, -9], dtype=np.float32))
    (tmp_path / "d.pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n22\t11\trs1\tA\tG\n")
    (tmp_path / "d.psam").write_text("#IID\nx\ny\nz\n")
    assert open_donors(tmp_path / "d.pgen").read("22", 0, 20).dosages.tolist() == [[1, 2, -1]]


@pytest.mark.shared_data
def test_real_phased_people_are_as_cyvcf2_reads_them(shared_data: Path) -> None:
    path = shared_data / "genotypes" / "1KG_phase1_release_v3_chr22.1092.vcf.gz"
    reference = shared_data / "reference" / "derived_GRCh37_chr22_1-22000000.fa.gz"
    start, end = 20_000_000, 20_200_000
    donors = open_donors(path)
    result = donors.read("chr22", start, end, reference=open_fasta(reference))
    assert donors.phased
    assert result.haplotypes is not None
    vcf = cyvcf2.VCF(str(path))
    assert donors.people == tuple(vcf.samples)
    with pysam.FastaFile(str(reference)) as bases:
        expected = {}
        for record in vcf(f"22:{start + 1}-{end}"):
            if len(record.REF) == len(record.ALT[0]) == 1:
                assert bases.fetch("22", record.POS - 1, record.POS).upper() == record.REF
                expected[record.POS] = np.array([call[:2] for call in record.genotypes])
    assert result.variants["position"].to_list() == list(expected)
    assert np.array_equal(result.haplotypes, np.stack(list(expected.values())))
    assert np.array_equal(result.dosages, result.haplotypes.sum(axis=2))
    with pytest.raises(
        DataError, match=r"header has the lengths of hg19: give the reference genome of hg19, not one wh"
    ):
        donors.read("22", start, end, reference=Shifted(reference), on_mismatch="drop")


class Shifted(Fasta):
    """The reference as of a build in which all genes have moved."""

    def codes(self, chrom: str, start: int, end: int) -> np.ndarray:
        return super().codes(chrom, start + 1234, end + 1234)


@pytest.mark.shared_data
def test_the_same_people_in_two_real_files_agree(shared_data: Path) -> None:
    fasta = open_fasta(shared_data / "reference" / "derived_GRCh37_chr22_1-22000000.fa.gz")
    phased = open_donors(shared_data / "genotypes" / "1KG_phase1_release_v3_chr22.1092.vcf.gz")
    bed = open_donors(shared_data / "gwas" / "polypred" / "1000G.subset.22.bed")
    both = [name for name in bed.people if name in phased.people]
    assert len(both) > 300
    results = []
    for donors in (phased, bed):
        result = donors.read("22", 20_000_000, 21_000_000, reference=fasta)
        rows = [donors.people.index(name) for name in both]
        results.append(dict(zip(names(result), result.dosages[:, rows], strict=True)))
    assert result.ledger["oriented"] == 350
    shared = [name for name in results[0] if name in results[1]]
    assert len(shared) > 100
    same = np.mean([np.mean(results[0][name] == results[1][name]) for name in shared])
    assert same > 0.98
