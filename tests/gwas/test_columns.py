"""Which column means what: roles by name, by the user's word, and beside a recognised format; and what is not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cases.gwas import BOLT, DANER_COUNTS_IN_NAMES, FASTGWA, PLINK2, REGENIE
from varfx.errors import ConfigError, FormatError
from varfx.gwas import CleanOptions, clean, read_gwas
from varfx.gwas.frequency_names import EFFECT, allele_of_frequency
from varfx.gwas.roles import SYNONYMS, plain
from varfx.gwas.sumstats import SumStats
from varfx.gwas.traits import traits_of


def read(folder: Path, text: str, **options: Any) -> SumStats:
    path = folder / "gwas.txt"
    path.write_text(text.replace(" ", "\t"))
    return clean(path, **options)


def uses(stats: SumStats) -> dict[str, str]:
    return {use["column"]: use["role"] for use in stats.metadata["columns"]}


def test_the_header_stands_in_the_ledger_used_and_not_used(tmp_path: Path) -> None:
    found = read(tmp_path, FASTGWA.replace("\t", " ").replace("SE P", "SE P note").replace("55\n2", "55 x\n2") + " y")
    assert uses(found) == {
        "CHR": "chrom",
        "SNP": "variant_id",
        "POS": "position",
        "A1": "effect_allele",
        "A2": "other_allele",
        "N": "n",
        "AF1": "eaf",
        "BETA": "beta",
        "SE": "se",
        "P": "p",
        "note": "",
    }
    ledger = {entry["step"]: entry for entry in found.metadata["ledger"]}
    assert ledger["columns used"]["count"] == 10
    assert "AF1 = eaf" in str(ledger["columns used"]["note"])
    assert ledger["columns not used"] == {"step": "columns not used", "count": 1, "note": "note"}


def test_a_recognised_format_takes_what_stands_beside_it(tmp_path: Path) -> None:
    text = REGENIE.replace("EXTRA", "EXTRA IMP_INFO2 MAF").replace(" INFO ", " Rsq ").replace(" NA\n", " NA 1 0.25\n")
    text = text.replace("TEST_FAIL", "TEST_FAIL 1 0.25")
    found = read(tmp_path, text, filters=CleanOptions(min_info=0.5, min_maf=0.01))
    assert found.metadata["format"] == "REGENIE"
    assert found.table["info"].to_list() == [0.9, 0.8]
    assert (uses(found)["Rsq"], uses(found)["MAF"], uses(found)["IMP_INFO2"]) == ("info", "maf", "")


def test_filters_name_the_columns_that_may_be_what_they_need(tmp_path: Path) -> None:
    text = "SNP A1 A2 N Z quality\nrs1 A G 1000 -2 0.9"
    with pytest.raises(ConfigError, match=r"`--min-info` needs .* unless one of those not used is it \(quality\)"):
        read(tmp_path, text, filters=CleanOptions(min_info=0.5))
    assert read(tmp_path, text, columns={"info": "quality"}, filters=CleanOptions(min_info=0.5)).table.height == 1


@pytest.mark.parametrize(
    "names",
    [
        "SNP CHR BP REF ALT EFFECT_ALLELE",
        "SNP CHR BP A1 A2 effect_allele",
        "SNP CHR BP A2 A1 EA",
        "SNP CHR BP ref_allele alt_allele tested_allele",
    ],
)
def test_a_column_that_says_it_is_the_effect_allele_beats_the_others(names: str, tmp_path: Path) -> None:
    """The other allele is, row by row, whichever of the two it is not."""
    found = read(tmp_path, f"{names} Z N\nrs1 1 1000 G A A -2 1000\nrs2 2 2000 C CT C 3 900")
    assert found.table.select("effect_allele", "other_allele", "z").rows() == [("A", "G", -2.0), ("C", "CT", 3.0)]


def test_an_explicit_effect_allele_beats_a_format_and_its_frequency_follows(tmp_path: Path) -> None:
    text = "CHR SNP POS A1 A2 N AF1 BETA SE P EA\n1 rs1 1000 A G 1000 0.3 -2 1 0.0455 A\n2 rs2 2000 A G 900 0.3 3 1 0.0027 G"
    found = read(tmp_path, text)
    assert found.metadata["format"] == "fastGWA"
    assert found.table["effect_allele"].to_list() == ["A", "G"]
    assert found.table["eaf"].to_list() == pytest.approx([0.3, 0.7])
    swapped = read(tmp_path, text.replace(" EA", " x"), columns={"effect_allele": "A2"})
    assert swapped.table.select("effect_allele", "other_allele").rows() == [("G", "A")] * 2
    assert swapped.table["eaf"].to_list() == pytest.approx([0.7, 0.7])


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("SNP A1 A2 BETA P", "PRS-CS"),
        ("SNP CHR BP A1 A2 FRQ BETA SE P N", "MungeSumstats"),
        ("SNP CHR BP A1 A2 INFO Z N P", "MungeSumstats"),
        ("CHR SNP BP A1 A2 OR SE P", "PLINK 1"),
    ],
)
def test_headers_with_too_few_names_are_asked_about(header: str, name: str, tmp_path: Path) -> None:
    row = " ".join({"A1": "A", "A2": "G", "SNP": "rs1"}.get(column, "1") for column in header.split())
    with pytest.raises(FormatError, match=r"A1 and A2 do not say which is the effect allele"):
        read(tmp_path, f"{header}\n{row}", n=1000)


def test_programs_with_few_but_enough_names(tmp_path: Path) -> None:
    rows = "\nrs1 A G 1000 -2 0.25\nrs2 CT C 900 3 0.75"
    ldsc = read(tmp_path, "SNP A1 A2 N Z FRQ" + rows, filters=CleanOptions(min_maf=0.01))  # munge_sumstats --keep-maf
    assert (ldsc.metadata["format"], ldsc.table["eaf"].to_list()) == ("LDSC .sumstats", [0.25, 0.75])
    mixer = read(tmp_path, "SNP CHR BP A1 A2 N Z\nrs1 1 1000 A G 1000 -2")
    assert mixer.table.select("chrom", "effect_allele", "z").row(0) == ("1", "A", -2.0)


def test_mtag_is_mtags_z_and_says_that_n_is_not(tmp_path: Path) -> None:
    header = "SNP CHR BP A1 A2 Z N FRQ mtag_beta mtag_se mtag_z mtag_pval"
    found = read(tmp_path, f"{header}\nrs1 1 1000 A G -1 1000 0.25 -0.02 0.01 -2 0.0455")
    assert found.table["z"].to_list() == [-2]
    assert uses(found)["Z"] == ""
    remark = next(entry for entry in found.metadata["ledger"] if entry["step"] == "note")
    assert "N counts the trait's own GWAS" in str(remark["note"])
    asked = read(tmp_path, f"{header}\nrs1 1 1000 A G -1 1000 0.25 -0.02 0.01 -2 0.0455", columns={"z": "Z"})
    assert asked.table["z"].to_list() == [-1]


@pytest.mark.parametrize(
    ("header", "traits"),
    [
        ("SNP BETA.Y1 SE.Y1 BETA.Y2 SE.Y2", ("Y1", "Y2")),
        ("chr af_cases_EUR beta_EUR se_EUR beta_meta se_meta", ("EUR", "meta")),
        ("SNP beta_liver pval_liver", ("liver",)),
        ("CHR SNP T SE_T P_noSPA BETA SE P", ()),
        ("BETA SE p.value BETA_c SE_c p.value_c", ()),
        ("effect_allele effect_allele_freq beta se", ()),
        ("beta_EUR p_value_EUR odds_ratio_AFR p_value_AFR", ("EUR", "AFR")),
        ("OR OR_95L OR_95U P", ()),
    ],
)
def test_traits_of_a_header(header: str, traits: tuple[str, ...]) -> None:
    assert traits_of(header.split()) == traits


def test_traits_before_their_statistics_are_asked_about(tmp_path: Path) -> None:
    text = "SNP EA NEA EAF N height.beta height_se bmi.beta bmi_se\nrs1 A G 0.25 1000 -2 1 3 1"
    with pytest.raises(FormatError, match=r"holds 2 traits: height, bmi. Name one, e.g. --trait height"):
        read(tmp_path, text)
    assert read(tmp_path, text, trait="bmi").table.select("z", "n", "eaf").row(0) == (3.0, 1000.0, 0.25)
    assert read(tmp_path, text, columns={"beta": "height.beta", "se": "height_se"}).table["z"].to_list() == [-2]


@pytest.mark.parametrize("name", ["Effect allele (EA)", "EA", "effect.allele"])
def test_an_abbreviation_in_brackets_is_no_part_of_a_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "g.tsv"
    path.write_text(f"rsid\t{name}\tOther allele (OA)\tAF_EA\tZ\tN\nrs1\tA\tG\t0.25\t-2\t1000\n")
    assert clean(path).table.select("effect_allele", "other_allele", "eaf").row(0) == ("A", "G", 0.25)


@pytest.mark.parametrize("name", ["avg_info", "INFO_UKB", "minimac3_Rsq", "median_info", "DR2", "INFO/IMPUTE"])
def test_names_of_imputation_quality(name: str, tmp_path: Path) -> None:
    text = f"SNP EA NEA N Z {name}\nrs1 A G 1000 -2 0.9"
    assert read(tmp_path, text, filters=CleanOptions(min_info=0.5)).table["info"].to_list() == [0.9]


def test_a_gwas_vcf_of_several_studies_takes_the_one_asked_for(tmp_path: Path) -> None:
    text = "##fileformat=VCFv4.2\n#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT s1 s2\n"
    text += "1 1000 rs1 G A . PASS AF=0.25 ES:SE:SS:NCAS -2:1:1000:200 3:1:900:.\n"
    with pytest.raises(FormatError, match=r"holds 2 samples \(studies\): s1, s2; one is needed. Name it with --trait"):
        read(tmp_path, text)
    found = read(tmp_path, text, trait="s1")
    assert found.table.select("z", "n", "eaf").row(0) == (-2.0, 640.0, 0.25)  # NCAS by the names of tables, AF of INFO
    assert read(tmp_path, text, trait="s2").table.select("z", "n").row(0) == (3.0, 900.0)


@pytest.mark.parametrize(
    "name", ["EA", "Effect_Allele", "effect.allele", "EFFECTALLELE", "Tested_Allele", "coded_allele"]
)
@pytest.mark.parametrize("p", ["P-value", "p.value", "PVALUE", "P_VAL", "pval"])
def test_names_are_compared_without_case_and_marks(name: str, p: str, tmp_path: Path) -> None:
    text = f"CHROM POS {name} Other.Allele OR {p} Sample_Size\n1 1000 A G 0.5 0.0455 1000\n2 2000 CT C 2 0.0027 900"
    found = read(tmp_path, text)
    assert found.table["z"].to_list() == pytest.approx([-2, 3], abs=1e-3)
    assert found.table["n"].to_list() == [1000, 900]


def test_no_name_is_a_synonym_of_two_roles() -> None:
    names = [name for tiers in SYNONYMS.values() for tier in tiers for name in tier]
    assert not {name for name in names if names.count(name) > 1}
    assert all(name == plain(name) for name in names)


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("AF1", {"a1", "allele1"}),
        ("Freq.Allele1.HapMapCEU", {"a1", "allele1"}),
        ("AF_Allele2", {"a2", "allele2"}),
        ("ALT_FREQS", {"alt", "altallele", "alternateallele"}),
        ("Freq_Tested_Allele_in_HRS", {EFFECT}),
        ("FRQ", set()),
        ("FreqSE", None),
        ("MinFreq", None),
        ("af_cases", None),
        ("AFR", None),
        ("INFO", None),
    ],
)
def test_of_which_allele_a_frequency_is(name: str, of: set[str] | None) -> None:
    assert allele_of_frequency(name) == of


@pytest.mark.parametrize(
    ("name", "eaf"), [("AF_ALT", 0.3), ("AF_REF", 0.7), ("FREQ1", None), ("AF", 0.3), ("Freq_Effect_Allele", 0.3)]
)
def test_frequencies_are_turned_to_the_effect_allele_or_only_filter(
    name: str, eaf: float | None, tmp_path: Path
) -> None:
    text = f"CHR BP REF ALT {name} Z N\n1 1000 G A 0.3 -2 1000\n1 2000 G A 0.001 3 1000"
    columns = {"effect_allele": "ALT", "other_allele": "REF"}
    found = read(tmp_path, text, columns=columns)
    assert found.table["eaf"][0] == (None if eaf is None else pytest.approx(eaf))
    assert read(tmp_path, text, columns=columns, filters=CleanOptions(min_maf=0.01)).table.height == 1


def test_the_numbers_of_cases_and_controls_in_the_names_of_a_daner_file(tmp_path: Path) -> None:
    found = read(tmp_path, DANER_COUNTS_IN_NAMES)
    assert found.table["n"].to_list() == pytest.approx([640, 640])
    assert found.table["eaf"].to_list() == pytest.approx([0.25, 0.75])


def test_a_user_may_name_any_column_of_any_format(tmp_path: Path) -> None:
    text = BOLT.replace("\t", " ")
    assert read(tmp_path, text, n=1000, columns={"chisq": "CHISQ_BOLT_LMM_INF", "beta": "BETA"}).table[
        "z"
    ].to_list() == [-2, 3]
    first = read_gwas(tmp_path / "gwas.txt", columns={"variant_id": "CHR"}).table
    assert first["variant_id"].to_list() == ["1", "2"]
    plink = PLINK2.replace("\t", " ").replace("OBS_CT", "count")
    with pytest.raises(FormatError, match=r"nearest is PLINK2 .glm, which needs also OBS_CT"):
        read(tmp_path, plink)
    named = read(tmp_path, plink, columns={"n": "count"})
    assert (named.metadata["format"], named.table["n"].to_list()) == ("PLINK2 .glm", [1000, 900])


def test_columns_equal_but_for_case_are_refused_unless_one_is_named(tmp_path: Path) -> None:
    """Which of the two a format means cannot be told."""
    header = "SNP\tA1\tA2\tfreq\tb\tse\tp\tN\tP\n"
    (tmp_path / "x.ma").write_text(header + "rs1\tA\tG\t0.25\t-0.02\t0.01\t0.0455\t1000\t0.5\n")
    with pytest.raises(
        FormatError, match=r"the columns `p` and `P` are equal but for case, .* say which with --columns p=NAME"
    ):
        clean(tmp_path / "x.ma")
    assert clean(tmp_path / "x.ma", columns={"beta": "b", "se": "se", "p": "p"}).table["z"][0] == pytest.approx(
        -2.0, abs=0.01
    )


def test_row_names_of_r_are_no_column_of_the_gwas(tmp_path: Path) -> None:
    (tmp_path / "x.ma").write_text(
        '"SNP" "A1" "A2" "freq" "b" "se" "p" "N"\n"1" "rs1" "A" "G" 0.25 -0.02 0.01 0.0455 1000\n'
    )
    found = clean(tmp_path / "x.ma")
    assert found.table["z"][0] == pytest.approx(-2.0, abs=0.01)
    assert [use["column"] for use in found.metadata["columns"] if not use["role"]] == ["row.names"]
