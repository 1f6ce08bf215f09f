"""Roles: the meaning of a column, whatever its name; and the names by which each role is commonly known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

TEXT_ROLES = ("chrom", "variant_id", "effect_allele", "other_allele")
_EFFECTS = ("z", "beta", "odds_ratio", "hazard_ratio", "se", "ci_lower", "ci_upper", "chisq")
_P_VALUES = ("neg_log10_p", "log10_p", "ln_p", "p")
NUMBER_ROLES = (
    "position",
    "eaf",
    "maf",
    "info",
    "missingness",
    "n",
    "n_case",
    "n_control",
    "n_eff",
    "n_eff_half",
    *_EFFECTS,
    "chisq_inf",
    "chisq_linreg",
    *_P_VALUES,
    "eaf_other",
    "eaf_case",
    "eaf_control",
)
KEY = "key"  # chromosome:position:reference:alternative in one column
ROLES = (*TEXT_ROLES, *NUMBER_ROLES, KEY)
STATISTICS = (*_EFFECTS, *_P_VALUES)
SIZES = ("n", "n_case", "n_control", "n_eff", "n_eff_half")
# Roles that only the program gives: fields that become roles once rows are looked at.
TEXT_FIELDS = ("key", "test", "error_code", "minor_allele", "low_confidence")
NUMBER_FIELDS = ("frequency", "minor_af", "case_alleles", "control_alleles")
FIRST_FREQUENCY = "frequency_0"  # frequency of allele_0
ALLELE_FIELD = "allele_"  # allele_0, allele_1, ...: columns of alleles, none of which is said to be the effect allele


def plain(name: str) -> str:
    """A column name in small letters and digits only: `P-value`, `p_value` and `P.value` are one name."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _tiers(*tiers: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(plain(name) for name in tier.split()) for tier in tiers)


def _ordered(names: str) -> tuple[frozenset[str], ...]:
    """Each name a tier of its own: the first found wins."""
    return _tiers(*names.split())


_KEYS = ("chr_bp", "chr_pos", "chrom_pos", "chr_position", "snp", "variant")
_BUILDS = ("_hg19", "_hg38", "_hg19b37", "_b37", "_b38", "_grch37", "_grch38", "_key")
_IN_BRACKETS = re.compile(r"\s*\([^()]*\)\s*$")  # Effect allele (EA)
_OF_A_BUILD = re.compile(r"(.+?)(hg19|hg38|b37|b38|grch37|grch38|build37|build38)")
# Names in plain spelling. A column of an earlier tier wins; two of one tier are ambiguous.
SYNONYMS: dict[str, tuple[frozenset[str], ...]] = {
    "variant_id": _ordered(
        "rsid rsids rs_number dbsnp_id SNP snpid MarkerName markerid variant_id ID variant rs cptid chrposID"
    ),
    "chrom": _tiers("chrom chromosome CHR CHR_ID snp_chr", "hg19chrc"),
    KEY: _tiers(
        " ".join(f"{name}{build}" for name in _KEYS for build in _BUILDS) + " chr_bp chr_pos chrom_pos",
        " ".join(f"{name}_hg18" for name in _KEYS),
    ),
    "position": _tiers("position BP POS base_pair_location bp_position bpos base_pair physical_position snp_pos", "ps"),
    "effect_allele": _tiers(
        "effect_allele EA tested_allele effectallele eff_allele effallele assessed_allele coded_allele risk_allele "
        "reported_allele effect_all"
    ),
    "other_allele": _tiers(
        "other_allele NEA OA non_effect_allele noneffect_allele otherallele non_coded_allele noncoded_allele "
        "non_risk_allele non_tested_allele non_eff_allele non_assessed_allele",
    ),
    "eaf": _tiers(
        "eaf effect_allele_frequency effect_allele_freq freq_effect_allele effect_allele_freq_ eff_allele_freq "
        "freq_effect effect_freq eaf_all tested_allele_freq coded_allele_freq effectallelefreq",
        "FRQ freq AF allele_frequency allele_freq frequency freq_european_1000genomes all_meta_AF",
    ),
    "maf": _tiers("maf minor_allele_frequency minor_allele_freq", "minor_af imp_maf all_maf"),
    "eaf_case": _tiers("eaf_cases eaf_case"),
    "eaf_control": _tiers("eaf_controls eaf_control"),
    "info": _ordered(
        "info imputation_info info_score imp_info imputation_quality imp_quality info_impute rsq mach_r2 minimac_r2 minimac3_rsq "
        "minimac4_rsq dr2 oevar_imp info_all all_info info_ukb mean_info avg_info average_info median_info"
    ),
    "n": _tiers(
        "N n_total sample_size samplesize total_sample_size total_n ntotal n_samples nsamples n_complete_samples",
        "OBS_CT NMISS num_samples nr_samples n_informative n_total_sum n_sum nsum all_total",
    ),
    "n_case": _tiers(
        "n_case n_cases ncase ncases ncas nca num_cases case_count cases_n n_cas case_n number_of_cases nr_cases",
        "total_cases cases_total n_cases_total all_cases cases",
    ),
    "n_control": _tiers(
        "n_control n_controls ncontrol ncontrols n_ctrl n_ctrls ncon nco num_controls control_count controls_n n_con "
        "control_n ctrl_n n_ctl nctl n_co number_of_controls nr_controls",
        "total_controls controls_total n_controls_total all_controls controls",
    ),
    "n_eff": _tiers("neff n_eff effective_n effective_sample_size n_effective eff_n eff_sample_size"),
    "n_eff_half": _tiers("neff_half neffdiv2 neff_div2 n_eff_half half_neff"),
    "z": _tiers("z zscore z_score z_stat zstat z_value"),
    "beta": _tiers(
        "beta effect b log_odds logor log_or effect_beta effect_size est estimate",
        "fixed_effects_beta fixed_effect_beta",
    ),
    "odds_ratio": _tiers("OR odds_ratio oddsratio"),
    "hazard_ratio": _tiers("hazard_ratio hazardratio HR"),
    "se": _tiers(
        "se standard_error stderr sebeta beta_se se_beta log_or_se logor_se log_odds_se effect_se std_err standarderror",
        "se_gc se_dgc fixed_effects_se fixed_effect_se",  # behind GC: corrected by genomic control
    ),
    "ci_lower": _tiers("ci_lower or_95l l95 or_l95 lower_ci"),
    "ci_upper": _tiers("ci_upper or_95u u95 or_u95 upper_ci"),
    "neg_log10_p": _tiers(
        "neg_log10_p neg_log_10_p_value mlog10p mlogp neglog10p neglog10pval neglog10_p_value minus_log10_p "
        "minus_log10_pval minus_log10_p_value minuslog10p nlog10p negative_log10_p mlog10pval pvalue_neg_log10 p_value_neg_log10"
    ),
    "log10_p": _tiers("log10p log10_p_value log10_pval"),
    "ln_p": _tiers("ln_p ln_pval ln_p_value"),
    "p": _tiers(
        "p pval p_value pvalue p.value p_val gwas_p pval_nominal p_wald",
        "p_gc p_dgc pvalue_gc p_value_gc fixed_effects_p_value fixed_effect_p_value",
    ),
    "test": _tiers("TEST"),
    "error_code": _tiers("ERRCODE"),
    "low_confidence": _tiers("low_confidence low_confidence_variant"),
}

# Columns that hold an allele without saying whether it is the effect allele.
ALLELE_NAMES = _tiers(
    "A1 A2 REF ALT ALLELE0 ALLELE1 ALLELE2 A0 ref_allele reference_allele alt_allele alternate_allele minor_allele "
    "major_allele alleleA alleleB"
)[0]


def is_explicit(role: str, name: str) -> bool:
    """Whether a column's name alone says that it is the effect allele, or the other one."""
    if role not in ("effect_allele", "other_allele"):
        return False
    return plain(name) in SYNONYMS[role][0] or plain(_IN_BRACKETS.sub("", name)) in SYNONYMS[role][0]


def _in_tier(role: str, name: str, tier: frozenset[str]) -> bool:
    """Whether a plain name is one of a tier; a genome build may stand behind that of a place (`POS_b37`, `position(hg19)`)."""
    if name in tier:
        return True
    of_build = _OF_A_BUILD.fullmatch(name) if role in ("chrom", "position") else None
    return of_build is not None and of_build[1] in tier


def candidates(role: str, names: Sequence[str | None], free: Iterable[int]) -> list[int]:
    """The columns among `free` that may have the role, by the first tier of synonyms that any column fits."""
    free = list(free)
    for tier in SYNONYMS.get(role, ()):
        found = [number for number in free if (name := names[number]) is not None and _in_tier(role, plain(name), tier)]
        if found:
            return found
    return []
