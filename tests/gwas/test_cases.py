"""Files that individuals in this field report in public: the right numbers, or a refusal that names the cause.

The inputs are those of `tests/golden/cases/<case>`; each has two or three variants whose values are worked out by hand.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from varfx.errors import ConfigError, DataError, FormatError, VarfxError
from varfx.gwas import CleanOptions, clean
from varfx.gwas.sumstats import SumStats

CASES = Path(__file__).parents[1] / "golden" / "cases"
DROP = CleanOptions(drop_invalid=True)
RS1, RS2 = ("1", 1000, "A", "G", -2.0), ("2", 2000, "C", "T", 3.0)
A1_A2 = {"effect_allele": "A1", "other_allele": "A2"}


def read(name: str, **options: Any) -> SumStats:
    return clean(CASES / name, **options)


def rows(stats: SumStats) -> list[tuple[Any, ...]]:
    """Chromosome, position, alleles and z to three digits."""
    table = stats.table
    z = [round(value, 3) for value in table["z"]]
    keys = table.select("chrom", "position", "effect_allele", "other_allele").rows()
    return [(*key, value) for key, value in zip(keys, z, strict=True)]


def notes(stats: SumStats, step: str) -> list[str]:
    return [str(entry["note"]) for entry in stats.metadata["ledger"] if entry["step"] == step]


def unused(stats: SumStats) -> list[str]:
    return [use["column"] for use in stats.metadata["columns"] if not use["role"]]


@pytest.mark.parametrize("columns", [None, A1_A2, {**A1_A2, "n_case": "NCAS", "n_control": "NCON"}])
def test_01_an_neff_that_is_half_is_recognised_beside_cases_and_controls(columns: dict[str, str] | None) -> None:
    found = read("01_neff_half/scz.tsv", columns=columns)
    assert rows(found) == [RS1, RS2]
    assert found.table["n"].to_list() == pytest.approx([9600, 4 / (1 / 4000 + 1 / 5000)])
    assert found.table["eaf"].to_list() == pytest.approx([(0.25 * 4 + 0.24 * 6) / 10, (0.75 * 4 + 0.70 * 5) / 9])
    assert found.table["info"].to_list() == [0.98, 0.9]
    assert found.metadata["format"] == "PGC vcf-like"
    if columns is None or "n_case" not in columns:
        assert "`NEFF` is half of 4 / (1 / cases + 1 / controls)" in notes(found, "warning")[0]
    with pytest.raises(DataError, match=r"`NEFF` is half of .* Name it with --columns n_eff_half=NEFF, or name n_case"):
        read("01_neff_half/scz.tsv", columns={"n_eff": "NEFF"})
    named = read("01_neff_half/scz.tsv", columns={"n_eff_half": "NEFF"})
    assert named.table["n"].to_list() == pytest.approx([9600, 8888.88])


@pytest.mark.parametrize("columns", [None, {**A1_A2, "n_case": "Nca", "n_control": "Nco"}, {"n_eff_half": "Neff_half"}])
def test_01_daner(columns: dict[str, str] | None) -> None:
    found = read("01_neff_half/daner.txt", columns=columns)
    assert rows(found) == [RS1, RS2]
    assert found.table["n"].to_list() == pytest.approx([9600, 8888.89], abs=0.02)
    assert found.table["eaf"].to_list() == pytest.approx([0.244, 6.5 / 9])
    assert found.metadata["format"] == "PGC daner"
    assert unused(found) == ["ngt", "Direction", "HetISqt", "HetDf", "HetPVa"]
    for role in ("n_eff", "n"):
        with pytest.raises(DataError, match=r"`Neff_half` is half the effective size by its name"):
            read("01_neff_half/daner.txt", columns={role: "Neff_half"})


@pytest.mark.parametrize("name", ["gbmi.h.tsv", "with_n.tsv", "generic.tsv"])
def test_03_case_counts_are_used_whichever_reader_takes_the_file(name: str) -> None:
    found = read(f"03_ssf_case_counts/{name}")
    assert rows(found) == [RS1, ("2", 2000, "CT", "C", 3.0)]
    assert found.table["n"].to_list() == pytest.approx([3600, 3600])


def test_05_the_effective_size_of_a_gwas_vcf() -> None:
    found = read("05_gwas_vcf_ne/ne.vcf")
    assert rows(found) == [RS1, ("2", 2000, "T", "C", 3.0)]
    assert found.table["n"].to_list() == [3600, 3600]


@pytest.mark.parametrize("name", ["mixer.tsv", "ea.tsv", "rsid.tsv"])
def test_07_a_column_called_effect_allele_beats_few_names(name: str) -> None:
    found = read(f"07_snp_n_z_with_named_alleles/{name}")
    assert rows(found) == [RS1, RS2]
    assert found.table["variant_id"].to_list() == ["rs1", "rs2"]
    assert found.table["n"].to_list() == [1000, 900]
    assert found.table["eaf"].to_list() == ([0.25, 0.75] if name == "ea.tsv" else [None, None])


def test_09_the_output_of_mungesumstats_is_asked_about() -> None:
    """Its effect allele is A2; PolyFun's and LDSC's is A1."""
    with pytest.raises(FormatError, match=r"A1 and A2 do not say which is the effect allele: .* A2 in MungeSumstats'"):
        read("09_mungesumstats_a2/m.tsv")
    for columns in ({"effect_allele": "A2", "other_allele": "A1"}, {"effect_allele": "A2"}):
        found = read("09_mungesumstats_a2/m.tsv", columns=columns)
        assert rows(found) == [RS1, RS2]
        assert found.table["eaf"].to_list() == [0.25, 0.75]


@pytest.mark.parametrize("name", ["cojo.ma", "cojo_dots.ma"])
def test_11_positions_beside_a_format_without_them_are_taken(name: str) -> None:
    found = read(f"11_positions_ignored/{name}")
    assert rows(found) == [RS1, RS2]
    assert found.metadata["format"] == "COJO .ma"


def test_11_positions_beside_ldsc_columns() -> None:
    found = read("11_positions_ignored/mixer48.txt")
    assert rows(found) == [("22", 16904583, "C", "T", -2.0), ("22", 17065645, "A", "G", 3.0)]
    assert found.table["variant_id"].to_list() == ["rs1", "rs3"]
    assert unused(found) == ["ID"]


@pytest.mark.parametrize("columns", [None, {"effect_allele": "alt", "other_allele": "ref"}])
def test_13_finngen_keeps_its_strongest_variant(columns: dict[str, str] | None) -> None:
    found = read("13_top_hits_lost/finngen.tsv", n="1000,9000", columns=columns)
    assert rows(found) == [RS1, ("2", 2000, "T", "C", 42.826), ("X", 3000, "T", "C", 4.417)]
    assert found.table["eaf"].to_list() == [0.25, 0.75, 0.75]
    assert found.table["variant_id"].to_list() == ["rs1", "rs2", "rs3"]
    assert found.table["n"].to_list() == pytest.approx([3600] * 3)
    assert found.metadata["format"] == "FinnGen"


def test_13_minus_log10_p_beside_an_underflown_p() -> None:
    decode = read("13_top_hits_lost/decode.txt")
    assert rows(decode) == [RS1, ("2", 2000, "T", "C", 42.826)]
    assert decode.table["variant_id"].to_list() == ["rs1", None]
    maf = read("13_top_hits_lost/decode.txt", filters=CleanOptions(min_maf=0.1))
    assert maf.table.height == 2
    log10p = read("13_top_hits_lost/log10p.txt")
    assert rows(log10p) == [RS1, ("2", 2000, "T", "C", 42.826)]


def test_13_a_p_of_0_without_any_other_statistic_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "p.txt"
    path.write_text("CHR BP SNP EA NEA BETA P N\n1 1000 rs1 A G -0.02 0.0455 1000\n2 2000 rs2 T C 0.5 0 900\n")
    with caplog.at_level(logging.WARNING, "varfx"):
        found = clean(path)
    assert rows(found) == [RS1]
    assert notes(found, "dropped") == ["p is 0, which does not say how small it was, and there is no other statistic"]
    assert "1 rows are dropped, likely the strongest associations of the file" in caplog.text


@pytest.mark.parametrize(
    ("name", "message", "columns"),
    [
        ("or.txt", r"`OR` looks like log odds \(median 0.02; odds ratios are near 1\)", {"beta": "OR"}),
        ("beta.txt", r"`BETA` looks like odds ratios \(median 1.01; log odds are near 0\)", {"odds_ratio": "BETA"}),
        ("signed.txt", r"`OR` looks like log odds", {"beta": "OR"}),
    ],
)
def test_14_statistics_that_contradict_each_other_stop(name: str, message: str, columns: dict[str, str]) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(f"14_or_is_log_odds/{name}")
    columns = {**columns, "se": "SE", "p": "P"}
    remedy = ",".join(f"{role}={column}" for role, column in columns.items())
    assert f"--columns {remedy}" in str(caught.value)
    z = [abs(value) for value in read(f"14_or_is_log_odds/{name}", columns=columns).table["z"]]
    assert z == pytest.approx([2, 3, 1][: len(z)], abs=0.05)


def test_27_a_trait_chooses_the_columns_of_a_multi_trait_file() -> None:
    name = "27_columns_switch_the_format_off/m.regenie"
    with pytest.raises(FormatError, match=r"holds 2 traits: Y1, Y2. Name one, e.g. --trait Y1"):
        read(name)
    with pytest.raises(ConfigError, match=r"`--trait Height`: .* holds the traits Y1, Y2"):
        read(name, trait="Height")
    expected = [RS1, ("2", 2000, "CT", "C", 3.0)]
    found = read(name, trait="Y1")
    assert (rows(found), found.trait) == (expected, "Y1")
    assert unused(found) == ["BETA.Y2", "SE.Y2", "CHISQ.Y2", "LOG10P.Y2"]
    assert read(name, trait="Y2").table["z"].to_list() == [1, 1]
    by_hand = {"effect_allele": "ALLELE1", "other_allele": "ALLELE0", "beta": "BETA.Y1", "chisq": "CHISQ.Y1"}
    assert rows(read(name, columns={**by_hand, "chrom": "CHROM", "position": "GENPOS"})) == expected


def test_27_columns_keep_the_format_and_its_choice_of_rows() -> None:
    columns = {"effect_allele": "A1", "other_allele": "REF", "n": "OBS_CT"}
    found = read("27_columns_switch_the_format_off/a.glm.linear", columns=columns)
    assert (rows(found), found.metadata["format"]) == ([RS1, RS2], "PLINK2 .glm")
    for named in (None, columns):
        with pytest.raises(DataError, match=r"no variant is left; 2 were dropped: another test than ADD"):
            read("27_columns_switch_the_format_off/dom.glm.linear", columns=named)


def test_30_the_submitted_columns_of_a_harmonised_file_are_used_and_said() -> None:
    found = read("30_harmonised_old_style/x.h.tsv")
    assert rows(found) == [RS1, ("2", 2000, "C", "T", -3.0), ("3", 3000, "C", "T", -3.0)]
    assert found.table["eaf"].to_list() == [0.25, 0.25, None]
    assert (
        "hm_* columns (GRCh38) are not used: positions, alleles and effects are the submitted ones"
        in (notes(found, "note")[0])
    )
    assert unused(found) == [use["column"] for use in found.metadata["columns"] if use["column"].startswith("hm_")]


def test_41_oddities_of_gwas_vcf_are_counted_by_cause() -> None:
    with pytest.raises(DataError, match=r"letters other than ACGT in 1 of 3 rows, first row 4 \(rs4 1:4000 <DEL>/C\)"):
        read("41_gwas_vcf_oddities/s.vcf")
    found = read("41_gwas_vcf_oddities/s.vcf", filters=DROP)
    assert found.table["variant_id"].to_list() == ["rs1", "rs7"]
    assert found.table["z"].to_list() == pytest.approx([-2, 3], abs=1e-4)
    assert notes(found, "dropped") == [
        "missing z",
        "missing n",
        "invalid: alleles are missing, equal, or hold letters other than ACGT",
    ]


@pytest.mark.parametrize("columns", [None, {"effect_allele": "Allele1", "other_allele": "Allele2"}])
def test_42_indels_coded_i_and_r_are_named(columns: dict[str, str] | None) -> None:
    with pytest.raises(DataError, match=r"letters other than ACGT in 1 of 2 rows, first row 2 \(.* I/R\)"):
        read("42_indels_coded_i_d/m.tbl", n=1000, columns=columns)
    found = read("42_indels_coded_i_d/m.tbl", n=1000, columns=columns, filters=DROP)
    assert found.table.select("effect_allele", "other_allele", "z", "eaf").rows() == [("A", "G", -2.0, 0.25)]


def test_45_a_repeated_header_is_shown() -> None:
    with pytest.raises(DataError, match=r"column BP holds text .* first row 2 \('BP'\)"):
        read("45_repeated_header/r.tsv")
    assert rows(read("45_repeated_header/r.tsv", filters=DROP)) == [RS1, RS2]


def test_47_rows_of_genes_are_not_taken_for_variants() -> None:
    with pytest.raises(DataError, match=r"letters other than ACGT in 1 of 2 rows, first row 1 \(G1.M1.0.01 "):
        read("47_gene_rows_regenie/g.regenie")
    assert rows(read("47_gene_rows_regenie/g.regenie", filters=DROP)) == [("2", 2000, "CT", "C", 3.0)]


def test_48_pan_ukb() -> None:
    expected = [RS1, ("2", 2000, "CT", "C", 3.0)]
    by_hand = {"effect_allele": "alt", "other_allele": "ref", "beta": "beta_EUR", "se": "se_EUR"}
    by_hand |= {"neg_log10_p": "neglog10_pval_EUR", "eaf": "af_controls_EUR"}
    found = read("48_pan_ukb/c.tsv", n="1000,9000", columns=by_hand)
    assert (rows(found), found.table["eaf"].to_list()) == (expected, [0.25, 0.74])
    found = read("48_pan_ukb/c.tsv", n="1000,9000", trait="EUR")
    assert (rows(found), found.trait, found.metadata["format"]) == (expected, "EUR", "Pan-UKB")
    assert found.table["n"].to_list() == pytest.approx([3600, 3600])
    assert found.table["eaf"].to_list() == pytest.approx([0.25, 0.741])
    assert [entry["count"] for entry in found.metadata["ledger"] if entry["step"] == "low confidence"] == [1]
    sure = read("48_pan_ukb/c.tsv", n="1000,9000", trait="EUR", filters=CleanOptions(drop_low_confidence=True))
    assert rows(sure) == [RS1]
    with pytest.raises(FormatError, match=r"holds 2 traits: EUR, AFR"):
        read("48_pan_ukb/c.tsv", n="1000,9000")


def test_49_a_p_outside_0_to_1_beside_beta_and_se_is_said(caplog: pytest.LogCaptureFixture) -> None:
    columns = {"effect_allele": "alt", "other_allele": "ref", "beta": "beta_EUR", "se": "se_EUR", "p": "pval_EUR"}
    with caplog.at_level(logging.WARNING, "varfx"):
        found = read("49_ln_p_beside_beta_se/ln.tsv", n=10000, columns=columns)
    assert rows(found) == [RS1, ("2", 2000, "CT", "C", 3.0)]
    assert "`pval_EUR` is outside 0 to 1 in 2 of 2 rows, first -3.09: it looks like ln p (ln_p=pval_EUR)" in caplog.text
    alone = {"effect_allele": "alt", "other_allele": "ref", "beta": "beta_EUR", "p": "pval_EUR"}
    with pytest.raises(DataError, match=r"`pval_EUR` is outside 0 to 1 in 2 of 2 rows.* Name it so with --columns"):
        read("49_ln_p_beside_beta_se/ln.tsv", n=10000, columns=alone)
    alone["ln_p"] = alone.pop("p")
    found = read("49_ln_p_beside_beta_se/ln.tsv", n=10000, columns=alone)
    assert rows(found) == [RS1, ("2", 2000, "CT", "C", 3.0)]


def test_every_message_of_the_cases_is_one_line() -> None:
    messages = []
    for path in sorted(CASES.glob("*/*.t*")):
        try:
            clean(path, n=1000)
        except VarfxError as error:
            messages.append(str(error))
    assert messages
    assert not [message for message in messages if len(message.splitlines()) != 1]
