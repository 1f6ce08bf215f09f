from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pysam
import pytest

from cases.donors import write_fasta
from varfx.errors import DataError, FormatError
from varfx.genome.builds import LENGTHS
from varfx.genome.fasta import bases, open_fasta
from varfx.genome.fasta_index import check_index

SEQUENCES = {"chr7": "ACGTNacgtnRrYy*-" * 40, "chr22": "TTTGGGCCCAAA" * 30, "chrUn_1": "ACGT"}


@pytest.mark.parametrize("name", ["r.fa", "r.fa.gz"])
def test_codes_are_the_letters_of_the_file(tmp_path: Path, name: str) -> None:
    fasta = open_fasta(write_fasta(tmp_path / name, SEQUENCES))
    assert dict(fasta.lengths) == {"7": 640, "22": 360, "UN_1": 4}
    for chrom, start, end in (("7", 0, 640), ("chr7", 55, 68), ("22", 359, 360), ("Un_1", 0, 4)):
        letters = SEQUENCES[f"chr{chrom.removeprefix('chr')}"][start:end]
        codes = fasta.codes(chrom, start, end)
        assert codes.dtype == np.uint8
        assert codes.tolist() == ["ACGT".find(letter) if letter in "ACGT" else 4 for letter in letters.upper()]
    assert bases(fasta.codes("7", 0, 10)) == "ACGTNACGTN"
    assert np.array_equal(pickle.loads(pickle.dumps(fasta)).codes("7", 3, 9), fasta.codes("7", 3, 9))


@pytest.mark.parametrize("name", ["r.fa", "r.fa.gz"])
def test_a_missing_index_is_built_once_beside_the_file(tmp_path: Path, name: str) -> None:
    path = write_fasta(tmp_path / name, SEQUENCES)
    open_fasta(path).close()
    expected = {name, f"{name}.fai"} | ({f"{name}.gzi"} if name.endswith("gz") else set())
    assert set(os.listdir(tmp_path)) == expected
    built = Path(f"{path}.fai").read_text()
    pysam.faidx(str(path))
    assert Path(f"{path}.fai").read_text() == built


def test_names_with_and_without_chr_are_the_same(tmp_path: Path) -> None:
    fasta = open_fasta(write_fasta(tmp_path / "r.fa", {"22": "ACGT", "MT": "GG"}))
    assert np.array_equal(fasta.codes("chr22", 1, 3), fasta.codes("22", 1, 3))
    assert fasta.codes("chrM", 0, 2).tolist() == [2, 2]


def test_the_build_is_known_by_all_lengths_only(tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "r.fa", {"chr21": "A", "chr22": "C"})
    index = "".join(f"chr{name}\t{LENGTHS['hg38'][name]}\t{k}\t1\t2\n" for k, name in enumerate(("21", "22")))
    fasta = open_fasta(path)
    assert fasta.builds == ()
    for build, expected in ((index, ("hg38",)), (index.replace(str(LENGTHS["hg38"]["22"]), "1"), ())):
        object.__setattr__(fasta, "lengths", {line.split()[0][3:]: int(line.split()[1]) for line in build.splitlines()})
        assert fasta.builds == expected


@pytest.mark.parametrize(
    ("chrom", "start", "end", "match"),
    [
        ("22", 0, 361, r"22:1-361 is not within chromosome 22, which has 360 bases\. Leave such regions out"),
        ("chr22", -1, 5, r"22:0-5 is not within chromosome 22"),
        ("22", 5, 5, r"22:6-5 is not within"),
        ("8", 0, 5, r"has no sequence of chromosome 8: it holds 3 \(7, 22, UN_1\)\. Give the reference genome"),
    ],
)
def test_regions_that_are_not_there(tmp_path: Path, chrom: str, start: int, end: int, match: str) -> None:
    fasta = open_fasta(write_fasta(tmp_path / "r.fa", SEQUENCES))
    with pytest.raises(DataError, match=match):
        fasta.codes(chrom, start, end)


@pytest.mark.parametrize("name", ["r.fa", "r.fa.gz"])
def test_a_file_that_was_cut_after_it_was_indexed(tmp_path: Path, name: str) -> None:
    path = write_fasta(tmp_path / name, SEQUENCES)
    open_fasta(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(FormatError, match=r"is truncated") as caught:
        open_fasta(path)
    assert "\n" not in str(caught.value)


def test_other_files_are_one_line_errors(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"none\.fa` cannot be read: No such file or directory\."):
        open_fasta(tmp_path / "none.fa")
    (tmp_path / "g.fa.gz").write_bytes(gzip.compress(b">22\nACGT\n"))
    with pytest.raises(FormatError, match=r"is compressed with gzip, not bgzip.*compress the FASTA with `bgzip`\."):
        open_fasta(tmp_path / "g.fa.gz")
    for content in (b"", b"chr1\t5\n"):
        (tmp_path / "x.fa").write_bytes(content)
        with pytest.raises(FormatError, match=r"is not a FASTA file: it does not begin with `>`"):
            open_fasta(tmp_path / "x.fa")
    (tmp_path / "u.fa").write_text(">22\nACGT\nAC\nACGT\n")
    with pytest.raises(FormatError, match=r"no index, and none could be made: it is damaged, or not FASTA with lines"):
        open_fasta(tmp_path / "u.fa")
    assert sorted(os.listdir(tmp_path)) == ["g.fa.gz", "u.fa", "x.fa"]


@pytest.mark.shared_data
def test_the_real_reference(shared_data: Path) -> None:
    path = shared_data / "reference" / "derived_GRCh37_chr22_1-22000000.fa.gz"
    with open_fasta(path) as fasta, pysam.FastaFile(str(path)) as oracle:
        assert fasta.lengths["22"] == 22_000_000
        assert (fasta.codes("22", 0, 1000) == 4).all()
        assert bases(fasta.codes("22", 20_000_000, 20_100_000)) == oracle.fetch("22", 20_000_000, 20_100_000).upper()


@pytest.mark.parametrize("name", ["r.fa", "r.fa.gz"])
@pytest.mark.parametrize(
    "earlier",
    [
        {"chr7": "ACGT" * 160, "chr22": "ACGT" * 80, "Un_1": "ACGT"},  # a shorter chromosome
        {"chr7": "ACGT" * 150, "chr22": "ACGT" * 90, "Un_1": "ACGT"},  # all that follows is moved
        {"chr7": "ACGT" * 160, "22": "ACGT" * 90, "Un_1": "ACGT"},  # another name
    ],
)
def test_an_index_of_another_version_is_refused(tmp_path: Path, name: str, earlier: dict[str, str]) -> None:
    later = {"chr7": "ACGT" * 160, "chr22": "ACGT" * 90, "Un_1": "ACGT"}
    path = write_fasta(tmp_path / name, earlier)
    open_fasta(path).close()
    write_fasta(path, later)
    with pytest.raises(FormatError, match=r"r\.fa(\.gz)?\.fai` does not belong to|index belongs to another file"):
        open_fasta(path)
    for ending in (".fai", ".gzi"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    assert open_fasta(path).lengths["22"] == 360


@pytest.mark.parametrize("numbers", ["360\t7\t0\t61", "360\t7\t60\t9", "-360\t7\t60\t61", f"360\t{10**30}\t60\t61"])
@pytest.mark.parametrize("name", ["r.fa", "r.fa.gz"])
def test_an_index_without_lines_is_refused(tmp_path: Path, name: str, numbers: str) -> None:
    path = write_fasta(tmp_path / name, {"chr22": "ACGT" * 90})
    open_fasta(path).close()
    Path(f"{path}.fai").write_text(f"chr22\t{numbers}\n")
    with pytest.raises(FormatError, match=r"its index belongs to another|cannot be read|does not belong"):
        open_fasta(path)
    with pytest.raises(FormatError, match=r"\.fai` (cannot be read\. Remove it|does not belong to)"):
        check_index(path, {"22": "chr22"})


def test_ambiguity_codes(tmp_path: Path) -> None:
    fasta = open_fasta(write_fasta(tmp_path / "r.fa", {"22": "ACGTNMRWSYKVHDBmrn*"}))
    assert fasta.letters("22", 4, 19) == "NMRWSYKVHDBMRN*"
    assert fasta.codes("22", 0, 19).tolist() == [0, 1, 2, 3, *[4] * 15]
    # VCF 4.3: REF is the alphabetically first of the code's bases
    assert fasta.resolved("22", 0, 19).tolist() == [0, 1, 2, 3, 4, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 0, 0, 4, 4]


def test_two_sequences_of_a_chromosome_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"two sequences of chromosome 1 \(chr1 and 1\)\. Leave one in it"):
        open_fasta(write_fasta(tmp_path / "a.fa", {"chr1": "ACGT", "1": "CCCC"}))
    both = {"1": "ACGT", "chrM": "ACGT", "MT": "CCCC"}  # as some genomes of hg19 have
    assert open_fasta(write_fasta(tmp_path / "b.fa", both)).lengths == {"1": 4, "MT": 4}
