"""Lists of individuals in the forms of PLINK, KING, 1000 Genomes and spreadsheets name the same individuals."""

from __future__ import annotations

from pathlib import Path

import pytest

from varfx.errors import DataError, FormatError
from varfx.genotypes.name_lists import SAMPLE, read_individuals, read_keys, read_mapping, read_pairs

KNOWN = tuple(f"S{number}" for number in range(9))
INDIVIDUALS = {
    "names": "S1\nS2\n",
    "byte order mark, Windows": "\ufeffS1\r\nS2\r\n",
    "--remove": "F1\tS1\nF2\tS2\n",
    "--remove, family 0": "0 S1\n0 S2\n",
    "family is individual": "S1 S1\nS2 S2\n",
    "header": "#FID IID\nF1 S1\nF2 S2\n",
    "header without #": "FID\tIID\nF1\tS1\nF2\tS2\n",
    ".psam": "#IID\tSEX\tPopulation\nS1\t1\tYRI\nS2\t2\tGBR\n",
    ".psam with families": "##x\n#FID\tIID\tSEX\nF1\tS1\t1\nF2\tS2\t2\n",
    ".fam": "F1 S1 0 0 1 -9\nF2 S2 0 0 2 -9\n",
    "withdrawals": "S1,2024-01-01\nS2,2024-01-01\n",
    "spreadsheet": '"Sample_ID","Date"\n"S1","2024-01-01"\n"S2","2024-01-01"\n',
    "other column order": "sex\tiid\n1\tS1\n2\tS2\n",
    "comments": "# withdrawn\nS1\n\n# later\nS2\n",
}


def write(folder: Path, text: str) -> Path:
    (folder / "list.txt").write_text(text)
    return folder / "list.txt"


@pytest.mark.parametrize("kind", INDIVIDUALS)
def test_individuals(tmp_path: Path, kind: str) -> None:
    read = read_individuals(write(tmp_path, INDIVIDUALS[kind]), "individuals", KNOWN)
    assert (read.names, read.unknown) == (("S1", "S2"), ())


def test_names_that_plink_joins_for_vcf(tmp_path: Path) -> None:
    for text in ("F1 S1\nF2 S2\n", "#FID IID\nF1 S1\nF2 S2\n"):
        assert read_individuals(write(tmp_path, text), "individuals", ["F1_S1", "F2_S2", "F3_S3"]).names == (
            "F1_S1",
            "F2_S2",
        )
    pairs = "#FID1 IID1 FID2 IID2 KINSHIP\nF1 S1 F2 S2 0.2\n"
    assert read_pairs(write(tmp_path, pairs), "pairs", ["F1_S1", "F2_S2"]).pairs == (("F1_S1", "F2_S2"),)


def test_unknown_names_are_counted_and_none_known_is_an_error(tmp_path: Path) -> None:
    read = read_individuals(write(tmp_path, "F1 S1\nF2 X2\nF3 S3\n"), "individuals", KNOWN)
    assert (read.names, read.unknown) == (("S1", "S3"), ("X2",))
    with pytest.raises(DataError, match=r"none of its 2 individuals is known \(first X1; known are 9 \(S0, \.\.\.\)\)"):
        read_individuals(write(tmp_path, "X1\nX2\n"), "individuals", KNOWN)
    with pytest.raises(DataError, match=r"s1 and S1 differ in upper and lower case"):
        read_individuals(write(tmp_path, "s1\ns2\n"), "individuals", KNOWN)


def test_a_list_that_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"can be read in two ways.*#FID IID or #IID"):
        read_individuals(write(tmp_path, "S1 S2\nS3 S4\n"), "individuals", KNOWN)
    assert read_individuals(write(tmp_path, "#FID IID\nS1 S2\nS3 S4\n"), "individuals", KNOWN).names == ("S2", "S4")
    assert read_individuals(write(tmp_path, "S1 S1\nS1 S2\n"), "individuals", KNOWN).names == ("S1", "S2")  # one family


PAIRS = {
    "two columns": "S1 S2\nS3 S4\n",
    "KING .kin0": "FID1\tID1\tFID2\tID2\tKinship\nS1\tS1\tS2\tS2\t0.25\nS3\tS3\tS4\tS4\t0.25\n",
    "PLINK 2 .kin0": "#FID1\tIID1\tFID2\tIID2\tKINSHIP\nS1\tS1\tS2\tS2\t0.25\nS3\tS3\tS4\tS4\t0.25\n",
    "PLINK 2 .kin0 without families": "#IID1\tIID2\tKINSHIP\nS1\tS2\t0.25\nS3\tS4\t0.25\n",
    "KING .kin": "FID\tID1\tID2\tN_SNP\nF\tS1\tS2\t9\nG\tS3\tS4\t9\n",
    "PLINK 1 .genome": " FID1 IID1 FID2 IID2 RT PI_HAT\n S1 S1 S2 S2 UN 0.5\n S3 S3 S4 S4 UN 0.5\n",
    "somalier": "#sample_a\tsample_b\trelatedness\nS1\tS2\t0.5\nS3\tS4\t0.5\n",
    "hail": "i\tj\tkin\nS1\tS2\t0.2\nS3\tS4\t0.2\n",
    "four columns": "S1 S1 S2 S2\nS3 S3 S4 S4\n",
    "four columns with families": "F1 S1 F1 S2 0.25\nF2 S3 F2 S4 0.25\n",
    "comma": "ID1,ID2,Kinship\nS1,S2,0.2\nS3,S4,0.2\n",
    "byte order mark": "\ufeffS1\tS2\r\nS3\tS4\r\n",
}


@pytest.mark.parametrize("kind", PAIRS)
def test_pairs(tmp_path: Path, kind: str) -> None:
    read = read_pairs(write(tmp_path, PAIRS[kind]), "pairs", KNOWN)
    assert read.pairs == (("S1", "S2"), ("S3", "S4"))
    assert (read.unknown, read.first_unknown) == (0, None)


def test_pairs_of_unknown_names_and_of_a_name_with_itself(tmp_path: Path) -> None:
    read = read_pairs(write(tmp_path, "S1 S2\nX1 X2\nS3 X4\n"), "pairs", KNOWN)
    assert (read.pairs, read.unknown, read.first_unknown) == ((("S1", "S2"),), 2, ("X1", "X2"))
    with pytest.raises(FormatError, match=r"2 of 3 pairs are of a name with itself, first in line 1 \(S1\)"):
        read_pairs(write(tmp_path, "S1 S1\nS2 S3\nS4 S4\n"), "pairs", KNOWN)
    with pytest.raises(
        DataError, match=r"none of its 1 pairs \(first s1 s2\).*s1 and S1 differ in upper and lower case"
    ):
        read_pairs(write(tmp_path, "s1 s2\n"), "pairs", KNOWN)
    with pytest.raises(FormatError, match="1 of 2 lines have fewer than two columns, first line 2"):
        read_pairs(write(tmp_path, "S1 S2\nS3\n"), "pairs", KNOWN)


MAPPINGS = {
    "two columns": "S1 YRI\nS2 GBR\n",
    "1000 Genomes": "sample\tpop\tsuper_pop\tgender\nS1\tYRI\tAFR\tmale\nS2\tGBR\tEUR\tfemale\n",
    ".psam": "#IID\tPAT\tMAT\tSEX\tSuperPop\tPopulation\nS1\t0\t0\t1\tAFR\tYRI\nS2\t0\t0\t2\tEUR\tGBR\n",
    "--within": "F1 S1 YRI\nF2 S2 GBR\n",
    "--within, family is individual": "S1 S1 YRI\nS2 S2 GBR\n",
    "comma": "iid,population\nS1,YRI\nS2,GBR\n",
}


@pytest.mark.parametrize("kind", MAPPINGS)
def test_populations(tmp_path: Path, kind: str) -> None:
    assert read_mapping(write(tmp_path, MAPPINGS[kind]), "populations", KNOWN) == {"S1": "YRI", "S2": "GBR"}


def test_samples_and_their_individuals(tmp_path: Path) -> None:
    for text in ("a-1 S1\nb-1 S2\n", "SAMPID\tSUBJID\na-1\tS1\nb-1\tS2\n", "participant,sample\nS1,a-1\nS2,b-1\n"):
        read = read_mapping(
            write(tmp_path, text), "samples", ["a-1", "b-1"], keys=SAMPLE, values=("subjid", "participant")
        )
        assert read == {"a-1": "S1", "b-1": "S2"}
    with pytest.raises(FormatError, match="A stands there twice, with 1 and 2"):
        read_mapping(write(tmp_path, "A 1\nA 2\n"), "samples")


def test_keys_of_files_that_know_families(tmp_path: Path) -> None:
    assert read_keys(write(tmp_path, "F1 S1\nF2 S2\n"), "people") == [("F1", "S1"), ("F2", "S2")]
    assert read_keys(write(tmp_path, "S1\nS2\n"), "people") == [(None, "S1"), (None, "S2")]
    assert read_keys(write(tmp_path, "IID\tFID\nS1\tF1\n"), "people") == [("F1", "S1")]


@pytest.mark.parametrize("content", [b"", b"\n# nothing\n", b"\xff\xfeS\0"])
def test_files_without_names(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(FormatError, match=r"list\.txt` is (empty: it should list individuals|a binary file)"):
        read_individuals(tmp_path / "list.txt", "individuals", KNOWN)
