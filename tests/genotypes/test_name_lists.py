"""Lists of individuals in the forms of PLINK, KING, 1000 Genomes and spreadsheets name the same individuals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from varfx.errors import DataError, FormatError
from varfx.genotypes.name_lists import SAMPLE, read_individuals, read_keys, read_mapping

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
    "IGSR": "Sample name\tSex\tBiosample ID\nS1\tmale\tX\nS2\tfemale\tY\n",
    "pedigree": "Family ID\tIndividual ID\tPaternal ID\nF1\tS1\t0\nF2\tS2\t0\n",
    "semicolons": "IID;why, if known\nS1;left\nS2;moved, then left\n",
    "column far right": "batch\tplate\tIID\nB\t1\tS1\nB\t1\tS2\n",
    "R's row names": '"x"\n"1" "S1"\n"2" "S2"\n',
    "R's row names of a part": '"IID" "why"\n"5" "S1" "left"\n"8" "S2" "left"\n',
    "a reason that names a column": "S1 sample swap\nS2 sample swap\n",
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


MAPPINGS = {
    "two columns": "S1 YRI\nS2 GBR\n",
    "1000 Genomes": "sample\tpop\tsuper_pop\tgender\nS1\tYRI\tAFR\tmale\nS2\tGBR\tEUR\tfemale\n",
    ".psam": "#IID\tPAT\tMAT\tSEX\tSuperPop\tPopulation\nS1\t0\t0\t1\tAFR\tYRI\nS2\t0\t0\t2\tEUR\tGBR\n",
    "IGSR": "Sample name\tSex\tPopulation code\tSuperpopulation code\nS1\tmale\tYRI\tAFR\nS2\tmale\tGBR\tEUR\n",
    "1000 Genomes pedigree": "Family ID\tIndividual ID\tGender\tPopulation\nF\tS1\t1\tYRI\nF\tS2\t1\tGBR\n",
    "R's row names": '"sample" "pop"\n"1" "S1" "YRI"\n"2" "S2" "GBR"\n',
    "header of one other column": "FID IID cohort\nF S1 YRI\nF S2 GBR\n",
    "names behind": "YRI S1\nGBR S2\n",
    "unknown of some": "IID,pop\nS1,YRI\nS2,GBR\nS3,NA\nS4,.\n",
    "--within": "F1 S1 YRI\nF2 S2 GBR\n",
    "--within, family is individual": "S1 S1 YRI\nS2 S2 GBR\n",
    "comma": "iid,population\nS1,YRI\nS2,GBR\n",
}


@pytest.mark.parametrize("kind", MAPPINGS)
def test_populations(tmp_path: Path, kind: str) -> None:
    assert read_mapping(write(tmp_path, MAPPINGS[kind]), "populations", KNOWN) == {"S1": "YRI", "S2": "GBR"}


@pytest.mark.parametrize(
    "text", ["sample\tgender\tsite\nS1\tmale\tLeeds\nS2\tmale\tYork\n", "S1 male YRI\nS2 male GBR\n"]
)
def test_a_property_in_one_of_several_columns_is_never_guessed(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        FormatError, match=r"2 columns may be meant \((gender, site|male, YRI)\).*such as iid and population"
    ):
        read_mapping(write(tmp_path, text), "populations", KNOWN)
    with pytest.raises(FormatError, match=r"empty in all 1 lines"):
        read_mapping(write(tmp_path, "S1 NA\n"), "populations", KNOWN)


def test_names_with_blanks_and_numbers_of_rows_that_are_names_too(tmp_path: Path) -> None:
    assert read_individuals(write(tmp_path, "Sample 1\nSample 2\n"), "individuals", ["Sample 1", "Sample 2"]).names == (
        "Sample 1",
        "Sample 2",
    )
    read = read_individuals(write(tmp_path, '"IID"\n"1" "3"\n"2" "4"\n'), "individuals", list("123456"))
    assert (read.names, read.unknown) == (("3", "4"), ())


@pytest.mark.parametrize(
    ("name", "known", "says"),
    [
        ("7", "007", "7 and 007 differ in leading zeros"),
        ("X7", "7", "X7 and 7 differ as by R's `check.names`"),
        ("GTEX.1A", "GTEX-1A", "GTEX.1A and GTEX-1A differ as by R's `check.names`"),
        ("S1_S1", "S1", "S1_S1 and S1 differ as by PLINK's FID_IID"),
        ("S1", "F_S1", "S1 and F_S1 differ as by PLINK's FID_IID"),
    ],
)
def test_forms_of_names_that_are_no_match_are_named(tmp_path: Path, name: str, known: str, says: str) -> None:
    with pytest.raises(DataError, match=re.escape(says)):
        read_individuals(write(tmp_path, f"{name}\n"), "individuals", [known, "Z"])


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
