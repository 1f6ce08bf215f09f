"""Pairs in the forms of KING, PLINK, vcftools, somalier and hail are the same relatives, and only relatives."""

from __future__ import annotations

from pathlib import Path

import pytest

from varfx.errors import DataError, FormatError
from varfx.genotypes.pair_lists import read_pairs

KNOWN = tuple(f"S{number}" for number in range(9))


def write(folder: Path, text: str) -> Path:
    (folder / "list.txt").write_text(text)
    return folder / "list.txt"


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


def test_names_that_plink_joins_for_vcf(tmp_path: Path) -> None:
    pairs = "#FID1 IID1 FID2 IID2 KINSHIP\nF1 S1 F2 S2 0.2\n"
    assert read_pairs(write(tmp_path, pairs), "pairs", ["F1_S1", "F2_S2"]).pairs == (("F1_S1", "F2_S2"),)


UNFILTERED = {  # of S1 and S2 (sibs), S3 and S4 (third degree), S5 and S6 (unrelated)
    "PLINK 2": "#IID1\tIID2\tKINSHIP\nS1\tS2\t0.25\nS3\tS4\t0.06\nS5\tS6\t-0.02\n",
    "KING .kin": "FID\tID1\tID2\tPhi\tKinship\tError\nF\tS1\tS2\t.25\t.25\t0\nF\tS3\tS4\t0\t.06\t0\nF\tS5\tS6\t.25\t.01\t1\n",
    "PLINK 1": "FID1 IID1 FID2 IID2 RT PI_HAT\nS1 S1 S2 S2 UN .5\nS3 S3 S4 S4 UN .12\nS5 S5 S6 S6 UN .03\n",
    "vcftools": "INDV1\tINDV2\tRELATEDNESS_PHI\nS1\tS1\t.5\nS1\tS2\t.25\nS3\tS4\t.06\nS5\tS6\t-.3\nS6\tS6\t.5\n",
    "somalier": "#sample_a\tsample_b\trelatedness\nS1\tS2\t.5\nS3\tS4\t.12\nS5\tS6\t.03\n",
}


@pytest.mark.parametrize("kind", UNFILTERED)
def test_pairs_without_kinship_are_no_relatives(tmp_path: Path, kind: str) -> None:
    read = read_pairs(write(tmp_path, UNFILTERED[kind]), "pairs", KNOWN)
    assert read.pairs == (("S1", "S2"), ("S3", "S4"))
    assert (read.unrelated, read.unknown) == (1, 0)
    assert read.bound.split()[-1] == ("0.0442" if kind in ("PLINK 1", "somalier") else "0.0221")


def test_a_coefficient_that_is_missing_is_no_reason_to_leave_a_pair_out(tmp_path: Path) -> None:
    read = read_pairs(write(tmp_path, "ID1 ID2 Kinship\nS1 S2 NA\nS3 S4 0.001\n"), "pairs", KNOWN)
    assert (read.pairs, read.unrelated) == ((("S1", "S2"),), 1)
    assert read_pairs(write(tmp_path, "ID1 ID2 Kinship\nS3 S4 0.001\n"), "pairs", KNOWN).pairs == ()


def test_individuals_twice_in_a_table_that_names_both_columns(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"1 of 2 pairs are of a name with itself.*Leave such lines out"):
        read_pairs(write(tmp_path, "ID1 ID2\nS1 S1\nS2 S3\n"), "pairs", KNOWN)
