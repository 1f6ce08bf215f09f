"""One simulated GWAS in the layouts of consortia, biobanks and programs: effect allele, sign, N and frequency come back as they were.

A layout is its header with the value of each column behind a colon. Alleles: `ea` the effect allele, `oa` the other one; `ref` and `alt`
are these two in an order that changes from row to row.
"""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from varfx.errors import DataError, FormatError
from varfx.gwas import clean
from varfx.gwas.sumstats import SumStats

PAIRS = [("A", "C"), ("G", "A"), ("T", "C"), ("G", "T"), ("ACG", "A"), ("A", "AT"), ("C", "A"), ("T", "G")]
ROWS = 40


@cache
def truth() -> tuple[dict[str, Any], ...]:
    rng = np.random.default_rng(1)
    rows = []
    for number in range(ROWS):
        ea, oa = PAIRS[number % len(PAIRS)]
        eaf, cases, controls = round(float(rng.uniform(0.05, 0.95)), 3), 4000 - number, 6000 - 3 * number
        se = float(f"{1 / math.sqrt(2 * eaf * (1 - eaf) * (cases + controls)):.6g}")
        beta = float(f"{rng.normal() * 2.2 * se:.6g}")
        ref, alt = (ea, oa) if rng.random() < 0.5 else (oa, ea)
        place, p = 10_000 + 997 * number, float(2 * norm.sf(abs(beta / se)))
        chrom = "1" if number < 25 else "22"
        rows.append(
            {
                "chrom": chrom, "pos": place, "id": f"rs{number}", "ea": ea, "oa": oa, "ref": ref, "alt": alt, "eaf": eaf, "x": 1,
                "small": ea.lower(), "other": oa.lower(), "raf": eaf if alt == ea else 1 - eaf, "maf": min(eaf, 1 - eaf),
                "minor": ea if eaf < 0.5 else oa, "key": f"{chrom}:{place}:{oa}:{ea}", "place": f"chr{chrom}:{place}",
                "hg18": f"chr{chrom}:{place - 9}", "lp": math.log10(p), "z": beta / se, "chi2": (beta / se) ** 2, "beta": beta, "se": se, "or": math.exp(beta),
                "lower": math.exp(beta - 1.959964 * se), "upper": math.exp(beta + 1.959964 * se), "p": p, "mlp": -math.log10(p),
                "half": -beta / 2, "mlp_half": -math.log10(2 * norm.sf(abs(beta / se) / 2)), "add": "ADD", "ok": ".", "na": "NA",
                "n": cases + controls, "ncase": cases, "ncontrol": controls, "neff": 4 / (1 / cases + 1 / controls),
                "neffhalf": 2 / (1 / cases + 1 / controls), "alleles_case": 2 * cases, "alleles_control": 2 * controls, "no": "false",
                "aa": 1000 * (1 - eaf) ** 2, "ab": 2000 * eaf * (1 - eaf), "bb": 1000 * eaf**2, "constant": 4 / (1 / 4000 + 1 / 6000), "given": 12_345.0, "info": 0.9, "chrchrom": f"chr{chrom}",
            }
        )  # fmt: skip
    return tuple(rows)


@dataclass(frozen=True)
class Layout:
    """A header with the value behind each name, and what is to be found in the file."""

    columns: str
    n: str = "n"  # the truth that n is; "given" where the file has none
    eaf: bool = True  # whether the effect allele's frequency is in the file
    asks: bool = False  # A1 and A2 do not say which is the effect allele: an error, until the user says it
    effect: str = ""  # what the user then says, as --columns
    trait: str | None = None
    placed: bool = True  # whether positions are in the file
    separator: str = "\t"
    preamble: str = ""


LAYOUTS = {
    "GIANT 2018": Layout(
        "CHR:chrom POS:pos SNP:id Tested_Allele:ea Other_Allele:oa Freq_Tested_Allele_in_HRS:eaf BETA:beta SE:se P:p N:n"
    ),
    "GIANT 2022": Layout(
        "SNPID:key RSID:id CHR:chrom POS:pos EFFECT_ALLELE:ea OTHER_ALLELE:oa EFFECT_ALLELE_FREQ:eaf BETA:beta SE:se P:p N:n"
    ),
    "GIANT 2014": Layout(
        "MarkerName:id Allele1:ea Allele2:oa Freq.Allele1.HapMapCEU:eaf b:beta SE:se p:p N:n",
        asks=True, effect="effect_allele=Allele1,other_allele=Allele2", placed=False,
    ),
    "GIANT BMI 2015": Layout(
        "SNP:id A1:ea A2:oa Freq1.Hapmap:eaf b:beta se:se p:p N:n", asks=True, effect="effect_allele=A1,other_allele=A2", placed=False
    ),
    "Neale lab": Layout(
        "variant:key minor_allele:minor minor_AF:maf expected_case_minor_AC:x low_confidence_variant:no n_complete_samples:n AC:x ytx:x "
        "beta:beta se:se tstat:z pval:p"
    ),
    "FinnGen R12": Layout(
        "#chrom:chrom pos:pos ref:oa alt:ea rsids:id nearest_genes:x pval:p mlogp:mlp beta:beta sebeta:se af_alt:eaf af_alt_cases:eaf "
        "af_alt_controls:eaf", n="given",
    ),
    "PheWeb": Layout(
        "chrom:chrom pos:pos ref:oa alt:ea rsids:id nearest_genes:x consequence:x pval:p beta:beta sebeta:se af:eaf ac:x num_cases:ncase "
        "num_controls:ncontrol", n="neff",
    ),
    "Biobank Japan, SAIGE": Layout(
        "CHR:chrom POS:pos rsid:id SNPID:key Allele1:oa Allele2:ea AC_Allele2:x AF_Allele2:eaf imputationInfo:info N:n BETA:beta SE:se "
        "Tstat:x p.value:p p.value.NA:p AF.Cases:eaf AF.Controls:eaf N.Cases:ncase N.Controls:ncontrol", n="neff", separator=" ",
    ),
    "Biobank Japan 2018": Layout(
        "SNP:id CHR:chrom POS:pos REF:oa ALT:ea Frq:eaf Rsq:info BETA:beta SE:se P:p", n="given", asks=True,
        effect="effect_allele=ALT,other_allele=REF",
    ),
    "SAIGE": Layout(
        "CHR:chrom POS:pos MarkerID:id Allele1:oa Allele2:ea AC_Allele2:x AF_Allele2:eaf MissingRate:x BETA:beta SE:se Tstat:x var:x "
        "p.value:p N:n"
    ),
    "GLGC 2013": Layout(
        "SNP_hg18:hg18 SNP_hg19:place rsid:id A1:small A2:other beta:beta se:se N:n P-value:p Freq.A1.1000G.EUR:eaf", asks=True,
        effect="effect_allele=A1,other_allele=A2",
    ),
    "GLGC 2021": Layout(
        "rsID:id CHROM:chrom POS_b37:pos REF:oa ALT:ea N:n N_studies:x POOLED_ALT_AF:eaf EFFECT_SIZE:beta SE:se pvalue_neg_log10:mlp "
        "pvalue:p pvalue_neg_log10_GC:mlp_half pvalue_GC:x", asks=True, effect="effect_allele=ALT,other_allele=REF",
    ),
    "PGC daner": Layout(
        "CHR:chrom SNP:id BP:pos A1:ea A2:oa FRQ_A_4000:eaf FRQ_U_6000:eaf INFO:info OR:or SE:se P:p ngt:x Direction:x Nca:ncase "
        "Nco:ncontrol Neff_half:neffhalf", n="neff",
    ),
    "PGC daner, counts in names": Layout(
        "CHR:chrom SNP:id BP:pos A1:ea A2:oa FRQ_A_4000:eaf FRQ_U_6000:eaf INFO:info OR:or SE:se P:p ngt:x", n="constant"
    ),
    "PGC VCF-like": Layout(
        "#CHROM:chrom POS:pos ID:id A1:ea A2:oa BETA:beta SE:se PVAL:p NGT:x FCAS:eaf FCON:eaf IMPINFO:info NEFFDIV2:neffhalf NCAS:ncase "
        "NCON:ncontrol DIRE:x", n="neff", preamble="##fileVersion=PGC\n",
    ),
    "Jansen 2019": Layout(
        "uniqID.a1a2:x CHR:chrom BP:pos A1:ea A2:oa SNP:id Z:z P:p Nsum:n Neff:neff dir:x EAF:eaf BETA:beta SE:se", n="neff", asks=True,
        effect="effect_allele=A1,other_allele=A2",
    ),
    "REGENIE": Layout(
        "CHROM:chrom GENPOS:pos ID:key ALLELE0:oa ALLELE1:ea A1FREQ:eaf INFO:info N:n TEST:add BETA:beta SE:se CHISQ:chi2 LOG10P:mlp "
        "EXTRA:na", separator=" ",
    ),
    "REGENIE, cases": Layout(
        "CHROM:chrom GENPOS:pos ID:id ALLELE0:oa ALLELE1:ea A1FREQ:eaf A1FREQ_CASES:x A1FREQ_CONTROLS:x INFO:info N:n N_CASES:ncase "
        "N_CONTROLS:ncontrol TEST:add BETA:beta SE:se CHISQ:chi2 LOG10P:mlp EXTRA:na", n="neff", separator=" ",
    ),
    "REGENIE, two traits": Layout(
        "CHROM:chrom GENPOS:pos ID:id ALLELE0:oa ALLELE1:ea A1FREQ:eaf N:n TEST:add BETA.Y1:half SE.Y1:se LOG10P.Y1:mlp_half BETA.Y2:beta "
        "SE.Y2:se LOG10P.Y2:mlp EXTRA:na", trait="Y2", separator=" ",
    ),
    "BOLT-LMM": Layout(
        "SNP:id CHR:chrom BP:pos GENPOS:x ALLELE1:ea ALLELE0:oa A1FREQ:eaf INFO:info CHISQ_LINREG:chi2 P_LINREG:p BETA:beta SE:se "
        "CHISQ_BOLT_LMM_INF:chi2 P_BOLT_LMM_INF:p", n="given",
    ),
    "fastGWA": Layout("CHR:chrom SNP:id POS:pos A1:ea A2:oa N:n AF1:eaf BETA:beta SE:se P:p"),
    "fastGWA-GLMM": Layout(
        "CHR:chrom SNP:id POS:pos A1:ea A2:oa N:n AF1:eaf T:x SE_T:x P_noSPA:x BETA:beta SE:se P:p CONVERGE:x"
    ),
    "PLINK2 linear": Layout(
        "#CHROM:chrom POS:pos ID:id REF:ref ALT:alt PROVISIONAL_REF?:x A1:ea OMITTED:oa A1_FREQ:eaf TEST:add OBS_CT:n BETA:beta SE:se "
        "T_STAT:z P:p ERRCODE:ok"
    ),
    "PLINK2 hybrid": Layout(
        "#CHROM:chrom POS:pos ID:id REF:ref ALT:alt A1:ea A1_CASE_CT:x A1_CTRL_CT:x CASE_ALLELE_CT:alleles_case CTRL_ALLELE_CT:"
        "alleles_control A1_CASE_FREQ:eaf A1_CTRL_FREQ:eaf FIRTH?:x TEST:add OBS_CT:n OR:or LOG(OR)_SE:se Z_STAT:z LOG10_P:mlp ERRCODE:ok",
        n="neff",
    ),
    "METAL by error": Layout(
        "MarkerName:id Allele1:small Allele2:other Freq1:eaf FreqSE:x MinFreq:x MaxFreq:x Effect:beta StdErr:se P-value:p Direction:x "
        "HetISq:x", n="given", placed=False,
    ),
    "METAL by size, written by R": Layout(
        "MarkerName:id Allele1:small Allele2:other Freq1:eaf Weight:n Zscore:z P.value:p Direction:x", placed=False
    ),
    "IIBDGC": Layout(
        "MarkerName:key Allele1:small Allele2:other Effect:beta StdErr:se P_value:p Direction:x HetISq:x", n="given", eaf=False
    ),
    "GWAS-SSF": Layout(
        "chromosome:chrom base_pair_location:pos effect_allele:ea other_allele:oa beta:beta standard_error:se effect_allele_frequency:eaf "
        "p_value:p variant_id:key ref_allele:x rs_id:id n:n"
    ),
    "GWAS-SSF, odds ratios": Layout(
        "chromosome:chrom base_pair_location:pos effect_allele:ea other_allele:oa odds_ratio:or standard_error:se effect_allele_frequency:"
        "eaf neg_log_10_p_value:mlp rsid:id ci_upper:upper ci_lower:lower n:n num_cases:ncase num_controls:ncontrol", n="neff",
    ),
    "MVP 2024": Layout(
        "SNP_ID:id chrom:chrom pos:pos ref:ref alt:alt ea:ea af:eaf num_samples:n case_af:x num_cases:ncase control_af:x "
        "num_controls:ncontrol or:or ci:x pval:p r2:info", n="neff",
    ),
    "the alternative allele's frequency": Layout(
        "chr:chrom pos:pos ref:ref alt:alt EA:ea beta:beta se:se pval:p N:n alt_freq:raf"
    ),
    "DIAGRAM": Layout("SNP:place Chr:chrom Pos:pos EA:ea NEA:oa EAF:eaf Beta:beta SE:se Pvalue:p Neff:neff", n="neff"),
    "DIAMANTE": Layout(
        "chromosome(b37):chrom position(b37):pos chrposID:place rsID:id effect_allele:ea other_allele:oa effect_allele_frequency:eaf "
        "MR-MEGA_p-value_association:x Fixed-effects_beta:beta Fixed-effects_SE:se Fixed-effects_p-value:p", n="given", separator=" ",
    ),
    "CARDIoGRAMplusC4D": Layout(
        "markername:id chr:chrom bp_hg19:pos effect_allele:ea noneffect_allele:oa effect_allele_freq:eaf median_info:x model:x beta:beta "
        "se_dgc:se p_dgc:p het_pvalue:x n_studies:x", n="given",
    ),
    "CARDIoGRAM 2011, build 36": Layout(
        "SNP:id chr_pos_(b36):hg18 reference_allele:ea other_allele:oa ref_allele_frequency:eaf pvalue:p het_pvalue:x log_odds:beta "
        "log_odds_se:se N_case:ncase N_control:ncontrol", n="neff", asks=True, effect="effect_allele=reference_allele", placed=False,
    ),
    "van der Harst 2017": Layout(
        "Markername:x snptestid:id chr:chrom bp_hg19:pos effect_allele:ea noneffect_allele:oa effect_allele_freq:eaf logOR:beta se_gc:se "
        "p-value_gc:p n_samples:n"
    ),
    "TwoSampleMR": Layout(
        "SNP:id effect_allele.exposure:ea other_allele.exposure:oa eaf.exposure:eaf beta.exposure:beta se.exposure:se pval.exposure:p "
        "samplesize.exposure:n chr.exposure:chrom pos.exposure:pos", separator=",",
    ),
    "OpenGWAS": Layout("chr:chrom position:pos beta:beta se:se p:p n:n id:x rsid:id ea:ea nea:oa eaf:eaf trait:x", separator=","),
    "SSGAC 2022": Layout(
        "rsID:id Chr:chrom BP:pos Effect_allele:ea Other_allele:oa EAF_HRC:eaf Beta:beta SE:se P:p", n="given"
    ),
    "risk alleles": Layout(
        "rsid:id chrom:chrom pos:pos risk_allele:ea non_risk_allele:oa RAF:eaf OR:or P:p NCASE:ncase NCONTROL:ncontrol", n="neff"
    ),
    "CKDGen": Layout(
        "Chr:chrom Pos_b37:pos RSID:id Allele1:small Allele2:other Freq1:eaf Effect:beta StdErr:se P-value:p n_total_sum:n", asks=True,
        effect="effect_allele=Allele1,other_allele=Allele2", separator=" ",
    ),
    "MAGIC": Layout(
        "snp:id effect_allele:ea other_allele:oa maf:maf effect:beta stderr:se pvalue:p", n="given", eaf=False, placed=False
    ),
    "GEMMA": Layout(
        "chr:chrom rs:id ps:pos n_miss:x allele1:ea allele0:oa af:eaf beta:beta se:se logl_H1:x l_remle:x p_wald:p", n="given", asks=True,
        effect="effect_allele=allele1,other_allele=allele0",
    ),
    "SNPTEST": Layout(
        "alternate_ids:x rsid:id chromosome:chrom position:pos alleleA:oa alleleB:ea index:x all_total:n all_maf:maf info:info "
        "frequentist_add_pvalue:p frequentist_add_beta_1:beta frequentist_add_se_1:se", eaf=False, separator=" ",
    ),
    "SNPTEST, cases": Layout(
        "alternate_ids:x rsid:id chromosome:chrom position:pos alleleA:oa alleleB:ea info:info all_AA:aa all_AB:ab all_BB:bb all_total:n "
        "cases_total:ncase controls_total:ncontrol all_maf:maf frequentist_add_pvalue:p frequentist_add_info:x "
        "frequentist_add_beta_1:add/y=1:beta frequentist_add_se_1:add/y=1:se", n="neff", separator=" ",
    ),
    "GWAMA": Layout(
        "rs_number:id reference_allele:ea other_allele:oa eaf:eaf beta:beta se:se beta_95L:x beta_95U:x z:z p-value:p _-log10_p-value:mlp "
        "q_statistic:x q_p-value:x i2:x n_studies:x n_samples:n effects:x", placed=False,
    ),
    "GWAMA, odds ratios": Layout(
        "rs_number:id reference_allele:ea other_allele:oa eaf:eaf OR:or OR_se:x OR_95L:lower OR_95U:upper z:z p-value:p "
        "_-log10_p-value:mlp q_statistic:x q_p-value:x i2:x n_studies:x n_samples:n effects:x", placed=False,
    ),
    "PLINK 1.9 meta-analysis": Layout(
        "CHR:chrom BP:pos SNP:id A1:ea A2:oa N:x P:p P(R):x OR:or OR(R):x Q:x I:x", n="given", eaf=False, separator=" "
    ),
    "METAL, log p": Layout(
        "MarkerName:id Allele1:small Allele2:other Freq1:eaf FreqSE:x Effect:beta StdErr:se log(P):lp Direction:x HetISq:x logHetP:x "
        "TotalN:n", placed=False,
    ),
    "METAL by size, N": Layout(
        "MarkerName:id Allele1:small Allele2:other N:n Zscore:z P-value:p Direction:x", eaf=False, placed=False
    ),
    "eQTLGen": Layout(
        "Pvalue:p SNP:id SNPChr:chrom SNPPos:pos AssessedAllele:ea OtherAllele:oa Zscore:z NrSamples:n", eaf=False
    ),
    "Open Targets": Layout(
        "studyId:x variantId:key chromosome:chrom position:pos beta:beta sampleSize:n pValueMantissa:x pValueExponent:x "
        "effectAlleleFrequencyFromSource:eaf standardError:se", asks=True, effect="key=variantId",
    ),
    "BGENIE": Layout(
        "chr:chrom rsid:id pos:pos a_0:oa a_1:ea af:eaf info:info bmi_beta:half bmi_se:se height_beta:beta height_se:se height-log10p:mlp",
        n="given", asks=True, effect="effect_allele=a_1,other_allele=a_0", trait="height", separator=" ",
    ),
    "GEM": Layout(
        "SNPID:id CHR:chrom POS:pos Non_Effect_Allele:oa Effect_Allele:ea N_Samples:n AF:eaf Beta_Marginal:beta SE_Beta_Marginal:x "
        "P_Value_Marginal:p Beta_G:half SE_Beta_G:x P_Value_Joint:x"
    ),
    "deCODE": Layout(
        "Chrom:chrchrom Pos:pos Name:x rsids:id effectAllele:ea otherAllele:oa Beta:beta Pval:p minus_log10_pval:mlp SE:se N:n "
        "ImpMAF:maf", eaf=False,
    ),
    "COVID-19 HGI": Layout(
        "#CHR:chrom POS:pos REF:oa ALT:ea SNP:key all_meta_N:x all_inv_var_meta_beta:beta all_inv_var_meta_sebeta:se "
        "all_inv_var_meta_p:p all_inv_var_meta_cases:ncase all_inv_var_meta_controls:ncontrol all_inv_var_meta_effective:neff "
        "all_inv_var_het_p:x all_meta_AF:eaf rsid:id", n="neff",
    ),
    "EasyQC": Layout("cptid:key EFFECT_ALLELE:ea OTHER_ALLELE:oa EAF:eaf BETA:beta SE:se PVAL:p N:n"),
    "HERMES": Layout("SNP:id CHR:chrom BP:pos A1:ea A2:oa freq:eaf b:beta se:se p:p N:n"),
    "LDAK": Layout(
        "Predictor:id A1:ea A2:oa n:n Z:z", eaf=False, asks=True, effect="effect_allele=A1,other_allele=A2,variant_id=Predictor",
        placed=False,
    ),
    "LDSC": Layout("SNP:id A1:ea A2:oa Z:z N:n", eaf=False, placed=False),
    "PLINK 1.9 assoc": Layout(
        "CHR:chrom SNP:id BP:pos A1:ea F_A:eaf F_U:eaf A2:oa CHISQ:chi2 P:p OR:or", n="given", eaf=False, asks=True,
        effect="effect_allele=A1,other_allele=A2",
    ),
}  # fmt: skip


def write(folder: Path, layout: Layout, *, compressed: bool) -> Path:
    fields = [column.rpartition(":") for column in layout.columns.split(" ")]
    lines = [layout.separator.join(name for name, _, _ in fields)]
    for row in truth():
        values = [row[value] for _, _, value in fields]
        lines.append(layout.separator.join(f"{v:.9g}" if isinstance(v, float) else str(v) for v in values))
    path = folder / f"gwas.txt{'.gz' if compressed else ''}"
    text = (layout.preamble + "\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(text) if compressed else text)
    return path


def read(path: Path, layout: Layout, columns: dict[str, str] | None) -> SumStats:
    return clean(path, n=truth()[0]["given"] if layout.n == "given" else None, columns=columns, trait=layout.trait)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_gives_what_was_simulated(name: str, tmp_path: Path) -> None:
    layout = LAYOUTS[name]
    path = write(tmp_path, layout, compressed=len(name) % 2 == 0)
    if layout.asks:
        with pytest.raises(FormatError, match=r"--columns effect_allele="):
            read(path, layout, None)
    columns = dict(part.split("=") for part in layout.effect.split(",")) if layout.effect else None
    table = read(path, layout, columns).table
    assert table.height == ROWS
    assert (table["position"].null_count() == 0) == layout.placed
    assert (table["eaf"].null_count() == 0) == layout.eaf
    by_place = {(row["chrom"], row["pos"]): row for row in truth()}
    by_id = {row["id"]: row for row in truth()}
    for row in table.iter_rows(named=True):
        true = by_place[row["chrom"], row["position"]] if layout.placed else by_id[row["variant_id"]]
        assert {row["effect_allele"], row["other_allele"]} == {true["ea"], true["oa"]}
        sign = 1 if row["effect_allele"] == true["ea"] else -1
        assert sign * row["z"] == pytest.approx(true["z"], rel=1e-3, abs=1e-4)
        assert row["n"] == pytest.approx(true[layout.n], rel=1e-4)
        if layout.eaf:
            assert (row["eaf"] if sign == 1 else 1 - row["eaf"]) == pytest.approx(true["eaf"], abs=1e-6)


def test_no_single_effect_has_the_p_of_mr_mega(tmp_path: Path) -> None:
    columns = "MarkerName:id Chromosome:chrom Position:pos EA:ea NEA:oa EAF:eaf Nsample:n Ncohort:x beta_0:beta se_0:se beta_1:beta se_1:se "
    layout = Layout(columns + "chisq_association:x ndf_association:x P-value_association:p")
    for trait in (None, "0"):
        with pytest.raises(
            FormatError, match=r"is MR-MEGA's: its effects vary along axes of ancestry.* Give a fixed-effects"
        ):
            clean(write(tmp_path, layout, compressed=False), trait=trait)


def test_the_build_in_the_name_of_a_column_of_places_is_stored(tmp_path: Path) -> None:
    for name, build in (("GLGC 2021", "hg19"), ("CARDIoGRAMplusC4D", "hg19"), ("DIAMANTE", "hg19"), ("fastGWA", None)):
        layout = LAYOUTS[name]
        columns = dict(part.split("=") for part in layout.effect.split(",")) if layout.effect else None
        assert read(write(tmp_path, layout, compressed=False), layout, columns).build == build


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("effect_allele:ea other_allele:oa beta:beta se:se N:n where:pos", "has neither positions nor identifiers .* variant_id=NAME"),
        ("pos:pos effect_allele:ea other_allele:oa beta:beta se:se N:n C:chrom", r"no chromosomes: .* chrom=NAME \(not used are C\)"),
        ("rsid:id EA:ea OA:oa beta:beta se:se Individuals:n", r"no sample size.* n=NAME \(not used are Individuals\)"),
        ("rsid:id EA:ea OA:oa N:n OR(A1):or p:p", r"gives no z.* beta=NAME or odds_ratio=NAME \(not used are OR\(A1\)\)"),
        ("rsid:id EA:ea OA:oa N:n beta:beta error:se", r"gives no z.* se=NAME \(not used are error\)"),
    ],
)  # fmt: skip
def test_what_a_file_lacks_is_said_with_the_columns_that_may_be_it(columns: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        clean(write(tmp_path, Layout(columns), compressed=False))


def test_harmonised_tables_of_two_traits_are_asked_about(tmp_path: Path) -> None:
    """TwoSampleMR's harmonised data hold an exposure and an outcome."""
    columns = (
        "SNP:id effect_allele.exposure:ea other_allele.exposure:oa beta.exposure:beta se.exposure:se samplesize.exposure:n "
        "effect_allele.outcome:ea other_allele.outcome:oa beta.outcome:half se.outcome:se samplesize.outcome:ncase"
    )
    path = write(tmp_path, Layout(columns), compressed=False)
    with pytest.raises(FormatError, match=r"holds 2 traits: exposure, outcome\. Name one"):
        clean(path)
    exposure, outcome = clean(path, trait="exposure").table, clean(path, trait="outcome").table
    assert outcome["z"].to_list() == pytest.approx((-exposure["z"] / 2).to_list())
    assert outcome["n"].to_list() != exposure["n"].to_list()
